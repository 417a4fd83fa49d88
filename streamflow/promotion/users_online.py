"""The users of Production come online with it: from the frozen month that its version was trained on."""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path

from streamflow.core.errors import HistoryError, StreamFlowError
from streamflow.online.months import bring_online
from streamflow.pipeline.dvc_hash import content_of
from streamflow.pipeline.layout import SNAPSHOTS
from streamflow.provenance.cache import fetch, local_cache
from streamflow.provenance.record import PREFIX
from streamflow.registry.loading import LoadedModel
from streamflow.trust.erasure_records import signed_erasures


def publish_users(url: str, model: LoadedModel, say: Callable[[str], None]) -> None:
    """Bring the users online whom a version was trained on; say it, or what is missing if that fails.

    The move of Production stays valid: serving answers 503 rather than for users of another source.
    """
    try:
        users = _publish(url, model)
    except StreamFlowError as error:
        say(f"the users of version {model.version} are not online: {error}")
        return
    if users:
        say(f"{users} users of {model.source or 'version ' + model.version} as of {model.as_of} are online")


def _publish(url: str, model: LoadedModel) -> int:
    snapshots = json.loads(model.tags.get(f"{PREFIX}snapshots", "{}"))
    md5, known = snapshots.get(model.as_of, ""), signed_erasures().snapshots
    md5 = known[md5].now if md5 in known else md5
    here = SNAPSHOTS / model.as_of
    content = content_of(here)
    if content is not None and content.md5 == md5:
        return bring_online(url, here, model.as_of, model.source)
    cache = local_cache()
    if not md5:
        raise HistoryError(f"version {model.version} does not say which snapshot it was trained on; `streamflow repro`")
    with tempfile.TemporaryDirectory() as scratch:
        if any(fault.missing for fault in cache.faults(str(here), md5, {})):
            fetch([md5], cache)
        place = Path(scratch) / model.as_of
        cache.restore(place, md5, {}, str(here))
        return bring_online(url, place, model.as_of, model.source)
