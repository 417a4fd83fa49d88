"""Verification of a version: its bytes have the registered SHA-256, and its golden rows get the recorded scores."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from streamflow.core.digest import bytes_sha256
from streamflow.core.errors import ModelError
from streamflow.core.schema import MODEL_NAME
from streamflow.model.card import check_golden, schema_features
from streamflow.model.scoring import ChurnModel
from streamflow.provenance.record import PREFIX
from streamflow.trust.claims import ModelClaim


@dataclass(frozen=True)
class LoadedModel:
    """A registered version whose bytes and golden rows were verified. `tags` are those of the version.

    `claim` is the signed provenance on which it was accepted; None if it was not, then `unsigned` says why.
    """

    version: str
    run_id: str
    model: ChurnModel
    tags: Mapping[str, str]
    threshold: float
    model_sha256: str
    feature_service: str
    claim: ModelClaim | None = None
    unsigned: str = ""

    @property
    def git_commit(self) -> str:
        """The commit of the signed provenance; of the tag if there is none."""
        return self.claim.commit if self.claim else self.tags[f"{PREFIX}git_commit"]

    @property
    def source(self) -> str:
        """Whose users it is a model of, by the signed provenance; by the tag if there is none, which may be empty."""
        return self.claim.source if self.claim else self.tags.get(f"{PREFIX}source", "")

    @property
    def as_of(self) -> str:
        """The date of the signed provenance; of the tag if there is none."""
        return self.claim.as_of if self.claim else self.tags[f"{PREFIX}as_of"]


@dataclass(frozen=True)
class ModelFiles:
    """The stored files of a version, not yet verified, and the envelopes that its run keeps."""

    version: str
    run_id: str
    tags: Mapping[str, str]
    contents: Mapping[str, bytes]
    envelopes: tuple[str, ...] = field(default=())

    @property
    def digests(self) -> dict[str, str]:
        """Name of each file to its SHA-256."""
        return {name: bytes_sha256(content) for name, content in self.contents.items()}


def prove(files: ModelFiles) -> LoadedModel:
    """Verify a version's digest, feature schema and golden rows, and return its model.

    Raises ModelError that names the one that differs from the registration.
    """
    where, digest = f"{MODEL_NAME} version {files.version}", check_digest(files)
    try:
        schema, golden = (_json(files, name) for name in ("feature_schema.json", "golden.json"))
        model = ChurnModel(files.contents["model.onnx"], schema_features(schema))
        check_golden(model, golden)
        service, threshold = str(schema["feature_service"]), float(schema["threshold"])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{where}: feature_schema.json or golden.json is malformed: {error!r}") from error
    named = files.tags.get(f"{PREFIX}feature_service")
    if named != service:
        raise ModelError(f"{where}: its tag names feature service {named}, its feature_schema.json {service}")
    return LoadedModel(files.version, files.run_id, model, files.tags, threshold, digest, service)


def check_digest(files: ModelFiles) -> str:
    """The SHA-256 of the model's bytes. Raises ModelError if it is not the registered one."""
    digest, expected = bytes_sha256(files.contents["model.onnx"]), files.tags.get(f"{PREFIX}model_sha256")
    if digest != expected:
        where = f"{MODEL_NAME} version {files.version}"
        raise ModelError(f"{where}: model.onnx has SHA-256 {digest[:12]}, registered was {str(expected)[:12]}")
    return digest


def _json(files: ModelFiles, name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(files.contents[name])
    return content
