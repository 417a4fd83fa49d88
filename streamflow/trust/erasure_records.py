"""The records of erasures as files: written from the database, signed if this machine has a key."""

from collections.abc import Mapping
from pathlib import Path

from streamflow.core.digest import bytes_sha256
from streamflow.core.errors import ModelError
from streamflow.pipeline.layout import ERASURES
from streamflow.pipeline.project import replacing
from streamflow.provenance.erasure_files import erasures, record_files
from streamflow.provenance.erasures import Erasure, Erasures, merged
from streamflow.trust.envelope import open_envelope, sign
from streamflow.trust.keys import machine_signer, private_path, trusted_keys
from streamflow.trust.trusted import TrustedKeys

PAYLOAD = "application/vnd.streamflow.erasure+json"
"""Payload type of a signed record."""


def record_path(number: int) -> Path:
    """The file of a record."""
    return ERASURES / f"{number:04}.json"


def signature_path(number: int) -> Path:
    """The file of a signed record."""
    return ERASURES / f"{number:04}.dsse.json"


def last_record() -> tuple[int, str]:
    """Number and SHA-256 of the newest record; 0 and an empty text if there is none."""
    files = record_files()
    return (int(files[-1].stem), bytes_sha256(files[-1].read_bytes())) if files else (0, "")


def write_records(texts: Mapping[int, str]) -> list[Path]:
    """Write the records that are not there yet, and sign them if this machine has a key; returns the new files."""
    made = []
    for number, text in sorted(texts.items()):
        if not record_path(number).exists():
            _write(record_path(number), text)
            made.append(record_path(number))
        if not signature_path(number).exists() and private_path().exists():
            _write(signature_path(number), sign(text.encode(), PAYLOAD, machine_signer()) + "\n")
            made.append(signature_path(number))
    return made


def signed_erasures() -> Erasures:
    """The erasures whose records a trusted key signed; others change nothing. Raises ModelError for a wrong signature.

    Who may write a record may say that any rows are what is left of others, so nobody's word counts.
    """
    found = erasures()
    if not found.records:
        return found
    trusted = trusted_keys()
    return merged(tuple(record for record in found.records if signer_of(record, trusted)))


def signer_of(record: Erasure, trusted: TrustedKeys) -> str:
    """Who signed a record; empty if nobody did. Raises ModelError if it is signed and the signature does not hold."""
    path = signature_path(record.number)
    if not path.is_file():
        return ""
    try:
        signed = open_envelope(path.read_text(encoding="utf-8"), trusted, PAYLOAD)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error
    if signed.payload != record_path(record.number).read_bytes():
        raise ModelError(f"{path} signs another record than {record_path(record.number)}; `git log -p {ERASURES}`")
    return signed.signer


def chain_problems() -> list[str]:
    """Records that are missing, or that don't follow each other."""
    found, previous = [], ""
    for expected, record in enumerate(erasures().records, 1):
        if record.number != expected or record.previous_sha256 != previous:
            found.append(
                f"{record_path(record.number)} does not follow record {expected - 1} of the ledger of erasures"
            )
        previous = bytes_sha256(record_path(record.number).read_bytes())
    return found


def _write(path: Path, text: str) -> None:
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")
