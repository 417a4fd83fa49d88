"""The feature views: one for each extract that holds features, all columns that Feast can serve."""

from datetime import timedelta

from entities import user
from feast import FeatureView, Field
from feast.types import Bool, Float64, Int64, String
from sources import sources

from streamflow.core.schema import FEATURE_VIEWS, Kind

TYPES: dict[Kind, type] = {"text": String, "boolean": Bool, "integer": Int64, "real": Float64}
NO_LIMIT = timedelta(0)

views = {
    name: FeatureView(
        name=name,
        entities=[user],
        ttl=NO_LIMIT,
        schema=[
            Field(name=column.name, dtype=TYPES[column.kind], description=column.meaning)
            for column in table.columns
            if column.kind in TYPES
        ],
        source=sources[name],
        online=True,
    )
    for name, table in FEATURE_VIEWS.items()
}
# Feast collects what the module names.
globals().update(views)
