"""An archive of all that is signed about a model: gathered, composed and checked before it is written."""

from dataclasses import dataclass

from streamflow.core.errors import ConfigError, ModelError
from streamflow.operations.evidence.archive import pack
from streamflow.operations.evidence.claims import claims
from streamflow.operations.evidence.composition import compose_archive
from streamflow.operations.evidence.gather import gather
from streamflow.operations.evidence.subject import Subject, subject_of
from streamflow.registry.references import Target
from streamflow.registry.registry import Registry
from streamflow.trust.chain import Chain
from streamflow.trust.keys import machine_signer, trusted_keys


@dataclass(frozen=True)
class Archive:
    """An archive that was made; `claims` is how many claims it has, each of which was checked."""

    content: bytes
    subject: Subject
    version: str
    claims: int


def export(target: Target, registry: Registry | None, chain: Chain) -> Archive:
    """Make the archive of a model. Raises a StreamFlowError if the model is not accepted, or if a claim does not hold."""
    if chain.problems:
        raise ModelError(f"the moves of Production don't hold: {chain.problems[0]}; `streamflow doctor` shows more")
    gathered, signer = gather(target, registry, chain), machine_signer()
    trusted, own = trusted_keys(), signer.public_key.keyid
    if own not in trusted.keys:
        raise ConfigError(f"{trusted.described(own)}, this machine's key, is revoked; `streamflow keys init --replace`")
    subject = subject_of(compose_archive(gathered, chain, trusted, signer), trusted)
    return Archive(pack(subject.files), subject, gathered.version, sum(1 for _ in claims(subject)))
