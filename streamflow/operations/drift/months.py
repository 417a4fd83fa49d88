"""Rows of a frozen month, read after its files were hashed."""

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from streamflow.core.calendar import parse_date
from streamflow.core.schema import ENTITY_KEY, FEATURE_SERVICES, FEATURE_VIEWS, LABEL, LABELS, Table
from streamflow.operations.drift.verdict import Month
from streamflow.pipeline.complete import complete_month
from streamflow.snapshots.frozen import proven_files


def frozen_month(as_of: str, where: str) -> tuple[Month, pa.Table]:
    """A month, and for each user, sorted, every feature of any feature service and the month's own label.

    Raises ConfigError naming `where` if it is not a date, HistoryError if it is not frozen or differs from dvc.lock.
    """
    parse_date(as_of, where)
    folder, md5 = proven_files(as_of)
    wanted = {name for features in FEATURE_SERVICES.values() for name in features}
    with complete_month(folder) as whole:
        rows = _read(whole, LABELS, [LABEL])
        for table in FEATURE_VIEWS.values():
            columns = [name for name in table.header[1:] if name in wanted]
            if columns:
                rows = rows.join(_read(whole, table, columns), ENTITY_KEY)
    features = [name for table in FEATURE_VIEWS.values() for name in table.header[1:] if name in wanted]
    return Month(as_of, rows.num_rows, md5), rows.select([ENTITY_KEY, *features, LABEL]).sort_by(ENTITY_KEY)


def _read(folder: Path, table: Table, columns: Iterable[str]) -> pa.Table:
    return pq.read_table(folder / f"{table.name}.parquet", columns=[ENTITY_KEY, *columns])
