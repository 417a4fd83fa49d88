"""Versions for serving: downloaded from the registry, verified, and kept on this machine for a start without a registry."""

import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streamflow.core.errors import ModelError
from streamflow.core.schema import MODEL_NAME
from streamflow.pipeline.project import state_dir
from streamflow.provenance.record import PREFIX
from streamflow.registry.loading import LoadedModel, ModelFiles, prove
from streamflow.registry.registry import PRODUCTION, Registry

# Every answer of serving names them.
ANSWERED_TAGS = (f"{PREFIX}git_commit", f"{PREFIX}as_of")


@dataclass(frozen=True)
class WantedVersion:
    """The version to serve, and its tags as they are now.

    `ignored` is another version that the alias names, and why it is not followed.
    """

    version: str
    tags: Mapping[str, str]
    ignored: tuple[str, str] | None = None


class RegistrySource:
    """The version behind an alias, or one exact version, of the features of `service`.

    `last_move` is the version of the last move of Production in the ledger, None if there is none: the alias is followed
    only to it, because anybody can set an alias in MLflow's pages.
    """

    def __init__(
        self,
        open_registry: Callable[[], Registry],
        name: str,
        service: str,
        last_move: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._open, self._name, self._service, self._last_move = open_registry, name, service, last_move
        self._registry: Registry | None = None
        self._kept = state_dir() / "serve" / "verified" / f"{name}-{service}"

    def wanted(self) -> WantedVersion:
        """The version to serve now. Raises RegistryError if the registry does not answer or there is none."""
        found = self._connect().version(self._name)
        named = str(found.version)
        moved = self._last_move() if self._name == PRODUCTION else None
        if moved in (None, named):
            return WantedVersion(named, dict(found.tags))
        reason = (
            f"version {named} is Production by other means than streamflow, so version {moved}, of the last move in the"
            f" ledger, is served; `streamflow promote v{named}` checks and records it, or `streamflow rollback`"
        )
        return WantedVersion(moved, dict(self._connect().version(moved).tags), (named, reason))

    def load(self, version: str) -> LoadedModel:
        """Download and verify a version, and keep a copy on this machine.

        Raises ModelError or RegistryError.
        """
        registry = self._connect()
        found = registry.version(version)
        service = found.tags.get(f"{PREFIX}feature_service")
        if service != self._service:
            raise ModelError(
                f"version {version} takes the features of {service}, this graph looks up {self._service};"
                " restart `streamflow serve`"
            )
        for name in ANSWERED_TAGS:
            if name not in found.tags:
                raise ModelError(
                    f"version {version} has no tag {name.removeprefix(PREFIX)}, which every answer names; `streamflow repro`"
                    " registers it again"
                )
        files = registry.files(found)
        verified = prove(files)
        _keep(files, self._kept)
        return verified

    def last_verified(self) -> LoadedModel:
        """The last version that was verified on this machine, verified again. Raises ModelError if there is none."""
        if not (self._kept / "version.json").is_file():
            raise ModelError(f"no version of {MODEL_NAME} was verified on this machine yet")
        try:
            facts = json.loads((self._kept / "version.json").read_text(encoding="utf-8"))
            files = ModelFiles(
                version=facts["version"],
                run_id=facts["run_id"],
                tags=facts["tags"],
                onnx_bytes=(self._kept / "model.onnx").read_bytes(),
                schema=facts["schema"],
                golden=facts["golden"],
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(f"the copy kept at {self._kept} is damaged: {error!r}") from error
        try:
            return prove(files)
        except ModelError as error:
            raise ModelError(f"the copy kept at {self._kept} can't answer: {error}") from error

    def _connect(self) -> Registry:
        if self._registry is None:
            self._registry = self._open()
        return self._registry


def _keep(files: ModelFiles, folder: Path) -> None:
    """Keep the files of a verified version for the next start, in one rename; several replicas may do it at once."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=folder.parent, prefix="partial-"))
    facts: dict[str, Any] = {name: getattr(files, name) for name in ("version", "run_id", "tags", "schema", "golden")}
    (scratch / "model.onnx").write_bytes(files.onnx_bytes)
    (scratch / "version.json").write_text(json.dumps(facts, indent=2), encoding="utf-8")
    before = Path(tempfile.mkdtemp(dir=folder.parent, prefix="partial-"))
    with suppress(OSError):  # another replica was faster with the same version
        with suppress(FileNotFoundError):
            folder.replace(before / "old")
        scratch.replace(folder)
    for left in (before, scratch):
        shutil.rmtree(left, ignore_errors=True)
