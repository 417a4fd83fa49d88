"""Stage `materialize`: reads data/snapshots of `as_of`, writes the Feast registry and online store; no DVC output.

Converges: an online store that holds just what was published from the same frozen files is left alone. Otherwise the
month is published whole or not at all.
"""

from pathlib import Path

import pyarrow.parquet as pq

from streamflow.adapters.audit import audited
from streamflow.adapters.files import read_params
from streamflow.adapters.online_store import online_feature_store, publish, published
from streamflow.adapters.postgres import database
from streamflow.cli.reporting import one_line_errors, say
from streamflow.config import Config
from streamflow.digest import file_sha256, mapping_sha256, tree_sha256
from streamflow.schema import ENTITY_KEY, FEATURE_VIEWS, USERS

SNAPSHOTS = Path("data/snapshots")
DEFINITIONS = Path("feature_repo")
SCHEMA = Path("streamflow/schema.py")  # from which feature_repo/ takes columns and services


def run(config: Config, url: str) -> None:
    """Bring the online store to the state of `config.as_of`."""
    month = SNAPSHOTS / config.as_of
    definitions = tree_sha256(DEFINITIONS) + file_sha256(SCHEMA)
    sources = {
        view: mapping_sha256({"rows": file_sha256(month / f"{table.name}.parquet"), "definitions": definitions})
        for view, table in FEATURE_VIEWS.items()
    }

    if published(url, sources):
        say(f"materialize: the users as of {config.as_of} are online already")
        return
    users = pq.read_table(month / f"{USERS.name}.parquet", columns=[ENTITY_KEY])[ENTITY_KEY].to_pylist()
    publish(online_feature_store(url), sources, config.as_of, users)
    say(f"materialize: {len(users)} users as of {config.as_of} are online in {len(sources)} feature views")


def main() -> None:
    with one_line_errors("materialize"), audited("materialize"), database() as url:
        run(read_params("materialize"), url)


if __name__ == "__main__":
    main()
