"""Queries over tables that others own: read only, answered as CSV."""

import tempfile
from typing import Any

import psycopg2

from streamflow.core.errors import ExtractError, first_line


def answer(connection: Any, query: str) -> bytes:
    """The answer to a query as CSV (a header, UTF-8, dates as ISO text, truth as t and f), from a READ ONLY transaction.

    Raises ExtractError with what the server says.
    """
    text = query.strip().rstrip(";")
    try:
        with connection, connection.cursor() as cursor, tempfile.TemporaryFile() as spool:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            cursor.copy_expert(f"COPY ({text}) TO STDOUT (FORMAT csv, HEADER true)", spool)
            spool.seek(0)
            return spool.read()
    except psycopg2.Error as error:
        raise ExtractError(
            f"the query of source.tables ({text[:60]}): {first_line(error)}; mend it in conf/source; nothing was written"
        ) from error
