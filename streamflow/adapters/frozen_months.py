"""Frozen months for reading: whole rows of a snapshot, whose files were hashed before the first of them is read."""

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from streamflow.adapters.checks import output_problems
from streamflow.adapters.files import read_all_params
from streamflow.adapters.pipeline_files import lock_text, read_receipt
from streamflow.calendar import parse_date
from streamflow.config import main_overrides
from streamflow.data_drift import Month
from streamflow.errors import HistoryError
from streamflow.pipeline_lock import read_lock
from streamflow.schema import ENTITY_KEY, FEATURE_SERVICES, FEATURE_VIEWS, LABEL, LABELS, Table

SNAPSHOTS = Path("data/snapshots")


def frozen_month(as_of: str, where: str) -> tuple[Month, pa.Table]:
    """A month, and for each user, sorted, every feature of any feature service and the month's own label.

    Raises ConfigError naming `where` if it is no date, HistoryError if it is not frozen or not what its stage wrote.
    """
    parse_date(as_of, where)
    md5 = _proven(as_of)
    wanted = {name for features in FEATURE_SERVICES.values() for name in features}
    rows = _read(as_of, LABELS, [LABEL])
    for table in FEATURE_VIEWS.values():
        columns = [name for name in table.header[1:] if name in wanted]
        if columns:
            rows = rows.join(_read(as_of, table, columns), ENTITY_KEY)
    features = [name for table in FEATURE_VIEWS.values() for name in table.header[1:] if name in wanted]
    return Month(as_of, rows.num_rows, md5), rows.select([ENTITY_KEY, *features, LABEL]).sort_by(ENTITY_KEY)


def _proven(as_of: str) -> str:
    """MD5 of a month's folder, every file of it hashed now."""
    stage, path = f"snapshot@{as_of}", str(SNAPSHOTS / as_of)
    # A month that params.yaml does not name any more stays frozen.
    locked = read_lock(lock_text(), [as_of]).get(stage)
    if locked is None or path not in locked.outs:
        raise HistoryError(f"{as_of} is not frozen: dvc.lock has no {stage}; `{_freezing(as_of)}`")
    problems = output_problems(path, locked.outs[path], read_receipt(stage), stage)
    if problems:
        raise HistoryError(str(problems[0]))
    return locked.outs[path]


def _freezing(as_of: str) -> str:
    """The command that freezes a month: what params.yaml says, or that with one month more."""
    config = read_all_params()
    if as_of in config.months:
        return "streamflow repro"
    config.months = sorted([*config.months, as_of])
    return f"streamflow repro {' '.join(main_overrides(config))}"


def _read(as_of: str, table: Table, columns: Iterable[str]) -> pa.Table:
    return pq.read_table(SNAPSHOTS / as_of / f"{table.name}.parquet", columns=[ENTITY_KEY, *columns])
