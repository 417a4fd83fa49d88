"""Feast online: registry and online store in Postgres, and the ledger of what was published to them.

A month is published in one transaction over all feature views. The ledger row of a view names the frozen file that it
was published from and a digest of the published rows, so that an emptied or changed table is found without Feast.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from streamflow.core.calendar import instant
from streamflow.core.errors import FeatureStoreError, first_line
from streamflow.core.schema import ENTITY_KEY
from streamflow.features.point_in_time import REPO, definitions, import_feast, quiet
from streamflow.online.tables import SCHEMA, TIMESTAMP, online_table
from streamflow.pipeline.project import project_root
from streamflow.postgres.connection import connection_fields, ensure_schema, sqlalchemy_url, tls_variables, transaction

if TYPE_CHECKING:
    from feast import FeatureStore

    from streamflow.online.wide_store import WideOnlineStore

_LEDGER = f"""
CREATE TABLE IF NOT EXISTS {SCHEMA}.published (
    feature_view text PRIMARY KEY,
    source text NOT NULL,
    content text NOT NULL,
    published_at timestamptz NOT NULL DEFAULT now(),
    users_source text NOT NULL DEFAULT '',
    as_of text NOT NULL DEFAULT ''
);
ALTER TABLE {SCHEMA}.published ADD COLUMN IF NOT EXISTS users_source text NOT NULL DEFAULT '',
    ADD COLUMN IF NOT EXISTS as_of text NOT NULL DEFAULT ''
"""


def server_variables(url: str) -> dict[str, str]:
    """The environment variables that feature_store.yaml names, for a database URL."""
    fields = connection_fields(url)
    variables = {
        "STREAMFLOW_FEAST_REGISTRY": sqlalchemy_url(url, SCHEMA),
        **{f"STREAMFLOW_PG{name.upper()}": value for name, value in fields.items()},
    }
    # feature_store.yaml holds them in single quotes, where YAML doubles a quote. libpq reads PGTZ: what Feast
    # writes without a zone is UTC.
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
    with _feast_errors("Feast does not open its registry"):
        return FeatureStore(repo_path=str(project_root() / REPO))


def apply_definitions(store: "FeatureStore") -> None:
    """Bring registry and online tables to what feature_repo/ defines (as `feast apply` does)."""
    parsed = definitions(project_root() / REPO)
    with quiet(), _feast_errors("Feast does not apply feature_repo/"):
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
    with quiet(), _feast_errors(f"Feast does not materialize {as_of}"):
        store.materialize(start_date=end - timedelta(days=1), end_date=end)


def is_published(url: str, sources: Mapping[str, str]) -> bool:
    """Whether each feature view's online table has exactly the rows that were published from its source in `sources`."""
    ensure_schema(url, SCHEMA)
    with transaction(url) as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('streamflow published'))")
        cursor.execute(_LEDGER)
        cursor.execute(f"SELECT feature_view, source, content FROM {SCHEMA}.published")
        ledger = {view: (source, content) for view, source, content in cursor.fetchall()}
        cursor.execute("SELECT table_name FROM information_schema.tables WHERE table_schema = %s", (SCHEMA,))
        tables = {name for (name,) in cursor.fetchall()}
        return all(
            online_table(view).name in tables and ledger.get(view) == (source, online_digest(cursor, view))
            for view, source in sources.items()
        )


def publish(
    store: "FeatureStore", sources: Mapping[str, str], as_of: str, users: Sequence[str], users_source: str = ""
) -> None:
    """Replace the online rows by those of `as_of` and write the ledger, in one transaction.

    `sources` maps a view to the digest of the file that it is published from; `users_source` is the source of the users.

    Readers see the whole old month or the whole new one. Raises FeatureStoreError, and leaves the old month, if a view
    would not hold exactly `users`, all as of `as_of`.
    """
    online = _wide_store(store)
    with _feast_errors(f"{as_of} is not online"), online.publication(store.config) as connection:
        apply_definitions(store)
        materialize(store, as_of)
        connection.execute(_LEDGER)
        for view, source in sources.items():
            _require(connection, view, as_of, users)
            connection.execute(
                f"INSERT INTO {SCHEMA}.published (feature_view, source, content, users_source, as_of)"
                " VALUES (%s, %s, %s, %s, %s) ON CONFLICT (feature_view) DO UPDATE SET source = excluded.source,"
                " content = excluded.content, users_source = excluded.users_source, as_of = excluded.as_of,"
                " published_at = now()",
                (view, source, online_digest(connection.cursor(), view), users_source, as_of),
            )


def _wide_store(store: "FeatureStore") -> "WideOnlineStore":
    # Named by import path in feature_store.yaml; imported here too, so that both are seen to be code of the stage.
    from streamflow.online.arrow_engine import ArrowComputeEngine
    from streamflow.online.wide_store import WideOnlineStore

    provider: Any = store._get_provider()  # Feast has no public way to the store that it writes to
    if not isinstance(provider.online_store, WideOnlineStore) or not isinstance(
        provider.batch_engine, ArrowComputeEngine
    ):
        raise FeatureStoreError(
            f"{REPO}/feature_store.yaml names another online store or batch engine than this project's;"
            f" `git checkout {REPO}/feature_store.yaml`"
        )
    return provider.online_store


def _require(connection: Any, view: str, as_of: str, users: Sequence[str]) -> None:
    rows, known, of_now = connection.execute(
        f"SELECT count(*), count(snapshot.id), count(*) FILTER (WHERE {TIMESTAMP} = %s)"
        f" FROM {online_table(view).qualified} LEFT JOIN unnest(%s::text[]) AS snapshot(id) ON id = {ENTITY_KEY}",
        (instant(as_of), list(users)),
    ).fetchone()
    if not rows == known == of_now == len(users):
        raise FeatureStoreError(
            f"feature view {view} would hold {rows} users, {known} of them among the {len(users)} of the snapshot and"
            f" {of_now} as of {as_of}; run `streamflow fsck`, then `dvc repro -s materialize`"
        )


def online_digest(cursor: Any, view: str) -> str:
    """A digest of all rows of a view's table, in any order."""
    cursor.execute(
        "SELECT count(*)::text || ':' || coalesce(sum(hashtextextended(online::text, 0)::numeric), 0)::text"
        f" FROM {online_table(view).qualified} online"
    )
    return str(cursor.fetchone()[0])


@contextmanager
def _feast_errors(what: str) -> Iterator[None]:
    try:
        yield
    except FeatureStoreError:
        raise
    except Exception as error:  # Feast lets SQLAlchemy, psycopg, pydantic and its own errors through
        reason = first_line(error)
        raise FeatureStoreError(f"{what}: {reason}; check the server, then `dvc repro -s materialize`") from error
