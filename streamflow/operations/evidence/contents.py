"""Who made an archive signs the SHA-256 of every file in it, also of those that no other statement is about."""

from collections.abc import Mapping
from typing import Any

from streamflow.core.digest import bytes_sha256
from streamflow.core.errors import ModelError
from streamflow.operations.evidence.layout import CONTENTS
from streamflow.operations.evidence.subject import lines_of
from streamflow.trust.claims import STATEMENT, ModelClaim
from streamflow.trust.envelope import Signed, open_envelope
from streamflow.trust.trusted import TrustedKeys

PREDICATE = "https://streamflow.example/evidence/v1"


def contents_statement(files: Mapping[str, bytes], claim: ModelClaim, version: str) -> dict[str, Any]:
    """The statement about all files of an archive; `version` is that of the registry, empty if it has none.

    It has no time: the same evidence gives the same bytes.
    """
    return {
        "_type": STATEMENT,
        "subject": [{"name": name, "digest": {"sha256": bytes_sha256(files[name])}} for name in sorted(files)],
        "predicateType": PREDICATE,
        "predicate": {
            "commit": {"gitCommit": claim.commit},
            "provenance": {"sha256": claim.signed.sha256},
            "version": version,
        },
    }


def open_contents(files: Mapping[str, bytes], trusted: TrustedKeys) -> tuple[Signed, dict[str, str]]:
    """The statement about the files of an archive, and name to SHA-256 as it has them. Raises ModelError."""
    envelopes = lines_of(files, CONTENTS)
    if len(envelopes) != 1:
        raise ModelError(f"{CONTENTS} has {len(envelopes)} envelopes, not one")
    signed = open_envelope(envelopes[0], trusted)
    try:
        content = signed.content()
        if (content["_type"], content["predicateType"]) != (STATEMENT, PREDICATE):
            raise ModelError(f"{CONTENTS} is about something else")
        return signed, {str(each["name"]): str(each["digest"]["sha256"]) for each in content["subject"]}
    except (KeyError, TypeError) as error:
        raise ModelError(f"{CONTENTS} lacks {error}") from error


def check_contents(files: Mapping[str, bytes], claim: ModelClaim, trusted: TrustedKeys) -> None:
    """Compare an archive with the statement about it. Raises ModelError naming the first file that is not as it says."""
    signed, listed = open_contents(files, trusted)
    here = {name: bytes_sha256(content) for name, content in files.items() if name != CONTENTS}
    for name in sorted({*here, *listed}):
        if name not in here:
            raise ModelError(f"{name} is missing; {signed.signer} signed it")
        if name not in listed:
            raise ModelError(f"{name} is in the archive, but {signed.signer} did not sign it")
        if here[name] != listed[name]:
            raise ModelError(f"{name} has SHA-256 {here[name][:12]}, {signed.signer} signed {listed[name][:12]}")
    about = signed.content().get("predicate", {})
    if (about.get("provenance"), about.get("commit")) != ({"sha256": claim.signed.sha256}, {"gitCommit": claim.commit}):
        raise ModelError(f"{signed.signer} signed an archive of another provenance")
