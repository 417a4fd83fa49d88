"""A version of the registry is used only on a signed claim about exactly its files; they are not opened before."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from streamflow.core.errors import ModelError
from streamflow.core.schema import MODEL_NAME
from streamflow.provenance.record import PREFIX
from streamflow.registry.loading import LoadedModel, ModelFiles, check_digest, prove
from streamflow.trust.check import accept
from streamflow.trust.claims import ModelClaim


def load_model(files: ModelFiles, warn: bool) -> LoadedModel:
    """The model of a version whose files are intact, signed for by a trusted key, and right on the golden rows.

    Raises ModelError with the reason. With `warn` a version that nobody signed for is returned with that reason instead.
    """
    check_digest(files)
    try:
        claim = claim_of(files.version, files.digests, files.tags, files.envelopes)
    except ModelError as error:
        if not warn:
            raise
        return replace(prove(files), unsigned=str(error))
    model = prove(files)
    if claim.feature_service != model.feature_service:
        raise ModelError(
            f"{MODEL_NAME} version {files.version} takes the features of {model.feature_service},"
            f" {claim.signed.signer} signed for {claim.feature_service}"
        )
    return replace(model, claim=claim)


def claim_of(version: str, digests: Mapping[str, str], tags: Mapping[str, str], envelopes: Iterable[str]) -> ModelClaim:
    """The signed claim about files of these digests. Raises ModelError with the reason and what to do."""
    commit = tags.get(f"{PREFIX}git_commit", "")
    return accept(f"{MODEL_NAME} version {version}", f"v{version}", digests, commit, envelopes)
