"""Each source has a history of its own; a database from before has the months of one, which somebody has to name."""

import sqlalchemy as sa
from alembic import context, op

from streamflow.core.errors import HistoryError

revision = "0001"
down_revision = None

TABLES = ("users", "subscriptions", "usage_agg_30d", "payments_agg_90d", "support_agg_90d", "labels")


def upgrade() -> None:
    """Add the column `source` and put it first into every key; nothing if it is there."""
    known = [column["name"] for column in sa.inspect(op.get_bind()).get_columns("extracts", schema="history")]
    if "source" in known:
        return
    source = context.config.attributes.get("source")
    if source is None:
        raise HistoryError(
            "the months in this database were recorded before each source had a history of its own; say which source they"
            ' are of: `streamflow db upgrade --source csv` (or postgres, or "synthetic users=7043 seed=42"); nothing was'
            " changed"
        )
    keys = {("history", "extracts"): "as_of, table_name, recorded_at"}
    for table in TABLES:
        keys["history", table] = "as_of, user_id, recorded_at"
        keys["live", table] = "as_of, user_id"
    for (space, table), key in keys.items():
        name = f"{space}.{table}"
        # The default fills the rows that are there without an UPDATE, which the history's trigger refuses.
        column = sa.Column("source", sa.Text(), nullable=False, server_default=source)
        op.add_column(table, column, schema=space)
        op.alter_column(table, "source", server_default="postgres" if space == "live" else None, schema=space)
        op.execute(f"ALTER TABLE {name} DROP CONSTRAINT {table}_pkey, ADD PRIMARY KEY (source, {key})")
