"""The claims of an archive, one after the other: each is computed again from the bytes, or raises why it does not hold."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from streamflow.core.digest import bytes_sha256
from streamflow.core.errors import ModelError
from streamflow.operations.evidence.bill import check_bill
from streamflow.operations.evidence.contents import check_contents, open_contents
from streamflow.operations.evidence.golden import feature_service, score_again
from streamflow.operations.evidence.layout import (
    FOLDER_NAME,
    METRICS_FILE,
    MODEL_FOLDER,
    REPORT_FILE,
    REQUIREMENTS,
    SIGNATURE,
    SIGNATURE_KEY,
    is_receipt,
    project_path,
)
from streamflow.operations.evidence.model_signing import check_folder
from streamflow.operations.evidence.moves import production
from streamflow.operations.evidence.rebuilders import rebuilders
from streamflow.operations.evidence.subject import Subject, content_of
from streamflow.trust.claims import received_digest


@dataclass(frozen=True)
class Claim:
    """A claim that holds: what it is about, who signed it (name and key id), and what was computed again."""

    what: str
    signer: str
    found: str


def claims(subject: Subject) -> Iterator[Claim]:
    """Check every claim in turn. Raises ModelError that begins with the first claim that does not hold."""
    for what, check in _CHECKS.items():
        try:
            signer, found = check(subject)
        except ModelError as error:
            raise ModelError(f"{what} does not hold: {error}") from error
        yield Claim(what, signer, found)


def _provenance(subject: Subject) -> tuple[str, str]:
    # `subject_of` has compared every file of the model.
    claim, service = subject.claim, feature_service(subject.model)
    if service != claim.feature_service:
        raise ModelError(f"the model takes {service[:40]}, {claim.signed.signer} signed {claim.feature_service}")
    digest = claim.files["model.onnx"][:12]
    return claim.signed.signer, f"model.onnx is {digest}, built from commit {claim.commit[:12]} as of {claim.as_of}"


def _configuration(subject: Subject) -> tuple[str, str]:
    signed = subject.materials.files
    _compare(subject, {name: digest for name, digest in signed.items() if name != REQUIREMENTS})
    return subject.claim.signed.signer, f"{len(signed) - 1} files of the commit are as signed"


def _packages(subject: Subject) -> tuple[str, str]:
    digest = subject.claim.requirements_sha256
    _compare(subject, {REQUIREMENTS: digest})
    return subject.claim.signed.signer, f"{REQUIREMENTS} is {digest[:12]}, as signed"


def _report(subject: Subject) -> tuple[str, str]:
    for name in (REPORT_FILE, METRICS_FILE):
        _compare(subject, {project_path(name): subject.materials.made.get(project_path(name), "")})
    return subject.claim.signed.signer, f"{REPORT_FILE} and {METRICS_FILE} are as signed"


def _receipts(subject: Subject) -> tuple[str, str]:
    materials, signer = subject.materials, subject.claim.signed.signer
    model = {project_path(f"{MODEL_FOLDER}{name}"): digest for name, digest in subject.claim.files.items()}
    for path, digest in {**model, **materials.folders, **materials.made}.items():
        received = received_digest(subject.receipts, path)
        if received != digest:
            raise ModelError(f"{path} is {received[:12] or 'none'} in the receipts, {signer} signed {digest[:12]}")
    count = sum(is_receipt(name) for name in subject.files)
    return signer, f"{count} receipts of the commit name this model, its {len(materials.folders)} data sets, its report"


def _golden(subject: Subject) -> tuple[str, str]:
    return subject.claim.signed.signer, f"{score_again(subject.model)} golden rows get the signed scores again"


def _bill(subject: Subject) -> tuple[str, str]:
    packages = check_bill(subject)
    signed, _ = open_contents(subject.files, subject.trusted)
    return signed.signer, f"digests of model, {len(subject.materials.folders)} data sets and {packages} packages agree"


def _signature(subject: Subject) -> tuple[str, str]:
    public, (signed, listed) = content_of(subject.files, SIGNATURE_KEY), open_contents(subject.files, subject.trusted)
    if listed.get(SIGNATURE_KEY) != bytes_sha256(public):
        raise ModelError(f"{SIGNATURE_KEY} is not the key that {signed.signer} signed")
    check_folder(FOLDER_NAME, subject.model, content_of(subject.files, SIGNATURE), public)
    return signed.signer, f"{len(subject.model)} files as OpenSSF model signing has it, by a key signed for"


def _contents(subject: Subject) -> tuple[str, str]:
    check_contents(subject.files, subject.claim, subject.trusted)
    signed, listed = open_contents(subject.files, subject.trusted)
    return signed.signer, f"{len(listed)} files are as who made the archive signed, and no other"


def _compare(subject: Subject, expected: Mapping[str, str]) -> None:
    names = {project_path(name): name for name in subject.files if project_path(name)}
    for path, digest in expected.items():
        name, signer = names.get(path, path), subject.claim.signed.signer
        found = bytes_sha256(content_of(subject.files, name))
        if found != digest:
            raise ModelError(f"{name} has SHA-256 {found[:12]}, {signer} signed {digest[:12] or 'none'}")


_CHECKS: Mapping[str, Callable[[Subject], tuple[str, str]]] = {
    "provenance": _provenance,
    "configuration": _configuration,
    "packages": _packages,
    "report": _report,
    "receipts": _receipts,
    "golden rows": _golden,
    "rebuilders": rebuilders,
    "Production": production,
    "bill of materials": _bill,
    "model.sig": _signature,
    "archive": _contents,
}
