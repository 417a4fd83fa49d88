"""Model versions that were trained with users who were erased since: their tags say so, and what serving does."""

import json
from collections.abc import Mapping

from streamflow.core.calendar import month_later
from streamflow.provenance.erasures import Erasures
from streamflow.provenance.record import PREFIX
from streamflow.registry.registry import open_registry
from streamflow.registry.served import ERASED_SERVING, ERASED_USERS


def mark_versions(url: str, known: Erasures, serving: str) -> list[str]:
    """Tag the versions that were trained with erased users; returns one line for each."""
    registry = open_registry(url)
    lines = []
    for version in registry.versions():
        if users := erased_users(version.tags, known):
            registry.set_tags(str(version.version), {ERASED_USERS: str(users), ERASED_SERVING: serving})
            lines.append(f"version {version.version} was trained with {users} of them; serving: {serving}")
    return lines


def erased_users(tags: Mapping[str, str], known: Erasures) -> int:
    """How many users were erased since from the months that a version was trained on, by its tags."""
    try:
        snapshots = json.loads(tags[f"{PREFIX}snapshots"])
        as_of = tags[f"{PREFIX}as_of"]
        months = {as_of, month_later(as_of, int(tags[f"{PREFIX}label_horizon_months"]))}
    except (KeyError, ValueError):
        return 0
    found = [known.snapshots.get(snapshots.get(month, "")) for month in months]
    return max((each.users for each in found if each), default=0)
