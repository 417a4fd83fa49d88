"""The tables of the warehouse in SQL, derived from the schema: `live.TABLE` and its append-only `history.TABLE`."""

from pathlib import Path

from streamflow.core.config import MAPPED
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
        values = ", ".join(f"{c.name} {SQL_TYPES[c.kind]}" for c in table.columns)
        complete = complete_rows(*(c.name for c in table.columns if not c.nullable))
        key = f'{EVENT_TIMESTAMP} date NOT NULL, {ENTITY_KEY} text COLLATE "C" NOT NULL'
        statements.append(
            f"CREATE TABLE IF NOT EXISTS live.{table.name} (source text NOT NULL DEFAULT '{LANDED}',"
            f" {key}, {values}, CONSTRAINT {table.name}_complete CHECK ({complete}),"
            f" PRIMARY KEY (source, {EVENT_TIMESTAMP}, {ENTITY_KEY}));"
            f" CREATE TABLE IF NOT EXISTS history.{table.name} (source text NOT NULL, {key},"
            f" recorded_at timestamptz NOT NULL, {values}, retracted boolean NOT NULL,"
            f" CONSTRAINT {table.name}_complete CHECK (retracted OR {complete}),"
            f" PRIMARY KEY (source, {EVENT_TIMESTAMP}, {ENTITY_KEY}, recorded_at));"
        )
    return "\n".join([*statements, protection()])


def complete_rows(*columns: str) -> str:
    """The condition that a row has values in `columns`; a mapped source may lack them."""
    required = " AND ".join(f"{name} IS NOT NULL" for name in columns) or "true"
    return f"starts_with(source, '{MAPPED} ') OR ({required})"


def protection() -> str:
    """The statements that keep the history append-only: the trigger function, and the trigger on each of its tables."""
    return "\n".join([refuse_changes(HISTORY, REFUSAL), *(append_only(HISTORY, name) for name in HISTORY_TABLES)])
