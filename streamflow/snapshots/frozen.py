"""Frozen snapshots: checked against dvc.lock, and read as a stream of users with the features of a service."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import zip_longest
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from streamflow.core.config import main_overrides
from streamflow.core.errors import ConfigError, HistoryError, first_line
from streamflow.core.schema import (
    ENTITY_KEY,
    EVENT_TIMESTAMP,
    FEATURE_VIEWS,
    USERS,
    Column,
    feature_view_of,
    features_of,
    views_of,
)
from streamflow.pipeline.complete import complete_month
from streamflow.pipeline.dvc_files import lock_text, read_receipt
from streamflow.pipeline.layout import INGEST_RECEIPTS, SNAPSHOTS
from streamflow.pipeline.lock import read_lock
from streamflow.pipeline.params import read_all_params
from streamflow.provenance.outputs import output_problems

SLICE_ROWS = 8192


def proven_snapshot(as_of: str) -> Path:
    """The folder of a frozen month, after every file in it was hashed and compared with dvc.lock.

    Raises ConfigError for a month that is not in the configuration, HistoryError if files are missing or differ.
    """
    months = read_all_params().months
    if as_of not in months:
        raise ConfigError(
            f"as of {as_of}: the months are {', '.join(months)}; `streamflow repro 'months=[…]'` adds one"
        )
    return proven_files(as_of)[0]


def frozen_source(as_of: str) -> str:
    """The source of the users of a frozen month, by the receipt of its ingest; empty if there is none.

    Raises HistoryError if it is damaged.
    """
    path = INGEST_RECEIPTS / f"{as_of}.json"
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["source"])
    except FileNotFoundError:
        return ""
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise HistoryError(f"{path} is damaged; `git checkout {path}`, or `streamflow repro`") from error


def proven_files(as_of: str) -> tuple[Path, str]:
    """The folder of a frozen month and its MD5, after every file in it was hashed and compared with dvc.lock.

    A month that is no longer in params.yaml stays frozen. Raises HistoryError if files are missing or differ.
    """
    folder, stage = SNAPSHOTS / as_of, f"snapshot@{as_of}"
    locked = read_lock(lock_text(), [as_of]).get(stage)
    if locked is None or str(folder) not in locked.outs:
        raise HistoryError(f"{as_of} is not frozen: dvc.lock has no {stage}; `{_freezing(as_of)}`")
    for problem in output_problems(str(folder), locked.outs[str(folder)], read_receipt(stage), stage):
        raise HistoryError(str(problem))
    return folder, locked.outs[str(folder)]


def _freezing(as_of: str) -> str:
    """The command that freezes a month: its stage, or the configuration with one month more."""
    config = read_all_params()
    if as_of in config.months:
        return f"dvc repro snapshot@{as_of}"
    config.months = sorted([*config.months, as_of])
    return f"streamflow repro {' '.join(main_overrides(config))}"


def snapshot_rows(service: str, folder: Path, rows: int = SLICE_ROWS) -> Iterator[pa.RecordBatch]:
    """user_id, as_of and the features of a service in model order: all users of a snapshot, sorted, `rows` at a time.

    The tables are read in slices, so memory does not grow with the number of users. Raises HistoryError naming table and
    user if a table does not hold the same users as `users`, or can't be read.
    """
    with complete_month(folder, features_of(service)) as whole:
        yield from _rows_of(service, whole, rows)


def _rows_of(service: str, folder: Path, rows: int) -> Iterator[pa.RecordBatch]:
    wanted = {FEATURE_VIEWS[view].name: features for view, features in views_of(service).items()}
    tables = {USERS.name: (EVENT_TIMESTAMP, *wanted.pop(USERS.name, ())), **wanted}
    streams = [_slices(folder / f"{table}.parquet", columns, rows) for table, columns in tables.items()]
    for slices in zip_longest(*streams):
        users = slices[0][ENTITY_KEY] if slices[0] is not None else pa.array([], pa.string())
        found: dict[str, pa.Array] = {}
        for (table, columns), some in zip(tables.items(), slices, strict=True):
            theirs = some[ENTITY_KEY] if some is not None else pa.array([], pa.string())
            if not theirs.equals(users):
                raise _other_users(folder / f"{table}.parquet", theirs, users)
            found |= {name: some[name] for name in columns}
        names = [ENTITY_KEY, EVENT_TIMESTAMP, *features_of(service)]
        yield pa.RecordBatch.from_arrays([users, *(found[name] for name in names[1:])], names)


def snapshot_column(feature: Column, folder: Path) -> pa.ChunkedArray:
    """One feature of all users of a snapshot, in the order of their ids. Raises HistoryError if it can't be read."""
    with complete_month(folder, [feature.name]) as whole:
        path = whole / f"{FEATURE_VIEWS[feature_view_of(feature.name)].name}.parquet"
        with _readable(path):
            return pq.read_table(path, columns=[feature.name])[feature.name]


def snapshot_users(folder: Path) -> int:
    """Number of users of a snapshot. Raises HistoryError if its users can't be read."""
    path = folder / f"{USERS.name}.parquet"
    with _readable(path):
        return int(pq.read_metadata(path).num_rows)


def _slices(path: Path, columns: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
    with _readable(path), pq.ParquetFile(path) as file:
        yield from file.iter_batches(rows, columns=[ENTITY_KEY, *columns])


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        reason = first_line(error)
        raise HistoryError(f"{path} can't be read: {reason}; `streamflow fsck` shows what is damaged") from error


def _other_users(path: Path, theirs: pa.Array, users: pa.Array) -> HistoryError:
    pairs = zip_longest(theirs.to_pylist(), users.to_pylist())
    has, wanted = next((one, other) for one, other in pairs if one != other)
    again = f"`dvc repro --force --single-item snapshot@{path.parent.name}`"
    return HistoryError(
        f"{path} does not hold the users of {USERS.name}.parquet: it has {has or 'none'} where user"
        f" {wanted or 'none'} must be; freeze the month again: {again}"
    )
