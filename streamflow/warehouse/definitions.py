"""The tables of the warehouse in SQL, derived from the schema: `live.TABLE` and its append-only `history.TABLE`."""

from pathlib import Path

from streamflow.core.schema import ENTITY_KEY, EVENT_TIMESTAMP, TABLES, Kind
from streamflow.postgres.append_only import append_only, refuse_changes

SQL_TYPES: dict[Kind, str] = {
    "text": "text",
    "boolean": "boolean",
    "integer": "bigint",
    "real": "double precision",
    "date": "date",
}
HISTORY = "history"
HISTORY_TABLES = ("extracts", "erasures", "erased_users", *(table.name for table in TABLES))
REFUSAL = """
BEGIN
    RAISE EXCEPTION 'history.% is append-only: % refused; record a corrected extract instead', TG_TABLE_NAME, TG_OP;
END """
"""What the trigger function of the history does."""
LANDED = "postgres"
"""The source whose live rows others land; nothing here ever writes them."""


def definitions() -> str:
    """The statements that make what is missing: schema.sql, both tables of each extract, and the protection."""
    statements = [Path(__file__).with_name("schema.sql").read_text(encoding="utf-8")]
    for table in TABLES:
        plain = ", ".join(f"{c.name} {SQL_TYPES[c.kind]}{'' if c.nullable else ' NOT NULL'}" for c in table.columns)
        versioned = ", ".join(f"{c.name} {SQL_TYPES[c.kind]}" for c in table.columns)
        required = " AND ".join(f"{c.name} IS NOT NULL" for c in table.columns if not c.nullable) or "true"
        key = f'{EVENT_TIMESTAMP} date NOT NULL, {ENTITY_KEY} text COLLATE "C" NOT NULL'
        statements.append(
            f"CREATE TABLE IF NOT EXISTS live.{table.name} (source text NOT NULL DEFAULT '{LANDED}',"
            f" {key}, {plain}, PRIMARY KEY (source, {EVENT_TIMESTAMP}, {ENTITY_KEY}));"
            f" CREATE TABLE IF NOT EXISTS history.{table.name} (source text NOT NULL, {key},"
            f" recorded_at timestamptz NOT NULL, {versioned}, retracted boolean NOT NULL, CHECK (retracted OR ({required})),"
            f" PRIMARY KEY (source, {EVENT_TIMESTAMP}, {ENTITY_KEY}, recorded_at));"
        )
    return "\n".join([*statements, protection()])


def protection() -> str:
    """The statements that keep the history append-only: the trigger function, and the trigger on each of its tables."""
    return "\n".join([refuse_changes(HISTORY, REFUSAL), *(append_only(HISTORY, name) for name in HISTORY_TABLES)])
