"""The ledger of Production, append-only in Postgres: who moved it, when, from and to what, why, failed gates."""

import getpass
import json
import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from streamflow.core.errors import RegistryError
from streamflow.postgres.append_only import append_only, refuse_changes, unprotected
from streamflow.postgres.connection import transaction
from streamflow.registry.decision import Gate
from streamflow.registry.registry import Registry

# MLflow's column takes 5,000 characters, and a person reads one line.
_LINE_LENGTH = 1000

Action = Literal["promote", "rollback"]
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
"""
_REFUSAL = """
BEGIN
    RAISE EXCEPTION 'the ledger is append-only: to undo a move of Production, make another one (streamflow rollback)';
END """
_PROTECTION = refuse_changes("ledger", _REFUSAL) + append_only("ledger", "production")


@dataclass(frozen=True)
class Entry:
    """One move of Production. `from_version` is None if there was none; `gates` failed and were overridden, by name."""

    at: datetime
    who: str
    action: Action
    from_version: str | None
    to_version: str
    why: str
    gates: dict[str, str] = field(default_factory=dict)

    def in_one_line(self) -> str:
        """The move as the last line of a version's description."""
        forced = f"; failed gates overridden: {', '.join(sorted(self.gates))}" if self.gates else ""
        moved = f"{self.action} {self.from_version or 'none'} to {self.to_version}"
        why = " ".join(self.why.split())
        return f"{self.at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC, {self.who}: {moved}: {why}{forced}"[:_LINE_LENGTH]


def rollback_target(entries: Iterable[Entry], production: str | None) -> str | None:
    """The version that was Production before the current one; None if the ledger has none.

    `entries` are in order of time. A promotion is pushed on a stack, a rollback pops it, so that two rollbacks go
    two versions back. A move that is not in the ledger (by MLflow's own pages) counts as a promotion.
    """
    stack: list[str] = []
    for entry in entries:
        if entry.from_version is not None and (not stack or stack[-1] != entry.from_version):
            stack.append(entry.from_version)
        if entry.action == "rollback" and entry.to_version in stack:
            while stack[-1] != entry.to_version:
                stack.pop()
        elif not stack or stack[-1] != entry.to_version:
            stack.append(entry.to_version)
    if production is not None and (not stack or stack[-1] != production):
        stack.append(production)
    return stack[-2] if len(stack) > 1 else None


def move(url: str, registry: Registry, action: Action, version: str, why: str, forced: Iterable[Gate] = ()) -> Entry:
    """Set Production to a version and write that to the ledger: both or neither. Returns the ledger's entry.

    `forced` are the failed gates that were overridden. The entry becomes the last line of both versions' descriptions in
    MLflow; if that fails, the move stays. Raises EnvironmentFault or RegistryError.
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
        # The last statement before the commit: an entry without a move can be rolled back, a move without an entry can't.
        registry.promote(version)
    entry = Entry(at, person(), action, before, version, why, gates)
    for moved in dict.fromkeys(name for name in (before, version) if name):
        with suppress(RegistryError):
            registry.describe(moved, entry.in_one_line())
    return entry


def entries(url: str) -> list[Entry]:
    """All entries of the ledger, oldest first."""
    with transaction(url) as cursor:
        _create(cursor)
        cursor.execute(
            "SELECT at, who, action, from_version, to_version, why, gates FROM ledger.production ORDER BY number"
        )
        return [Entry(*row) for row in cursor.fetchall()]


def person() -> str:
    """The user of this process, who moves Production."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user id {os.getuid()}"


def last_move(url: str) -> str | None:
    """The version that the last move in the ledger made Production; None if there is no ledger yet. Writes nothing."""
    with transaction(url) as cursor:
        if not _exists(cursor):
            return None
        cursor.execute("SELECT to_version FROM ledger.production ORDER BY number DESC LIMIT 1")
        found = cursor.fetchone()
        return str(found[0]) if found else None


def unprotected_ledger(url: str) -> list[str]:
    """What in the ledger no longer refuses changes, though it was made to; nothing if there is no ledger yet."""
    with transaction(url) as cursor:
        return unprotected(cursor, "ledger", _REFUSAL, ["production"]) if _exists(cursor) else []


def protect_ledger(url: str) -> list[str]:
    """Make the ledger append-only again if it no longer is; returns what was unprotected."""
    found = unprotected_ledger(url)
    if found:
        with transaction(url) as cursor:
            cursor.execute(_PROTECTION)
    return found


def _exists(cursor: Any) -> bool:
    cursor.execute("SELECT to_regclass('ledger.production')")
    return cursor.fetchone()[0] is not None


def _create(cursor: Any) -> None:
    if not _exists(cursor):
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('streamflow ledger'))")
        cursor.execute(_TABLES + _PROTECTION)
