"""The signed provenance of a version: made from its commit, kept as a note of the commit and with its run."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from streamflow.core.digest import bytes_sha256
from streamflow.core.errors import ModelError, RegistryError
from streamflow.pipeline.environment import machine
from streamflow.pipeline.layout import INGEST_RECEIPTS, LOCK, PARAMS, PIPELINE, REQUIREMENTS
from streamflow.provenance.commits import result_of
from streamflow.provenance.git import digest_set, file_at
from streamflow.trust.claims import provenance_statement
from streamflow.trust.envelope import open_envelope, sign, sign_statement
from streamflow.trust.keys import machine_signer, trusted_keys
from streamflow.trust.store import add_notes, notes_of

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

    from streamflow.registry.registry import Registry

CHANGES = "changes.signed.json"
"""Artifact of a run with uncommitted changes: the signed digest of changes.patch."""
CHANGES_TYPE = "application/vnd.streamflow.changes-sha256"


def sign_provenance(commit: str, **environment: str) -> str:
    """Sign where the model of a commit comes from, and add that to the commit's notes; returns the envelope.

    `environment` are facts that the run recorded, besides those of this machine. Raises ModelError if the commit has no
    receipts of a model.
    """
    result = result_of(commit)
    paths = [PARAMS, REQUIREMENTS, LOCK, PIPELINE, *(INGEST_RECEIPTS / f"{month}.json" for month in result.snapshots)]
    materials = {str(path): bytes_sha256(content) for path in paths if (content := file_at(commit, path)) is not None}
    made = sign_statement(
        provenance_statement(result, digest_set(commit), materials, {**machine(), **environment}, now()),
        machine_signer(),
    )
    add_notes(commit, [made])
    return made


def share(registry: "Registry", version: "ModelVersion", commit: str) -> None:
    """Copy the notes of a commit to the run of a version, for clones that share the registry but not yet the notes."""
    registry.add_envelopes(version, notes_of(commit))


def sign_version(registry: "Registry", version: "ModelVersion", commit: str, **environment: str) -> str:
    """Sign the provenance of a registered version; returns what went wrong with the copy in its run, or nothing.

    What its run keeps already (a verdict on a commit with the same files) becomes a note of the commit too.
    """
    add_notes(commit, registry.envelopes(version))
    sign_provenance(commit, **environment)
    try:
        share(registry, version, commit)
    except RegistryError as error:
        return str(error)
    return ""


def sign_changes(registry: "Registry", version: "ModelVersion", changes_sha256: str) -> None:
    """Sign the digest of a run's uncommitted changes, which a rerun applies and runs: only then it does."""
    registry.attach(version, CHANGES, sign(changes_sha256.encode(), CHANGES_TYPE, machine_signer()))


def unsigned_changes(registry: "Registry", version: "ModelVersion", changes_sha256: str) -> str:
    """Why the uncommitted changes of a version must not be run; empty if a trusted key signed their digest."""
    try:
        signed = open_envelope(registry.attached(version, CHANGES), trusted_keys(), CHANGES_TYPE)
    except RegistryError:
        return "nobody signed them"
    except ModelError as error:
        return str(error)
    return "" if signed.payload == changes_sha256.encode() else f"{signed.signer} signed other changes"


def now() -> str:
    """This moment in UTC, to the second, as statements have it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
