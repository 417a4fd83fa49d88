"""The signed moves of Production: in git's tags, and in the ledger's rows of the database. Only reads."""

from typing import Any

from streamflow.postgres.connection import transaction
from streamflow.trust.chain import Chain, chain_of
from streamflow.trust.keys import trusted_keys
from streamflow.trust.store import moves_in_git

_HAS_ENVELOPES = """
    SELECT count(*) FROM information_schema.columns
    WHERE (table_schema, table_name, column_name) = ('ledger', 'production', 'envelope')
"""


def signed_moves(url: str) -> Chain:
    """The chain of moves of Production, with what contradicts it."""
    with transaction(url) as cursor:
        return chain_at(cursor)


def moves_known_to_git() -> Chain:
    """The chain of moves without a database: what git's tags say."""
    return chain_of(moves_in_git(), [], trusted_keys())


def chain_at(cursor: Any) -> Chain:
    """The chain of moves, within a transaction."""
    return chain_of(moves_in_git(), envelopes_at(cursor), trusted_keys())


def envelopes_at(cursor: Any) -> list[str]:
    """The envelope of each row in the order of the ledger; empty for a row without one."""
    if not has_envelopes(cursor):
        return []
    cursor.execute("SELECT coalesce(envelope, '') FROM ledger.production ORDER BY number")
    return [line for (line,) in cursor.fetchall()]


def has_envelopes(cursor: Any) -> bool:
    """Whether there is a ledger, and it can hold signed moves: one from before signatures can't."""
    cursor.execute(_HAS_ENVELOPES)
    return bool(cursor.fetchone()[0])
