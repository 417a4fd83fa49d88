"""Every recorded version of a month, computed from the rows, against the chain in the receipts that git holds.

Who owns the database can switch its triggers off and make its own ledger consistent, but can't change a commit.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from streamflow.core.digest import rows_sha256
from streamflow.core.schema import TABLES, Table
from streamflow.pipeline.layout import INGEST_RECEIPTS, SNAPSHOTS
from streamflow.warehouse.chain import (
    ADDED,
    CHANGED,
    LOST,
    MISSING,
    Fault,
    contradicts_itself,
    differences,
)
from streamflow.warehouse.history import Warehouse
from streamflow.warehouse.receipts import FILLED_ANEW, Receipt, receipts_of
from streamflow.warehouse.source_drift import EDITED, NOT_FROZEN, RESTORE, SourceDrift, frozen_rows, table_drift
from streamflow.warehouse.versions import Version, ledger_versions, named_users, row_versions, suspects, users_recorded

_RECORD_LOSS = "restore the database from its backup, or `streamflow repro` records it"


def history_drift(store: Warehouse, months: Sequence[str], known_at: str | None) -> list[SourceDrift]:
    """What `source_drift` and `chain_drift` find, each difference once: of a frozen version its rows are named."""
    found = []
    for month in months:
        receipts = receipts_of(month)
        for table in TABLES:
            recorded = _Recorded.read(store, table, month)
            mine = recorded.differs_from_frozen(known_at)
            number = len(ledger_versions(store, table, month, known_at)) if mine else 0
            if mine and NOT_FROZEN in mine.what and recorded.is_rewritten(receipts, number):
                mine = SourceDrift(mine.what.replace(NOT_FROZEN, f"{EDITED}, with its record"), RESTORE + FILLED_ANEW)
            found += [
                *([mine] if mine else []),
                *(recorded.faults(receipts, number) if recorded.rows or not mine else []),
            ]
    return found


def chain_drift(store: Warehouse, months: Sequence[str]) -> list[SourceDrift]:
    """Each difference between the versions that the rows make, the receipts of HEAD and working tree, and the ledger."""
    found: list[SourceDrift] = []
    for month in months:
        receipts = receipts_of(month)
        for table in TABLES:
            found += _Recorded.read(store, table, month).faults(receipts, 0)
    return found


@dataclass(frozen=True)
class _Recorded:
    """One table of one month: its versions as the rows make them and as the ledger lists them."""

    store: Warehouse
    table: Table
    month: str
    rows: Sequence[Version]
    ledger: Sequence[Version]

    @classmethod
    def read(cls, store: Warehouse, table: Table, month: str) -> "_Recorded":
        """What the database has of it."""
        return cls(store, table, month, row_versions(store, table, month), ledger_versions(store, table, month))

    @property
    def name(self) -> str:
        """The table in messages."""
        return f"history.{self.table.name} of {self.month}"

    def differs_from_frozen(self, known_at: str | None) -> SourceDrift | None:
        """How the version known at `known_at` (None: the last) differs from the frozen rows; None if nothing is frozen."""
        path = SNAPSHOTS / self.month / f"{self.table.name}.parquet"
        if not path.exists():
            return None
        frozen = frozen_rows(self.table, path)
        if known_at is None and _digests(self.rows[-1:]) == [rows_sha256(frozen)]:
            return None  # spares reading the rows once more
        return table_drift(self.store, self.table, self.month, known_at, frozen)

    def is_rewritten(self, receipts: Sequence[Receipt], version: int) -> bool:
        """Whether a receipt has other rows for a version."""
        received = [self._versions_in(receipt) or () for receipt in receipts]
        return any(fault.kind == CHANGED and version in fault.versions
                   for each in received for fault in differences(each, _digests(self.rows)))  # fmt: skip

    def faults(self, receipts: Sequence[Receipt], frozen: int) -> list[SourceDrift]:
        """The differences in words, but for those of version `frozen` (0: none); by the first receipt that has any."""
        if not self.rows and not self.ledger and not self.store.tables_of(self.month):
            return []  # never recorded, or wiped and not yet filled again
        digests = _digests(self.rows)
        kept = next((self._versions_in(each) for each in receipts if not each.is_committed), None)
        for receipt in receipts:
            if contradicts_itself(receipt.content, self.table.name):
                what = f"{receipt.where} contradicts itself: the chain of {self.table.name} is not that of its versions"
                path = INGEST_RECEIPTS / f"{self.month}.json"
                return [
                    SourceDrift(what, f"`git log -p {path}` shows who edited it; `streamflow repro` writes it again")
                ]
            received = self._versions_in(receipt) or ()
            faults = differences(received, digests)
            if receipt.is_committed and [each.kind for each in faults] == [LOST] and kept == tuple(digests):
                continue  # the working tree's receipt records it; that it is not committed, git tells
            if faults:
                return list(self._against(receipt, received, frozen))
        return list(self._against_ledger(frozen))

    def _versions_in(self, receipt: Receipt) -> tuple[str, ...] | None:
        return receipt.versions(self.table.name, self.store.source)

    def _against(self, receipt: Receipt, received: Sequence[str], frozen: int) -> Iterator[SourceDrift]:
        kept = self.rows
        if len(self.rows) > len(received):
            kept = [version for version in self.rows if version not in self._unlisted()]
            yield from self._unlisted_in_words()
        newest = received[-1:] if len(kept) == len(received) else _digests(self.ledger[-1:])
        last_is_right = _digests(kept[-1:]) == list(newest)
        for whole in differences(received, _digests(kept)):
            if fault := whole.without(frozen):
                whose = ""
                if fault.kind == CHANGED:
                    whose = suspects(self.store, self.table, self.month, kept[fault.versions[-1] - 1], last_is_right)
                yield SourceDrift(f"{self.name}{_in_words(fault, receipt.where, len(kept))}{whose}", _fix(fault))

    def _against_ledger(self, frozen: int) -> Iterator[SourceDrift]:
        made = {version.recorded_at: version.content_sha256 for version in self.rows}
        last_is_right = self.rows[-1:] == self.ledger[-1:]
        yield from self._unlisted_in_words()
        for number, version in enumerate(self.ledger, 1):
            here = f"{self.name}, version {number} of {len(self.ledger)}"
            if number == frozen or version in self.rows:
                continue
            if version.recorded_at not in made:
                yield SourceDrift(f"{here}: its rows, recorded at {version.recorded_at}, are missing", RESTORE)
            else:
                whose = suspects(self.store, self.table, self.month, version, last_is_right)
                yield SourceDrift(
                    f"{here}: the rows have another digest than history.extracts recorded{whose}", RESTORE
                )

    def _unlisted(self) -> list[Version]:
        """Versions that rows make at a moment of which the ledger has none."""
        listed = {version.recorded_at for version in self.ledger}
        return [version for version in self.rows if version.recorded_at not in listed]

    def _unlisted_in_words(self) -> Iterator[SourceDrift]:
        for version in self._unlisted():
            earlier = self.rows[: self.rows.index(version)]
            before = earlier[-1].recorded_at if earlier else "-infinity"
            users = named_users(users_recorded(self.store, self.table, self.month, before, version.recorded_at))
            what = f"has rows recorded at {version.recorded_at} ({users}), of which history.extracts has no version"
            yield SourceDrift(f"{self.name} {what}", RESTORE)


def _in_words(fault: Fault, where: str, found: int) -> str:
    if fault.kind == LOST:
        return f" has {found} version, {where} has {fault.of}: the history of its corrections was lost"
    return {
        CHANGED: f", {fault.named}: the rows have another digest than {where}",
        MISSING: f", {fault.named}: missing, {where} has it",
        ADDED: f": a version that {where} does not have was put before {fault.named}",
    }[fault.kind]


def _fix(fault: Fault) -> str:
    return _RECORD_LOSS if fault.kind == LOST else RESTORE + FILLED_ANEW


def _digests(versions: Sequence[Version]) -> list[str]:
    return [version.content_sha256 for version in versions]
