"""`streamflow db`: the Postgres server that everything uses."""

import os
import shlex
import subprocess
import sys

import click

from streamflow.cli.examples import examples
from streamflow.core.errors import EnvironmentFault
from streamflow.pipeline.project import state_dir
from streamflow.pipeline.reporting import say
from streamflow.postgres.connection import URL_VARIABLE
from streamflow.postgres.dump import client_environment
from streamflow.postgres.programs import client_program
from streamflow.postgres.server import EmbeddedPostgres, database


@click.group()
def db() -> None:
    """The Postgres server: STREAMFLOW_DATABASE_URL, or an embedded one under var/postgres."""


@db.command(epilog=examples("streamflow db start"))
def start() -> None:
    """Start the embedded server and keep it up until `streamflow db stop`."""
    server = _embedded()
    say(server.acquire())
    server.keep()
    server.release()


@db.command(epilog=examples("streamflow db stop"))
def stop() -> None:
    """Stop the embedded server; fails while a pipeline or a server uses it."""
    say("stopped" if _embedded().stop() else "was not running")


@db.command(epilog=examples('psql "$(streamflow db url)"'))
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


@db.command(epilog=examples("streamflow db upgrade", "streamflow db upgrade --source csv"))
@click.option("--no-dump", is_flag=True, help="Don't dump what is there first.")
@click.option("--source", help="Whose months they are, if they were recorded before each source had its own history.")
def upgrade(no_dump: bool, source: str | None) -> None:
    """Bring the tables of the database to this code: new columns, wider types, our own structure (Alembic).

    Every command does so by itself when it has to; this is for the owner of the tables, if another role runs the pipeline.
    One transaction, after a dump to var/backups. Recorded months keep the columns, digests and corrections that they have.
    Exit code 2, and nothing changed, if it is not possible.
    """
    from streamflow.warehouse.upgrade import upgrade as bring_up

    with database() as address:
        done = bring_up(address, with_dump=not no_dump, source=source)
    for line in done or ["nothing to do: the tables are those of this code"]:
        say(line)


@db.command(epilog=examples("streamflow db psql", 'streamflow db psql -- -c "TABLE live.users LIMIT 5"'))
@click.argument("arguments", nargs=-1)
def psql(arguments: tuple[str, ...]) -> None:
    """Open psql on the database; ARGUMENTS go to psql (put -- before options)."""
    with database() as address:
        done = subprocess.run([str(client_program("psql")), *arguments], env=client_environment(address), check=False)
    sys.exit(done.returncode)


def _embedded() -> EmbeddedPostgres:
    if os.environ.get(URL_VARIABLE):
        raise EnvironmentFault(
            f"{URL_VARIABLE} names a server of your own; `streamflow db` starts and stops only the embedded one"
        )
    return EmbeddedPostgres(state_dir())
