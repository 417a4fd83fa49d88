"""Feast online: registry and online store in Postgres, and the ledger of what was published to them.

Feast keeps one table for each feature view in schema `feast`. The ledger row of a view names the frozen file that it was
published from and a digest of the published rows, so that a wiped or changed table is seen without asking Feast.
"""

import io
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import psycopg2

from streamflow.adapters.feature_store import PROJECT, REPO, definitions, import_feast, quiet
from streamflow.adapters.files import project_root
from streamflow.adapters.postgres import connection_fields, ensure_schema, sqlalchemy_url, tls_variables, transaction
from streamflow.calendar import instant
from streamflow.errors import FeatureStoreError
from streamflow.schema import ENTITY_KEY

if TYPE_CHECKING:
    from feast import FeatureStore

SCHEMA = "feast"

_LEDGER = f"""
CREATE TABLE IF NOT EXISTS {SCHEMA}.published (
    feature_view text PRIMARY KEY,
    source text NOT NULL,
    content text NOT NULL,
    published_at timestamptz NOT NULL DEFAULT now()
)
"""


@dataclass(frozen=True)
class OnlineContent:
    """What one online table holds: users, and a digest of all its rows whatever their order."""

    users: int
    digest: str


def server_variables(url: str) -> dict[str, str]:
    """The environment variables that feature_store.yaml names, for a database URL."""
    fields = connection_fields(url)
    variables = {
        "STREAMFLOW_FEAST_REGISTRY": sqlalchemy_url(url, SCHEMA),
        **{f"STREAMFLOW_PG{name.upper()}": value for name, value in fields.items()},
    }
    # feature_store.yaml holds them in single quotes, where YAML doubles a quote. libpq reads PGTZ: Feast writes UTC
    # without a zone, which a session in another zone would shift.
    return {
        "PGTZ": "UTC",
        **tls_variables(url),
        **{name: value.replace("'", "''") for name, value in variables.items()},
    }


def online_feature_store(url: str) -> "FeatureStore":
    """The feature store of feature_store.yaml over the Postgres server at `url`. Raises FeatureStoreError."""
    import_feast()
    from feast import FeatureStore

    os.environ.update(server_variables(url))
    ensure_schema(url, SCHEMA)
    with _translated("Feast does not open its registry"):
        return FeatureStore(repo_path=str(project_root() / REPO))


def apply_definitions(store: "FeatureStore") -> None:
    """Bring registry and online tables to what feature_repo/ defines (as `feast apply` does)."""
    parsed = definitions(project_root() / REPO)
    with quiet(), _translated("Feast does not apply feature_repo/"):
        store.apply(
            [
                *parsed.entities,
                *parsed.data_sources,
                *parsed.feature_views,
                *parsed.feature_services,
            ]
        )


def materialize(store: "FeatureStore", as_of: str) -> None:
    """Load the state of `as_of` into the online store (as `feast materialize` does)."""
    end = instant(as_of)
    with quiet(), _translated(f"Feast does not materialize {as_of}"):
        store.materialize(start_date=end - timedelta(days=1), end_date=end)


def published(url: str, sources: Mapping[str, str]) -> bool:
    """Whether each feature view's online table holds exactly what was published from the source named for it."""
    ensure_schema(url, SCHEMA)
    with transaction(url) as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('streamflow published'))")
        cursor.execute(_LEDGER)
        cursor.execute(f"SELECT feature_view, source, content FROM {SCHEMA}.published")
        ledger = {view: (source, content) for view, source, content in cursor.fetchall()}
        return all(
            view in ledger and ledger[view] == (source, _content(cursor, view).digest)
            for view, source in sources.items()
        )


def settle(url: str, sources: Mapping[str, str], as_of: str, users: Sequence[str]) -> None:
    """After a materialization: drop the users that are not among `users`, count the rest, write the ledger.

    Raises FeatureStoreError if a view does not hold exactly `users`, all as of `as_of`.
    """
    with transaction(url) as cursor:
        cursor.execute("CREATE TEMP TABLE current_users (entity_key bytea PRIMARY KEY) ON COMMIT DROP")
        keys = "".join(f"\\\\x{key.hex()}\n" for key in _entity_keys(users))
        cursor.copy_expert("COPY current_users FROM STDIN", io.StringIO(keys))
        for view, source in sources.items():
            cursor.execute(
                f"DELETE FROM {_table(view)} online WHERE event_ts <> %s"
                " OR NOT EXISTS (SELECT FROM current_users WHERE current_users.entity_key = online.entity_key)",
                (instant(as_of),),
            )
            content = _content(cursor, view)
            if content.users != len(users):
                raise FeatureStoreError(
                    f"online feature view {view} holds {content.users} users, the snapshot of {as_of} {len(users)};"
                    " run `dvc repro -s materialize` again"
                )
            cursor.execute(
                f"INSERT INTO {SCHEMA}.published (feature_view, source, content) VALUES (%s, %s, %s)"
                " ON CONFLICT (feature_view) DO UPDATE SET source = excluded.source, content = excluded.content,"
                " published_at = now()",
                (view, source, content.digest),
            )


def _entity_keys(users: Sequence[str]) -> Iterator[bytes]:
    from feast.infra.key_encoding_utils import serialize_entity_key
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey
    from feast.protos.feast.types.Value_pb2 import Value

    for user in users:
        key = EntityKey(join_keys=[ENTITY_KEY], entity_values=[Value(string_val=user)])
        yield serialize_entity_key(key, entity_key_serialization_version=3)


def _content(cursor: Any, view: str) -> OnlineContent:
    try:
        cursor.execute("SAVEPOINT content")
        cursor.execute(
            "SELECT count(DISTINCT entity_key), count(*)::text || ':' || sum(hashtextextended(row::text, 0)::numeric)::text"
            f" FROM {_table(view)} row"
        )
        users, digest = cursor.fetchone()
    except psycopg2.errors.UndefinedTable:
        cursor.execute("ROLLBACK TO SAVEPOINT content")
        users, digest = 0, None
    return OnlineContent(users, digest or "empty")


def _table(view: str) -> str:
    return f'{SCHEMA}."{PROJECT}_{view}"'


@contextmanager
def _translated(what: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # Feast lets SQLAlchemy, psycopg, pydantic and its own errors through
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise FeatureStoreError(f"{what}: {reason}; check the server, then `dvc repro -s materialize`") from error
