"""The signature of the model's folder as OpenSSF Model Signing v1.0 has it, which `model_signing verify key` checks.

It takes ECDSA keys only, so an EC P-256 key is derived from the machine's Ed25519 key: it comes and goes with that one, and
the statement of the archive's contents, which that one signs, has the digest of its public half.
Source: model-signing 1.1.1, _signing/sign_ec_key.py and _signing/signing.py; the bundle is Sigstore's, v0.3.
"""

import base64
import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    derive_private_key,
)
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_public_key,
)
from securesystemslib.dsse import Envelope
from securesystemslib.signer import CryptoSigner  # type: ignore[attr-defined]

from streamflow.core.digest import bytes_sha256
from streamflow.core.errors import ModelError
from streamflow.trust.claims import STATEMENT
from streamflow.trust.envelope import IN_TOTO, canonical

PREDICATE = "https://model_signing/signature/v1.0"
MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
_PURPOSE = b"streamflow: OpenSSF model signing, EC P-256, v1"
# Order of the group of P-256 (SEC 2, 2.4.2).
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def signing_key(signer: CryptoSigner) -> EllipticCurvePrivateKey:
    """The EC P-256 key that belongs to an Ed25519 key; HKDF does not let anybody come back from it."""
    private = signer._private_key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
    # 48 bytes, so that the remainder is as good as uniform (FIPS 186-5, A.2.1).
    drawn = HKDF(SHA256(), 48, salt=None, info=_PURPOSE).derive(private)
    return derive_private_key(int.from_bytes(drawn, "big") % (_ORDER - 1) + 1, SECP256R1())


def ec_pem(key: EllipticCurvePublicKey) -> bytes:
    """The public key in PEM."""
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def sign_folder(name: str, files: Mapping[str, bytes], key: EllipticCurvePrivateKey) -> bytes:
    """The signature of a folder of that name with these files. The same files and key give the same bytes (RFC 6979)."""
    payload = canonical(_statement(name, files))
    signature = key.sign(Envelope(payload, IN_TOTO, {}).pae(), ECDSA(SHA256(), deterministic_signing=True))
    bundle = {
        "mediaType": MEDIA_TYPE,
        "verificationMaterial": {
            "publicKey": {"hint": bytes_sha256(ec_pem(key.public_key()))},
            "tlogEntries": [],
        },
        "dsseEnvelope": {
            "payload": base64.b64encode(payload).decode(),
            "payloadType": IN_TOTO,
            "signatures": [{"sig": base64.b64encode(signature).decode(), "keyid": ""}],
        },
    }
    return json.dumps(bundle, sort_keys=True).encode()


def check_folder(name: str, files: Mapping[str, bytes], signature: bytes, public: bytes) -> None:
    """Check the signature of a folder. Raises ModelError with the reason."""
    try:
        bundle = json.loads(signature)
        envelope = bundle["dsseEnvelope"]
        if (bundle["mediaType"], envelope["payloadType"]) != (MEDIA_TYPE, IN_TOTO):
            raise ModelError("it is no bundle of OpenSSF model signing v1.0")
        payload, made = base64.b64decode(envelope["payload"]), base64.b64decode(envelope["signatures"][0]["sig"])
        key = load_pem_public_key(public)
        if not isinstance(key, EllipticCurvePublicKey):
            raise ModelError("its key is no EC key")
        key.verify(made, Envelope(payload, IN_TOTO, {}).pae(), ECDSA(SHA256()))
        signed = json.loads(payload)["predicate"]["resources"]
        digests = {str(each["name"]): str(each["digest"]) for each in signed}
        whole = json.loads(payload)
    except InvalidSignature as error:
        raise ModelError("the signature does not match its key") from error
    except (ValueError, KeyError, TypeError, IndexError, RecursionError) as error:
        raise ModelError(f"it is damaged ({type(error).__name__})") from error
    for path, content in sorted(files.items()):
        if digests.get(path) != bytes_sha256(content):
            raise ModelError(f"{path} has SHA-256 {bytes_sha256(content)[:12]}, it signs {str(digests.get(path))[:12]}")
    if whole != _statement(name, files):
        raise ModelError("it signs other files than those of the folder")


def _statement(name: str, files: Mapping[str, bytes]) -> dict[str, Any]:
    digests = {path: sha256(files[path]) for path in sorted(files)}
    return {
        "_type": STATEMENT,
        "subject": [
            {"name": name, "digest": {"sha256": bytes_sha256(b"".join(each.digest() for each in digests.values()))}}
        ],
        "predicateType": PREDICATE,
        "predicate": {
            "serialization": {"method": "files", "hash_type": "sha256", "allow_symlinks": False},
            "resources": [
                {"name": path, "algorithm": "sha256", "digest": digest.hexdigest()} for path, digest in digests.items()
            ],
        },
    }
