"""The records of the ledger of erasures, and what they make of contents and frozen months.

A record holds no user and no value: it names contents by their digests before and after, and keeps the commitments of the
rows that are gone. With them and the salts of the other rows it is proven that nothing else changed.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from streamflow.core.errors import HistoryError


@dataclass(frozen=True)
class ErasedContent:
    """One content of a month's table from which users were erased.

    `rows`: before. `now`: digest of the rows that are left. `tombstones`: commitments of the rows that are gone, hex.
    `commitments_sha256`: root of the commitments before. `salts_md5`: object of DVC's cache with the salts of the rest.
    """

    table: str
    month: str
    rows: int
    now: str
    commitments_sha256: str
    tombstones: tuple[str, ...]
    salts_md5: str

    def and_then(self, later: "ErasedContent") -> "ErasedContent":
        """This content after another erasure, which names the tombstones that it added."""
        tombstones = tuple(sorted({*self.tombstones, *later.tombstones}))
        return ErasedContent(
            self.table, self.month, self.rows, later.now, self.commitments_sha256, tombstones, later.salts_md5
        )


@dataclass(frozen=True)
class ErasedSnapshot:
    """A frozen month from which users were erased: the MD5 of what is left of it, and how many users are gone."""

    now: str
    users: int


@dataclass(frozen=True)
class Erasure:
    """One erasure: how many users, why (no user is named), and what it changed. `at` is UTC, ISO text.

    `contents` maps the digest of a content to what became of it, `snapshots` the MD5 of a frozen month likewise.
    """

    number: int
    previous_sha256: str
    at: str
    reason: str
    users: int
    contents: Mapping[str, ErasedContent]
    snapshots: Mapping[str, ErasedSnapshot]

    def text(self) -> str:
        """The record as it is kept and signed."""
        return json.dumps(asdict(self), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


@dataclass(frozen=True)
class Erasures:
    """All erasures, oldest first, and what they make of contents and frozen months by their digests from before."""

    records: tuple[Erasure, ...] = ()
    contents: Mapping[str, ErasedContent] = field(default_factory=dict)
    snapshots: Mapping[str, ErasedSnapshot] = field(default_factory=dict)

    def left_of(self, digest: str) -> str:
        """The digest of what is left of a content; the digest itself if nothing was erased from it."""
        return self.contents[digest].now if digest in self.contents else digest

    def versions(self, digests: tuple[str, ...]) -> tuple[str, ...]:
        """The versions of a table as they are now: one that changed erased users only is no version any more."""
        found: list[str] = []
        for at, digest in enumerate(digests):
            now = self.left_of(digest)
            if not (found and found[-1] == now and digests[at - 1] != digest):
                found.append(now)
        return tuple(found)


def merged(records: tuple[Erasure, ...]) -> Erasures:
    """Erasures of some records, oldest first."""
    contents: dict[str, ErasedContent] = {}
    snapshots: dict[str, ErasedSnapshot] = {}
    for record in records:
        for digest, content in record.contents.items():
            contents[digest] = contents[digest].and_then(content) if digest in contents else content
        for before, after in snapshots.items():
            if later := record.snapshots.get(after.now):
                snapshots[before] = ErasedSnapshot(later.now, after.users + later.users)
        snapshots.update(record.snapshots)
    return Erasures(records, contents, snapshots)


def read_erasure(text: bytes, where: str) -> Erasure:
    """A record. Raises HistoryError naming `where` if it is damaged."""
    try:
        found: dict[str, Any] = json.loads(text)
        contents = {
            digest: ErasedContent(**{**content, "tombstones": tuple(content["tombstones"])})
            for digest, content in found["contents"].items()
        }
        snapshots = {md5: ErasedSnapshot(**snapshot) for md5, snapshot in found["snapshots"].items()}
        return Erasure(**{**found, "contents": contents, "snapshots": snapshots})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise HistoryError(
            f"{where} is damaged ({type(error).__name__}); `git checkout {where}`, or `streamflow erase` writes it again"
        ) from error
