"""The users who are online: from which source and month they are, and how a frozen month comes online."""

from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from streamflow.core.digest import mapping_sha256
from streamflow.core.schema import ENTITY_KEY, FEATURE_VIEWS, USERS
from streamflow.online.publication import is_published, online_feature_store, publish
from streamflow.online.tables import SCHEMA
from streamflow.pipeline.complete import complete_month
from streamflow.pipeline.file_digest import file_sha256, tree_sha256
from streamflow.pipeline.layout import FEATURE_REPO, SCHEMA_MODULE
from streamflow.pipeline.project import reading_from
from streamflow.postgres.connection import transaction


@dataclass(frozen=True)
class OnlineMonth:
    """What the ledger of the online store says of its users; empty texts if it was written before it kept that."""

    source: str
    as_of: str


def online_month(url: str) -> OnlineMonth | None:
    """Source and month of the users who are online; None if nobody is."""
    with transaction(url) as cursor:
        cursor.execute(
            "SELECT column_name FROM information_schema.columns WHERE table_schema = %s AND table_name = 'published'",
            (SCHEMA,),
        )
        columns = {name for (name,) in cursor.fetchall()}
        if not columns:
            return None
        known = "users_source, as_of" if {"users_source", "as_of"} <= columns else "'', ''"
        cursor.execute(f"SELECT {known} FROM {SCHEMA}.published ORDER BY published_at DESC LIMIT 1")
        found = cursor.fetchone()
    return OnlineMonth(*found) if found else None


def bring_online(url: str, folder: Path, as_of: str, source: str) -> int:
    """Publish the frozen month in `folder` as users of `source`, all or nothing; returns their number, 0 if they are online.

    Raises FeatureStoreError.
    """
    definitions = tree_sha256(FEATURE_REPO) + file_sha256(SCHEMA_MODULE)
    sources = {
        view: mapping_sha256({"rows": _digest(folder / f"{table.name}.parquet"), "definitions": definitions})
        for view, table in FEATURE_VIEWS.items()
    }
    if online_month(url) == OnlineMonth(source, as_of) and is_published(url, sources):
        return 0
    users = pq.read_table(folder / f"{USERS.name}.parquet", columns=[ENTITY_KEY])[ENTITY_KEY].to_pylist()
    with complete_month(folder) as whole, reading_from(whole.parent):
        publish(online_feature_store(url), sources, as_of, users, source)
    return len(users)


def _digest(path: Path) -> str:
    return file_sha256(path) if path.is_file() else ""  # a table that the schema got after the month was recorded
