"""Verification of a version: its bytes have the registered SHA-256, and its golden rows get the recorded scores."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from streamflow.core.digest import bytes_sha256
from streamflow.core.errors import ModelError
from streamflow.core.schema import MODEL_NAME
from streamflow.model.card import check_golden, schema_features
from streamflow.model.scoring import ChurnModel
from streamflow.provenance.record import PREFIX


@dataclass(frozen=True)
class LoadedModel:
    """A registered version whose bytes and golden rows were verified. `tags` are those of the version."""

    version: str
    run_id: str
    model: ChurnModel
    tags: Mapping[str, str]
    threshold: float

    @property
    def model_sha256(self) -> str:
        """Digest of the ONNX bytes, equal to the registered one."""
        return self.tags[f"{PREFIX}model_sha256"]


@dataclass(frozen=True)
class ModelFiles:
    """The stored files of a version, not yet verified."""

    version: str
    run_id: str
    tags: Mapping[str, str]
    onnx_bytes: bytes
    schema: Mapping[str, Any]
    golden: Mapping[str, Any]


def prove(files: ModelFiles) -> LoadedModel:
    """Verify a version's digest, feature schema and golden rows, and return its model.

    Raises ModelError that names the one that differs from the registration.
    """
    where = f"{MODEL_NAME} version {files.version}"
    digest, expected = bytes_sha256(files.onnx_bytes), files.tags.get(f"{PREFIX}model_sha256")
    if digest != expected:
        raise ModelError(f"{where}: model.onnx has SHA-256 {digest[:12]}, registered was {str(expected)[:12]}")
    try:
        model = ChurnModel(files.onnx_bytes, schema_features(files.schema))
        check_golden(model, files.golden)
        service, threshold = files.schema["feature_service"], float(files.schema["threshold"])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{where}: feature_schema.json or golden.json is malformed: {error!r}") from error
    named = files.tags.get(f"{PREFIX}feature_service")
    if named != service:
        raise ModelError(f"{where}: its tag names feature service {named}, its feature_schema.json {service}")
    return LoadedModel(files.version, files.run_id, model, files.tags, threshold)
