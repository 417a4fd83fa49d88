"""How well a column of somebody's data fits a column of the schema: by the words of its name, and by its values."""

import re
from collections.abc import Sequence
from datetime import datetime

from streamflow.core.schema import Column

_SAME = [group.split() for group in (
    "user customer client subscriber account member", "active tenure seniority", "senior elderly retired",
    "fee charge charges price amount bill cost rate", "family partner spouse married", "net internet broadband",
    "dependents dependent children kids", "churn churned left exited attrition cancelled canceled", "gender sex",
    "movies movie films film", "stream streaming", "contract term", "paperless ebilling", "total lifetime",
    "monthly month months", "tickets ticket complaints cases", "signup joined registered opened start",
    "paid spent revenue", "watch viewing", "hours hrs hour", "devices device", "payments payment",
)]  # fmt: skip
"""Words that mean the same, the schema's first."""
_EMPTY_WORDS = frozenset(
    {"is", "has", "the", "of", "type", "label", "plan", "service", "agg", "7d", "30d", "90d", "flag"}
)
YES = frozenset({"yes", "y", "true", "t", "1", "ja", "si", "oui"})
NO = frozenset({"no", "n", "false", "f", "0", "nein", "non"})
_NUMBER = re.compile(r"-?[0-9]+([.,][0-9]+)?")
_WHOLE = re.compile(r"-?[0-9]+")
_DATES = ("%Y-%m-%d", "%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y")
ENOUGH = 0.5
"""Names that have a smaller share of the shorter one in common are not proposed."""


def name_fit(column: Column, name: str) -> tuple[float, float]:
    """The share of words that two names have in common, whatever their case and order: of the shorter name, then of both."""
    ours, theirs = _words(column.name), _words(name)
    if not ours or not theirs:
        return 0.0, 0.0
    common = len(ours & theirs)
    return common / min(len(ours), len(theirs)), common / len(ours | theirs)


def _words(name: str) -> set[str]:
    split = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", name)
    words = [word for word in re.split(r"[^a-zA-Z0-9]+", split.lower()) if word]
    kept = [word for word in words if word not in _EMPTY_WORDS] or words
    return {next((group[0] for group in _SAME if word in group), word) for word in kept}


def values_fit(column: Column, values: Sequence[str]) -> bool:
    """Whether the values (distinct, without the empty ones) can be those of the column, given a mapping of their texts."""
    if not values:
        return False
    lowered = {value.lower() for value in values}
    if column.kind == "boolean":
        return len(values) <= 4 and bool(lowered & YES) and bool(lowered & NO)
    if column.kind == "integer":
        return all(_WHOLE.fullmatch(value) for value in values)
    if column.kind == "real":
        return all(_NUMBER.fullmatch(value) for value in values)
    if column.kind == "date":
        return date_format(values) is not None
    return bool(lowered & {each.lower() for each in column.allowed}) if column.allowed else True


def date_format(values: Sequence[str]) -> str | None:
    """The first format of strptime that all values have; None if there is none."""
    return next((each for each in _DATES if all(_is_date(value, each) for value in values)), None)


def _is_date(text: str, how: str) -> bool:
    try:
        datetime.strptime(text, how)
    except ValueError:
        return False
    return True
