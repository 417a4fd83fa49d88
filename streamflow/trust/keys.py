"""The keys of this machine and of the project: a private key under var/keys, public keys in keys/ of the commit.

A public key counts if it is this machine's own or keys/NAME.pem of HEAD, and if keys/revoked/ does not have it. A file
that is not committed trusts nobody; a revocation counts at once.
"""

import os
import stat
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from securesystemslib.signer import CryptoSigner  # type: ignore[attr-defined]

from streamflow.core.errors import ConfigError, EnvironmentFault, first_line, shown
from streamflow.pipeline.project import state_dir
from streamflow.provenance.git import file_at, tree
from streamflow.trust.trusted import SHOWN, TrustedKeys, public_key, public_pem, trusted_keys_of

VARIABLE = "STREAMFLOW_SIGNING_KEY"
KEYS, REVOKED = Path("keys"), Path("keys/revoked")
OWN_NAME = "this machine"
_PEM = ".pem"


@dataclass(frozen=True)
class PublicKey:
    """A public key of the project in words: `state` is trusted, revoked, not committed, or why it can't be read."""

    name: str
    keyid: str
    state: str


def private_path() -> Path:
    """The file of the private key: the one that STREAMFLOW_SIGNING_KEY names, or var/keys/private.pem."""
    return Path(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else state_dir() / "keys" / "private.pem"


def public_path() -> Path:
    """The file of this machine's public key, beside the private one, for the keys/ of others."""
    return private_path().with_name("public.pem")


def machine_signer() -> CryptoSigner:
    """The signer of this machine; its key is made if there is none.

    Raises ConfigError if STREAMFLOW_SIGNING_KEY names no key, or if others may read the file.
    """
    path = private_path()
    if not path.exists():
        if os.environ.get(VARIABLE):
            raise ConfigError(
                f"{VARIABLE} names {path}, which does not exist; `streamflow keys init` makes a key there"
            )
        make_key()
    return _signer(path)


def make_key() -> Path:
    """Make a private key (PKCS#8 in PEM, mode 0600) unless there is one, and its public half; returns the private file.

    Several may do it at once: one of the keys stays.
    """
    path = private_path()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
        partial = Path(scratch) / path.name
        partial.touch(0o600)
        partial.write_bytes(CryptoSigner.generate_ed25519().private_bytes)
        with suppress(FileExistsError):
            os.link(partial, path)
    _write_public(_signer(path))
    return path


def retire_key() -> Path:
    """Give the private key another name, after its key id; returns that file."""
    path = private_path()
    old = path.with_name(f"{_signer(path).public_key.keyid[:SHOWN]}{_PEM}")
    path.rename(old)
    return old


def trust_key(file: Path, name: str) -> Path:
    """Copy a public key to keys/NAME.pem. Raises ConfigError, and writes nothing, if it is none or the name is taken."""
    if not name.replace("-", "").replace("_", "").isalnum() or not name.isascii():
        raise ConfigError(f"{shown(name)} is no name for a key; use letters, digits, - and _")
    try:
        pem = file.read_bytes()
    except OSError as error:
        raise ConfigError(f"{file} can't be read: {error.strerror}; name a public.pem") from error
    key = public_key(pem, str(file))
    path = KEYS / f"{name}{_PEM}"
    for known in (path, REVOKED / path.name):
        if known.exists() and public_key(known.read_bytes(), str(known)).keyid != key.keyid:
            raise ConfigError(f"{known} is another key; choose another --name")
    if key.keyid in trusted_keys().revoked:
        raise ConfigError(f"key {key.keyid[:SHOWN]} is revoked; `git log -- {REVOKED}` says since when")
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(pem)
    return path


def revoke_key(name: str) -> Path:
    """Move keys/NAME.pem to keys/revoked/; returns that file. Raises ConfigError if there is none."""
    path = KEYS / f"{name}{_PEM}"
    if not path.is_file():
        known = sorted(each.stem for each in KEYS.glob(f"*{_PEM}"))
        raise ConfigError(f"there is no {path}; keys are {', '.join(known) or 'none'}, see `streamflow keys list`")
    REVOKED.mkdir(exist_ok=True)
    return path.rename(REVOKED / path.name)


def trusted_keys() -> TrustedKeys:
    """The keys that count here: this machine's, if it has one, and those of the commit, without the revoked ones."""
    trusted, revoked = committed_keys()
    for path in REVOKED.glob(f"*{_PEM}"):
        revoked[path.stem] = path.read_bytes()
    if private_path().exists():
        own = _signer(private_path())
        known = {key.keyid for key in trusted_keys_of(trusted, {}).keys.values()}
        if own.public_key.keyid not in known:
            trusted[OWN_NAME] = public_pem(own.public_key)
    return trusted_keys_of(trusted, revoked)


def committed_keys() -> tuple[dict[str, bytes], dict[str, bytes]]:
    """The PEM files of HEAD by name: keys/, then keys/revoked/; nothing if there is no commit."""
    try:
        names = [name for name in tree("HEAD") if name.startswith(f"{KEYS}/") and name.endswith(_PEM)]
    except EnvironmentFault:
        return {}, {}
    found: tuple[dict[str, bytes], dict[str, bytes]] = ({}, {})
    for name in names:
        place = found[Path(name).parent == REVOKED]
        place[Path(name).stem] = file_at("HEAD", name) or b""
    return found


def listed_keys() -> list[PublicKey]:
    """Every public key of the project and this machine's own, sorted by name."""
    trusted = trusted_keys()
    found = [PublicKey(trusted.names[keyid], keyid, "trusted") for keyid in trusted.keys]
    found += [PublicKey(name, keyid, "revoked") for keyid, name in trusted.revoked.items()]
    known = {*trusted.keys, *trusted.revoked}
    for path in sorted(KEYS.glob(f"*{_PEM}")):
        try:
            key = public_key(path.read_bytes(), str(path))
        except ConfigError as error:
            found.append(PublicKey(path.stem, "", str(error)))
            continue
        if key.keyid not in known:
            found.append(PublicKey(path.stem, key.keyid, f"not committed; `git add {path}` and commit"))
    return sorted(found, key=lambda key: key.name)


def _signer(path: Path) -> CryptoSigner:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise ConfigError(f"others may read the private key {path}; `chmod 600 {path}`, and revoke it if they did")
        loaded = load_pem_private_key(path.read_bytes(), None)
    except OSError as error:
        raise EnvironmentFault(
            f"the private key {path} can't be read: {error.strerror}; name another by {VARIABLE}"
        ) from error
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{path} is no private key in PEM without a password ({first_line(error)})") from error
    if not isinstance(loaded, Ed25519PrivateKey):
        raise ConfigError(f"{path} is no Ed25519 key; `streamflow keys init` makes one")
    return CryptoSigner(loaded)


def _write_public(signer: CryptoSigner) -> None:
    path = public_path()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.write_bytes(public_pem(signer.public_key))
