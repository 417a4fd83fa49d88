"""Scores of all users of a frozen snapshot, from its files to a file, with bounded memory."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from streamflow.core.errors import ConfigError, EnvironmentFault
from streamflow.operations.batch.reasons import reference_value
from streamflow.operations.batch.scorer import PREDICTION, BatchScorer
from streamflow.pipeline.file_digest import file_sha256
from streamflow.pipeline.parquet import write_parquet
from streamflow.pipeline.project import replacing
from streamflow.provenance.record import PREFIX
from streamflow.registry.loading import LoadedModel
from streamflow.snapshots.frozen import SLICE_ROWS, snapshot_column, snapshot_rows, snapshot_users

PARQUET, CSV = ".parquet", ".csv"
Watch = Callable[[Iterable[pa.RecordBatch], int], Iterable[pa.RecordBatch]]
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")
# The outputs of the pipeline are there, and DVC hashes them.
_OF_THE_PIPELINE = (Path("data"), Path("artifacts"))


@dataclass(frozen=True)
class Scores:
    """Summary of a file of scores; `reference` is the user that the reasons compare with, empty without reasons."""

    users: int
    churners: int
    sha256: str
    reference: Mapping[str, Any]


def check_output(out: Path) -> None:
    """Check that scores can be written to a file, before any work. Raises ConfigError or EnvironmentFault."""
    if out.suffix not in (PARQUET, CSV):
        raise ConfigError(f"--out {out}: the name must end in {PARQUET} or {CSV}")
    if any(out.resolve().is_relative_to(each.resolve()) for each in _OF_THE_PIPELINE):
        raise ConfigError(f"--out {out}: data/ and artifacts/ are for outputs of the pipeline; name another folder")
    if not out.parent.is_dir():
        raise EnvironmentFault(f"--out {out}: there is no folder {out.parent}; `mkdir -p {out.parent}`")
    if out.is_dir() or not os.access(out.parent, os.W_OK | os.X_OK):
        raise EnvironmentFault(f"--out {out}: the file can't be written; name another")


def score_snapshot(
    folder: Path,
    loaded: LoadedModel,
    out: Path,
    reasons: int = 0,
    watch: Watch = lambda slices, total: slices,
    threads: int | None = None,
    slice_rows: int = SLICE_ROWS,
) -> Scores:
    """Score every user of a snapshot's files and write `out`, sorted by user: the same bytes for the same files and model.

    `watch` gets the scored slices and their number; `threads` are as many as cores by default. Raises
    StreamFlowError, and `out` then stays as it was.
    """
    features = loaded.model.features
    if not 0 <= reasons <= len(features):
        raise ConfigError(f"--reasons {reasons}: the model takes {len(features)} features; use 0 to {len(features)}")
    reference = {c.name: reference_value(snapshot_column(c, folder), c) for c in features} if reasons else {}
    scorer = BatchScorer(loaded.model, loaded.version, loaded.model_sha256, reasons, reference)
    users = churners = 0

    def count_slices(slices: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        nonlocal users, churners
        for some in slices:
            users, churners = users + some.num_rows, churners + pc.sum(some[PREDICTION]).as_py()
            yield some

    rows = snapshot_rows(loaded.tags[f"{PREFIX}feature_service"], folder, slice_rows)
    scored = _in_order(scorer.score, rows, threads or len(os.sched_getaffinity(0)))
    write = write_parquet if out.suffix == PARQUET else _write_csv
    try:
        write(out, scorer.schema(), count_slices(watch(scored, -(-snapshot_users(folder) // slice_rows))))
        return Scores(users, churners, file_sha256(out), reference)
    except OSError as error:
        raise EnvironmentFault(f"--out {out}: {error.strerror or error}; nothing was written") from error


def _write_csv(out: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> None:
    # Arrow writes a float32 as the shortest decimal that reads back as the same float32.
    with replacing(out) as partial, pyarrow.csv.CSVWriter(partial, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)


def _in_order(work: Callable[[_Item], _Result], items: Iterable[_Item], threads: int) -> Iterator[_Result]:
    """The result of each item, in the order of the items; few of them are in memory at a time.

    ONNX Runtime releases Python's lock while it scores, so threads use all cores; each of its calls uses one.
    """
    waiting: deque[Future[_Result]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > 2 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
