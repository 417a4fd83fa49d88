"""The entity that every feature describes."""

from feast import Entity, ValueType

from streamflow.core.schema import ENTITY, ENTITY_KEY

user = Entity(
    name=ENTITY, join_keys=[ENTITY_KEY], value_type=ValueType.STRING, description="A subscriber of StreamFlow"
)
