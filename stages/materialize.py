"""Stage `materialize`: reads data/snapshots of `as_of`, writes the Feast registry and online store; no DVC output.

Idempotent: an online store with exactly the rows of the same frozen files is not changed. Otherwise all of the month is
published in one transaction, or nothing.
"""

import pyarrow.parquet as pq

from streamflow.core.config import Config
from streamflow.core.digest import mapping_sha256
from streamflow.core.schema import ENTITY_KEY, FEATURE_VIEWS, USERS
from streamflow.online.publication import is_published, online_feature_store, publish
from streamflow.pipeline.file_digest import file_sha256, tree_sha256
from streamflow.pipeline.layout import FEATURE_REPO, SCHEMA_MODULE, SNAPSHOTS
from streamflow.pipeline.reporting import say
from streamflow.pipeline.stage import stage
from streamflow.postgres.server import database


def run(config: Config, url: str) -> None:
    """Bring the online store to the state of `config.as_of`."""
    month = SNAPSHOTS / config.as_of
    definitions = tree_sha256(FEATURE_REPO) + file_sha256(SCHEMA_MODULE)
    sources = {
        view: mapping_sha256({"rows": file_sha256(month / f"{table.name}.parquet"), "definitions": definitions})
        for view, table in FEATURE_VIEWS.items()
    }

    if is_published(url, sources):
        say(f"materialize: the users as of {config.as_of} are online already")
        return
    users = pq.read_table(month / f"{USERS.name}.parquet", columns=[ENTITY_KEY])[ENTITY_KEY].to_pylist()
    publish(online_feature_store(url), sources, config.as_of, users)
    say(f"materialize: {len(users)} users as of {config.as_of} are online in {len(sources)} feature views")


def main() -> None:
    with stage("materialize") as config, database() as url:
        run(config, url)


if __name__ == "__main__":
    main()
