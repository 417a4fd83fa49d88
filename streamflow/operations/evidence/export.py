"""An archive of all that is signed about a model: gathered, described, and signed as a whole."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from securesystemslib.signer import SSlibKey  # type: ignore[attr-defined]

from streamflow.core.errors import ModelError
from streamflow.operations.evidence.archive import pack
from streamflow.operations.evidence.bill import bill_of
from streamflow.operations.evidence.claims import Claim, claims
from streamflow.operations.evidence.contents import contents_statement
from streamflow.operations.evidence.gather import Gathered, envelopes_of, gather
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
from streamflow.operations.evidence.model_signing import public_pem, sign_folder, signing_key
from streamflow.operations.evidence.readme import readme
from streamflow.operations.evidence.subject import Subject, subject_of
from streamflow.registry.references import Target
from streamflow.registry.registry import Registry
from streamflow.trust.chain import Chain
from streamflow.trust.envelope import sign_statement
from streamflow.trust.keys import OWN_NAME, machine_signer, trusted_keys
from streamflow.trust.trusted import TrustedKeys


@dataclass(frozen=True)
class Archive:
    """An archive that was made, and the claims in it, each of which was checked."""

    content: bytes
    files: Mapping[str, bytes]
    subject: Subject
    version: str
    claims: tuple[Claim, ...]


def export(target: Target, registry: Registry | None, chain: Chain) -> Archive:
    """Make the archive of a model. Raises a StreamFlowError if the model is not accepted, or if a claim does not hold."""
    if chain.problems:
        raise ModelError(f"the moves of Production don't hold: {chain.problems[0]}; `streamflow doctor` shows more")
    gathered, signer = gather(target, registry, chain), machine_signer()
    trusted, key = trusted_keys(), signing_key(signer)
    lines = envelopes_of(gathered, chain)
    files = {
        **gathered.files,
        ENVELOPES: _text(lines),
        MOVES: _text([each.signed.line for each in chain.moves]),
    }
    subject = subject_of(files, trusted)
    names = _key_names(gathered, chain, trusted, signer.public_key.keyid)
    files |= {f"{KEYS}{name}.pem": ed25519_pem(trusted.keys[keyid]) for keyid, name in names.items()}
    files[BILL] = (json.dumps(bill_of(subject), indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()
    files[SIGNATURE] = sign_folder(FOLDER_NAME, subject.model, key)
    files[SIGNATURE_KEY] = public_pem(key.public_key())
    packer = names[signer.public_key.keyid]
    files[README] = readme(subject, gathered.version, names, _who_signed(gathered, chain, names), packer).encode()
    files[CONTENTS] = _text([sign_statement(contents_statement(files, subject.claim, gathered.version), signer)])
    whole = subject_of(files, trusted)
    return Archive(pack(files), files, whole, gathered.version, tuple(claims(whole)))


def ed25519_pem(key: SSlibKey) -> bytes:
    """An Ed25519 public key in PEM."""
    public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(key.keyval["public"]))
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _key_names(gathered: Gathered, chain: Chain, trusted: TrustedKeys, own: str) -> dict[str, str]:
    """Key id to name of the keys that the claims need, and of this machine's."""
    evidence = gathered.evidence
    needed = {own, *(each.signed.keyid for each in evidence.claims), *(each.signed.keyid for each in evidence.verdicts)}
    needed |= {each.signed.keyid for each in chain.moves}
    return {keyid: _named(keyid, trusted.names[keyid]) for keyid in sorted(needed)}


def _named(keyid: str, name: str) -> str:
    return f"machine-{keyid[:8]}" if name == OWN_NAME else name


def _who_signed(gathered: Gathered, chain: Chain, names: Mapping[str, str]) -> list[str]:
    evidence = gathered.evidence
    found = [(names[each.signed.keyid], "where the model comes from (provenance)") for each in evidence.claims]
    found += [
        (names[each.signed.keyid], f"derived the model again: {each.verdict} (verdict of {each.at})")
        for each in evidence.verdicts
    ]
    found += [
        (names[each.signed.keyid], f"move {each.move.number} of Production, to version {each.move.to_version}")
        for each in chain.moves
    ]
    return [f"{name}: {what}" for name, what in dict.fromkeys(found)]


def _text(lines: list[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()
