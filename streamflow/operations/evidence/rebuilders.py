"""Who derived the model of an archive again: how many different keys say identical, and whether one says otherwise."""

from streamflow.core.digest import bytes_sha256
from streamflow.core.errors import ModelError
from streamflow.operations.evidence.layout import project_path
from streamflow.operations.evidence.subject import Subject
from streamflow.provenance.record import DIVERGED
from streamflow.trust.acceptance import rebuilt
from streamflow.trust.claims import VerdictClaim


def rebuilders(subject: Subject) -> tuple[str, str]:
    """Signers, and what they say in words. Raises ModelError if a verdict that counts speaks against the model."""
    # A model may be in commits of different files: that of its run, that of a tag made later. A verdict is on one of them.
    same = {claim.tree: claim for claim in subject.evidence.claims if claim.files == subject.claim.files}
    this, identical = subject.claim.files["model.onnx"], dict[str, VerdictClaim]()
    for claim in same.values():
        own = claim.tree == subject.claim.tree
        found = rebuilt(claim, subject.evidence, lambda _, own=own: subject.receipts if own else {})  # type: ignore[misc]
        if found.against:
            raise ModelError(found.against)
        for verdict in found.identical:
            if own:
                _compare_outs(subject, verdict)
            identical.setdefault(verdict.signed.keyid, verdict)
    for verdict in subject.evidence.verdicts:
        if verdict.verdict == DIVERGED and verdict.model_sha256 == this and verdict.tree not in same:
            raise ModelError(f"{verdict.signed.signer} derived it from {verdict.commit[:12]}, and it diverged")
    if not identical:
        return "nobody", "nobody derived the model again, or by no key that counts"
    signers = ", ".join(verdict.signed.signer for verdict in identical.values())
    commits = ", ".join(dict.fromkeys(verdict.commit[:12] for verdict in identical.values()))
    keys = "1 key" if len(identical) == 1 else f"{len(identical)} different keys"
    others = len(identical) - (subject.claim.signed.keyid in identical)
    independent = f"{others or 'none'} other than the builder's"
    return signers, f"{keys}, {independent}, derived it again from {commits}, identical; no verdict differs"


def _compare_outs(subject: Subject, verdict: VerdictClaim) -> None:
    made = {path: digest for path, (_, digest) in verdict.outs.items()}
    for name, content in subject.files.items():
        expected = made.get(project_path(name), "")
        if expected and expected != bytes_sha256(content):
            raise ModelError(
                f"{name} has SHA-256 {bytes_sha256(content)[:12]}, {verdict.signed.signer} got {expected[:12]}"
            )
