"""Who derived a version again: k of n trusted keys must have got the same bytes before it can become Production."""

from streamflow.core.errors import StreamFlowError
from streamflow.registry.acceptance import claim_of
from streamflow.registry.references import Target
from streamflow.registry.registry import Registry
from streamflow.rerun.attestation import keep_verdict
from streamflow.rerun.rerun import Say, rerun
from streamflow.trust.acceptance import Rebuilt
from streamflow.trust.check import rebuilt_by
from streamflow.trust.claims import ModelClaim
from streamflow.trust.keys import machine_signer


def rebuilders_problem(registry: Registry, number: str, needed: int) -> str:
    """Why a version was not derived again by enough rebuilders; empty if it was."""
    try:
        _, found = _rebuilt(registry, number)
    except StreamFlowError as error:
        return str(error)
    return rebuilders_missing(found, number, needed)


def rebuilders_missing(found: Rebuilt, number: str, needed: int) -> str:
    """What the verdicts on a version lack, in words; empty if `needed` different keys say identical and none differs."""
    if found.against:
        return found.against
    count = len(found.identical)
    if count >= needed:
        return ""
    names = ", ".join(verdict.signed.signer for verdict in found.identical)
    if needed == 1:
        return f"nobody derived it again; `streamflow rerun v{number}`"
    return (
        f"{count} of {needed} rebuilders got the same bytes ({names or 'none'}); `streamflow rerun REF --sign` on another"
        " machine, then `streamflow attest import FILE` here"
    )


def derive_again(registry: Registry, number: str, model_sha256: str, say: Say) -> None:
    """Derive a registered version again in a clean clone of its commit and keep the verdict, unless this machine has."""
    claim, found = _rebuilt(registry, number)
    if machine_signer().public_key.keyid in {verdict.signed.keyid for verdict in found.identical}:
        return
    version, commit = registry.version(number), claim.commit
    say(f"deriving version {number} again in a clean clone of commit {commit[:12]}")
    target = Target(f"version {number}", commit, b"", version, model_sha256, {})
    done = rerun(target, fresh_env=False, from_source=False, say=lambda line: None)
    keep_verdict(done.found, done.result, target, registry, with_provenance=False)
    same = sum(out.same for out in done.found.outs)
    say(
        f"version {number} is {done.found.verdict}, {same} of {len(done.found.outs)} outputs the same, in"
        f" {done.found.seconds:.0f} s"
    )


def _rebuilt(registry: Registry, number: str) -> tuple[ModelClaim, Rebuilt]:
    """The signed claim about a version, which names its commit, and the verdicts on it."""
    version = registry.version(number)
    files = registry.files(version)
    claim = claim_of(number, files.digests, files.tags, files.envelopes)
    return claim, rebuilt_by(claim, files.envelopes)
