"""The chain of a table's recorded versions, and how the versions of a database differ from it.

A version is the content digest of a month's table as it was recorded: `rows_sha256`, 64 lower-case hex digits. The chain of
the versions 1 to n is text too: chain(0) is empty, and chain(k) = SHA-256(chain(k-1) + version(k)) in hex, over the ASCII
text of both. A stranger computes it from the versions of an ingest receipt in a shell, beginning with an empty `chain`:
`chain=$(printf %s "$chain$version" | sha256sum | cut -c-64)`. A correction adds one version to the end and changes no other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from streamflow.core.digest import bytes_sha256

CHANGED, MISSING, ADDED, LOST = "changed", "missing", "added", "lost"


@dataclass(frozen=True)
class Fault:
    """Versions of a database that are not those of a receipt; `versions` are numbers in the receipt, which has `of`."""

    kind: str
    versions: tuple[int, ...]
    of: int

    @property
    def named(self) -> str:
        """The versions in words."""
        numbers = ", ".join(str(number) for number in self.versions)
        return f"version{'s' if len(self.versions) > 1 else ''} {numbers} of {self.of}"

    def without(self, version: int) -> "Fault | None":
        """The fault without what it says of one version; None if nothing is left."""
        if self.kind not in (CHANGED, MISSING):
            return self
        left = tuple(each for each in self.versions if each != version)
        return Fault(self.kind, left, self.of) if left else None


def chain(versions: Sequence[str]) -> str:
    """The last link of the chain of some versions; empty for none."""
    link = ""
    for version in versions:
        link = bytes_sha256((link + version).encode())
    return link


def chained(versions: Sequence[str]) -> dict[str, Any]:
    """What a receipt says of a table's versions, oldest first."""
    return {"versions": list(versions), "chain_sha256": chain(versions)}


def versions_in(receipt: Mapping[str, Any], table: str, source: str) -> tuple[str, ...] | None:
    """The versions of a table in an ingest receipt; None if it has none, or is of another source."""
    versions = receipt.get("tables", {}).get(table, {}).get("versions")
    return tuple(versions) if versions and receipt.get("source") == source else None


def contradicts_itself(receipt: Mapping[str, Any], table: str) -> bool:
    """Whether a receipt's chain, or the digest of its rows, is not that of its versions."""
    facts = receipt.get("tables", {}).get(table, {})
    versions = facts.get("versions")
    if versions is None:
        return False
    return (chain(versions), versions[-1:]) != (facts.get("chain_sha256"), [facts["content_sha256"]])


def differences(received: Sequence[str], found: Sequence[str]) -> tuple[Fault, ...]:
    """How the versions found in a database differ from those of a receipt; none if only newer ones were added to the end."""
    received, found = tuple(received), tuple(found)
    count, more = len(received), len(found) - len(received)
    if found[:count] == received:
        return ()
    if count > 1 and found == received[-1:]:
        return (Fault(LOST, tuple(range(1, count)), count),)
    start = next((i for i, (one, other) in enumerate(zip(received, found, strict=False)) if one != other), len(found))
    if more < 0 and found[start:] == received[start - more :]:
        return (Fault(MISSING, tuple(range(start + 1, start - more + 1)), count),)
    if more > 0 and found[start + more :] == received[start:]:
        return (Fault(ADDED, (start + 1,), count),)
    changed = tuple(i + 1 for i, (one, other) in enumerate(zip(received, found, strict=False)) if one != other)
    missing = tuple(range(len(found) + 1, count + 1))
    return tuple(fault for fault in (Fault(CHANGED, changed, count), Fault(MISSING, missing, count)) if fault.versions)


def is_version(received: Sequence[str] | None, recorded: Sequence[str], number: int) -> bool:
    """Whether a recorded version (1 is the first) is what a receipt has for it; `received` is None if no receipt says.

    It may be newer than the receipt. A database that was filled again has none of the receipt's versions where the receipt
    has it: there only the receipt's last version is known.
    """
    if not received:
        return True
    version = recorded[number - 1]
    if number <= len(received) and received[number - 1] == version:
        return True
    if number > len(received) and not differences(received, recorded):
        return True
    is_same_history = any(one == other for one, other in zip(received, recorded, strict=False))
    return version == received[-1] and not is_same_history
