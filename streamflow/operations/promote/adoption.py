"""A version from before signatures: derived again, and signed for if every byte comes out."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from streamflow.core.errors import RegistryError, StreamFlowError
from streamflow.provenance.record import IDENTICAL
from streamflow.registry.references import find_target
from streamflow.rerun.attestation import keep_verdict
from streamflow.rerun.rerun import rerun

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

    from streamflow.registry.registry import Registry


def adopt(registry: "Registry", version: "ModelVersion", say: Callable[[str], None]) -> None:
    """Sign where a version comes from, unless a trusted key did: by a rerun that must be identical.

    Raises RegistryError if it is not or is of no commit, ModelError if the version can't be derived.
    """
    try:
        registry.load(version, warn=False)
        return
    except StreamFlowError as error:
        say(f"{error}")
    target = find_target(f"v{version.version}", registry)
    if target.patch:
        # Whoever owns the registry wrote that file, and a rerun would run what it changes.
        raise RegistryError(
            f"version {version.version} was trained on files that are not committed, so nobody can sign for it;"
            " `streamflow rollback`, or `streamflow promote vN` of another version"
        )
    done = rerun(target, fresh_env=False, from_source=False, say=say)
    kept = keep_verdict(done.found, done.result, target, registry, with_provenance=True)
    if done.found.verdict != IDENTICAL:
        first = done.found.first_divergence
        why = f": {first.stage}: {first.cause}: {first.detail}" if first else ""
        raise RegistryError(f"version {version.version} can't be derived again, it is {done.found.verdict}{why}")
    say(f"version {version.version} is identical; signed: {kept}")
