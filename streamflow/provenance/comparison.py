"""What differs between two results: data, packages, configuration, metrics."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from streamflow.provenance.result import Result


@dataclass(frozen=True)
class Difference:
    """One named value in two results; None where a result has none."""

    name: str
    before: Any
    after: Any

    def to_json(self) -> dict[str, Any]:
        """The difference as JSON."""
        return {"name": self.name, "before": self.before, "after": self.after}


Rows = Mapping[str, Mapping[str, int]]
"""Month to table to number of rows, from the receipts of the ingests."""


def differing(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Difference]:
    """Names whose values differ, sorted."""
    names = sorted(before.keys() | after.keys())
    return [
        Difference(name, before.get(name), after.get(name)) for name in names if before.get(name) != after.get(name)
    ]


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, keys joined by dots."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return found


def snapshot_differences(before: Result, after: Result, rows_before: Rows, rows_after: Rows) -> list[dict[str, Any]]:
    """Months whose frozen files differ, with the tables that differ and the rows of each before and after."""
    found = []
    for each in differing(before.snapshots, after.snapshots):
        prefix = f"data/snapshots/{each.name}/"
        files = differing(_below(before.receipts, prefix), _below(after.receipts, prefix))
        tables = [
            {
                "table": file.name.removesuffix(".parquet"),
                "rows_before": rows_before.get(each.name, {}).get(file.name.removesuffix(".parquet")),
                "rows_after": rows_after.get(each.name, {}).get(file.name.removesuffix(".parquet")),
            }
            for file in files
        ]
        found.append({"month": each.name, "before": each.before, "after": each.after, "tables": tables})
    return found


def _below(receipts: Mapping[str, str], prefix: str) -> dict[str, str]:
    return {path.removeprefix(prefix): digest for path, digest in receipts.items() if path.startswith(prefix)}
