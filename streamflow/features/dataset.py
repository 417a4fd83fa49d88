"""The training set: one row for each user, features as of one date, the label, the part of the split."""

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from streamflow.core.arrow import ARROW_TYPES
from streamflow.core.errors import FeatureStoreError, HistoryError
from streamflow.core.schema import ENTITY_KEY, EVENT_TIMESTAMP, LABEL, service_features
from streamflow.features.splits import PARTS, split_by_user

SPLIT = "split"
TIMESTAMP = pa.timestamp("us", tz="UTC")


def dataset_schema(service: str) -> pa.Schema:
    """user_id, as_of, the features in model order, churn_label, split."""
    return pa.schema(
        [
            pa.field(ENTITY_KEY, pa.string(), nullable=False),
            pa.field(EVENT_TIMESTAMP, TIMESTAMP, nullable=False),
            *(pa.field(c.name, ARROW_TYPES[c.kind], nullable=c.nullable) for c in service_features(service)),
            pa.field(LABEL, pa.bool_(), nullable=False),
            pa.field(SPLIT, pa.string(), nullable=False),
        ]
    )


def entity_rows(users: pa.Table) -> pa.Table:
    """user_id and as_of of the users to join features to, sorted by user."""
    return users.select([ENTITY_KEY, EVENT_TIMESTAMP]).sort_by(ENTITY_KEY)


def assemble(
    service: str, users: pa.Table, features: pa.Table, labels: pa.Table, salt: str, validation: float, test: float
) -> pa.Table:
    """Join features and labels to one row for each of `users`, sorted by user.

    A user without a label is left out only if labels come from a later snapshot that no longer has the user.
    Raises FeatureStoreError if the point-in-time join lost or repeated a row, or gave a forbidden NULL.
    """
    ordered = features.sort_by(ENTITY_KEY).combine_chunks()
    if ordered[ENTITY_KEY].to_pylist() != users[ENTITY_KEY].to_pylist():
        raise FeatureStoreError(
            f"the point-in-time join gave {ordered.num_rows} rows for {users.num_rows} users, not one for each user;"
            " check the feature views of feature_repo/"
        )
    label_of = dict(zip(labels[ENTITY_KEY].to_pylist(), labels[LABEL].to_pylist(), strict=True))
    known = pc.is_in(ordered[ENTITY_KEY], value_set=labels[ENTITY_KEY].combine_chunks())
    rows = ordered.filter(known)
    user_ids = rows[ENTITY_KEY].to_pylist()
    if not user_ids:
        raise HistoryError("no user has both features and a label; check as_of and label_horizon_months")
    table = rows.append_column(LABEL, pa.array([label_of[user] for user in user_ids])).append_column(
        SPLIT, pa.array(split_by_user(user_ids, salt, validation, test))
    )
    schema = dataset_schema(service)
    _refuse_nulls(table, schema)
    for part in PARTS:
        if len(set(table.filter(pc.equal(table[SPLIT], part))[LABEL].to_pylist())) < 2:
            raise HistoryError(f"the {part} part lacks churners or others; enlarge it: split.validation, split.test")
    return table.select(schema.names).cast(schema).combine_chunks()


def summary(dataset: pa.Table, as_of: str, label_as_of: str, service: str) -> dict[str, Any]:
    """Rows and churners, in all and of each part, and how the labels relate to the features."""
    return {
        "as_of": as_of,
        "label_as_of": label_as_of,
        "feature_service": service,
        "rows": dataset.num_rows,
        "churners": _churners(dataset),
        "parts": {part: _part_summary(dataset.filter(pc.equal(dataset[SPLIT], part))) for part in PARTS},
    }


def _part_summary(rows: pa.Table) -> dict[str, int]:
    return {"rows": rows.num_rows, "churners": _churners(rows)}


def _churners(rows: pa.Table) -> int:
    return int(pc.sum(rows[LABEL]).as_py() or 0)


def _refuse_nulls(table: pa.Table, schema: pa.Schema) -> None:
    for field in schema:
        if not field.nullable and table[field.name].null_count:
            row = pc.index(pc.is_null(table[field.name]), True).as_py()
            raise FeatureStoreError(
                f"the point-in-time join left {field.name} NULL for {table[field.name].null_count} users"
                f" (first {table[ENTITY_KEY][row].as_py()}); check the snapshot of that date"
            )
