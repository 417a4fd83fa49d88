"""How long `feast materialize` takes: this project's online store against Feast's stock Postgres one.

    python -m benchmarks.serving.materialize [--users 100000]

The same synthetic month, the same feature views and the same server, turn by turn, three rounds into empty tables and one
more over full ones; the server is an embedded one of its own.
"""

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from streamflow.core.calendar import instant
from streamflow.core.schema import ENTITY_KEY, EVENT_TIMESTAMP, FEAST_PROJECT, FEATURE_VIEWS
from streamflow.extracts.synthetic import generate_month
from streamflow.features.point_in_time import REPO, definitions, import_feast
from streamflow.online.publication import materialize
from streamflow.pipeline.project import project_root
from streamflow.postgres.connection import connection_fields, ensure_schema, transaction
from streamflow.postgres.server import database

MONTH = "2024-01-31"
ROUNDS = 3
OURS, STOCK = "ours", "stock"
SETTINGS: dict[str, dict[str, Any]] = {
    OURS: {
        "online_store": {"type": "streamflow.online.wide_store.WideOnlineStore"},
        "batch_engine": "streamflow.online.arrow_engine.ArrowComputeEngine",
    },
    STOCK: {"online_store": {"type": "postgres", "conn_type": "pool"}, "batch_engine": "local"},
}


def make_project(folder: Path, users: int) -> None:
    """A project with the feature definitions of this one and a frozen synthetic month."""
    root = project_root()
    shutil.copytree(root / REPO, folder / REPO, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "conf").mkdir()
    shutil.copy(root / "dvc.yaml", folder)
    month = folder / "data" / "snapshots" / MONTH
    month.mkdir(parents=True)
    tables = generate_month(users, MONTH, seed=7)
    for table in FEATURE_VIEWS.values():
        moments = pa.array([instant(MONTH)] * users, pa.timestamp("us", tz="UTC"))
        rows = tables[table.name].append_column(EVENT_TIMESTAMP, moments).sort_by(ENTITY_KEY)
        pq.write_table(rows, month / f"{table.name}.parquet")


def open_store(url: str, schema: str, folder: Path) -> Any:
    """A feature store with the online store of that name, empty, over the definitions of the project in `folder`."""
    from feast import FeatureStore, RepoConfig

    with transaction(url) as cursor:
        cursor.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
    ensure_schema(url, schema)
    (folder / f"{schema}.db").unlink(missing_ok=True)
    settings = SETTINGS[schema]
    fields: dict[str, Any] = {**connection_fields(url), "db_schema": schema}
    store = FeatureStore(
        config=RepoConfig(
            project=FEAST_PROJECT,
            provider="local",
            registry=str(folder / f"{schema}.db"),
            offline_store={"type": "duckdb"},
            entity_key_serialization_version=3,
            batch_engine=settings["batch_engine"],
            online_store={**settings["online_store"], **fields, "port": int(fields["port"])},
        )
    )
    parsed = definitions(folder / REPO)
    store.apply([*parsed.entities, *parsed.data_sources, *parsed.feature_views, *parsed.feature_services])
    return store


def seconds(store: Any) -> float:
    """How long materializing the month takes."""
    start = time.perf_counter()
    materialize(store, MONTH)
    return time.perf_counter() - start


def bytes_of(url: str, schema: str) -> int:
    """What the tables of a schema take on disk."""
    with transaction(url) as cursor:
        cursor.execute(
            "SELECT sum(pg_total_relation_size(oid)) FROM pg_class"
            " WHERE relnamespace = %s::regnamespace AND relkind = 'r'",
            (schema,),
        )
        return int(cursor.fetchone()[0])


def main(users: int) -> None:
    """Print the rounds and their medians."""
    print(f"{' '.join(sys.argv)}: {users} users, {os.cpu_count()} cores, {ROUNDS} rounds", flush=True)
    with tempfile.TemporaryDirectory() as scratch, database(Path(scratch)) as url:
        folder = Path(scratch) / "project"
        make_project(folder, users)
        os.chdir(folder)
        import_feast()
        taken: dict[str, list[float]] = {OURS: [], STOCK: []}
        for number in range(1, ROUNDS + 1):
            for name, rounds in taken.items():
                store = open_store(url, name, folder)
                rounds.append(seconds(store))
                print(f"round {number}: {name} {rounds[-1]:.2f} s, {bytes_of(url, name) / 1e6:.0f} MB", flush=True)
                if number == ROUNDS:
                    print(f"over full tables: {name} {seconds(store):.2f} s", flush=True)
        medians = {name: statistics.median(rounds) for name, rounds in taken.items()}
        print(f"medians: {OURS} {medians[OURS]:.2f} s, {STOCK} {medians[STOCK]:.2f} s,", end=" ")
        print(f"{medians[STOCK] / medians[OURS]:.1f} times faster")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=100_000)
    main(parser.parse_args().users)
