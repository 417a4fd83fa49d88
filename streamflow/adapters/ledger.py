"""The ledger of Production in Postgres, append-only, and the moves that it records."""

import getpass
import json
import os
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from streamflow.adapters.postgres import transaction
from streamflow.adapters.registry import Registry
from streamflow.decisions import Gate
from streamflow.errors import RegistryError
from streamflow.ledger import Action, Entry

_TABLES = """
CREATE SCHEMA IF NOT EXISTS ledger;
CREATE TABLE IF NOT EXISTS ledger.production (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    who text NOT NULL,
    action text NOT NULL CHECK (action IN ('promote', 'rollback')),
    from_version text,
    to_version text NOT NULL,
    why text NOT NULL,
    gates jsonb NOT NULL
);
CREATE OR REPLACE FUNCTION ledger.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the ledger is append-only: a move of Production is taken back by another one (streamflow rollback)';
END $$;
CREATE OR REPLACE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger.production
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();
"""


def move(url: str, registry: Registry, action: Action, version: str, why: str, forced: Iterable[Gate] = ()) -> Entry:
    """Point Production at a version and write it down; if either fails, neither is done. Returns the ledger's line.

    `forced` are the gates that were shut and passed by force. The line then ends the descriptions of both versions in
    MLflow; one that can't be written does not undo or deny a move that is made. Raises EnvironmentFault or RegistryError.
    """
    gates = {gate.name: gate.detail for gate in forced}
    with transaction(url) as cursor:
        _create(cursor)
        # Moves are written in the order in which they happen.
        cursor.execute("LOCK TABLE ledger.production IN SHARE ROW EXCLUSIVE MODE")
        champion = registry.production()
        before = str(champion.version) if champion else None
        cursor.execute(
            "INSERT INTO ledger.production (who, action, from_version, to_version, why, gates)"
            " VALUES (%s, %s, %s, %s, %s, %s) RETURNING at",
            (person(), action, before, version, why, json.dumps(gates, sort_keys=True, ensure_ascii=False)),
        )
        (at,) = cursor.fetchone()
        # The last statement before the commit: a line without a move is taken back, a move without a line can't be.
        registry.promote(version)
    entry = Entry(at, person(), action, before, version, why, gates)
    for moved in dict.fromkeys(name for name in (before, version) if name):
        with suppress(RegistryError):
            registry.describe(moved, entry.in_one_line())
    return entry


def entries(url: str) -> list[Entry]:
    """All lines of the ledger, oldest first."""
    with transaction(url) as cursor:
        _create(cursor)
        cursor.execute(
            "SELECT at, who, action, from_version, to_version, why, gates FROM ledger.production ORDER BY number"
        )
        return [Entry(*row) for row in cursor.fetchall()]


def person() -> str:
    """Who moves Production: the user that this process runs as."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user id {os.getuid()}"


def _create(cursor: Any) -> None:
    cursor.execute("SELECT to_regclass('ledger.production')")
    if cursor.fetchone()[0] is None:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('streamflow ledger'))")
        cursor.execute(_TABLES)
