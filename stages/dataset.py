"""Stage `dataset`: reads data/snapshots of `as_of` and `label_as_of`, writes data/dataset/.

Feast joins the features point in time as of `as_of`; the label comes from its own snapshot. dataset.parquet has one row
for each user, sorted, with the part of the split; dataset.json counts rows and churners.
"""

from pathlib import Path

import pyarrow.parquet as pq

from streamflow.adapters.audit import audited
from streamflow.adapters.feature_store import point_in_time_rows
from streamflow.adapters.files import read_params, write_json
from streamflow.adapters.parquet import write_parquet
from streamflow.cli.reporting import one_line_errors, say
from streamflow.config import Config
from streamflow.dataset import assemble, entity_rows, summary
from streamflow.schema import LABEL_TABLE, USERS

SNAPSHOTS = Path("data/snapshots")
DATASET = Path("data/dataset")


def run(config: Config) -> None:
    """Build the training set of `config.as_of`."""
    users = entity_rows(pq.read_table(SNAPSHOTS / config.as_of / f"{USERS.name}.parquet"))
    labels = pq.read_table(SNAPSHOTS / config.label_as_of / f"{LABEL_TABLE}.parquet")
    service = config.features.service
    features = point_in_time_rows(service, users, config.as_of)

    dataset = assemble(service, users, features, labels, config.split.salt, config.split.validation, config.split.test)
    counts = summary(dataset, config.as_of, config.label_as_of, service)

    write_parquet(DATASET / "dataset.parquet", dataset.schema, dataset.to_batches())
    write_json(DATASET / "dataset.json", counts)
    say(f"dataset as of {config.as_of}: {counts['rows']} users, {counts['churners']} churners")


def main() -> None:
    with one_line_errors("dataset"), audited("dataset"):
        run(read_params("dataset"))


if __name__ == "__main__":
    main()
