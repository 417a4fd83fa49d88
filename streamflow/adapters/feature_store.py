"""Feast: the definitions of feature_repo/, the point-in-time join over frozen files, and the online store.

Feast is imported inside the functions: it takes seconds, and a stage with nothing to do must not pay for it.
"""

import io
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from streamflow.adapters.files import project_root
from streamflow.adapters.online_store import PROJECT, SCHEMA
from streamflow.adapters.postgres import connection_fields, ensure_schema, sqlalchemy_url
from streamflow.calendar import instant
from streamflow.errors import FeatureStoreError
from streamflow.schema import ENTITY_KEY, EVENT_TIMESTAMP, FEATURE_SERVICES

if TYPE_CHECKING:
    from feast import FeatureStore
    from feast.repo_contents import RepoContents

MONTH_VARIABLE = "STREAMFLOW_SNAPSHOT_MONTH"
_REPO = "feature_repo"


def server_variables(url: str) -> dict[str, str]:
    """The environment variables that feature_store.yaml names, for a database URL."""
    fields = connection_fields(url)
    variables = {
        "STREAMFLOW_FEAST_REGISTRY": sqlalchemy_url(url, SCHEMA),
        **{f"STREAMFLOW_PG{name.upper()}": value for name, value in fields.items()},
    }
    # feature_store.yaml holds them in single quotes, where YAML doubles a quote. libpq reads PGTZ: Feast writes UTC
    # without a zone, which a session in another zone would shift.
    return {"PGTZ": "UTC", **{name: value.replace("'", "''") for name, value in variables.items()}}


def online_feature_store(url: str) -> "FeatureStore":
    """The feature store of feature_store.yaml over the Postgres server at `url`. Raises FeatureStoreError."""
    with _quiet():
        from feast import FeatureStore

    os.environ.update(server_variables(url))
    ensure_schema(url, SCHEMA)
    try:
        return FeatureStore(repo_path=str(project_root() / _REPO))
    except Exception as error:  # Feast lets SQLAlchemy, pydantic and its own errors through
        raise FeatureStoreError(f"Feast does not open its registry: {_reason(error)}; see `streamflow db start`") from error


def apply_definitions(store: "FeatureStore") -> None:
    """Bring registry and online tables to what feature_repo/ defines (as `feast apply` does)."""
    definitions = _definitions(project_root() / _REPO)
    with _quiet():
        store.apply(
            [
                *definitions.entities,
                *definitions.data_sources,
                *definitions.feature_views,
                *definitions.feature_services,
            ]
        )


def point_in_time_rows(service: str, entities: pa.Table, month: str) -> pa.Table:
    """The features of a service for each entity row, as of that row's event timestamp.

    `entities` has the columns user_id and as_of (UTC). Feast reads only the frozen files of `month`, over DuckDB, from
    a registry made for this call, so no server is asked. Rows come back in Feast's order, which it does not promise.
    """
    os.environ[MONTH_VARIABLE] = month
    root = project_root()
    definitions = _definitions(root / _REPO)
    with _quiet(), tempfile.TemporaryDirectory() as scratch:
        from feast import FeatureStore, RepoConfig

        store = FeatureStore(
            config=RepoConfig(
                project=PROJECT,
                provider="local",
                registry=f"{scratch}/registry.db",
                offline_store={"type": "duckdb"},
                online_store={"type": "sqlite", "path": f"{scratch}/online.db"},
                entity_key_serialization_version=3,
            )
        )
        store.apply([*definitions.entities, *definitions.feature_views, *definitions.feature_services])
        # Feast prints a hint unless the column has this name.
        named = entities.to_pandas().rename(columns={EVENT_TIMESTAMP: "event_timestamp"})
        job = store.get_historical_features(entity_df=named, features=store.get_feature_service(service))
        rows = job.to_arrow()
    rows = rows.rename_columns([EVENT_TIMESTAMP if name == "event_timestamp" else name for name in rows.column_names])
    return rows.select([ENTITY_KEY, EVENT_TIMESTAMP, *FEATURE_SERVICES[service]])


def materialize(store: "FeatureStore", as_of: str) -> None:
    """Load the state of `as_of` into the online store (as `feast materialize` does)."""
    end = instant(as_of)
    with _quiet():
        store.materialize(start_date=end - timedelta(days=1), end_date=end)


def _definitions(repo: Path) -> "RepoContents":
    with _quiet(), _inside(repo):
        from feast.repo_operations import parse_repo

        return parse_repo(repo)


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


@contextmanager
def _quiet() -> Iterator[None]:
    # Feast prints its progress; that is for people only.
    hidden = nullcontext() if sys.stdout.isatty() else redirect_stdout(io.StringIO())
    with warnings.catch_warnings(), hidden:
        warnings.simplefilter("ignore")
        yield


def _reason(error: BaseException) -> str:
    text: Any = str(error).strip() or type(error).__name__
    return str(text).splitlines()[0]
