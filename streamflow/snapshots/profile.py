"""Counts of a frozen month, from the footers of its Parquet files and the column of labels."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from streamflow.core.errors import HistoryError, first_line
from streamflow.core.schema import LABEL, LABEL_TABLE, TABLES, USERS, Table
from streamflow.pipeline.layout import INGEST_RECEIPTS, SNAPSHOTS


@dataclass(frozen=True)
class MonthProfile:
    """Counts of one snapshot; `nulls` names every column of every table, in schema order.

    `waved_through` says what was not plausible when the month was ingested, and let pass all the same.
    """

    as_of: str
    users: int
    churners: int
    nulls: Mapping[str, int]
    waved_through: tuple[str, ...] = ()

    @property
    def churn_rate(self) -> float:
        """Share of the users whose label of this month says that they churned; 0 without users."""
        return self.churners / self.users if self.users else 0.0

    @property
    def columns_with_null(self) -> dict[str, int]:
        """The columns with NULL, with their count."""
        return {name: count for name, count in self.nulls.items() if count}


def month_profile(as_of: str) -> MonthProfile:
    """Users, churners and NULLs of a frozen month. Raises HistoryError if its files can't be read."""
    folder = SNAPSHOTS / as_of
    try:
        nulls = {name: count for table in TABLES for name, count in _nulls(folder, table).items()}
        labels = pq.read_table(folder / f"{LABEL_TABLE}.parquet", columns=[LABEL])[LABEL]
        users = pq.read_metadata(folder / f"{USERS.name}.parquet").num_rows
    except (OSError, pa.ArrowException) as error:
        reason = first_line(error)
        raise HistoryError(f"{folder} can't be read: {reason}; `streamflow fsck` shows what is damaged") from error
    return MonthProfile(as_of, users, int(pc.sum(labels).as_py() or 0), nulls)


def waved_through(as_of: str) -> tuple[str, ...]:
    """What was not plausible of a month, and let pass, by the receipt of its ingest; none if there is no receipt.

    Raises HistoryError if that is damaged.
    """
    path = INGEST_RECEIPTS / f"{as_of}.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8")).get("waved_through", ())
        return tuple(each if isinstance(each, str) else each["what"] for each in found)
    except FileNotFoundError:
        return ()
    except (ValueError, AttributeError, KeyError, TypeError) as error:
        raise HistoryError(f"{path} is damaged; `git checkout {path}`") from error


def _nulls(folder: Path, table: Table) -> dict[str, int]:
    path, users = folder / f"{table.name}.parquet", folder / f"{USERS.name}.parquet"
    if users.is_file() and not path.is_file():  # the schema got the table after the month was recorded
        return dict.fromkeys(table.header[1:], pq.read_metadata(users).num_rows)
    file = pq.read_metadata(path)
    # A column that the month was recorded without is NULL for everybody.
    names = file.schema.names
    counts = {name: 0 if name in names else file.num_rows for name in table.header[1:]}
    for group in range(file.num_row_groups):
        for position in range(file.num_columns):
            column = file.row_group(group).column(position)
            if column.path_in_schema in counts:
                counts[column.path_in_schema] += column.statistics.null_count
    return counts
