"""Whether a model may be used: a trusted key signed for exactly its files, and its commit says the same.

Tags of MLflow are an index and prove nothing.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from streamflow.core.errors import ModelError
from streamflow.pipeline.layout import MODEL
from streamflow.provenance.record import DIVERGED, IDENTICAL
from streamflow.trust.claims import ModelClaim, VerdictClaim, model_claim, received_digest, verdict_claim
from streamflow.trust.envelope import open_envelope
from streamflow.trust.trusted import TrustedKeys

Receipts = Callable[[str], Mapping[str, str] | None]
"""Commit to path to SHA-256 of the files that its stages wrote; None if the commit is not in this repository."""


@dataclass(frozen=True)
class Evidence:
    """The signed claims about a model, and why other envelopes don't count."""

    claims: tuple[ModelClaim, ...] = ()
    verdicts: tuple[VerdictClaim, ...] = ()
    refused: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rebuilt:
    """Who derived a model again: the latest verdict of each key that says `identical`, and what speaks against it."""

    identical: tuple[VerdictClaim, ...]
    against: str = ""


def read_evidence(envelopes: Iterable[str], trusted: TrustedKeys) -> Evidence:
    """The claims of envelopes whose signatures count; the same envelope twice counts once."""
    claims, verdicts, refused = [], [], []
    for line in dict.fromkeys(envelopes):
        try:
            signed = open_envelope(line, trusted)
            if claim := model_claim(signed):
                claims.append(claim)
            elif verdict := verdict_claim(signed):
                verdicts.append(verdict)
        except ModelError as error:
            refused.append(str(error))
    return Evidence(tuple(claims), tuple(verdicts), tuple(refused))


def accepted(where: str, ref: str, files: Mapping[str, str], evidence: Evidence, receipts: Receipts) -> ModelClaim:
    """The claim on which a model is used; `files` are name to SHA-256 of its bytes.

    `where` names the model in messages, `ref` in commands.

    Raises ModelError that says why no claim holds, or that a trusted rebuilder got another model.
    """
    reasons = []
    for claim in evidence.claims:
        if reason := _claim_problem(claim, files, receipts):
            reasons.append(reason)
            continue
        if against := rebuilt(claim, evidence, receipts).against:
            raise ModelError(f"{where} is refuted: {against}; `streamflow rollback`, and find out why")
        return claim
    if not reasons:
        reasons = [*evidence.refused, "nobody signed it"]
    fix = f"`streamflow rerun {ref} --sign` signs what can be derived again"
    raise ModelError(f"{where} is not accepted: {reasons[0]}; {fix}")


def rebuilt(claim: ModelClaim, evidence: Evidence, receipts: Receipts) -> Rebuilt:
    """The verdicts on a model and its commit's files: each key's latest counts, and one that differs speaks against all."""
    latest: dict[str, VerdictClaim] = {}
    for verdict in sorted(evidence.verdicts, key=lambda each: each.at):
        if (verdict.model_sha256, verdict.tree) == (claim.files["model.onnx"], claim.tree):
            latest[verdict.signed.keyid] = verdict
    identical = tuple(each for each in latest.values() if each.verdict == IDENTICAL)
    received = receipts(claim.commit) or {}
    for verdict in latest.values():
        others = [each for each in identical if each is not verdict]
        if verdict.verdict == DIVERGED:
            differs = f"; {first_difference(others[0], verdict)}" if others else ""
            first = f", first at {verdict.first}" if verdict.first else ""
            return Rebuilt(identical, f"{verdict.signed.signer} derived it again and it diverged{first}{differs}")
    for verdict in identical:
        for path, (stage, digest) in verdict.outs.items():
            expected = received_digest(received, path)
            if expected and digest != expected:
                return Rebuilt(
                    identical,
                    f"{verdict.signed.signer} says identical, but its {path} of stage {stage} is {digest[:12]}, the"
                    f" commit's receipt says {expected[:12]}",
                )
    return Rebuilt(identical)


def first_difference(one: VerdictClaim, other: VerdictClaim) -> str:
    """The first output, in the order of the pipeline, that two rebuilders made differently, in words."""
    for path, (stage, digest) in one.outs.items():
        theirs = other.outs.get(path, (stage, "nothing"))[1]
        if theirs != digest:
            return (
                f"the first stage that differs between {one.signed.signer} and {other.signed.signer} is {stage}:"
                f" {path} is {digest[:12]} and {theirs[:12] or 'nothing'}"
            )
    return f"{one.signed.signer} and {other.signed.signer} made the same outputs"


def other_bytes(claim: ModelClaim, files: Mapping[str, str]) -> str:
    """The first file (name to SHA-256) that is not the one that was signed for, in words; empty if all are."""
    for name, digest in files.items():
        signed = claim.files.get(name, "")
        if signed != digest:
            return f"{name} has SHA-256 {digest[:12]}, {claim.signed.signer} signed for {signed[:12] or 'none'}"
    return ""


def _claim_problem(claim: ModelClaim, files: Mapping[str, str], receipts: Receipts) -> str:
    if other := other_bytes(claim, files):
        return other
    received = receipts(claim.commit)
    if received is None:
        return f"commit {claim.commit[:12]} of its provenance is not in this repository; `git fetch --all --tags`"
    for name, digest in files.items():
        if received.get(str(MODEL / name)) != digest:
            return f"the receipt in commit {claim.commit[:12]} names another {name}: the commit made other bytes"
    return ""
