"""A database brought to the tables of this code: our own structure by Alembic, the columns of extracts by the schema.

Everything happens in one transaction, after a dump of what is there. A database that is up to date costs two queries.
"""

from functools import partial
from pathlib import Path
from typing import Any

import psycopg2

from streamflow.core.errors import HistoryError, first_line
from streamflow.core.schema import TABLES
from streamflow.postgres.connection import connect
from streamflow.postgres.dump import dump
from streamflow.warehouse.columns import reshapings
from streamflow.warehouse.definitions import HISTORY, HISTORY_TABLES, definitions

HEAD = "0002"
"""The newest revision that this code knows. A newer one is left as it is: `rerun --from-source` runs older code."""
MADE = "tables made"
"""What is done to an empty database."""
SCHEMAS = ("live", HISTORY, "feast")
"""What a dump holds: everything that an upgrade can change."""
_FOLDER = Path(__file__).with_name("revisions")
_VERSION_TABLE = "alembic_version"


def is_current(cursor: Any) -> bool:
    """Whether the tables are those of this code."""
    cursor.execute(
        "SELECT count(*) FROM pg_tables WHERE schemaname = %s AND tablename = ANY(%s)"
        " OR schemaname = 'live' AND tablename = ANY(%s)",
        (HISTORY, [*HISTORY_TABLES, _VERSION_TABLE], [table.name for table in TABLES]),
    )
    if cursor.fetchone()[0] != len(HISTORY_TABLES) + 1 + len(TABLES):
        return False
    cursor.execute(f"SELECT version_num FROM {HISTORY}.{_VERSION_TABLE}")
    found = cursor.fetchall()
    return len(found) == 1 and found[0][0] >= HEAD and not reshapings(cursor)


def upgrade(url: str, with_dump: bool = True, source: str | None = None) -> list[str]:
    """Make or change the tables; returns what was done, in words, nothing if they are current.

    `source` is whose months a database holds that was made before each source had a history of its own.

    Raises HistoryError, and changes nothing, if a change is not possible: a column that rows lack and may not lack, a
    narrower type, tables of another owner, no room for the dump.
    """
    kept = dump(url, SCHEMAS) if with_dump and _has_rows(url) else None
    try:
        done = _upgrade(url, source)
    except HistoryError:
        _drop(kept)
        raise
    except psycopg2.Error as error:
        _drop(kept)
        raise HistoryError(
            f"the database can't be upgraded: {first_line(error)}; as the owner of its tables: `streamflow db upgrade`;"
            " nothing was changed"
        ) from error
    if not done:
        _drop(kept)
        return []
    return [*done, *([f"a dump of what was there is in {kept}"] if kept else [])]


def _drop(kept: Path | None) -> None:
    if kept is not None:
        kept.unlink()


def _upgrade(url: str, source: str | None) -> list[str]:
    # Its import takes half a second, and most starts have nothing to do.
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext
    from alembic.script import ScriptDirectory
    from sqlalchemy import create_engine
    from sqlalchemy.exc import DBAPIError
    from sqlalchemy.pool import NullPool

    settings = Config()
    settings.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    if source is not None:
        settings.attributes["source"] = source
    script = ScriptDirectory.from_config(settings)
    engine = create_engine("postgresql+psycopg2://", creator=partial(connect, url), poolclass=NullPool)
    try:
        with engine.begin() as connection:
            cursor = connection.connection.cursor()
            cursor.execute("SELECT pg_advisory_xact_lock(hashtext('streamflow warehouse'))")
            if is_current(cursor):
                return []  # another process was first
            cursor.execute("SELECT to_regclass('history.extracts') IS NOT NULL")
            is_old = cursor.fetchone() == (True,)
            cursor.execute(definitions())
            steps: list[str] = []

            def migrate(revision: Any, context: Any) -> Any:
                if not is_old:
                    return script._stamp_revs("head", revision)
                found = script._upgrade_revs("head", revision)
                steps.extend(f"revision {step.revision.revision}: {step.revision.doc}" for step in found)
                return found

            with EnvironmentContext(settings, script, fn=migrate, destination_rev="head") as environment:
                environment.configure(connection=connection, version_table_schema=HISTORY)
                with environment.begin_transaction():
                    environment.run_migrations()
            changes = reshapings(cursor)
            for change in changes:
                change.carry_out(cursor)
            return [*([] if is_old else [MADE]), *steps, *(change.what for change in changes)]
    except DBAPIError as error:
        raise error.orig or error from error
    finally:
        engine.dispose()


def _has_rows(url: str) -> bool:
    connection = connect(url)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute("SELECT to_regclass('history.extracts') IS NOT NULL")
            if not cursor.fetchone()[0]:
                return False
            cursor.execute("SELECT EXISTS (SELECT FROM history.extracts)")
            return bool(cursor.fetchone()[0]) and not is_current(cursor)
    finally:
        connection.close()
