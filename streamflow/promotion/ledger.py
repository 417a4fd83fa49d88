"""The moves of Production: a chain of signed statements, in git's tags and in the append-only ledger of the database.

Git says what happened; the ledger carries moves to clones that share the database and have not fetched the tags yet.
"""

import getpass
import json
import os
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Literal

from streamflow.core.digest import mapping_sha256
from streamflow.core.errors import RegistryError
from streamflow.pipeline.params import promotion_section
from streamflow.postgres.append_only import append_only, refuse_changes, unprotected
from streamflow.postgres.connection import transaction
from streamflow.promotion.entries import Entry, Ledger, entry_of
from streamflow.provenance.record import PREFIX
from streamflow.registry.decision import Gate
from streamflow.registry.loading import LoadedModel
from streamflow.registry.moves import chain_at, envelopes_at, has_envelopes, moves_known_to_git
from streamflow.registry.registry import Registry
from streamflow.registry.signing import now
from streamflow.trust.chain import Move, SignedMove, move_statement
from streamflow.trust.check import rebuilt_by
from streamflow.trust.envelope import open_envelope, sign_statement
from streamflow.trust.keys import machine_signer, trusted_keys
from streamflow.trust.store import moves_in_git, tag_moves

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
    gates jsonb NOT NULL,
    envelope text
);
-- A ledger from before signatures.
ALTER TABLE ledger.production ADD COLUMN IF NOT EXISTS envelope text;
"""
_REFUSAL = """
BEGIN
    RAISE EXCEPTION 'the ledger is append-only: to undo a move of Production, make another one (streamflow rollback)';
END """
_PROTECTION = refuse_changes("ledger", _REFUSAL) + append_only("ledger", "production")
_INSERT = """
    INSERT INTO ledger.production (who, action, from_version, to_version, why, gates, envelope)
    VALUES (%s, %s, %s, %s, %s, %s, %s)
"""
_ROWS = "SELECT at, who, action, from_version, to_version, why, gates FROM ledger.production moved ORDER BY number"
_UNSIGNED = _ROWS.replace(
    "ORDER",
    "WHERE NOT EXISTS (SELECT FROM ledger.production s WHERE s.envelope IS NOT NULL AND s.number <= moved.number)"
    " ORDER",
)


def move(
    url: str, registry: Registry, action: Action, model: LoadedModel, why: str, forced: Iterable[Gate] = ()
) -> Entry:
    """Set Production to a version, sign that and write it to the ledger: all or nothing. Then tag it in git.

    `forced` are the failed gates that were overridden. The entry becomes the last line of both versions' descriptions in
    MLflow; if that fails, the move stays. Raises EnvironmentFault or RegistryError.
    """
    gates = {gate.name: gate.detail for gate in forced}
    policy = mapping_sha256(promotion_section())
    with transaction(url) as cursor:
        _create(cursor)
        # Moves are written in the order in which they happen.
        cursor.execute("LOCK TABLE ledger.production IN SHARE ROW EXCLUSIVE MODE")
        _restore(cursor)
        head, champion = chain_at(cursor).head, registry.production()
        made = Move(
            number=head.move.number + 1 if head else 1,
            previous=head.signed.sha256 if head else "",
            action=action,
            from_version=str(champion.version) if champion else None,
            to_version=model.version,
            model_sha256=model.model_sha256,
            commit=model.git_commit,
            who=person(),
            why=why,
            gates=gates,
            evidence=_evidence(registry, model),
            at=now(),
        )
        line = sign_statement(move_statement(made, policy), machine_signer())
        _insert(cursor, made, line)
        # The last statement before the commit: an entry without a move can be rolled back, a move without an entry can't.
        registry.promote(model.version)
    signed = SignedMove(made, open_envelope(line, trusted_keys()))
    tag_moves([signed])
    entry = entry_of(signed)
    for moved in dict.fromkeys(name for name in (made.from_version, made.to_version) if name):
        with suppress(RegistryError):
            registry.describe(moved, entry.in_one_line())
    return entry


def read_ledger(url: str) -> Ledger:
    """All moves of Production. Writes nothing."""
    with transaction(url) as cursor:
        return Ledger(_unsigned(cursor), chain_at(cursor))


def entries(url: str) -> list[Entry]:
    """All moves of Production that count, oldest first."""
    return read_ledger(url).entries


def champion_of(registry: Registry, ledger: Ledger) -> Any:
    """The version of the last signed move, if the registry still has that model, or None; without moves the alias's."""
    if (head := ledger.chain.head) is None:
        return registry.production()
    try:
        version = registry.version(head.move.to_version)
    except RegistryError:
        return None
    return version if version.tags.get(f"{PREFIX}model_sha256") == head.move.model_sha256 else None


def person() -> str:
    """The user of this process, who moves Production."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user id {os.getuid()}"


def unprotected_ledger(url: str) -> list[str]:
    """What in the ledger no longer refuses changes, though it was made to; nothing if there is no ledger yet."""
    with transaction(url) as cursor:
        return unprotected(cursor, "ledger", _REFUSAL, ["production"]) if _exists(cursor) else []


def protect_ledger(url: str) -> list[str]:
    """Make the ledger append-only again if it no longer is, and write the moves into it that only git has.

    Moves that only the ledger has are tagged. Returns what was put right, in words.
    """
    found = [f"{each} no longer refused changes" for each in unprotected_ledger(url)]
    with transaction(url) as cursor:
        if not _exists(cursor) and not moves_in_git():
            return []
        _create(cursor)
        if found:
            cursor.execute(_PROTECTION)
        found += [f"the ledger lacked move {number} of Production" for number in _restore(cursor)]
        moves = chain_at(cursor).moves
    return found + [f"git lacked the tag {name}" for name in tag_moves(moves)]


def _evidence(registry: Registry, model: LoadedModel) -> tuple[str, ...]:
    """Digests of the statements on which a version is accepted: its provenance, and who derived it again."""
    if model.claim is None:
        return ()
    envelopes = registry.envelopes(registry.version(model.version))
    verdicts = rebuilt_by(model.claim, envelopes).identical
    return (model.claim.signed.sha256, *(verdict.signed.sha256 for verdict in verdicts))


def _restore(cursor: Any) -> list[int]:
    """Write the moves into the ledger that only git has; returns their numbers."""
    held = set(envelopes_at(cursor))
    lacking = [each for each in moves_known_to_git().moves if each.signed.line not in held]
    for each in lacking:
        _insert(cursor, each.move, each.signed.line)
    return [each.move.number for each in lacking]


def _insert(cursor: Any, move: Move, line: str) -> None:
    gates = json.dumps(dict(move.gates), sort_keys=True, ensure_ascii=False)
    cursor.execute(_INSERT, (move.who, move.action, move.from_version, move.to_version, move.why, gates, line))


def _unsigned(cursor: Any) -> tuple[Entry, ...]:
    """The moves from before signatures: the rows without an envelope that come before the first with one."""
    if not _exists(cursor):
        return ()
    cursor.execute(_UNSIGNED if has_envelopes(cursor) else _ROWS)
    return tuple(Entry(*row) for row in cursor.fetchall())


def _exists(cursor: Any) -> bool:
    cursor.execute("SELECT to_regclass('ledger.production')")
    return cursor.fetchone()[0] is not None


def _create(cursor: Any) -> None:
    if not has_envelopes(cursor):
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('streamflow ledger'))")
        cursor.execute(_TABLES + _PROTECTION)
