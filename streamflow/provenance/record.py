"""Where a model version came from, as one typed record."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from streamflow.core.digest import mapping_sha256
from streamflow.pipeline.lock import LockedStage

PREFIX = "streamflow."
_FINGERPRINTED_STAGES = ("dataset", "train")
# Too long for a tag; provenance.json has them.
_ONLY_IN_THE_RECORD = ("outs", "artifacts")


IDENTICAL, EQUIVALENT, DIVERGED, ERASED = "identical", "equivalent", "diverged", "erased"
"""The verdicts of a rerun; the last one is kept with the version as its tag rerun_verdict.

`erased`: derivable but for users who were erased since; the rest of its rows is proven, the model is not derived.
"""


@dataclass(frozen=True)
class Provenance:
    """The provenance of a model version; each field becomes the tag streamflow.NAME. Digests are hex, dates ISO text.

    `changes_sha256` is the digest of changes.patch, which turns `git_commit` into the files of the run: empty if equal.
    `git_dirty`: it has more than the run's own results. `dvc_lock_sha256` is that of the derivation (see
    streamflow/pipeline/lock.py). `source` is whose users it is a model of. `outs` are path to MD5 of every DVC output,
    `artifacts` path to SHA-256 of the run's files.
    """

    git_commit: str
    git_tag: str
    git_dirty: bool
    changes_sha256: str
    dvc_lock_sha256: str
    requirements_lock_sha256: str
    environment_matches_lock: bool
    environment_differences: str
    params_sha256: str
    dataset_md5: str
    snapshots: dict[str, str]
    model_sha256: str
    input_fingerprint: str
    source: str
    as_of: str
    known_at: str | None
    label_horizon_months: int
    feature_service: str
    seed: int
    python: str
    platform: str
    glibc: str
    cpu: str
    cpu_features: str
    blas_kernel: str
    threads: int
    outs: dict[str, str]
    artifacts: dict[str, str]

    def tags(self) -> dict[str, str]:
        """Tag name to text: booleans and mappings as JSON, None as an empty text."""
        kept = {name: value for name, value in asdict(self).items() if name not in _ONLY_IN_THE_RECORD}
        return {f"{PREFIX}{name}": _text(value) for name, value in kept.items()}


def input_fingerprint(lock: Mapping[str, LockedStage], requirements_lock_sha256: str) -> str:
    """Digest of everything that determines a model: data, code, configuration (with its seeds) and packages.

    `lock` maps stage names to their entries in dvc.lock; the deps and params of `dataset` and `train` are taken.
    """
    inputs = {
        stage: {"deps": dict(lock[stage].deps), "params": dict(lock[stage].params)} for stage in _FINGERPRINTED_STAGES
    }
    return mapping_sha256({"stages": inputs, "requirements_lock": requirements_lock_sha256})


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)
