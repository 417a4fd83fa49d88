"""One result of the pipeline, as its tracked files describe it: what went in, what came out, with which digests."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from streamflow.core.digest import bytes_sha256
from streamflow.core.errors import ConfigError, ModelError
from streamflow.core.yaml_text import parse_yaml
from streamflow.pipeline.layout import DATASET, LOCK, METRICS, ONNX, PARAMS, RECEIPTS, REQUIREMENTS, SNAPSHOTS
from streamflow.pipeline.lock import LockedStage, derivation_sha256, outputs, read_lock
from streamflow.provenance.record import input_fingerprint


@dataclass(frozen=True)
class Result:
    """A result, read from the tracked files of one commit; `receipts` is path to SHA-256 of the files that stages wrote."""

    params: Mapping[str, Any]
    stages: Mapping[str, LockedStage]
    lock_text: str
    requirements: str
    metrics: Mapping[str, float]
    receipts: Mapping[str, str]

    @property
    def outs(self) -> dict[str, tuple[str, str]]:
        """Output path to its stage and MD5."""
        return outputs(self.stages.values())

    @property
    def snapshots(self) -> dict[str, str]:
        """Month to MD5 of its frozen snapshot."""
        outs = self.outs
        return {month: outs[path][1] for month in self.params["months"] if (path := f"{SNAPSHOTS}/{month}") in outs}

    @property
    def dataset_md5(self) -> str:
        """MD5 of the training set."""
        return self.outs[str(DATASET)][1]

    @property
    def model_sha256(self) -> str:
        """SHA-256 of the ONNX bytes; empty if it is in no receipt."""
        return self.receipts.get(str(ONNX), "")

    @property
    def dvc_lock_sha256(self) -> str:
        """Digest of the derivation."""
        return derivation_sha256(self.lock_text, self.params["months"])

    @property
    def requirements_lock_sha256(self) -> str:
        """Digest of requirements.lock."""
        return bytes_sha256(self.requirements.encode())

    @property
    def input_fingerprint(self) -> str:
        """Digest of everything that determines the model."""
        return input_fingerprint(self.stages, self.requirements_lock_sha256)


def read_result(read: Callable[[str], bytes | None], where: str) -> Result:
    """The result whose tracked files `read` returns (None: not there). Raises ConfigError or ModelError naming `where`."""
    params = _mapping(_text(read, str(PARAMS), where), str(PARAMS), where)
    lock_text = _text(read, str(LOCK), where)
    stages = read_lock(lock_text, params.get("months", ()))
    if not {"dataset", "train"} <= set(stages):
        raise ModelError(f"{where}: dvc.lock has no trained model; run `streamflow repro` there and commit dvc.lock")
    receipts: dict[str, str] = {}
    for stage in stages:
        content = read(f"{RECEIPTS}/{stage}.json")
        if content is not None:
            files = _mapping(content.decode(errors="replace"), f"{RECEIPTS}/{stage}.json", where).get("files", {})
            receipts |= {str(name): str(digest) for name, digest in files.items()}
    metrics = json.loads(read(str(METRICS)) or b"{}")
    return Result(params, stages, lock_text, _text(read, str(REQUIREMENTS), where), metrics, receipts)


def _text(read: Callable[[str], bytes | None], name: str, where: str) -> str:
    content = read(name)
    if content is None:
        raise ConfigError(f"{where} has no {name}; name a commit at which `streamflow repro` ran")
    return content.decode(errors="replace")


def _mapping(text: str, name: str, where: str) -> dict[str, Any]:
    try:
        content = parse_yaml(text)
    except yaml.YAMLError:
        content = None
    if not isinstance(content, dict):
        raise ConfigError(f"{where}: {name} is damaged; `git checkout {name}`, or name another commit")
    return content
