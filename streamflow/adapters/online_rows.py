"""Serving's way to the online store: one prepared statement over asyncpg, without Feast.

asyncpg's own pool costs more than the read itself (its reset and proxy: 0.13 ms against 0.06 ms), hence the few lines
here: a connection that met any error is thrown away, the next read opens another.
"""

import asyncio
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

import asyncpg

from streamflow.adapters.online_tables import SCHEMA, TIMESTAMP, online_table, service_statement, storable
from streamflow.adapters.postgres import connection_fields, tls_variables, without_password
from streamflow.errors import FeatureStoreError
from streamflow.schema import views_of
from streamflow.serving import UserFeatures

_MEND = "run `dvc repro -s materialize`"
_SESSION = {
    # The statement has one good plan, that of the primary keys; planning it anew takes longer than the read.
    "plan_cache_mode": "force_generic_plan",
    "application_name": "streamflow serving",
}


class OnlineRows:
    """Reads the features of a service. Belongs to one event loop; opens by itself, and again after an error.

    `timeout` (seconds) bounds a whole read, waiting for a free connection and opening one included.
    """

    def __init__(self, url: str, service: str, *, connections: int = 4, timeout: float = 2.0) -> None:
        self._url = url
        self._service = service
        self._views = list(views_of(service).items())
        self._statement = service_statement(service)
        self._timeout = timeout
        self._free = asyncio.Semaphore(connections)
        self._idle: list[tuple[asyncpg.Connection, Any]] = []

    async def open(self) -> None:
        """Open the first connection and plan the statement, so that the first read need not. Raises as `read` does."""
        await self.read([])

    async def read(self, user_ids: Sequence[str]) -> list[UserFeatures]:
        """The features of each user in the order asked, of one moment; unknown users have none.

        Raises FeatureStoreError if the store does not answer in time or lacks features of the service.
        """
        asked = [storable(user_id) for user_id in user_ids]
        try:
            async with asyncio.timeout(self._timeout), self._free:
                rows = await self._rows(asked)
        except TimeoutError:
            raise self._no_answer(f"nothing within {self._timeout:g} s") from None
        except (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError) as error:
            raise await self._incomplete(error) from error
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            raise self._no_answer(str(error)) from error
        return [self._user(user_id, row) for user_id, row in zip(user_ids, rows, strict=True)]

    async def close(self) -> None:
        """Close the connections that are not in use."""
        while self._idle:
            await self._idle.pop()[0].close(timeout=self._timeout)

    async def _rows(self, asked: list[str | None]) -> list[Any]:
        while self._idle:
            session = self._idle.pop()
            if session[0].is_closed():
                continue
            try:
                return await self._fetch(session, asked)
            except (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError):
                raise
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                continue  # the server was restarted, or a table replaced under the statement: read again
        connection = await asyncpg.connect(**connect_arguments(self._url), server_settings=_SESSION)
        try:
            session = (connection, await connection.prepare(self._statement))
        except BaseException:
            connection.terminate()
            raise
        return await self._fetch(session, asked)

    async def _fetch(self, session: tuple[asyncpg.Connection, Any], asked: list[str | None]) -> list[Any]:
        connection, statement = session
        try:
            rows: list[Any] = await statement.fetch(asked)
        except BaseException:  # a cancelled read too: its answer may still be on the way
            connection.terminate()
            raise
        self._idle.append(session)
        return rows

    def _user(self, user_id: str, row: Any) -> UserFeatures:
        values: dict[str, Any] = {}
        timestamps = {}
        position = 0
        for _, features in self._views:
            end = position + len(features)
            moment = row[end]
            if moment is not None:
                values.update(zip(features, row[position:end], strict=True))
                timestamps.update(dict.fromkeys(features, moment))
            position = end + 1
        return UserFeatures(user_id, values, timestamps)

    def _no_answer(self, reason: str) -> FeatureStoreError:
        line = (reason.strip() or "connection lost").splitlines()[0]
        return FeatureStoreError(f"the online store at {without_password(self._url)} does not answer: {line}")

    async def _incomplete(self, error: Exception) -> FeatureStoreError:
        """What is missing, told by name."""
        try:
            async with asyncio.timeout(self._timeout):
                connection = await asyncpg.connect(**connect_arguments(self._url))
                try:
                    found = await connection.fetch(
                        "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = $1", SCHEMA
                    )
                finally:
                    connection.terminate()
        except (TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
            return self._no_answer(str(error))
        there = {(table, column) for table, column in found}
        lacking = [
            f"{view}.{name}"
            for view, features in self._views
            for name in (online_table(view).key, *features, TIMESTAMP)
            if (online_table(view).name, name) not in there
        ]
        return FeatureStoreError(f"the online store lacks {', '.join(lacking)} for {self._service}; {_MEND}")


def connect_arguments(url: str) -> dict[str, Any]:
    """A database URL as arguments of asyncpg.connect. asyncpg would split a socket's path and pass on unknown options."""
    fields = connection_fields(url)
    tls = {name.removeprefix("PG").lower(): value for name, value in tls_variables(url).items()}
    return {
        "dsn": f"postgresql:///?{urlencode({'sslmode': fields['sslmode'], **tls})}",
        "host": fields["host"],
        "port": int(fields["port"]),
        "user": fields["user"],
        "password": fields["password"],
        "database": fields["database"],
    }
