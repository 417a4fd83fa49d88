"""Tables that only grow: the trigger that refuses a change, and whether the database still has it as it was made."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

_TRIGGER = "append_only"
# pg_trigger.tgtype: BEFORE (2), for each statement, on DELETE (8), UPDATE (16) and TRUNCATE (32).
_EVENTS = 2 + 8 + 16 + 32
_FUNCTIONS = "SELECT prosrc FROM pg_proc WHERE pronamespace = %s::regnamespace AND proname = 'refuse_change'"
_TRIGGERS = """
    SELECT class.relname FROM pg_trigger
    JOIN pg_class class ON class.oid = tgrelid
    JOIN pg_proc proc ON proc.oid = tgfoid
    WHERE class.relnamespace = %s::regnamespace AND tgname = %s AND tgenabled IN ('O', 'A') AND tgtype = %s
        AND tgqual IS NULL AND proc.pronamespace = class.relnamespace AND proc.proname = 'refuse_change'
"""


def refuse_changes(schema: str, body: str) -> str:
    """The statement that makes the trigger function of a schema; `body` is its PL/pgSQL."""
    return f"CREATE OR REPLACE FUNCTION {schema}.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $${body}$$;"


def append_only(schema: str, table: str) -> str:
    """The statement that puts the trigger on a table."""
    return (
        f"CREATE OR REPLACE TRIGGER {_TRIGGER} BEFORE UPDATE OR DELETE OR TRUNCATE ON {schema}.{table}"
        f" FOR EACH STATEMENT EXECUTE FUNCTION {schema}.refuse_change();"
    )


@contextmanager
def writable(cursor: Any, schema: str, tables: Sequence[str]) -> Iterator[None]:
    """Tables that take changes while the block runs; it has to be within one transaction, in which they are locked."""
    for table in tables:
        cursor.execute(f"ALTER TABLE {schema}.{table} DISABLE TRIGGER {_TRIGGER}")
    yield
    for table in tables:
        cursor.execute(f"ALTER TABLE {schema}.{table} ENABLE TRIGGER {_TRIGGER}")


def unprotected(cursor: Any, schema: str, body: str, tables: Iterable[str]) -> list[str]:
    """What no longer refuses changes: the function of the schema if its code differs, tables without the trigger; sorted."""
    cursor.execute(_FUNCTIONS, (schema,))
    found = [] if cursor.fetchall() == [(body,)] else [f"function {schema}.refuse_change"]
    cursor.execute(_TRIGGERS, (schema, _TRIGGER, _EVENTS))
    protected = {name for (name,) in cursor.fetchall()}
    return [*found, *(f"table {schema}.{table}" for table in sorted(set(tables) - protected))]
