"""Stage `dataset`: reads data/snapshots of `as_of` and `label_as_of`, writes data/dataset/.

Feast joins the features point in time as of `as_of`; the label comes from its own snapshot. dataset.parquet has one row
for each user, sorted, with the part of the split; dataset.json counts rows and churners.
"""

import pyarrow.parquet as pq

from streamflow.core.config import Config
from streamflow.core.schema import LABEL_TABLE, USERS
from streamflow.features.dataset import assemble, entity_rows, summary
from streamflow.features.point_in_time import point_in_time_rows
from streamflow.pipeline.layout import DATASET_COUNTS, DATASET_ROWS, SNAPSHOTS
from streamflow.pipeline.parquet import write_parquet
from streamflow.pipeline.project import write_json
from streamflow.pipeline.reporting import say
from streamflow.pipeline.stage import stage


def run(config: Config) -> None:
    """Build the training set of `config.as_of`."""
    users = entity_rows(pq.read_table(SNAPSHOTS / config.as_of / f"{USERS.name}.parquet"))
    labels = pq.read_table(SNAPSHOTS / config.label_as_of / f"{LABEL_TABLE}.parquet")
    service = config.features.service
    features = point_in_time_rows(service, users, config.as_of)

    dataset = assemble(service, users, features, labels, config.split.salt, config.split.validation, config.split.test)
    counts = summary(dataset, config.as_of, config.label_as_of, service)

    write_parquet(DATASET_ROWS, dataset.schema, dataset.to_batches())
    write_json(DATASET_COUNTS, counts)
    say(f"dataset as of {config.as_of}: {counts['rows']} users, {counts['churners']} churners")


def main() -> None:
    with stage("dataset") as config:
        run(config)


if __name__ == "__main__":
    main()
