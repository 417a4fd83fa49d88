"""Keys for tests, by name, the same in each run of one process."""

from dataclasses import dataclass
from functools import cache

from securesystemslib.signer import CryptoSigner

from streamflow.trust.trusted import TrustedKeys, public_pem, trusted_keys_of


@dataclass(frozen=True)
class TestKey:
    """A key pair and its name."""

    __test__ = False
    name: str
    signer: CryptoSigner

    @property
    def keyid(self) -> str:
        return self.signer.public_key.keyid

    @property
    def pem(self) -> bytes:
        return public_pem(self.signer.public_key)


@cache
def key(name: str) -> TestKey:
    return TestKey(name, CryptoSigner.generate_ed25519())


def trusting(*keys: TestKey) -> TrustedKeys:
    return trusted_keys_of({each.name: each.pem for each in keys}, {})
