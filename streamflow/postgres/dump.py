"""A dump of some schemas of a database, before they are changed: SQL text, compressed, below var/backups."""

import gzip
import os
import shutil
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from streamflow.core.errors import EnvironmentFault
from streamflow.pipeline.project import replacing, state_dir
from streamflow.postgres.connection import connection_fields
from streamflow.postgres.programs import client_program

_NAMES = {"host": "PGHOST", "port": "PGPORT", "database": "PGDATABASE", "user": "PGUSER", "password": "PGPASSWORD"}


def client_environment(url: str) -> dict[str, str]:
    """The environment in which libpq's programs reach a database: `ps` would show a password among their arguments."""
    fields = connection_fields(url)
    return {**os.environ, **{_NAMES[key]: value for key, value in fields.items() if key in _NAMES}}


def dump(url: str, schemas: Iterable[str]) -> Path:
    """Write a dump of some schemas, which `psql` restores; returns its file. Raises EnvironmentFault if that fails."""
    path = state_dir() / "backups" / f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}.sql.gz"
    named = [f"--schema={schema}" for schema in schemas]
    program = [str(client_program("pg_dump")), "--no-owner", "--no-privileges", *named]
    with replacing(path) as partial:
        with subprocess.Popen(
            program, env=client_environment(url), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            with gzip.open(partial, "wb") as file:
                shutil.copyfileobj(process.stdout, file)
            reason = process.stderr.read().decode(errors="replace").strip().splitlines()
        if process.returncode:
            raise EnvironmentFault(
                f"the database can't be dumped before it is changed: {(reason or ['no reason given'])[-1]}; `streamflow db"
                " upgrade --no-dump` if you have a backup; nothing was changed"
            )
        partial.chmod(0o600)
    return path
