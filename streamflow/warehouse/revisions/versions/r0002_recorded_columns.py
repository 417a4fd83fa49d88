"""Each recorded version keeps the columns that it had; those from before have the six tables as they were until then."""

import json

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_REAL, _WHOLE, _YES, _TEXT, _DATE = "real", "integer", "boolean", "text", "date"
BEFORE = {
    "users": [("signup_date", _DATE), ("user_gender", _TEXT), ("user_is_senior", _YES), ("has_family", _YES),
              ("has_dependents", _YES)],
    "subscriptions": [("months_active", _WHOLE), ("plan_stream_tv", _YES), ("plan_stream_movies", _YES),
                      ("contract_type", _TEXT), ("paperless_billing", _YES), ("monthly_fee", _REAL), ("total_paid", _REAL),
                      ("net_service", _TEXT)],
    "usage_agg_30d": [("watch_hours_30d", _REAL), ("avg_session_mins_7d", _REAL), ("unique_devices_30d", _WHOLE),
                      ("skips_7d", _WHOLE), ("rebuffer_events_7d", _WHOLE)],
    "payments_agg_90d": [("failed_payments_90d", _WHOLE)],
    "support_agg_90d": [("support_tickets_90d", _WHOLE), ("ticket_avg_resolution_hrs_90d", _REAL)],
    "labels": [("churn_label", _YES)],
}  # fmt: skip


def upgrade() -> None:
    """Add the column and fill it; the trigger that keeps the ledger append-only is off for just this."""
    op.add_column("extracts", sa.Column("columns", sa.dialects.postgresql.JSONB()), schema="history")
    op.execute("ALTER TABLE history.extracts DISABLE TRIGGER USER")
    for table, columns in BEFORE.items():
        text = json.dumps([["user_id", "text"], *(list(column) for column in columns)])
        filled = sa.text("UPDATE history.extracts SET columns = CAST(:columns AS jsonb) WHERE table_name = :table")
        op.execute(filled.bindparams(columns=text, table=table))
    op.execute("ALTER TABLE history.extracts ENABLE TRIGGER USER")
    op.alter_column("extracts", "columns", nullable=False, schema="history")
