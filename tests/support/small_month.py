"""One synthetic month with all tables joined, for tests of training and registration."""

import pyarrow as pa

from streamflow.extracts.synthetic import generate_month


def joined_month(users: int, seed: int = 3) -> pa.Table:
    """All columns of a month, one row for each user, sorted by user."""
    rows = None
    for table in generate_month(users, "2024-01-31", seed).values():
        rows = table if rows is None else rows.join(table, "user_id")
    return rows.sort_by("user_id")
