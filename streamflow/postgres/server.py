"""The Postgres server: the one that STREAMFLOW_DATABASE_URL names, or an embedded one under var/postgres.

All processes that use the embedded server share it, and the last of them stops it. Each process holds a shared flock on
`postgres.leases`; the kernel releases it even after SIGKILL, and the next process that ends then stops the server.
`streamflow db start` keeps it up until `streamflow db stop`.

It asks for no password, so its socket is in the data folder, which only the owner may enter (ADR 4).
"""

import atexit
import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import IO
from urllib.parse import quote

from psycopg2.extensions import ISOLATION_LEVEL_AUTOCOMMIT

from streamflow.core.errors import EnvironmentFault
from streamflow.pipeline.project import state_dir
from streamflow.postgres.connection import URL_VARIABLE, connect, named_url
from streamflow.postgres.programs import give_access, run_program, runs_postgres, server_user

DATABASE = "streamflow"
_SOCKET = ".s.PGSQL.5432"
_LONGEST_ADDRESS = 107  # bytes; sun_path of unix(7) less its final NUL
# A path relative to the data folder: no shell and no length limit matters.
# MLflow, Feast and every replica keep connections open; PostgreSQL's default of 100 is too few for all of them.
_SERVER = "-c listen_addresses= -c unix_socket_directories=. -c unix_socket_permissions=0700 -c max_connections=300"
_PATIENCE_SECONDS = 60
_LOOKS_A_SECOND = 200


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
        """Release the lease; stop the server if it was the last one."""
        atexit.unregister(self.release)
        with _locked(self._mutex):
            if self._lease is None:
                return
            self._lease.close()
            self._lease = None
            if not self._keep.exists() and not self.in_use():
                self._stop()

    def keep(self) -> None:
        """Keep the server up after the last lease is released."""
        self._keep.touch()

    def stop(self) -> bool:
        """Stop the server; False if it was not running. Raises EnvironmentFault while a process uses it."""
        with _locked(self._mutex):
            if self.in_use():
                raise EnvironmentFault(
                    f"{self.pgdata} is in use by a running pipeline or server; end that first, then run `streamflow db stop`"
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
                if not (self.pgdata / _SOCKET).is_socket():
                    self._stop()  # started by an earlier version of this project: everybody can reach its socket
                if not self._pid_file.exists():
                    self._start()
        except (subprocess.SubprocessError, OSError) as error:
            raise EnvironmentFault(
                f"the embedded Postgres under {self.pgdata} does not start: {error}; read {self.pgdata / 'log'}, or"
                f" use another server: export {URL_VARIABLE}=postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
            ) from error
        host = quote(str(_plain_path(self.pgdata)), safe="/")
        _create_database(f"postgresql://postgres@/postgres?host={host}")
        return f"postgresql://postgres@/{DATABASE}?host={host}"

    def _initialise(self) -> None:
        # initdb into a folder of its own: a killed initdb must not leave a broken cluster under the final name.
        for left in self.pgdata.parent.glob(".postgres-new-*"):
            shutil.rmtree(left, ignore_errors=True)
        fresh = self.pgdata.with_name(f".postgres-new-{os.getpid()}")
        fresh.mkdir(mode=0o700, exist_ok=True)
        if owner := server_user():
            os.chown(fresh, owner.pw_uid, owner.pw_gid)
            give_access(fresh.parent)
        run_program("initdb", "--auth=trust", "--encoding=utf8", "-U", "postgres", "-D", str(fresh))
        if self.pgdata.exists():
            self.pgdata.rmdir()
        fresh.rename(self.pgdata)

    def _drop_stale_pid_file(self) -> None:
        # After a crash the pid in postmaster.pid may belong to another program by now. In a container without an init the
        # dead server stays a zombie, which Postgres takes for a live one.
        lines = self._pid_lines()
        if lines and not (len(lines) >= 8 and runs_postgres(lines[0])):
            for leftover in (self._pid_file, *self.pgdata.glob(".s.PGSQL.*.lock")):
                leftover.unlink()

    def _start(self) -> None:
        folder = str(_plain_path(self.pgdata))
        run_program("pg_ctl", "--no-wait", "-D", folder, "-l", f"{folder}/log", "-o", _SERVER, "start")
        if not _soon(
            lambda: self._pid_lines()[7:8] == ["ready"], lambda: run_program("pg_ctl", "-D", folder, "status")
        ):
            raise OSError(f"it is not ready after {_PATIENCE_SECONDS} s")

    def _stop(self) -> bool:
        self._drop_stale_pid_file()
        if not self._pid_file.exists():
            return False
        folder = str(_plain_path(self.pgdata))
        run_program("pg_ctl", "--no-wait", "-D", folder, "-m", "fast", "stop")
        if not _soon(lambda: not self._pid_file.exists()):
            run_program("pg_ctl", "--wait", "-D", folder, "-m", "immediate", "stop")
        return True

    @property
    def _pid_file(self) -> Path:
        return self.pgdata / "postmaster.pid"

    def _pid_lines(self) -> list[str]:
        """The lines of postmaster.pid: process id first, state as the eighth; none if there is no such file."""
        try:
            return [line.strip() for line in self._pid_file.read_text().splitlines()]
        except FileNotFoundError:
            return []


def _soon(reached: Callable[[], bool], check: Callable[[], object] = lambda: None) -> bool:
    """Whether a state is reached in time; `check` is called now and then. pg_ctl itself looks ten times a second only."""
    for attempt in range(_PATIENCE_SECONDS * _LOOKS_A_SECOND):
        if reached():
            return True
        if attempt % _LOOKS_A_SECOND == _LOOKS_A_SECOND - 1:
            check()
        time.sleep(1 / _LOOKS_A_SECOND)
    return False


def _plain_path(pgdata: Path) -> Path:
    """The data folder with the socket, or a link to it if its path is too long for a socket or needs quotes in a shell.

    Raises EnvironmentFault if the path of the link is something else, which another user could create.
    """
    if quote(str(pgdata)) == str(pgdata) and len(str(pgdata / _SOCKET)) <= _LONGEST_ADDRESS:
        return pgdata
    named = hashlib.sha256(os.fsencode(pgdata)).hexdigest()[:16]
    # 16 digits of the path's digest: short enough for /tmp whatever TMPDIR says.
    places = [Path(place) / f"streamflow-{os.geteuid()}-{named}" for place in (tempfile.gettempdir(), "/tmp")]
    link = next((each for each in places if len(os.fsencode(each / _SOCKET)) <= _LONGEST_ADDRESS), places[-1])
    with suppress(FileExistsError):
        link.symlink_to(pgdata)
    if link.lstat().st_uid != os.geteuid() or link.resolve() != pgdata.resolve():
        raise EnvironmentFault(
            f"{link} is not a link to {pgdata} of this user; remove it, or use another folder: export TMPDIR=FOLDER"
        )
    return link


@contextmanager
def database(state: Path | None = None) -> Iterator[str]:
    """URL of the Postgres database; the server is up while the block runs."""
    if url := os.environ.get(URL_VARIABLE):
        yield named_url(url)
        return
    server = EmbeddedPostgres(state or state_dir())
    try:
        yield server.acquire()
    finally:
        server.release()


def has_database() -> bool:
    """Whether there is a database: one that the user names, or the embedded server's files."""
    return bool(os.environ.get(URL_VARIABLE)) or (state_dir() / "postgres" / "PG_VERSION").exists()


@cache
def hold_database() -> str:
    """URL of the Postgres database; the server is up until this process ends, with one lease for all calls."""
    if url := os.environ.get(URL_VARIABLE):
        return named_url(url)
    return EmbeddedPostgres(state_dir()).acquire()


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
    """The locale C for processes of the block: initdb fails if the user's locale (from ssh, say) is not installed."""
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
