"""Where a model version came from, as one typed record; assembled from facts that adapters gather."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from streamflow.digest import mapping_sha256

PREFIX = "streamflow."
_FINGERPRINTED_STAGES = ("dataset", "train")


@dataclass(frozen=True)
class Provenance:
    """The facts behind a model version; each becomes the tag streamflow.NAME. Digests are hex, dates ISO text."""

    git_commit: str
    git_tag: str
    git_dirty: bool
    dvc_lock_sha256: str
    requirements_lock_sha256: str
    environment_matches_lock: bool
    params_sha256: str
    dataset_md5: str
    snapshots: dict[str, str]
    model_sha256: str
    input_fingerprint: str
    as_of: str
    known_at: str | None
    label_horizon_months: int
    feature_service: str
    seed: int
    python: str
    platform: str
    cpu: str
    threads: int

    def tags(self) -> dict[str, str]:
        """Tag name to text: booleans and mappings as JSON, None as an empty text."""
        return {f"{PREFIX}{name}": _text(value) for name, value in asdict(self).items()}


def input_fingerprint(lock: Mapping[str, Any], requirements_lock_sha256: str) -> str:
    """Digest of all that determines a model: data, code, configuration (with its seeds) and packages.

    `lock` maps stage names to their entries in dvc.lock; the deps and params of `dataset` and `train` are taken.
    """
    inputs = {
        stage: {
            "deps": {dep["path"]: dep["md5"] for dep in lock[stage].get("deps", [])},
            "params": lock[stage].get("params", {}),
        }
        for stage in _FINGERPRINTED_STAGES
    }
    return mapping_sha256({"stages": inputs, "requirements_lock": requirements_lock_sha256})


def locked_output(lock: Mapping[str, Any], stage: str, path: str) -> str:
    """MD5 that dvc.lock names for an output; KeyError if it names none."""
    for out in lock[stage]["outs"]:
        if out["path"] == path:
            return str(out["md5"])
    raise KeyError(path)


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)
