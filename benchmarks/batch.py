"""Batch scores of a large synthetic snapshot, beside pandas and scikit-learn with the same forest.

Each run is a process of its own, measured from its start to its end: wall time, and the highest sum of the resident memory
of it and its children. Ours reads the six frozen files and artifacts/model, as `streamflow batch` does after its proofs
(the SHA-256 and MD5 of 1,000,000 users' files take half a second more). The peer reads the same files with pandas, merges
them on user_id, and asks the scikit-learn forest that artifacts/model was exported from (joblib, n_jobs=2).

    python -m benchmarks.batch                        200,000 users in three rounds, interleaved; then 1,000,000 once
    python -m benchmarks.batch --rounds 3 --large 0   without the large one
    python -m benchmarks.batch --reasons 3            ours with reasons as well
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import joblib
import pandas as pd
import psutil
import pyarrow.parquet as pq

from streamflow.core.arrow import arrow_schema, sorted_by_user
from streamflow.core.calendar import instant
from streamflow.core.schema import TABLES, service_features
from streamflow.extracts.synthetic import generate_month
from streamflow.pipeline.file_digest import file_sha256
from streamflow.pipeline.parquet import frozen_schema, with_event_timestamp, write_parquet
from streamflow.pipeline.reporting import one_line_errors

MONTH = "2024-01-31"
MODEL = Path("artifacts/model")
MOST_SECONDS, MOST_MB = 60.0, 2048.0
_FOREST = "forest.joblib"
_EVERY_SECONDS = 0.02


def freeze(folder: Path, users: int) -> None:
    """The six tables of a synthetic month, written as stage `snapshot` writes them, without Postgres and dvc.lock."""
    for name, rows in generate_month(users, MONTH, seed=7).items():
        table = next(each for each in TABLES if each.name == name)
        ordered = sorted_by_user(rows).cast(arrow_schema(table))
        stamped = (with_event_timestamp(batch, instant(MONTH)) for batch in ordered.to_batches())
        write_parquet(folder / f"{name}.parquet", frozen_schema(table), stamped)


def ours(folder: Path, out: Path, reasons: int) -> None:
    """What `streamflow batch` does with a snapshot and a model that are proven."""
    from streamflow.model.card import schema_features
    from streamflow.model.scoring import ChurnModel
    from streamflow.operations.batch.scores import score_snapshot
    from streamflow.registry.loading import LoadedModel

    schema = json.loads((MODEL / "feature_schema.json").read_text(encoding="utf-8"))
    model = ChurnModel((MODEL / "model.onnx").read_bytes(), schema_features(schema))
    tags = {"streamflow.model_sha256": file_sha256(MODEL / "model.onnx")}
    tags["streamflow.feature_service"] = schema["feature_service"]
    score_snapshot(
        folder,
        LoadedModel(
            "0", "", model, tags, schema["threshold"], tags["streamflow.model_sha256"], schema["feature_service"]
        ),
        out,
        reasons,
    )


def peer(folder: Path, out: Path, forest: Path) -> None:
    """All tables in pandas, merged, scored by scikit-learn with two workers, written by pandas."""
    model, features = joblib.load(forest)
    frame = None
    for table in TABLES:
        rows = pd.read_parquet(folder / f"{table.name}.parquet").drop(columns="as_of")
        frame = rows if frame is None else frame.merge(rows, on="user_id")
    assert frame is not None
    numbers = [column.name for column in features if column.kind != "text"]
    frame[numbers] = frame[numbers].astype("float32")
    frame["churn_probability"] = model.predict_proba(frame[[column.name for column in features]])[:, 1]
    frame[["user_id", "churn_probability"]].to_parquet(out, index=False)


def measured(*command: str) -> tuple[float, float]:
    """Seconds of a process, and the highest resident memory of it and its children in MB."""
    started = time.perf_counter()
    process = psutil.Popen([sys.executable, "-m", "benchmarks.batch", *command])
    most = 0
    while process.poll() is None:
        most = max(most, _resident(process))
        time.sleep(_EVERY_SECONDS)
    seconds = time.perf_counter() - started
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return seconds, most / 2**20


def _resident(process: psutil.Process) -> int:
    total = 0
    for each in (process, *_children(process)):
        try:
            total += each.memory_info().rss
        except psutil.Error:
            continue
    return total


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.Error:
        return []


def largest_difference(one: Path, other: Path) -> float:
    """Between the probabilities of two files of the same users."""
    values = [pq.read_table(path)["churn_probability"].to_numpy().astype(float) for path in (one, other)]
    return float(abs(values[0] - values[1]).max())


def main() -> None:
    """Measure, and print medians, the ratio and the large figure with its limits."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--users", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--large", type=int, default=1_000_000)
    parser.add_argument("--reasons", type=int, default=0)
    options = parser.parse_args()
    with one_line_errors("benchmark"), tempfile.TemporaryDirectory() as scratch:
        from benchmarks.serving.forest import fitted_forest
        from streamflow.pipeline.params import read_params

        folder = Path(scratch)
        features = service_features(read_params("train").features.service)
        joblib.dump((fitted_forest(jobs=2), features), folder / _FOREST)
        print(f"{len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.2f}, {options.users:,} users")
        _interleaved(folder, options.users, options.rounds)
        if options.reasons:
            _alone(folder, options.users, options.reasons)
        if options.large:
            _large(folder, options.large)


def _interleaved(folder: Path, users: int, rounds: int) -> None:
    freeze(folder / "rounds", users)
    found: dict[str, list[tuple[float, float]]] = {"streamflow": [], "pandas": []}
    for number in range(1, rounds + 1):
        found["streamflow"].append(measured("--ours", str(folder / "rounds"), str(folder / "ours.parquet"), "0"))
        found["pandas"].append(
            measured("--peer", str(folder / "rounds"), str(folder / "peer.parquet"), str(folder / _FOREST))
        )
        told = "  ".join(f"{name} {runs[-1][0]:.1f} s {runs[-1][1]:,.0f} MB" for name, runs in found.items())
        print(f"round {number}  {told}", flush=True)
    seconds = {name: median(run[0] for run in runs) for name, runs in found.items()}
    memory = {name: median(run[1] for run in runs) for name, runs in found.items()}
    for name in found:
        print(f"median   {name:<11} {seconds[name]:.1f} s  {memory[name]:,.0f} MB")
    print(
        f"ratio    pandas takes {seconds['pandas'] / seconds['streamflow']:.1f} times as long,"
        f" {memory['pandas'] / memory['streamflow']:.1f} times the memory;"
        f" largest difference of a score {largest_difference(folder / 'ours.parquet', folder / 'peer.parquet'):.1e}"
    )


def _alone(folder: Path, users: int, reasons: int) -> None:
    seconds, memory = measured("--ours", str(folder / "rounds"), str(folder / "ours.parquet"), str(reasons))
    print(f"reasons  {users:,} users with {reasons} reasons each: {seconds:.1f} s, {memory:,.0f} MB")


def _large(folder: Path, users: int) -> None:
    freeze(folder / "large", users)
    seconds, memory = measured("--ours", str(folder / "large"), str(folder / "large.parquet"), "0")
    verdict = "held" if seconds <= MOST_SECONDS and memory <= MOST_MB else "MISSED"
    print(
        f"large    {users:,} users: {seconds:.1f} s (at most {MOST_SECONDS:.0f}),"
        f" {memory:,.0f} MB (at most {MOST_MB:,.0f}): {verdict}"
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--ours"]:
        ours(Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
    elif sys.argv[1:2] == ["--peer"]:
        peer(*(Path(argument) for argument in sys.argv[2:5]))
    else:
        main()
