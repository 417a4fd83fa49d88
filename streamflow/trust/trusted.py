"""Public keys: whose signatures count."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from securesystemslib.signer import SSlibKey  # type: ignore[attr-defined]

from streamflow.core.errors import ConfigError

SHOWN = 16
"""Characters of a key id in messages."""


@dataclass(frozen=True)
class TrustedKeys:
    """Key id to key, of the keys that count, and names of these and of the revoked ones by key id."""

    keys: Mapping[str, SSlibKey] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    revoked: Mapping[str, str] = field(default_factory=dict)

    def described(self, keyid: str) -> str:
        """A key in words: its name if it has one, and the beginning of its id."""
        name = self.names.get(keyid) or self.revoked.get(keyid)
        return f"{name} ({keyid[:SHOWN]})" if name else keyid[:SHOWN]


def trusted_keys_of(trusted: Mapping[str, bytes], revoked: Mapping[str, bytes]) -> TrustedKeys:
    """The keys of PEM files by name; a key that is also revoked does not count. Raises ConfigError naming the file."""
    bad = {key.keyid: name for name, key in _loaded(revoked).items()}
    good = {key.keyid: (name, key) for name, key in _loaded(trusted).items() if key.keyid not in bad}
    return TrustedKeys(
        {keyid: key for keyid, (_, key) in good.items()}, {keyid: name for keyid, (name, _) in good.items()}, bad
    )


def public_key(pem: bytes, where: str) -> SSlibKey:
    """The Ed25519 key of a PEM file. Raises ConfigError naming `where`."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        loaded: Any = load_pem_public_key(pem)
    except ValueError:
        loaded = None
    if not isinstance(loaded, Ed25519PublicKey):
        raise ConfigError(f"{where} is no Ed25519 public key in PEM; `streamflow keys init` writes var/keys/public.pem")
    return SSlibKey.from_crypto(loaded)


def public_pem(key: SSlibKey) -> bytes:
    """An Ed25519 public key in PEM."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(key.keyval["public"]))
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _loaded(files: Mapping[str, bytes]) -> dict[str, SSlibKey]:
    return {name: public_key(pem, f"keys/{name}.pem") for name, pem in sorted(files.items())}
