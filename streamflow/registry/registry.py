"""MLflow: runs, model versions and the alias Production, over the same Postgres or the server MLFLOW_TRACKING_URI names.

MLflow is imported inside the functions: it takes seconds, and commands that don't need it must start fast.
"""

import json
import logging
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streamflow.core.digest import bytes_sha256
from streamflow.core.errors import ModelError, RegistryError, did_you_mean, first_line
from streamflow.core.schema import MODEL_NAME
from streamflow.pipeline.layout import MODEL_FILES
from streamflow.provenance.record import PREFIX
from streamflow.registry.acceptance import load_model
from streamflow.registry.connection import (
    TRACKING_VARIABLE,
    answering_server,
    artifact_root,
    mlflow_errors,
    prepare_database,
    tracking_uri,
)
from streamflow.registry.decision import DECISION_TAG
from streamflow.registry.loading import LoadedModel, ModelFiles
from streamflow.registry.moves import signed_moves
from streamflow.registry.registration import Registration, log_and_register
from streamflow.trust.chain import Chain
from streamflow.trust.check import only_warns

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

PRODUCTION = "Production"
ENVELOPES = "attestations.jsonl"
"""Artifact of a run: the signed statements about its model, one DSSE envelope a line."""


class Registry:
    """The experiment and the registered model of this project."""

    def __init__(self, client: "MlflowClient", artifact_root: str | None, moves: Callable[[], Chain] = Chain) -> None:
        self._client = client
        self._artifact_root = artifact_root
        self.moves = moves

    def version_with_fingerprint(self, fingerprint: str) -> "ModelVersion | None":
        """The newest version made from these inputs; None if there is none."""
        with mlflow_errors():
            found = self._client.search_model_versions(
                f"name = '{MODEL_NAME}' and tags.`{PREFIX}input_fingerprint` = '{fingerprint}'"
            )
            newest = max((int(version.version) for version in found), default=None)
            # A search does not return the aliases.
            return self._client.get_model_version(MODEL_NAME, str(newest)) if newest else None

    def production(self) -> "ModelVersion | None":
        """The version behind the alias Production; None if there is none."""
        return self.version_behind(PRODUCTION)

    def version(self, name: str) -> "ModelVersion":
        """The version named `3`, `v3` or an alias. Raises RegistryError if there is none.

        Production is where its last signed move leads, whatever the alias says; the alias if there is no signed move.
        """
        from mlflow.exceptions import MlflowException

        head = self.moves().head if name == PRODUCTION else None
        number = head.move.to_version if head else name.removeprefix("v")
        found = None
        with mlflow_errors():
            if number.isdigit():
                with suppress(MlflowException):
                    found = self._client.get_model_version(MODEL_NAME, number)
        found = found or (None if number.isdigit() else self.version_behind(name))
        if found is None:
            near = did_you_mean(name, [PRODUCTION])
            raise RegistryError(f"{MODEL_NAME} has no version or alias {name}{near}; `streamflow models` lists them")
        return found

    def version_behind(self, alias: str) -> "ModelVersion | None":
        """The version that an alias names; None if the alias or the model does not exist."""
        from mlflow.exceptions import MlflowException

        with mlflow_errors():
            try:
                return self._client.get_model_version_by_alias(MODEL_NAME, alias)
            except MlflowException as error:
                if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                    return None
                raise

    def versions(self) -> list["ModelVersion"]:
        """All versions, newest first, with their aliases."""
        with mlflow_errors():
            found = self._client.search_model_versions(f"name = '{MODEL_NAME}'")
            detailed = [self._client.get_model_version(MODEL_NAME, each.version) for each in found]
        return sorted(detailed, key=lambda version: -int(version.version))

    def run_metrics(self, version: "ModelVersion") -> dict[str, float]:
        """Metrics of the run of a version."""
        with mlflow_errors():
            return dict(self._client.get_run(str(version.run_id)).data.metrics)

    def load(self, version: "ModelVersion", warn: bool | None = None) -> LoadedModel:
        """Download a version, verify its files, and accept it only if a trusted key signed for them and their commit.

        `warn`: use it all the same, with the reason (default: STREAMFLOW_TRUST). Raises ModelError or RegistryError.
        """
        return load_model(self.files(version), only_warns(self.moves) if warn is None else warn)

    def files(self, version: "ModelVersion") -> ModelFiles:
        """Download the stored files of a version. Raises RegistryError."""
        from mlflow.exceptions import MlflowException
        from mlflow.store.artifact.models_artifact_repo import ModelsArtifactRepository

        where = f"{MODEL_NAME} version {version.version}"
        with tempfile.TemporaryDirectory() as scratch, mlflow_errors():
            try:
                # mlflow.artifacts does the same after importing half of MLflow.
                repository = ModelsArtifactRepository(f"models:/{MODEL_NAME}/{version.version}")
                folder = Path(repository.download_artifacts("", scratch))  # type: ignore[no-untyped-call]
                contents = {name: (folder / name).read_bytes() for name in MODEL_FILES}
            except (OSError, MlflowException) as error:
                # The folder has another name each time; the reason must not, or it is news at each look.
                reason = first_line(error).replace(scratch, "the download")
                raise RegistryError(f"{where}: its files can't be fetched: {reason}") from error
        envelopes = tuple(self.envelopes(version))
        return ModelFiles(str(version.version), str(version.run_id), dict(version.tags), contents, envelopes)

    def run_file(self, version: "ModelVersion", name: str) -> bytes:
        """A file that the run of a version keeps, its SHA-256 checked against the version's record.

        Raises RegistryError if it is not there, ModelError if its SHA-256 differs.
        """
        record = self.record(version)
        content = self._run_file(version, name)
        if bytes_sha256(content) != record.get("artifacts", {}).get(name):
            raise ModelError(
                f"SHA-256 of {name} of {MODEL_NAME} version {version.version} differs from its provenance.json"
            )
        return content

    def record(self, version: "ModelVersion") -> dict[str, Any]:
        """The provenance.json of a version, its SHA-256 checked against the version's tag. Raises as `run_file`."""
        content, expected = self._run_file(version, "provenance.json"), version.tags.get(f"{PREFIX}provenance_sha256")
        if expected is None:
            raise RegistryError(
                f"{MODEL_NAME} version {version.version} has no tag provenance_sha256: other code registered it"
            )
        if bytes_sha256(content) != expected:
            raise ModelError(
                f"provenance.json of {MODEL_NAME} version {version.version} differs from its tag provenance_sha256"
            )
        return dict(json.loads(content))

    def run_files(self, version: "ModelVersion") -> dict[str, bytes | None]:
        """Every file that a version's record names, as it is stored now; None if it can't be downloaded."""
        from mlflow.store.artifact.models_artifact_repo import ModelsArtifactRepository

        stored: dict[str, bytes | None] = {}
        with tempfile.TemporaryDirectory() as scratch, mlflow_errors():
            for name in self.record(version)["artifacts"]:
                with suppress(RegistryError):
                    stored[name] = None
                    if name.startswith("model/"):
                        repository = ModelsArtifactRepository(f"models:/{MODEL_NAME}/{version.version}")
                        inner = name.removeprefix("model/")
                        path = repository.download_artifacts(inner, scratch)  # type: ignore[no-untyped-call]
                        stored[name] = Path(path).read_bytes()
                    else:
                        stored[name] = self._run_file(version, name)
        return stored

    def log_metrics(self, version: "ModelVersion", metrics: Mapping[str, float]) -> None:
        """Add metrics to the run of a version."""
        from mlflow.entities import Metric

        moment = int(time.time() * 1000)
        with mlflow_errors():
            self._client.log_batch(
                str(version.run_id), metrics=[Metric(name, value, moment, 0) for name, value in metrics.items()]
            )

    def attach(self, version: "ModelVersion", name: str, content: str) -> None:
        """Log a text as an artifact of the run of a version."""
        with mlflow_errors():
            self._client.log_text(str(version.run_id), content, name)

    def attached(self, version: "ModelVersion", name: str) -> str:
        """A text that was attached to the run of a version. Raises RegistryError if it is not there."""
        return self._run_file(version, name).decode(errors="replace")

    def envelopes(self, version: "ModelVersion") -> list[str]:
        """The signed statements that the run of a version keeps, one line each; none if it keeps none, or is deleted."""
        try:
            text = self.attached(version, ENVELOPES)
        except RegistryError:
            return []
        return [line for line in text.splitlines() if line]

    def add_envelopes(self, version: "ModelVersion", envelopes: Iterable[str]) -> None:
        """Add signed statements to those that the run of a version keeps."""
        known = self.envelopes(version)
        if wanted := [line for line in envelopes if line not in known]:
            self.attach(version, ENVELOPES, "\n".join([*known, *wanted]) + "\n")

    def _run_file(self, version: "ModelVersion", name: str) -> bytes:
        from mlflow.exceptions import MlflowException

        with tempfile.TemporaryDirectory() as scratch, mlflow_errors():
            try:
                return Path(self._client.download_artifacts(str(version.run_id), name, scratch)).read_bytes()
            except (OSError, MlflowException) as error:
                raise RegistryError(
                    f"{name} of {MODEL_NAME} version {version.version} can't be fetched: {first_line(error)}"
                ) from error

    def register(self, new: Registration) -> "ModelVersion":
        """Log a run and register its model; returns the new version.

        If anything fails, the run is marked FAILED and there is no version.
        """
        with mlflow_errors():
            return log_and_register(self._client, self._artifact_root, new)

    def record_decision(self, version: str, decision: str) -> None:
        """Keep the decision on a version in a tag, so that a later run does not decide again."""
        with mlflow_errors():
            self._client.set_model_version_tag(MODEL_NAME, version, DECISION_TAG, decision)

    def describe(self, version: str, last_line: str) -> None:
        """Write the last line of a version's description; its first line stays."""
        with mlflow_errors():
            before = self._client.get_model_version(MODEL_NAME, version).description
            self._client.update_model_version(MODEL_NAME, version, with_last_line(before or "", last_line))

    def anchor(self, version: str, commit: str, tag: str) -> None:
        """Set the tags that name a commit with all files of the run; the commit it was trained at stays in another tag."""
        before = self._client.get_model_version(MODEL_NAME, version).tags
        trained = before.get(f"{PREFIX}trained_at_commit") or before.get(f"{PREFIX}git_commit", "")
        tags = {"trained_at_commit": trained, "git_commit": commit, "git_tag": tag}
        self.set_tags(version, {**tags, "git_dirty": "false", "changes_sha256": ""})

    def set_tags(self, version: str, tags: Mapping[str, str]) -> None:
        """Set the tags streamflow.NAME of a version."""
        with mlflow_errors():
            for name, value in tags.items():
                self._client.set_model_version_tag(MODEL_NAME, version, f"{PREFIX}{name}", value)

    def promote(self, version: str) -> None:
        """Set the alias Production, and MLflow's deprecated stage of that name, to a version."""
        with mlflow_errors():
            self._client.set_registered_model_alias(MODEL_NAME, PRODUCTION, version)
            self._client.transition_model_version_stage(MODEL_NAME, version, PRODUCTION, archive_existing_versions=True)


def unrecorded_move(production: str | None, last_move: str | None) -> str:
    """What to say if Production is not the version of the ledger's last move; empty if it is, or if there was no move."""
    if last_move in (None, production):
        return ""
    return (
        f"version {production or 'none'} is Production by other means than streamflow; the last move in the ledger is to"
        f" version {last_move}"
    )


def headline(description: str) -> str:
    """The first line of a version's description: the model, without the line of the ledger."""
    return description.split("\n", 1)[0]


def with_last_line(description: str, last_line: str) -> str:
    """A description that keeps its first line and ends with `last_line`."""
    return f"{headline(description)}\n\n{last_line}"


def open_registry(url: str) -> Registry:
    """The registry over the Postgres server at `url`, its tables made if they are missing. Raises RegistryError."""
    external = answering_server()
    with mlflow_errors():
        import mlflow

        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.ERROR)
        if not external:
            prepare_database(url)
        mlflow.set_tracking_uri(tracking_uri(url))
        if not external:
            os.environ.pop(TRACKING_VARIABLE, None)  # set_tracking_uri exports it, which would look like a server
        return Registry(mlflow.MlflowClient(), None if external else artifact_root(), lambda: signed_moves(url))
