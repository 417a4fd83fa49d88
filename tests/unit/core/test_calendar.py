"""Dates of snapshots."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamflow.core.calendar import instant, month_later, months_between, parse_date
from streamflow.core.errors import ConfigError


@pytest.mark.parametrize(
    ("start", "months", "expected"),
    [
        ("2024-01-31", 0, "2024-01-31"),
        ("2024-01-31", 1, "2024-02-29"),
        ("2024-02-29", 1, "2024-03-31"),
        ("2024-02-29", -1, "2024-01-31"),
        ("2023-12-31", 2, "2024-02-29"),
        ("2024-01-15", 1, "2024-02-15"),
        ("2024-01-30", 1, "2024-02-29"),
    ],
)
def test_month_ends_stay_month_ends(start, months, expected):
    assert month_later(start, months) == expected


@given(st.dates(min_value=datetime(1990, 1, 1).date(), max_value=datetime(2090, 1, 1).date()), st.integers(-24, 24))
def test_months_later_are_counted_back(start, months):
    assert months_between(start.isoformat(), month_later(start.isoformat(), months)) == months


def test_the_event_timestamp_is_midnight_utc():
    assert instant("2024-01-31") == datetime(2024, 1, 31, tzinfo=UTC)


@pytest.mark.parametrize("text", ["yesterday", "2024-13-01", "2024-02-30", "20240131", "2024-1-31", ""])
def test_what_is_no_date_is_refused(text):
    with pytest.raises(ConfigError, match="is not a date"):
        parse_date(text, "as_of")
