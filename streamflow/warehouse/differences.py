"""Differences between two states of one table, by key and column."""

import pyarrow as pa

from streamflow.core.schema import ENTITY_KEY

NAMED_KEYS = 5


def describe_differences(before: pa.Table, after: pa.Table) -> str:
    """One phrase: rows changed (with columns), missing and added, with the first keys; both tables sorted by key."""
    old = {row[ENTITY_KEY]: row for row in before.to_pylist()}
    new = {row[ENTITY_KEY]: row for row in after.to_pylist()}
    changed = [key for key in old if key in new and old[key] != new[key]]
    columns = sorted(
        {name for key in changed for name in {*old[key], *new[key]} if old[key].get(name) != new[key].get(name)}
    )
    parts = [
        _phrase(f"changed in {', '.join(columns)}", changed),
        _phrase("missing", [key for key in old if key not in new]),
        _phrase("added", [key for key in new if key not in old]),
    ]
    return "; ".join(part for part in parts if part) or "no row differs"


def _phrase(what: str, keys: list[str]) -> str:
    if not keys:
        return ""
    named = ", ".join(sorted(keys)[:NAMED_KEYS])
    return f"{len(keys)} row{'s' if len(keys) > 1 else ''} {what} ({named}{', …' if len(keys) > NAMED_KEYS else ''})"
