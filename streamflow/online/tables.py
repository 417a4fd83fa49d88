"""The layout of the online store and its SQL: one table for each feature view, one row for each user.

A feature is a column of its own type, so a stored NULL is a NULL, and a view without a row for a user shows as an
`event_timestamp` that is NULL after an outer join. Serving reads these tables without Feast.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from streamflow.core.errors import FeatureStoreError
from streamflow.core.schema import ENTITY_KEY, FEAST_PROJECT, FEATURE_VIEWS, Kind, views_of

SCHEMA = "feast"
TIMESTAMP = "event_timestamp"
CREATED = "created_timestamp"
SQL_TYPES: dict[Kind, str] = {
    "text": "text",
    "boolean": "boolean",
    "integer": "bigint",
    "real": "double precision",
}
_LONGEST_NAME = 63  # bytes; Postgres cuts longer names


@dataclass(frozen=True)
class OnlineTable:
    """The table of one feature view; `features` maps each feature to its kind, in column order."""

    schema: str
    name: str
    key: str
    features: Mapping[str, Kind]

    def __post_init__(self) -> None:
        taken = {self.key, TIMESTAMP, CREATED} & set(self.features)
        if taken:
            raise FeatureStoreError(
                f"online table {self.name}: {', '.join(sorted(taken))} can't be a feature; rename it"
            )
        for name in (self.name, self.key, *self.features):
            if len(name.encode()) > _LONGEST_NAME:
                raise FeatureStoreError(f"{name} is too long a name for Postgres (63 bytes); shorten it")

    @property
    def qualified(self) -> str:
        """Schema and name, quoted."""
        return f"{quoted(self.schema)}.{quoted(self.name)}"

    @property
    def columns(self) -> dict[str, str]:
        """Column name to SQL type, in the order in which rows are copied in."""
        features = {name: SQL_TYPES[kind] for name, kind in self.features.items()}
        return {
            self.key: "text",
            **features,
            TIMESTAMP: "timestamp with time zone",
            CREATED: "timestamp with time zone",
        }

    def create(self) -> str:
        """Statement that makes the table."""
        features = "".join(f"{quoted(name)} {SQL_TYPES[kind]}, " for name, kind in self.features.items())
        return (
            f'CREATE TABLE {self.qualified} ({quoted(self.key)} text COLLATE "C" PRIMARY KEY, {features}'
            f"{TIMESTAMP} timestamptz NOT NULL, {CREATED} timestamptz)"
        )

    def reshape(self, found: Mapping[str, str]) -> list[str]:
        """Statements that give a table with the columns `found` (name to SQL type) this layout.

        None if it has it; features are added and dropped in place; anything else under the name is replaced.
        """
        wanted = self.columns
        fixed = (self.key, TIMESTAMP, CREATED)
        if any(found.get(name) != wanted[name] for name in fixed):
            return [f"DROP TABLE IF EXISTS {self.qualified} CASCADE", self.create()]
        stale = [name for name in found if wanted.get(name) != found[name]]
        fresh = [name for name in wanted if found.get(name) != wanted[name]]
        changes = [f"DROP COLUMN {quoted(name)}" for name in stale]
        changes += [f"ADD COLUMN {quoted(name)} {wanted[name]}" for name in fresh]
        return [f"ALTER TABLE {self.qualified} {', '.join(changes)}"] if changes else []

    def upsert(self, staging: str) -> str:
        """Statement that takes rows over from a table with the same columns; of two for a user, the newer stays."""
        columns = ", ".join(map(quoted, self.columns))
        updates = ", ".join(f"{quoted(name)} = excluded.{quoted(name)}" for name in self.columns if name != self.key)
        return (
            f"INSERT INTO {self.qualified} AS online ({columns})"
            f" SELECT DISTINCT ON ({quoted(self.key)}) {columns} FROM {staging}"
            f" ORDER BY {quoted(self.key)}, {TIMESTAMP} DESC, {CREATED} DESC NULLS LAST"
            f" ON CONFLICT ({quoted(self.key)}) DO UPDATE SET {updates}"
            f" WHERE (excluded.{TIMESTAMP}, coalesce(excluded.{CREATED}, '-infinity'))"
            f" >= (online.{TIMESTAMP}, coalesce(online.{CREATED}, '-infinity'))"
        )

    def select(self, features: Sequence[str]) -> str:
        """Statement that reads key, event timestamp and features of the users in the array %s, in any order."""
        columns = ", ".join(map(quoted, (self.key, TIMESTAMP, *features)))
        return f"SELECT {columns} FROM {self.qualified} WHERE {quoted(self.key)} = ANY(%s)"


COLUMNS_OF_TABLE = (
    "SELECT column_name, data_type FROM information_schema.columns"
    " WHERE table_schema = %s AND table_name = %s ORDER BY ordinal_position"
)
"""Columns of the table in a schema and of a name: what OnlineTable.reshape takes as `found`."""


def online_table(view: str) -> OnlineTable:
    """The table of a feature view of this project; KeyError if there is no such view."""
    features = {column.name: column.kind for column in FEATURE_VIEWS[view].columns if column.kind in SQL_TYPES}
    return OnlineTable(SCHEMA, f"{FEAST_PROJECT}_{view}", ENTITY_KEY, features)


def service_statement(service: str, *, many: bool) -> str:
    """One statement, hence one snapshot, for all features of a service of the users in the array $1, or of the user $1.

    One row for each user asked for, in that order: the features of all views in schema order, then the event timestamp
    of each view. Where a view has no row for the user, its timestamp is NULL.
    """
    columns, timestamps, joins = [], [], []
    for number, (view, features) in enumerate(views_of(service).items()):
        table = online_table(view)
        columns += [f"v{number}.{quoted(name)}" for name in features]
        timestamps.append(f"v{number}.{TIMESTAMP}")
        joins.append(f"LEFT JOIN {table.qualified} v{number} ON v{number}.{quoted(table.key)} = asked.id")
    # For one user Postgres plans no function scan and no sort, which is an eighth of the time.
    asked = "unnest($1::text[]) WITH ORDINALITY AS asked(id, position)" if many else "(VALUES ($1::text)) AS asked(id)"
    order = "ORDER BY position" if many else ""
    return f"SELECT {', '.join(columns + timestamps)} FROM {asked} {' '.join(joins)} {order}"


def storable(user_id: str) -> str | None:
    """The id as Postgres can compare it; None, which equals no row, for text that Postgres can't hold."""
    if user_id.isascii():
        return None if "\0" in user_id else user_id
    try:
        user_id.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return None
    return None if "\0" in user_id else user_id


def quoted(name: str) -> str:
    """A name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'
