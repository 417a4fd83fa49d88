"""`streamflow db`: the Postgres server that everything uses."""

import os
import shlex
import subprocess
import sys

import click

from streamflow.core.errors import EnvironmentFault
from streamflow.pipeline.project import state_dir
from streamflow.pipeline.reporting import say
from streamflow.postgres.connection import URL_VARIABLE, connection_fields
from streamflow.postgres.programs import client_program
from streamflow.postgres.server import EmbeddedPostgres, database


@click.group()
def db() -> None:
    """The Postgres server: STREAMFLOW_DATABASE_URL, or an embedded one under var/postgres."""


@db.command()
def start() -> None:
    """Start the embedded server and keep it up until `streamflow db stop`."""
    server = _embedded()
    url = server.acquire()
    server.keep()
    server.release()
    say(url)


@db.command()
def stop() -> None:
    """Stop the embedded server; fails while a pipeline or a server uses it."""
    say("stopped" if _embedded().stop() else "was not running")


@db.command()
def url() -> None:
    """Print the URL of the database (the embedded server is up while something uses it)."""
    with database() as address:
        say(address)


@db.command()
def env() -> None:
    """Print the variables that feature_repo/feature_store.yaml names, as shell exports, for Feast's own command line.

    \b
    streamflow db start; eval "$(streamflow db env)"; feast -c feature_repo feature-views list
    """
    from streamflow.online.publication import server_variables

    with database() as address:
        for name, value in server_variables(address).items():
            say(f"export {name}={shlex.quote(value)}")


@db.command()
@click.argument("arguments", nargs=-1)
def psql(arguments: tuple[str, ...]) -> None:
    """Open psql on the database; ARGUMENTS go to psql (put -- before options)."""
    with database() as address:
        # The password is in the environment, which `ps` does not show.
        fields = connection_fields(address)
        names = {
            "host": "PGHOST",
            "port": "PGPORT",
            "database": "PGDATABASE",
            "user": "PGUSER",
            "password": "PGPASSWORD",
        }
        environment = {**os.environ, **{names[key]: value for key, value in fields.items() if key in names}}
        done = subprocess.run([str(client_program("psql")), *arguments], env=environment, check=False)
    sys.exit(done.returncode)


def _embedded() -> EmbeddedPostgres:
    if os.environ.get(URL_VARIABLE):
        raise EnvironmentFault(
            f"{URL_VARIABLE} names a server of your own; `streamflow db` starts and stops only the embedded one"
        )
    return EmbeddedPostgres(state_dir())
