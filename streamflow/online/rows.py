"""Reads of the online store for serving: one prepared statement over asyncpg, without Feast.

asyncpg's own pool costs more than the read itself (its reset and proxy: 0.13 ms against 0.06 ms), hence the few lines
here: a connection that met any error is thrown away, the next read opens another.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

import asyncpg

from streamflow.core.errors import FeatureStoreError, first_line
from streamflow.core.schema import views_of
from streamflow.online.tables import SCHEMA, TIMESTAMP, online_table, service_statement, storable
from streamflow.online.values import UserFeatures
from streamflow.postgres.connection import connection_fields, tls_variables, without_password

_INCOMPLETE = (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError, asyncpg.InvalidSchemaNameError)
# asyncpg's InternalClientError: the server's farewell has been read, the end of the connection has not.
_BROKEN = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, ConnectionError)
_LOST = (*_BROKEN, OSError)
_FIX = "run `dvc repro -s materialize`"
_SESSION = {
    # The statement has one good plan, that of the primary keys; planning it anew takes longer than the read.
    "plan_cache_mode": "force_generic_plan",
    "application_name": "streamflow serving",
}


@dataclass(eq=False)
class _Session:
    """A connection with the statement for one user and the one for many prepared on it; `since` when it is reading."""

    connection: asyncpg.Connection
    one: Any
    many: Any
    since: float = 0.0
    overdue: bool = False


class OnlineRows:
    """Reads the features of a service. Belongs to one event loop; connects with the first read, and again after an error.

    `timeout` (seconds) bounds the wait for a connection, and then the answer.
    """

    def __init__(self, url: str, service: str, *, connections: int = 4, timeout: float = 2.0) -> None:
        self._url = url
        self._service = service
        self._views = views_of(service)
        self._names = [name for features in self._views.values() for name in features]
        self._one, self._many = (service_statement(service, many=many) for many in (False, True))
        self._timeout = timeout
        self._free = asyncio.Semaphore(connections)
        self._idle: list[_Session] = []
        self._reading: set[_Session] = set()
        self._watch: asyncio.TimerHandle | None = None

    async def open(self) -> None:
        """Open the first connection and plan the statements, so that the first read need not. Raises as `read` does."""
        await self.read([])
        await self.read([""])

    async def read(self, user_ids: Sequence[str]) -> list[UserFeatures]:
        """The features of each user in the order asked, from one snapshot; unknown users have none.

        Raises FeatureStoreError if the store does not answer in time or lacks features of the service.
        """
        try:
            if self._free.locked():
                async with asyncio.timeout(self._timeout):
                    await self._free.acquire()
            else:
                await self._free.acquire()
            try:
                rows = await self._rows([storable(user_id) for user_id in user_ids])
            finally:
                self._free.release()
        except TimeoutError:
            raise self._no_answer(f"nothing within {self._timeout:g} s") from None
        except _INCOMPLETE as error:
            raise await self._incomplete(error) from error
        except _LOST as error:
            raise self._no_answer(str(error)) from error
        return [self._user(user_id, row) for user_id, row in zip(user_ids, rows, strict=True)]

    async def close(self) -> None:
        """Close the connections that are not in use."""
        while self._idle:
            await self._idle.pop().connection.close(timeout=self._timeout)

    async def _rows(self, asked: list[str | None]) -> list[Any]:
        while self._idle:
            session = self._idle.pop()
            if session.connection.is_closed():
                continue
            try:
                return await self._fetch(session, asked)
            except _INCOMPLETE:
                raise
            except _BROKEN:
                continue  # the server was restarted, or a table replaced under the statement: read again
        return await self._fetch(await self._connect(), asked)

    async def _connect(self) -> _Session:
        async with asyncio.timeout(self._timeout):
            connection = await asyncpg.connect(**connect_arguments(self._url), server_settings=_SESSION)
            try:
                return _Session(connection, await connection.prepare(self._one), await connection.prepare(self._many))
            except BaseException:
                connection.terminate()
                raise

    async def _fetch(self, session: _Session, asked: list[str | None]) -> list[Any]:
        statement, argument = (session.one, asked[0]) if len(asked) == 1 else (session.many, asked)
        self._expect(session)
        try:
            rows: list[Any] = await statement.fetch(argument)
        except BaseException as error:  # a cancelled read too: its answer may still be on the way
            session.connection.terminate()
            if session.overdue and isinstance(error, Exception):
                raise TimeoutError from error
            raise
        finally:
            self._reading.discard(session)
        self._idle.append(session)
        return rows

    def _expect(self, session: _Session) -> None:
        """Start the timeout of a read: one timer for all reads, because one for each costs a tenth of the time."""
        loop = asyncio.get_running_loop()
        session.since = loop.time()
        self._reading.add(session)
        if self._watch is None:
            self._watch = loop.call_later(self._timeout / 4, self._end_overdue)

    def _end_overdue(self) -> None:
        loop = asyncio.get_running_loop()
        for session in self._reading:
            if loop.time() - session.since > self._timeout:
                session.overdue = True
                session.connection.terminate()
        waiting = any(not session.overdue for session in self._reading)
        self._watch = loop.call_later(self._timeout / 4, self._end_overdue) if waiting else None

    def _user(self, user_id: str, row: Any) -> UserFeatures:
        moments = row[len(self._names) :]
        if moments[0] is not None and moments.count(moments[0]) == len(moments):
            return UserFeatures(
                user_id, dict(zip(self._names, row, strict=False)), dict.fromkeys(self._names, moments[0])
            )
        values = iter(row)
        found: dict[str, Any] = {}
        timestamps: dict[str, datetime] = {}
        for features, moment in zip(self._views.values(), moments, strict=True):
            here = dict(zip(features, values, strict=False))
            if moment is not None:
                found |= here
                timestamps |= dict.fromkeys(features, moment)
        return UserFeatures(user_id, found, timestamps)

    def _no_answer(self, reason: str) -> FeatureStoreError:
        line = first_line(reason, "connection lost")
        return FeatureStoreError(f"the online store at {without_password(self._url)} does not answer: {line}")

    async def _incomplete(self, error: Exception) -> FeatureStoreError:
        """The error that names the missing columns."""
        try:
            async with asyncio.timeout(self._timeout):
                connection = await asyncpg.connect(**connect_arguments(self._url))
                try:
                    found = await connection.fetch(
                        "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = $1", SCHEMA
                    )
                finally:
                    connection.terminate()
        except (TimeoutError, *_LOST):
            return self._no_answer(str(error))
        there = {(table, column) for table, column in found}
        lacking = [
            f"{view}.{name}"
            for view, features in self._views.items()
            for name in (online_table(view).key, *features, TIMESTAMP)
            if (online_table(view).name, name) not in there
        ]
        if not lacking:  # it is there again
            return self._no_answer(str(error))
        return FeatureStoreError(f"the online store lacks {', '.join(lacking)} for {self._service}; {_FIX}")


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
