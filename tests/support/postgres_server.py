"""A PostgreSQL server over TCP with a password, as a database administrator would run it: not the embedded one."""

import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import psycopg2
from http_server import free_port
from psycopg2.extensions import ISOLATION_LEVEL_AUTOCOMMIT

PASSWORD = f"p@ss'w:rd/%$1 ü {secrets.token_hex(4)}"


@contextmanager
def password_server() -> Iterator[str]:
    """URL of a database on 127.0.0.1, owned by a role that is no superuser; the server's own time zone is not UTC."""
    folder = Path(tempfile.mkdtemp(prefix="streamflow-postgres-"))
    port = free_port()
    owner = _owner()
    secret = folder / "password"
    secret.write_text(PASSWORD)
    if owner:
        for path in (folder, secret):
            shutil.chown(path, owner, owner)
    data = folder / "data"
    try:
        _run(
            owner, "initdb", "-D", str(data), "-U", "admin", f"--pwfile={secret}", "--auth=scram-sha-256", "-E", "UTF8"
        )
        settings = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c timezone=Asia/Tokyo"
        _run(owner, "pg_ctl", "-w", "-D", str(data), "-l", str(folder / "log"), "-o", settings, "start")
        try:
            _create_role_and_database(port)
            yield f"postgresql://streamflow:{quote(PASSWORD, safe='')}@127.0.0.1:{port}/churn"
        finally:
            _run(owner, "pg_ctl", "-w", "-D", str(data), "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder)


def _create_role_and_database(port: int) -> None:
    connection = psycopg2.connect(host="127.0.0.1", port=port, user="admin", password=PASSWORD, dbname="postgres")
    connection.set_isolation_level(ISOLATION_LEVEL_AUTOCOMMIT)
    with connection.cursor() as cursor:
        cursor.execute("CREATE ROLE streamflow LOGIN PASSWORD %s", (PASSWORD,))
        cursor.execute("CREATE DATABASE churn OWNER streamflow TEMPLATE template0 LOCALE 'C.UTF-8'")
    connection.close()


def _owner() -> str | None:
    """A user to run the server as; PostgreSQL refuses root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    raise AssertionError("running as root without a user `postgres` or `nobody` to run a server as")


def _run(owner: str | None, program: str, *arguments: str) -> None:
    # Output to a file: the server inherits it, and a pipe would stay open as long as the server runs.
    with tempfile.TemporaryFile() as output:
        done = subprocess.run(
            [str(_programs() / program), *arguments],
            user=owner,
            group=None if owner is None else pwd.getpwnam(owner).pw_gid,
            extra_groups=None if owner is None else [],
            cwd="/",
            stdout=output,
            stderr=output,
            check=False,
        )
        output.seek(0)
        assert done.returncode == 0, output.read().decode()


def _programs() -> Path:
    """The newest PostgreSQL server programs of Debian, or else those of the embedded server's package."""
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
    if installed:
        return installed[-1].parent
    from streamflow.postgres.programs import client_program

    return client_program("initdb").parent
