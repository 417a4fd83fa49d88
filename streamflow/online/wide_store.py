"""Feast's online store over wide Postgres tables: one row for each user and feature view.

Named by import path in feature_store.yaml, so that `feast apply`, `feast materialize`, `get_online_features` and the
feature server work over it as they are. See docs/adr/0008 for why it is our own.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import psycopg
import pyarrow as pa
import pyarrow.csv
from feast import Entity, FeatureView, RepoConfig
from feast.infra.online_stores.online_store import OnlineStore
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.repo_config import FeastConfigBaseModel
from psycopg_pool import ConnectionPool, PoolTimeout

from streamflow.core.arrow import ARROW_TYPES
from streamflow.core.errors import FeatureStoreError, first_line
from streamflow.online.feast_types import answer_of, layout_of, python_value, user_of
from streamflow.online.tables import COLUMNS_OF_TABLE, CREATED, TIMESTAMP, OnlineTable, quoted, storable

_MOMENT = pa.timestamp("us", tz="UTC")
_ROWS_A_CHUNK = 20_000

Row = tuple[EntityKey, dict[str, Value], datetime, datetime | None]
Connection = psycopg.Connection[Any]


class WideOnlineStoreConfig(FeastConfigBaseModel):
    """`online_store` of feature_store.yaml."""

    type: Literal["streamflow.online.wide_store.WideOnlineStore"] = "streamflow.online.wide_store.WideOnlineStore"
    host: str
    port: int = 5432
    database: str
    db_schema: str = "public"
    user: str
    password: str = ""
    sslmode: str = "prefer"
    max_connections: int = 4
    timeout_seconds: float = 5
    """How long to wait for a connection, and for the server to accept one."""


@dataclass
class _Held:
    """The connection of a block; in a publication, also the tables that it has emptied so far."""

    connection: Connection
    emptied: set[str] | None = field(default=None)


class WideOnlineStore(OnlineStore):
    """One wide table for each feature view; the view's entity must have one text join key."""

    def __init__(self) -> None:
        self._pool: ConnectionPool[Connection] | None = None
        self._held: ContextVar[_Held | None] = ContextVar("held connection", default=None)

    @contextmanager
    def publication(self, config: RepoConfig) -> Iterator[Connection]:
        """One transaction for everything that the block writes through this store, tables included.

        What is written to a feature view replaces all its rows. Readers see all of it at the end of the block, or
        nothing if the block fails. One publication at a time; the connection is the block's, for what belongs to it.
        """
        with psycopg.connect(**_arguments(config.online_store)) as connection:
            connection.execute("SELECT pg_advisory_xact_lock(hashtext('streamflow published'))")
            token = self._held.set(_Held(connection, emptied=set()))
            try:
                yield connection
            finally:
                self._held.reset(token)

    def update(
        self,
        config: RepoConfig,
        tables_to_delete: Sequence[FeatureView],
        tables_to_keep: Sequence[FeatureView],
        entities_to_delete: Sequence[Entity],
        entities_to_keep: Sequence[Entity],
        partial: bool,
    ) -> None:
        """Make, reshape and drop tables; anything else with a table's name is replaced."""
        layouts = [layout_of(config, view) for view in tables_to_keep]
        with self._connection(config) as connection, connection.transaction():
            schema = config.online_store.db_schema
            connection.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", (f"online tables of {schema}",))
            for view in tables_to_delete:
                self._drop(connection, schema, f"{config.project}_{view.name}")
            for layout in layouts:
                found = connection.execute(COLUMNS_OF_TABLE.encode(), (layout.schema, layout.name)).fetchall()
                for statement in layout.reshape(dict(found)):
                    connection.execute(statement.encode())

    def teardown(self, config: RepoConfig, tables: Sequence[FeatureView], entities: Sequence[Entity]) -> None:
        """Drop the tables of the feature views."""
        with self._connection(config) as connection, connection.transaction():
            for view in tables:
                self._drop(connection, config.online_store.db_schema, f"{config.project}_{view.name}")

    def online_write_batch(
        self, config: RepoConfig, table: FeatureView, data: list[Row], progress: Callable[[int], Any] | None
    ) -> None:
        """Upsert rows; of several for a user, the one with the newest event timestamp stays."""
        layout = layout_of(config, table)
        columns: dict[str, list[Any]] = {
            layout.key: [user_of(layout, key) for key, _, _, _ in data],
            **{name: [python_value(values.get(name)) for _, values, _, _ in data] for name in layout.features},
            TIMESTAMP: [moment for _, _, moment, _ in data],
            CREATED: [created for _, _, _, created in data],
        }
        self.write_arrow(config, table, pa.table({name: pa.array(column) for name, column in columns.items()}))
        if progress:
            progress(len(data))

    def write_arrow(self, config: RepoConfig, table: FeatureView, rows: pa.Table) -> None:
        """Upsert rows given as columns: join key, every feature, event_timestamp and perhaps created_timestamp (UTC).

        Of several rows for a user, the one with the newest event timestamp stays.
        """
        layout = layout_of(config, table)
        with self._connection(config) as connection, connection.transaction():
            held = self._held.get()
            if held and held.emptied is not None and layout.name not in held.emptied:
                connection.execute(f"DELETE FROM {layout.qualified}".encode())
                held.emptied.add(layout.name)
            connection.execute(f"CREATE TEMP TABLE incoming (LIKE {layout.qualified}) ON COMMIT DROP".encode())
            _copy(connection, layout, rows)
            connection.execute(layout.upsert("pg_temp.incoming").encode())
            connection.execute("DROP TABLE pg_temp.incoming")

    def online_read(
        self,
        config: RepoConfig,
        table: FeatureView,
        entity_keys: list[EntityKey],
        requested_features: list[str] | None = None,
    ) -> list[tuple[datetime | None, dict[str, Value] | None]]:
        """Event timestamp and features of each key, in order; (None, None) where there is no row."""
        layout = layout_of(config, table)
        features = list(requested_features or layout.features)
        users = [storable(user_of(layout, key)) for key in entity_keys]
        with self._connection(config) as connection:
            found = connection.execute(layout.select(features).encode(), (users,), prepare=True, binary=True)
            rows = {row[0]: row[1:] for row in found}
        kinds = [layout.features[name] for name in features]
        return [answer_of(features, kinds, rows.get(user)) for user in users]

    async def online_read_async(
        self,
        config: RepoConfig,
        table: FeatureView,
        entity_keys: list[EntityKey],
        requested_features: list[str] | None = None,
    ) -> list[tuple[datetime | None, dict[str, Value] | None]]:
        return await asyncio.to_thread(self.online_read, config, table, entity_keys, requested_features)

    async def online_write_batch_async(
        self, config: RepoConfig, table: FeatureView, data: list[Row], progress: Callable[[int], Any] | None
    ) -> None:
        await asyncio.to_thread(self.online_write_batch, config, table, data, progress)

    def _read_features_per_fv(self, config: RepoConfig, *arguments: Any, **named: Any) -> None:
        # Feast reads view by view; one snapshot for all of them keeps two months apart.
        with self._connection(config) as connection, self._one_snapshot(connection):
            super()._read_features_per_fv(config, *arguments, **named)

    async def _read_features_per_fv_async(self, config: RepoConfig, *arguments: Any, **named: Any) -> None:
        await asyncio.to_thread(self._read_features_per_fv, config, *arguments, **named)

    async def close(self) -> None:
        """Close the connections."""
        self.close_connections()

    def close_connections(self) -> None:
        """Close the connections; the next call opens others."""
        if self._pool:
            self._pool.close()
        self._pool = None

    @contextmanager
    def _one_snapshot(self, connection: Connection) -> Iterator[None]:
        if self._held.get():
            yield
            return
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        token = self._held.set(_Held(connection))
        try:
            yield
            connection.execute("COMMIT")
        finally:
            self._held.reset(token)

    @contextmanager
    def _connection(self, config: RepoConfig) -> Iterator[Connection]:
        if held := self._held.get():
            yield held.connection
            return
        try:
            # The pool takes the connection back whatever happens, rolls it back and drops it if it is broken.
            with self._open_pool(config.online_store).connection() as connection:
                yield connection
        except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn) as error:
            raise FeatureStoreError(f"the online store {first_line(error)}; run `dvc repro -s materialize`") from error
        except (psycopg.Error, PoolTimeout) as error:
            raise FeatureStoreError(f"the online store does not answer: {first_line(error)}") from error

    def _open_pool(self, settings: WideOnlineStoreConfig) -> ConnectionPool[Connection]:
        if self._pool is None:
            self._pool = ConnectionPool(
                kwargs={**_arguments(settings), "autocommit": True},
                min_size=0,
                max_size=settings.max_connections,
                timeout=settings.timeout_seconds,
                reconnect_timeout=1,  # a failed attempt must not keep later ones waiting
                num_workers=1,
                check=ConnectionPool.check_connection,  # so that a restarted server is no error
                open=True,
            )
        return self._pool

    @staticmethod
    def _drop(connection: Connection, schema: str, name: str) -> None:
        table = OnlineTable(schema, name, "", {})
        connection.execute(f"DROP TABLE IF EXISTS {table.qualified} CASCADE".encode())


def _copy(connection: Connection, layout: OnlineTable, rows: pa.Table) -> None:
    types = {layout.key: pa.string(), **{name: ARROW_TYPES[kind] for name, kind in layout.features.items()}}
    types |= {TIMESTAMP: _MOMENT, CREATED: _MOMENT}
    absent = pa.nulls(rows.num_rows)
    given = {name: rows[name] if name in rows.column_names else absent for name in types}
    typed = pa.table({name: given[name].cast(kind) for name, kind in types.items()})
    options = pyarrow.csv.WriteOptions(include_header=False)
    columns = ", ".join(map(quoted, types))  # a table that was reshaped has them in another order
    statement = f"COPY pg_temp.incoming ({columns}) FROM STDIN (FORMAT csv)".encode()
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for start in range(0, typed.num_rows, _ROWS_A_CHUNK):
            sink = pa.BufferOutputStream()
            # CSV of Arrow: an unquoted nothing is NULL, "" is text, and floats keep every bit.
            pyarrow.csv.write_csv(typed.slice(start, _ROWS_A_CHUNK), sink, options)
            copy.write(memoryview(sink.getvalue()))


def _arguments(settings: WideOnlineStoreConfig) -> dict[str, Any]:
    return {
        "host": settings.host,
        "port": settings.port,
        "dbname": settings.database,
        "user": settings.user,
        "password": settings.password,
        "sslmode": settings.sslmode,
        "connect_timeout": max(2, int(settings.timeout_seconds)),  # libpq takes whole seconds, 2 at least
        "options": "-c timezone=UTC",
    }
