"""Versions for serving: downloaded from the registry, verified, and kept on this machine for a start without a registry."""

import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streamflow.core.errors import ModelError, RegistryError
from streamflow.core.schema import MODEL_NAME
from streamflow.pipeline.project import state_dir
from streamflow.provenance.record import PREFIX
from streamflow.registry.acceptance import claim_of, load_model
from streamflow.registry.loading import LoadedModel, ModelFiles
from streamflow.registry.moves import moves_known_to_git
from streamflow.registry.registry import PRODUCTION, Registry, unrecorded_move
from streamflow.trust.chain import Chain
from streamflow.trust.check import only_warns

ERASED_USERS, ERASED_SERVING = "erased_users", "erased_serving"
"""Tags of a version that was trained with users who were erased since: how many, and `continue` or `stop`."""
# Every answer of serving names them.
ANSWERED_TAGS = (f"{PREFIX}git_commit", f"{PREFIX}as_of")


@dataclass(frozen=True)
class WantedVersion:
    """The version to serve, and its tags as they are now.

    `ignored` is another version that the alias names, or None, and why it is not followed. `earlier` are versions that
    were moved to by signed moves before, newest first.
    """

    version: str
    tags: Mapping[str, str]
    ignored: tuple[str | None, str] | None = None
    earlier: tuple[str, ...] = ()


class WithheldError(ModelError):
    """A sound model that must not answer: it was trained with users who were erased since, or is one of other users."""


def stopped_for_erased(tags: Mapping[str, str]) -> str:
    """Why a version with these tags must not answer, by what `erasure.serving` said when users were erased; else empty."""
    if tags.get(f"{PREFIX}{ERASED_SERVING}") != "stop":
        return ""
    users = tags.get(f"{PREFIX}{ERASED_USERS}", "some")
    return (
        f"it was trained with {users} users who were erased since, and erasure.serving is stop; `streamflow repro` trains"
        " without them"
    )


class RegistrySource:
    """The version behind an alias, or one exact version, of the features of `service`, for users of the source `users()`.

    Production is where its last signed move leads: anybody can set an alias in MLflow's pages.
    """

    def __init__(
        self,
        open_registry: Callable[[], Registry],
        name: str,
        service: str,
        users: Callable[[], str] = lambda: "",
    ) -> None:
        self._open, self._name, self._service, self._users = open_registry, name, service, users
        self._registry: Registry | None = None
        self._kept = _verified_folder() / f"{name}-{service}"
        self._chain = Chain()

    def wanted(self) -> WantedVersion:
        """The version to serve now. Raises RegistryError if the registry does not answer or there is none."""
        registry = self._connect()
        self._chain = registry.moves() if self._name == PRODUCTION else Chain()
        if self._chain.head is None:
            return self._behind_the_name(registry)
        moved = list(dict.fromkeys(each.move.to_version for each in reversed(self._chain.moves)))
        alias = registry.version_behind(PRODUCTION)
        named = str(alias.version) if alias else None
        ignored: tuple[str | None, str] | None = None
        if unrecorded := unrecorded_move(named, moved[0]):
            fix = "`streamflow promote --adopt` checks and signs it, or `streamflow rollback`"
            ignored = (named, f"{unrecorded}, which is served; {fix}")
        elif self._chain.problems:
            ignored = (None, f"{self._chain.problems[0]}; `streamflow history` shows what is signed")
        return WantedVersion(moved[0], dict(registry.version(moved[0]).tags), ignored, tuple(moved[1:]))

    def load(self, version: str) -> LoadedModel:
        """Download and verify a version, and keep a copy on this machine.

        Raises ModelError or RegistryError.
        """
        registry = self._connect()
        found = registry.version(version)
        if reason := stopped_for_erased(found.tags):
            raise WithheldError(f"version {version} can't answer: {reason}")
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
        verified = self._accepted(files, only_warns(registry.moves))
        if reason := self.elsewhere(verified):
            raise WithheldError(reason)
        _keep(files, self._kept)
        return verified

    def elsewhere(self, model: LoadedModel) -> str:
        """Why a model can't answer for the users who are online now; empty if it can, or if a source is unknown."""
        online = self._users()
        if not online or not model.source or model.source == online:
            return ""
        return (
            f"version {model.version} is a model of {model.source}, online are users of {online};"
            f" `streamflow promote v{model.version}` puts its users online, `streamflow serve --force` answers all the same"
        )

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
                contents={name: (self._kept / name).read_bytes() for name in facts["files"]},
                envelopes=tuple(facts["envelopes"]),
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(f"the copy kept at {self._kept} is damaged: {error!r}") from error
        if self._name == PRODUCTION and self._chain.head is None:
            self._chain = moves_known_to_git()  # the database was not asked
        try:
            return self._accepted(files, only_warns(moves_known_to_git))
        except (ModelError, KeyError) as error:
            raise ModelError(f"the copy kept at {self._kept} can't answer: {error}") from error

    def objection(self, model: LoadedModel) -> str:
        """Why a model that is served would not be loaded now: its key was revoked, or it was refuted; else empty."""
        if model.claim is None:
            return ""
        registry = self._connect()
        try:
            envelopes = registry.envelopes(registry.version(model.version))
            claim_of(model.version, model.claim.files, model.tags, envelopes)
        except ModelError as error:
            return str(error)
        return ""

    def _behind_the_name(self, registry: Registry) -> WantedVersion:
        """The version that the registry names: an exact one, or an alias that no signed move stands behind."""
        found = registry.version(self._name)
        if self._name == PRODUCTION and not only_warns(lambda: self._chain):
            raise RegistryError(
                f"no signed move made version {found.version} Production; `streamflow promote --adopt` derives it again and"
                " signs that, or serve it with a warning: STREAMFLOW_TRUST=warn"
            )
        return WantedVersion(str(found.version), dict(found.tags))

    def _accepted(self, files: ModelFiles, warn: bool) -> LoadedModel:
        """A version whose files, signed provenance and move agree."""
        verified = load_model(files, warn)
        moved = {each.move.to_version for each in self._chain.moves}
        if moved and verified.version not in moved:
            raise ModelError(f"no signed move of Production led to version {verified.version}; `streamflow history`")
        if other := self._chain.other_model(verified.version, verified.model_sha256):
            raise ModelError(other)
        return verified

    def _connect(self) -> Registry:
        if self._registry is None:
            self._registry = self._open()
        return self._registry


def has_verified_copy(name: str) -> bool:
    """Whether this machine keeps a version behind that name, verified by an earlier server."""
    return any(_verified_folder().glob(f"{name}-*/version.json"))


def _verified_folder() -> Path:
    return state_dir() / "serve" / "verified"


def _keep(files: ModelFiles, folder: Path) -> None:
    """Keep the files of a verified version for the next start, in one rename; several replicas may do it at once."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=folder.parent, prefix="partial-"))
    facts: dict[str, Any] = {name: getattr(files, name) for name in ("version", "run_id", "tags", "envelopes")}
    for name, content in files.contents.items():
        (scratch / name).write_bytes(content)
    (scratch / "version.json").write_text(
        json.dumps({**facts, "files": sorted(files.contents)}, indent=2), encoding="utf-8"
    )
    before = Path(tempfile.mkdtemp(dir=folder.parent, prefix="partial-"))
    with suppress(OSError):  # another replica was faster with the same version
        with suppress(FileNotFoundError):
            folder.replace(before / "old")
        scratch.replace(folder)
    for left in (before, scratch):
        shutil.rmtree(left, ignore_errors=True)
