"""Feast offline: the definitions of feature_repo/ and the point-in-time join over frozen files.

Feast is imported by `import_feast` only: it takes seconds, and a stage with nothing to do must be fast.
"""

import io
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from streamflow.core.schema import ENTITY_KEY, EVENT_TIMESTAMP, FEAST_PROJECT, features_of
from streamflow.pipeline.complete import complete_month
from streamflow.pipeline.layout import SNAPSHOTS
from streamflow.pipeline.project import project_root, reading_from

if TYPE_CHECKING:
    from feast.repo_contents import RepoContents

REPO = "feature_repo"
MONTH_VARIABLE = "STREAMFLOW_SNAPSHOT_MONTH"
SERVICE_VARIABLE = "STREAMFLOW_FEATURE_SERVICE"
"""A feature service that feature_repo defines beside those of the schema: one without what a source lacks."""


def import_feast() -> None:
    """Import Feast without the run-time type checks of its constructors, which take most of its import time."""
    if "feast" in sys.modules:
        return
    import typeguard

    checked = typeguard.typechecked
    typeguard.typechecked = _unchecked
    try:
        with quiet():
            import feast  # noqa: F401
    finally:
        typeguard.typechecked = checked


def point_in_time_rows(service: str, entities: pa.Table, month: str) -> pa.Table:
    """The features of a service for each entity row, as of that row's event timestamp.

    `entities` has the columns user_id and as_of (UTC). Feast reads only the frozen files of `month`, over DuckDB, from
    a registry made for this call, so it needs no server. The order of the rows is undefined.
    """
    import_feast()
    os.environ[MONTH_VARIABLE] = month
    os.environ[SERVICE_VARIABLE] = service
    root = project_root()
    with complete_month(root / SNAPSHOTS / month, features_of(service)) as folder, reading_from(folder.parent):
        return _joined(root, service, entities)


def _joined(root: Path, service: str, entities: pa.Table) -> pa.Table:
    parsed = definitions(root / REPO)
    with quiet(), tempfile.TemporaryDirectory() as scratch:
        from feast import FeatureStore, RepoConfig

        store = FeatureStore(
            config=RepoConfig(
                project=FEAST_PROJECT,
                provider="local",
                registry=f"{scratch}/registry.db",
                offline_store={"type": "duckdb"},
                online_store={"type": "sqlite", "path": f"{scratch}/online.db"},
                entity_key_serialization_version=3,
            )
        )
        store.apply([*parsed.entities, *parsed.feature_views, *parsed.feature_services])
        # Feast prints a hint unless the column has this name.
        named = entities.to_pandas().rename(columns={EVENT_TIMESTAMP: "event_timestamp"})
        job = store.get_historical_features(entity_df=named, features=store.get_feature_service(service))
        rows = job.to_arrow()
    rows = rows.rename_columns([EVENT_TIMESTAMP if name == "event_timestamp" else name for name in rows.column_names])
    return rows.select([ENTITY_KEY, EVENT_TIMESTAMP, *features_of(service)])


def definitions(repo: Path) -> "RepoContents":
    """What the modules of a feature repository define, as `feast apply` would collect it."""
    with quiet(), _inside(repo):
        from feast.repo_operations import parse_repo

        return parse_repo(repo)


def _unchecked(target: Any = None, **_: Any) -> Any:
    return target if target is not None else _unchecked


@contextmanager
def _inside(repo: Path) -> Iterator[None]:
    # As `feast apply` does: the modules of the repository import each other by their bare names.
    before = Path.cwd()
    os.chdir(repo)
    sys.path.insert(0, str(repo))
    try:
        yield
    finally:
        sys.path.remove(str(repo))
        os.chdir(before)
        # The sources depend on the month asked for: the next caller must get them anew.
        for path in repo.glob("*.py"):
            sys.modules.pop(path.stem, None)


@contextmanager
def quiet() -> Iterator[None]:
    """Hide Feast's warnings, and its progress bar unless stderr is a terminal."""
    hidden = nullcontext() if sys.stdout.isatty() else redirect_stdout(io.StringIO())
    with warnings.catch_warnings(), hidden:
        warnings.simplefilter("ignore")
        yield
