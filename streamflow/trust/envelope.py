"""Signed statements: DSSE envelopes (https://github.com/secure-systems-lab/dsse), one line of JSON each."""

import json
from dataclasses import dataclass
from typing import Any

from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import Error, VerificationError
from securesystemslib.signer import CryptoSigner  # type: ignore[attr-defined]

from streamflow.core.digest import bytes_sha256
from streamflow.core.errors import ModelError, first_line, shown
from streamflow.trust.trusted import TrustedKeys

IN_TOTO = "application/vnd.in-toto+json"
"""Payload type of an in-toto statement."""


@dataclass(frozen=True)
class Signed:
    """A payload whose signature by a trusted key was verified; `line` is the envelope."""

    payload: bytes
    keyid: str
    signer: str
    line: str

    @property
    def sha256(self) -> str:
        """Digest of the payload, by which other statements name this one."""
        return bytes_sha256(self.payload)

    def content(self) -> dict[str, Any]:
        """The payload as JSON. Raises ModelError if it is no JSON object."""
        try:
            found = json.loads(self.payload)
        except ValueError as error:
            raise ModelError(f"a statement signed by {self.signer} is no JSON: {first_line(error)}") from error
        if not isinstance(found, dict):
            raise ModelError(f"a statement signed by {self.signer} is no JSON object")
        return found


def canonical(statement: dict[str, Any]) -> bytes:
    """The bytes of a statement that are signed: sorted keys, no spaces, UTF-8."""
    return json.dumps(statement, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def sign(payload: bytes, payload_type: str, signer: CryptoSigner) -> str:
    """Sign a payload; the envelope as one line."""
    envelope = Envelope(payload, payload_type, {})
    envelope.sign(signer)
    return json.dumps(envelope.to_dict(), sort_keys=True, separators=(",", ":"))


def sign_statement(statement: dict[str, Any], signer: CryptoSigner) -> str:
    """Sign an in-toto statement; the envelope as one line. Raises ModelError if it breaks in-toto's rules."""
    from google.protobuf.json_format import ParseDict, ParseError
    from in_toto_attestation.v1.statement import Statement
    from in_toto_attestation.v1.statement_pb2 import Statement as Parsed

    try:
        Statement.copy_from_pb(ParseDict(statement, Parsed())).validate()
    except (ParseError, ValueError) as error:
        raise ModelError(f"the statement can't be signed: {first_line(error)}") from error
    return sign(canonical(statement), IN_TOTO, signer)


def open_envelope(line: str, trusted: TrustedKeys, payload_type: str = IN_TOTO) -> Signed:
    """Verify an envelope. Raises ModelError if no trusted key signed it, with the reason in words."""
    try:
        envelope = Envelope.from_dict(json.loads(line))
        keyids = sorted(envelope.signatures)
    except (Error, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"it is no DSSE envelope ({first_line(error)})") from error
    if envelope.payload_type != payload_type:
        raise ModelError(f"its payload is {shown(envelope.payload_type)}, not {payload_type}")
    for keyid in keyids:
        if keyid not in trusted.keys:
            continue
        try:
            envelope.verify([trusted.keys[keyid]], 1)
        except VerificationError as error:
            raise ModelError(f"the signature by {trusted.described(keyid)} does not match the content") from error
        return Signed(envelope.payload, keyid, trusted.described(keyid), line)
    raise ModelError(_reason(keyids, trusted))


def _reason(keyids: list[str], trusted: TrustedKeys) -> str:
    for keyid in keyids:
        if keyid in trusted.revoked:
            return f"its key {trusted.described(keyid)} is revoked"
    if not keyids:
        return "nobody signed it"
    return f"its key {trusted.described(keyids[0])} is unknown; `streamflow keys trust FILE` if you know whose it is"
