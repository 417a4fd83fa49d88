"""Which keys count for an archive, and who chose them: those that --key names; else the archive's and this clone's."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from streamflow.core.errors import ConfigError, ModelError
from streamflow.operations.evidence.layout import KEYS, key_name
from streamflow.trust.trusted import TrustedKeys, public_key

NAMED_BY_ARCHIVE = "named by the archive itself"
_NAME = re.compile(r"[A-Za-z0-9_-]{1,80}")


@dataclass(frozen=True)
class CountedKeys:
    """The keys that count, and key id to who chose it, in words."""

    trusted: TrustedKeys
    chosen_by: Mapping[str, str]


def counted_keys(files: Mapping[str, bytes], given: Sequence[Path], clone: TrustedKeys | None) -> CountedKeys:
    """The keys that count for an archive; `clone` are those of the project in which the command runs, None outside.

    Names of the archive say nothing about a key, so they begin with `archive:`. Raises ConfigError or ModelError.
    """
    known = clone or TrustedKeys()
    archived = {public_key(pem, name).keyid: (name, pem) for name, pem in files.items() if _is_key(name)}
    if given:
        keys = {}
        for path in given:
            try:
                key = public_key(path.read_bytes(), str(path))
            except OSError as error:
                raise ConfigError(f"--key {path} can't be read: {error.strerror}; name a public.pem") from error
            keys[key.keyid] = (key, known.names.get(key.keyid, path.stem), "named by --key")
    else:
        keys = {
            keyid: (public_key(pem, name), f"archive:{key_name(name)}", NAMED_BY_ARCHIVE)
            for keyid, (name, pem) in archived.items()
        }
        keys |= {keyid: (key, known.names[keyid], "trusted by this clone") for keyid, key in known.keys.items()}
    counted = {keyid: each for keyid, each in keys.items() if keyid not in known.revoked}
    trusted = TrustedKeys(
        {keyid: key for keyid, (key, _, _) in counted.items()},
        {keyid: name for keyid, (_, name, _) in counted.items()},
        known.revoked,
    )
    return CountedKeys(trusted, {keyid: why for keyid, (_, _, why) in counted.items()})


def _is_key(name: str) -> bool:
    if not name.startswith(KEYS):
        return False
    if not _NAME.fullmatch(key_name(name)):
        raise ModelError(f"{name[:80]} is no name for a key")
    return True
