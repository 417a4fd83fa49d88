"""The ingest receipts of a month: the one that git holds and the one in the working tree."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from streamflow.core.errors import HistoryError
from streamflow.pipeline.layout import INGEST_RECEIPTS
from streamflow.provenance.erasures import Erasures
from streamflow.provenance.git import file_at, resolve
from streamflow.trust.erasure_records import signed_erasures
from streamflow.warehouse.chain import versions_in

FILLED_ANEW = "; if it was filled anew on purpose: `streamflow repro`, then commit artifacts/ingest"


@dataclass(frozen=True)
class Receipt:
    """An ingest receipt and where it lies, in words."""

    where: str
    content: Mapping[str, Any]
    is_committed: bool
    erased: Erasures = field(default_factory=Erasures)

    def versions(self, table: str, source: str) -> tuple[str, ...] | None:
        """The versions of a table as they are now; None if it has none, or is of another source.

        A receipt from before an erasure stays as it is; who was erased is in none of the versions that it names.
        """
        versions = versions_in(self.content, table, source)
        return self.erased.versions(versions) if versions else versions


def receipts_of(month: str) -> list[Receipt]:
    """The receipts of a month: that of HEAD first, then the working tree's; none that is missing.

    Raises HistoryError if one is damaged.
    """
    path = INGEST_RECEIPTS / f"{month}.json"
    head = (resolve("HEAD") or "")[:12]
    found = [
        (f"the receipt in git (commit {head})", file_at("HEAD", path), True),
        ("the receipt in the working tree", _bytes(path), False),
    ]
    erased = signed_erasures()
    return [
        Receipt(where, _read(where, path, text), committed, erased)
        for where, text, committed in found
        if text is not None
    ]


def _read(where: str, path: Path, text: bytes) -> dict[str, Any]:
    try:
        return dict(json.loads(text))
    except ValueError as error:
        raise HistoryError(f"{where}, {path}, is damaged: {error}; `streamflow repro` writes it again") from error


def _bytes(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None
