"""The frozen monthly snapshots as Feast sources, one for each feature view."""

from feast import FileSource
from feast.data_format import ParquetFormat

from streamflow.core.schema import EVENT_TIMESTAMP, FEATURE_VIEWS
from streamflow.pipeline.project import snapshot_pattern

sources = {
    view: FileSource(
        name=table.name,
        path=snapshot_pattern(table.name),
        file_format=ParquetFormat(),
        timestamp_field=EVENT_TIMESTAMP,
        description=f"Frozen rows of {table.name}, one Parquet file for each month",
    )
    for view, table in FEATURE_VIEWS.items()
}
