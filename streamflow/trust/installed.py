"""The files of an environment against a signed record of them, written right after they were installed by hash.

The hashes in requirements.lock are of archives, so only an installation can tell the digests of files: `make install` and
`streamflow rerun` empty the environment, install the archives whose hashes the lock names, without uv's cache (it holds
unpacked files that nobody hashes again), and record every file then. The record is signed by this machine's key.
"""

import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from streamflow.core.digest import bytes_sha256
from streamflow.core.errors import EnvironmentFault, ModelError
from streamflow.pipeline.environment import environment_differences
from streamflow.pipeline.layout import REQUIREMENTS
from streamflow.trust.bytecode import compile_standard_library, share_bytecode
from streamflow.trust.envelope import canonical, open_envelope, sign
from streamflow.trust.keys import machine_signer, trusted_keys
from streamflow.trust.python_files import configuration, digests, facts_sha256, python_files, site_packages

RECORD, CHECKED = "streamflow-environment.json", "streamflow-environment.checked.json"
RECORD_TYPE = "application/vnd.streamflow.environment+json"
CHECKED_TYPE = "application/vnd.streamflow.environment-check+json"
_NAMED = 5
# File systems stamp changes with a clock that ticks some hundred times a second; a later change must have a later stamp.
_TICK_NS = 100_000_000


def record(prefix: Path, lock: str) -> int:
    """Write and sign the record of a new environment, with the compiled modules for the processes of a rerun.

    Returns the number of files.
    """
    compile_standard_library(prefix)
    files = digests(python_files(prefix))
    content = {
        "lock_sha256": bytes_sha256(lock.encode()),
        "python": configuration(prefix).get("version", ""),
        "files": files,
    }
    _write(prefix / RECORD, sign(canonical(content), RECORD_TYPE, machine_signer()))
    (prefix / CHECKED).unlink(missing_ok=True)
    return len(files)


def installed_differences() -> list[str]:
    """What differs between this environment and requirements.lock: packages by version; if none does, files by content."""
    lock = REQUIREMENTS.read_text(encoding="utf-8")
    return environment_differences(lock) or content_differences(Path(sys.prefix), lock)


def known_differences() -> list[str]:
    """What is known to differ from requirements.lock: as `installed_differences`, by version only where there is no record.

    An environment that `make install` did not make, such as that of a container image, can train and judge: what becomes
    Production is derived again in an environment that is recorded.
    """
    if (Path(sys.prefix) / RECORD).is_file():
        return installed_differences()
    return environment_differences(REQUIREMENTS.read_text(encoding="utf-8"))


def content_differences(prefix: Path, lock: str, read_again: bool = False) -> list[str]:
    """Files of an environment that are not those that the lock's archives held, one phrase for each of the first few.

    Also that there is no record of them, that no trusted key signed it, or that it is for another lock. No file is read if
    none was touched since the last time, unless they shall be read again.
    """
    path = prefix / RECORD
    if not path.is_file():
        return [f"{prefix} has no record of its files, so `make install` did not make it"]
    started = time.time_ns()
    files = python_files(prefix)
    facts, newest = facts_sha256({**files, RECORD: str(path)})
    known = None if read_again else _checked(prefix)
    if known is None or known["facts_sha256"] != facts:
        try:
            known = _compare(prefix, path, files) | {"facts_sha256": facts}
        except ModelError as error:
            return [f"the record of the files of {prefix} does not count: {error}"]
        if newest < started - _TICK_NS:
            _keep_checked(prefix, known)
    if known["lock_sha256"] != bytes_sha256(lock.encode()):
        return [f"{prefix} was made from another requirements.lock ({known['lock_sha256'][:12]})"]
    return list(known["differences"])


def differing_files(recorded: Mapping[str, str], found: Mapping[str, str]) -> dict[str, str]:
    """Name to missing, added or changed, sorted."""
    words = dict.fromkeys(recorded.keys() - found.keys(), "is missing")
    words |= dict.fromkeys(found.keys() - recorded.keys(), "was added")
    words |= {name: "was changed" for name in recorded.keys() & found.keys() if recorded[name] != found[name]}
    return dict(sorted(words.items()))


def _compare(prefix: Path, path: Path, files: Mapping[str, str]) -> dict[str, Any]:
    line = path.read_text(encoding="utf-8", errors="replace")
    signed = open_envelope(line, trusted_keys(), RECORD_TYPE)
    content = signed.content()
    differing = differing_files(content["files"], digests(files))
    owners = _owners(prefix) if differing else {}
    phrases = [f"{_short(name)} of {owners.get(_short(name), 'no package')} {what}" for name, what in differing.items()]
    more = len(phrases) - _NAMED
    phrases = phrases[:_NAMED] + ([f"and {more} more files"] if more > 0 else [])
    return {"lock_sha256": content["lock_sha256"], "keyid": signed.keyid, "differences": phrases}


def _checked(prefix: Path) -> dict[str, Any] | None:
    """The last comparison, if a trusted key signed it, and the key of the record still counts."""
    trusted = trusted_keys()
    try:
        found = open_envelope((prefix / CHECKED).read_text(encoding="utf-8"), trusted, CHECKED_TYPE).content()
    except (OSError, ValueError, ModelError):
        return None
    return found if found["keyid"] in trusted.keys else None


def _keep_checked(prefix: Path, found: Mapping[str, Any]) -> None:
    """Keep a comparison for the next time, where this process may write."""
    if os.access(prefix, os.W_OK):
        _write(prefix / CHECKED, sign(canonical(dict(found)), CHECKED_TYPE, machine_signer()))


def _write(path: Path, line: str) -> None:
    """Write a file whole or not at all; two processes may do it at once."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(line + "\n", encoding="utf-8")
    partial.replace(path)


def _owners(prefix: Path) -> dict[str, str]:
    """File below the packages' folder to the package whose list has it."""
    found = {}
    for listing in site_packages(prefix).glob("*.dist-info/RECORD"):
        name, _, version = listing.parent.name.removesuffix(".dist-info").partition("-")
        for line in listing.read_text(encoding="utf-8", errors="replace").splitlines():
            found[line.split(",", 1)[0].strip('"')] = f"{name.replace('_', '-').lower()} {version}"
    return found


def _short(name: str) -> str:
    return name.partition("/site-packages/")[2] or name


def main() -> None:
    """Record the environment of this Python; the last step of `make install`."""
    if sys.prefix == sys.base_prefix:
        raise EnvironmentFault(f"{sys.prefix} is no environment of its own; `make install` makes .venv")
    share_bytecode(Path(sys.prefix))
    record(Path(sys.prefix), REQUIREMENTS.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
