"""The result that a tag, a commit, `v3` or `Production` names."""

import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from streamflow.core.digest import bytes_sha256
from streamflow.core.errors import ConfigError, RegistryError, StreamFlowError, did_you_mean
from streamflow.postgres.server import database, has_database
from streamflow.provenance.git import experiment_tags, file_at, resolve
from streamflow.provenance.record import PREFIX
from streamflow.provenance.result import read_result
from streamflow.registry.connection import TRACKING_VARIABLE
from streamflow.registry.signing import unsigned_changes

if TYPE_CHECKING:
    from streamflow.registry.registry import Registry

_VERSION = re.compile(r"v?[0-9]{1,6}")
_PATCH = "changes.patch"
_MACHINE = ("python", "cpu", "blas_kernel", "environment_differences")


@dataclass(frozen=True)
class Target:
    """A result: its commit, the uncommitted changes of its run, and its model version, if one is registered.

    `unsigned_changes` says why these changes must not be run, if no trusted key signed them.
    """

    name: str
    commit: str
    patch: bytes
    version: Any
    model_sha256: str
    machine: Mapping[str, str]
    unsigned_changes: str = ""


@contextmanager
def registry_if_any() -> Iterator["Registry | None"]:
    """The registry; None if there is no database yet or it does not answer: a tag needs git alone."""
    if not os.environ.get(TRACKING_VARIABLE) and not has_database():
        yield None
        return
    from streamflow.registry.registry import open_registry

    with ExitStack() as held:
        try:
            registry = open_registry(held.enter_context(database()))
            registry.production()  # answers, or does not
        except StreamFlowError as error:
            print(f"warning: the registry does not answer, continuing without it: {error}", file=sys.stderr)
            registry = None
        yield registry


def find_target(ref: str, registry: "Registry | None") -> Target:
    """The target that `ref` names. Raises ConfigError or RegistryError that lists what exists."""
    from streamflow.registry.registry import PRODUCTION

    commit = resolve(f"refs/tags/{ref}") or (None if _VERSION.fullmatch(ref) and len(ref) < 7 else resolve(ref))
    if ref == PRODUCTION or commit is None:
        if registry is None and (ref == PRODUCTION or _VERSION.fullmatch(ref)):
            raise RegistryError(
                f"{ref}: there is no registry here to ask; name a tag instead: {', '.join(experiment_tags()[:5]) or 'none'}"
            )
        if ref != PRODUCTION and not _VERSION.fullmatch(ref):
            tags = experiment_tags()
            near = did_you_mean(ref, [PRODUCTION, *tags]) or did_you_mean(f"exp/{ref}", [f"exp/{ref}", *tags])
            listed = ", ".join(tags[:5]) or "none, see `streamflow tag`"
            raise ConfigError(f"{ref} is no tag, commit, version (v3) or Production{near}; tags: {listed}")
        assert registry is not None
        return _of_version(ref, registry.version(ref), registry)
    return _of_commit(ref, commit, registry)


def _of_version(ref: str, version: Any, registry: "Registry") -> Target:
    tags = version.tags
    for name in ("git_commit", "model_sha256"):
        if not tags.get(f"{PREFIX}{name}"):
            raise RegistryError(
                f"version {version.version} has no tag {PREFIX}{name}: somebody deleted it, or other code registered the"
                " version; name its git tag or commit instead: `streamflow rerun exp/NAME`"
            )
    commit = tags.get(f"{PREFIX}git_commit", "")
    if resolve(commit) is None:
        raise ConfigError(
            f"commit {commit[:12]} of version {version.version} is not in this clone; `git fetch --all --tags`"
        )
    patch = registry.run_file(version, _PATCH) if tags.get(f"{PREFIX}changes_sha256") else b""
    unsigned = unsigned_changes(registry, version, bytes_sha256(patch)) if patch else ""
    return Target(ref, commit, patch, version, tags[f"{PREFIX}model_sha256"], _machine(tags), unsigned)


def _of_commit(ref: str, commit: str, registry: "Registry | None") -> Target:
    version = None
    if registry is not None:
        result = read_result(lambda path: file_at(commit, path), ref)
        version = registry.version_with_fingerprint(result.input_fingerprint)
        if version is not None and version.tags.get(f"{PREFIX}dvc_lock_sha256") != result.dvc_lock_sha256:
            version = None  # the same model by another commit: what is found here says nothing about it
    tags = version.tags if version else {}
    return Target(ref, commit, b"", version, tags.get(f"{PREFIX}model_sha256", ""), _machine(tags))


def _machine(tags: Mapping[str, str]) -> dict[str, str]:
    return {name: tags[f"{PREFIX}{name}"] for name in _MACHINE if tags.get(f"{PREFIX}{name}")}
