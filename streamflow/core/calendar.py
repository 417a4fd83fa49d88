"""Dates of snapshots, as ISO text (YYYY-MM-DD); midnight UTC where an instant is needed."""

import calendar
from datetime import UTC, date, datetime

from streamflow.core.errors import ConfigError

FIRST_SYNTHETIC_MONTH = "2024-01-31"
"""The generator of synthetic users has no earlier month."""


def parse_date(text: str, where: str) -> date:
    """The date that `text` names; ConfigError naming `where` if it is not YYYY-MM-DD."""
    try:
        if len(text) != len("2024-01-31"):
            raise ValueError
        return date.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"{where}={text} is not a date; write it as YYYY-MM-DD, e.g. {where}=2024-01-31") from None


def instant(as_of: str) -> datetime:
    """Midnight UTC at the start of the date, the event timestamp of every row of its snapshot."""
    return datetime.combine(parse_date(as_of, "as_of"), datetime.min.time(), tzinfo=UTC)


def month_later(as_of: str, months: int) -> str:
    """The date `months` calendar months after `as_of`; the last day of a month stays the last day."""
    start = parse_date(str(as_of), "as_of")
    index = start.year * 12 + start.month - 1 + int(months)
    year, month = divmod(index, 12)
    last = calendar.monthrange(year, month + 1)[1]
    is_month_end = start.day == calendar.monthrange(start.year, start.month)[1]
    return date(year, month + 1, last if is_month_end else min(start.day, last)).isoformat()


def months_between(first: str, last: str) -> int:
    """Calendar months from `first` to `last`, ignoring the day; negative if `last` is earlier."""
    start, end = parse_date(first, "first"), parse_date(last, "last")
    return (end.year - start.year) * 12 + end.month - start.month
