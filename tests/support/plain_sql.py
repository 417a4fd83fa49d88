"""The training set by plain SQL over the frozen files: an answer that shares no code with the pipeline's."""

import json
from pathlib import Path

import duckdb

from streamflow.core.schema import FEATURE_SERVICES

_TABLES = ("users", "subscriptions", "usage_agg_30d", "payments_agg_90d", "support_agg_90d")


def differences(project: Path, as_of: str, label_as_of: str | None = None) -> tuple[int, int]:
    """Rows of the training set, and rows that are in it or in the SQL answer but not in both."""
    dataset = project / "data" / "dataset" / "dataset.parquet"
    snapshots = project / "data" / "snapshots"
    names = [row[0] for row in duckdb.sql(f"DESCRIBE SELECT * EXCLUDE (split) FROM '{dataset}'").fetchall()]
    service = json.loads((project / "data" / "dataset" / "dataset.json").read_text())["feature_service"]
    assert names == ["user_id", "as_of", *FEATURE_SERVICES[service], "churn_label"]
    columns = ", ".join(f'"{name}"' for name in names if name not in ("user_id", "as_of"))
    joins = " ".join(
        f"""LEFT JOIN (
            SELECT * FROM '{snapshots}/*/{table}.parquet' WHERE as_of <= TIMESTAMPTZ '{as_of} 00:00:00+00'
            QUALIFY row_number() OVER (PARTITION BY user_id ORDER BY as_of DESC) = 1
        ) {table} USING (user_id)"""
        for table in _TABLES[1:]
    )
    answer = f"""
        SELECT users.user_id, users.as_of, {columns}
        FROM '{snapshots}/{as_of}/users.parquet' users {joins}
        JOIN (SELECT user_id, churn_label FROM '{snapshots}/{label_as_of or as_of}/labels.parquet') labels USING (user_id)
    """
    ours = f"SELECT user_id, as_of, {columns} FROM '{dataset}'"
    ((rows,),) = duckdb.sql(f"SELECT count(*) FROM ({ours})").fetchall()
    ((apart,),) = duckdb.sql(
        f"SELECT count(*) FROM (({ours} EXCEPT ALL {answer}) UNION ALL ({answer} EXCEPT ALL {ours}))"
    ).fetchall()
    return rows, apart
