"""What Feast hands over, in terms of the wide tables: the layout of a feature view, entity keys, values."""

from datetime import datetime
from typing import Any

from feast import FeatureView, RepoConfig
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value

from streamflow.core.errors import FeatureStoreError
from streamflow.core.schema import Kind
from streamflow.online.tables import OnlineTable

KINDS: dict[str, Kind] = {"STRING": "text", "BOOL": "boolean", "INT64": "integer", "DOUBLE": "real"}
"""Feast's value types that the tables hold."""

_VALUE_FIELDS: dict[Kind, str] = {
    "text": "string_val",
    "boolean": "bool_val",
    "integer": "int64_val",
    "real": "double_val",
}


def layout_of(config: RepoConfig, view: FeatureView) -> OnlineTable:
    """The table of a feature view. Raises FeatureStoreError if the view is not one that a wide table can hold."""
    keys = [(column.name, column.dtype.to_value_type().name) for column in view.entity_columns]
    if len(keys) != 1 or keys[0][1] != "STRING":
        named = ", ".join(f"{name} ({kind})" for name, kind in keys) or "none"
        raise FeatureStoreError(
            f"feature view {view.name}: the online store takes one join key of type String, not {named}"
        )
    if config.registry.enable_online_feature_view_versioning:
        raise FeatureStoreError("the online store keeps one version of a feature view; switch versioning off")
    features = {}
    for feature in view.features:
        kind = feature.dtype.to_value_type().name
        if kind not in KINDS:
            raise FeatureStoreError(
                f"feature {view.name}:{feature.name} has type {kind}; the online store holds {', '.join(KINDS)}"
            )
        features[feature.name] = KINDS[kind]
    return OnlineTable(config.online_store.db_schema, f"{config.project}_{view.name}", keys[0][0], features)


def answer_of(
    features: list[str], kinds: list[Kind], row: tuple[Any, ...] | None
) -> tuple[datetime | None, dict[str, Value] | None]:
    """A row (event timestamp, then the features in order) as Feast takes it; (None, None) for no row."""
    if row is None:
        return None, None
    moment, *values = row
    return moment, {
        name: Value() if value is None else Value(**{_VALUE_FIELDS[kind]: value})
        for name, kind, value in zip(features, kinds, values, strict=True)
    }


def user_of(layout: OnlineTable, key: EntityKey) -> str:
    """The user that an entity key names. Raises FeatureStoreError if it is not the key of this table."""
    if list(key.join_keys) != [layout.key]:
        raise FeatureStoreError(
            f"online table {layout.name} is read by {layout.key}, not by {', '.join(key.join_keys)}"
        )
    text: str = key.entity_values[0].string_val
    return text


def python_value(value: Value | None) -> Any:
    """What a Feast value holds; None for NULL."""
    kind = None if value is None else value.WhichOneof("val")
    return None if kind is None else getattr(value, kind)
