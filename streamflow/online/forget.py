"""Users who leave the online store: their rows go, and the ledger of what was published says what is left."""

from collections.abc import Sequence
from typing import Any

from streamflow.core.schema import ENTITY_KEY, FEATURE_VIEWS
from streamflow.online.publication import online_digest
from streamflow.online.tables import SCHEMA, online_table


def forget_users(cursor: Any, users: Sequence[str]) -> int:
    """Take users out of every online table, in the transaction of the cursor; returns how many rows went."""
    cursor.execute("SELECT table_name FROM information_schema.tables WHERE table_schema = %s", (SCHEMA,))
    present = {name for (name,) in cursor.fetchall()}
    gone = 0
    for view in FEATURE_VIEWS:
        table = online_table(view)
        if table.name not in present:
            continue
        cursor.execute(f"DELETE FROM {table.qualified} WHERE {ENTITY_KEY} = ANY(%s)", (list(users),))
        gone += cursor.rowcount
        if "published" in present and cursor.rowcount:
            cursor.execute(
                f"UPDATE {SCHEMA}.published SET content = %s WHERE feature_view = %s",
                (online_digest(cursor, view), view),
            )
    return gone
