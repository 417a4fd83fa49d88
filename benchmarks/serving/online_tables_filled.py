"""The online tables of the project with synthetic users in them, made without Feast."""

import io

import pyarrow as pa
import pyarrow.csv

from streamflow.core.calendar import instant
from streamflow.core.schema import FEATURE_VIEWS
from streamflow.extracts.synthetic import generate_month
from streamflow.online.tables import online_table
from streamflow.postgres.connection import ensure_schema, transaction

MONTH = "2024-01-31"


def fill(url: str, schema: str, users: int) -> None:
    """Create and fill the table of every feature view in an empty schema."""
    month = generate_month(users, MONTH, seed=7)
    ensure_schema(url, schema)
    with transaction(url) as cursor:
        for view, source in FEATURE_VIEWS.items():
            table = online_table(view)
            columns = [table.key, *table.features]
            sink = pa.BufferOutputStream()
            rows = month[source.name].select(columns)
            moments = pa.array([instant(MONTH)] * users, pa.timestamp("us", tz="UTC"))
            pyarrow.csv.write_csv(rows.append_column("event_timestamp", moments), sink)
            cursor.execute(table.create())
            cursor.copy_expert(
                f"COPY {table.qualified} ({', '.join([*columns, 'event_timestamp'])}) FROM STDIN (FORMAT csv, HEADER true)",
                io.BytesIO(sink.getvalue().to_pybytes()),
            )
