"""A project with the feature definitions of this one and two frozen synthetic months, the second without one user."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from project import ROOT

from streamflow.core.calendar import instant
from streamflow.core.schema import FEATURE_SERVICES, FEATURE_VIEWS, feature_view_of
from streamflow.extracts.synthetic import generate_month
from streamflow.online.tables import online_table
from streamflow.pipeline.project import snapshot_pattern

JANUARY, FEBRUARY = "2024-01-31", "2024-02-29"
USERS = 300

Values = dict[str, dict[str, object]]


def make_project(folder: Path) -> None:
    """Write the project; of the last user of February there is no row."""
    shutil.copytree(ROOT / "feature_repo", folder / "feature_repo", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "conf").mkdir()
    (folder / "streamflow" / "core").mkdir(parents=True)
    shutil.copy(ROOT / "streamflow" / "core" / "schema.py", folder / "streamflow" / "core")
    shutil.copy(ROOT / "dvc.yaml", folder)
    for month, users in ((JANUARY, USERS), (FEBRUARY, USERS - 1)):
        target = folder / "data" / "snapshots" / month
        target.mkdir(parents=True)
        for name, rows in generate_month(USERS, month, seed=5).items():
            moments = pa.array([instant(month)] * users, pa.timestamp("us", tz="UTC"))
            dated = rows.slice(0, users).append_column("as_of", moments)
            pq.write_table(dated.sort_by("user_id"), target / f"{name}.parquet")


@contextmanager
def inside(folder: Path) -> Iterator[None]:
    """The block's working directory is `folder`; what it changes in the environment does not outlive it."""
    before, environment = Path.cwd(), dict(os.environ)
    os.environ.pop("STREAMFLOW_SNAPSHOT_MONTH", None)
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
        os.environ.clear()
        os.environ.update(environment)


def frozen(month: str, service: str) -> Values:
    """Features of every user from the frozen files of the project in which this runs."""
    users: Values = {}
    for name in FEATURE_SERVICES[service]:
        path = snapshot_pattern(FEATURE_VIEWS[feature_view_of(name)].name).replace("*", month)
        rows = pq.read_table(path, columns=["user_id", name])
        for user, value in zip(rows["user_id"].to_pylist(), rows[name].to_pylist(), strict=True):
            users.setdefault(user, {})[name] = value
    return users


def fill(cursor, month: str = JANUARY, users: int = 20) -> Values:
    """Make and fill the online tables without Feast, in a database that has none; the features of every user."""
    cursor.execute("CREATE SCHEMA feast")
    tables = generate_month(users, month, seed=5)
    values: Values = {}
    for view, source in FEATURE_VIEWS.items():
        table = online_table(view)
        cursor.execute(table.create())
        for row in tables[source.name].select([table.key, *table.features]).to_pylist():
            columns = ", ".join([*row, "event_timestamp"])
            marks = ", ".join(["%s"] * (len(row) + 1))
            cursor.execute(
                f"INSERT INTO {table.qualified} ({columns}) VALUES ({marks})", [*row.values(), instant(month)]
            )
            values.setdefault(row.pop(table.key), {}).update(row)
    return values


def without_internet(month: str = JANUARY) -> str:
    """A user whose plans are NULL."""
    rows = generate_month(USERS, month, seed=5)["subscriptions"]
    return rows["user_id"][pc.index(pc.is_null(rows["plan_stream_tv"]), True).as_py()].as_py()
