"""The files of an archive, from the model and all that is signed about it; the whole is signed by who makes it."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from securesystemslib.signer import CryptoSigner  # type: ignore[attr-defined]

from streamflow.operations.evidence.bill import bill_of
from streamflow.operations.evidence.contents import contents_statement
from streamflow.operations.evidence.layout import (
    BILL,
    CONTENTS,
    ENVELOPES,
    FOLDER_NAME,
    KEYS,
    MOVES,
    README,
    SIGNATURE,
    SIGNATURE_KEY,
)
from streamflow.operations.evidence.model_signing import ec_pem, sign_folder, signing_key
from streamflow.operations.evidence.readme import readme
from streamflow.operations.evidence.subject import moves_about, subject_of
from streamflow.trust.acceptance import Evidence
from streamflow.trust.chain import Chain
from streamflow.trust.claims import ModelClaim, VerdictClaim
from streamflow.trust.envelope import sign_statement
from streamflow.trust.trusted import TrustedKeys, public_pem

_FILE_NAME = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True)
class Gathered:
    """The files of an accepted model by their name in an archive, its claim, and all that is signed about it.

    `version` is that of the registry, empty if it has none.
    """

    files: Mapping[str, bytes]
    claim: ModelClaim
    evidence: Evidence
    version: str

    @property
    def claims(self) -> list[ModelClaim]:
        """Every claim about these files of the model, from whichever commit."""
        return [each for each in self.evidence.claims if each.files == self.claim.files]

    @property
    def verdicts(self) -> list[VerdictClaim]:
        """Every verdict on the model."""
        return [each for each in self.evidence.verdicts if each.model_sha256 == self.claim.files["model.onnx"]]


def compose_archive(gathered: Gathered, chain: Chain, trusted: TrustedKeys, signer: CryptoSigner) -> dict[str, bytes]:
    """The files of an archive by name; `signer` is that of who makes it, and its key is one of the trusted ones."""
    files = {
        **gathered.files,
        ENVELOPES: _text(_envelopes(gathered, chain)),
        MOVES: _text([each.signed.line for each in chain.moves]),
    }
    subject, key = subject_of(files, trusted), signing_key(signer)
    names = _key_names(gathered, chain, trusted, signer.public_key.keyid)
    files |= {f"{KEYS}{name}.pem": public_pem(trusted.keys[keyid]) for keyid, name in names.items()}
    files[BILL] = (json.dumps(bill_of(subject), indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()
    files[SIGNATURE] = sign_folder(FOLDER_NAME, subject.model, key)
    files[SIGNATURE_KEY] = ec_pem(key.public_key())
    signed = _who_signed(gathered, chain, names)
    files[README] = readme(subject.claim, gathered.version, names, signed, names[signer.public_key.keyid]).encode()
    files[CONTENTS] = _text([sign_statement(contents_statement(files, subject.claim, gathered.version), signer)])
    return files


def _envelopes(gathered: Gathered, chain: Chain) -> list[str]:
    """The envelopes about a model that count here, and those that a move of Production to it rests on.

    That of the claim comes first, the others are sorted by statement.
    """
    named = {digest for each in moves_about(gathered.claim, chain) for digest in each.move.evidence}
    about = [each.signed for each in gathered.claims] + [each.signed for each in gathered.verdicts]
    signed = [each.signed for each in gathered.evidence.claims] + [each.signed for each in gathered.evidence.verdicts]
    found = {each.line: each.sha256 for each in [*about, *(each for each in signed if each.sha256 in named)]}
    return sorted(found, key=lambda line: (line != gathered.claim.signed.line, found[line], line))


def _key_names(gathered: Gathered, chain: Chain, trusted: TrustedKeys, own: str) -> dict[str, str]:
    """Key id to name of the keys that the claims need, and of who makes the archive."""
    claims, verdicts = gathered.evidence.claims, gathered.evidence.verdicts
    signed = [
        *(each.signed for each in claims),
        *(each.signed for each in verdicts),
        *(each.signed for each in chain.moves),
    ]
    needed = {own, *(each.keyid for each in signed)}
    return {keyid: _file_name(keyid, trusted.names[keyid]) for keyid in sorted(needed)}


def _file_name(keyid: str, name: str) -> str:
    # A machine's own key may have no name that can be a file's.
    return name if _FILE_NAME.fullmatch(name) else f"machine-{keyid[:8]}"


def _who_signed(gathered: Gathered, chain: Chain, names: Mapping[str, str]) -> list[str]:
    found = [
        (each.signed.keyid, f"where the model comes from, commit {each.commit[:12]} (provenance)")
        for each in gathered.claims
    ]
    found += [
        (each.signed.keyid, f"derived commit {each.commit[:12]} again: {each.verdict} (verdict of {each.at})")
        for each in gathered.verdicts
    ]
    found += [
        (each.signed.keyid, f"move {each.move.number} of Production, to version {each.move.to_version}")
        for each in chain.moves
    ]
    return [f"{names[keyid]}: {what}" for keyid, what in dict.fromkeys(found)]


def _text(lines: list[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()
