"""A mapped source may lack columns: what has to be there is checked for the rows of all other sources."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_REQUIRED = """
    SELECT relation.relname, array_agg(field.attname ORDER BY field.attnum)
    FROM pg_attribute field JOIN pg_class relation ON relation.oid = field.attrelid
    JOIN pg_namespace space ON space.oid = relation.relnamespace
    WHERE space.nspname = 'live' AND relation.relkind = 'r' AND field.attnum > 0 AND NOT field.attisdropped
    AND field.attnotnull AND field.attname NOT IN ('source', 'as_of', 'user_id')
    AND to_regclass(format('history.%I', relation.relname)) IS NOT NULL
    GROUP BY relation.relname
"""
_CHECKS = """
    SELECT conname FROM pg_constraint WHERE contype = 'c'
    AND conrelid = to_regclass(format('history.%I', CAST(:table AS text)))
"""


def upgrade() -> None:
    """Put one named check in the place of NOT NULL in live, and of the checks in history."""
    connection = op.get_bind()
    for table, columns in connection.execute(sa.text(_REQUIRED)).fetchall():
        required = " AND ".join(f"{name} IS NOT NULL" for name in columns)
        for name in columns:
            op.alter_column(table, name, nullable=True, schema="live")
        for (name,) in connection.execute(sa.text(_CHECKS), {"table": table}).fetchall():
            op.drop_constraint(name, table, schema="history")
        condition = f"starts_with(source, 'mapped ') OR ({required})"
        op.create_check_constraint(f"{table}_complete", table, sa.text(condition), schema="live")
        op.create_check_constraint(f"{table}_complete", table, sa.text(f"retracted OR {condition}"), schema="history")
