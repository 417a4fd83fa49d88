"""The moves of Production as a person reads them, and where a rollback leads."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from streamflow.trust.chain import Chain, SignedMove

# MLflow's column takes 5,000 characters, and a person reads one line.
_LINE_LENGTH = 1000


@dataclass(frozen=True)
class Entry:
    """One move of Production. `from_version` is None if there was none; `gates` failed and were overridden, by name.

    `signer` is the key that signed it, in words; empty for a move from before signatures.
    """

    at: datetime
    who: str
    action: str
    from_version: str | None
    to_version: str
    why: str
    gates: dict[str, str] = field(default_factory=dict)
    signer: str = ""

    def in_one_line(self) -> str:
        """The move as the last line of a version's description."""
        forced = f"; failed gates overridden: {', '.join(sorted(self.gates))}" if self.gates else ""
        moved = f"{self.action} {self.from_version or 'none'} to {self.to_version}"
        why = " ".join(self.why.split())
        return f"{self.at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC, {self.who}: {moved}: {why}{forced}"[:_LINE_LENGTH]


@dataclass(frozen=True)
class Ledger:
    """The moves of Production: those from before signatures, then the signed chain."""

    unsigned: tuple[Entry, ...]
    chain: Chain

    @property
    def entries(self) -> list[Entry]:
        """All moves, oldest first."""
        return [*self.unsigned, *(entry_of(each) for each in self.chain.moves)]

    @property
    def counted(self) -> list[Entry]:
        """The moves that a rollback follows: once there are signed ones, a row without a signature is anybody's."""
        return [each for each in self.entries if each.signer] or self.entries

    @property
    def last(self) -> str | None:
        """The version of the last move; None if Production was never moved."""
        moved = self.entries
        return moved[-1].to_version if moved else None


def rollback_target(entries: Iterable[Entry], production: str | None) -> str | None:
    """The version that was Production before the current one; None if the ledger has none.

    `entries` are in order of time. A promotion is pushed on a stack, a rollback pops it, so that two rollbacks go
    two versions back. A move that is not in the ledger (by MLflow's own pages) counts as a promotion.
    """
    stack: list[str] = []
    for entry in entries:
        if entry.from_version is not None and (not stack or stack[-1] != entry.from_version):
            stack.append(entry.from_version)
        if entry.action == "rollback" and entry.to_version in stack:
            while stack[-1] != entry.to_version:
                stack.pop()
        elif not stack or stack[-1] != entry.to_version:
            stack.append(entry.to_version)
    if production is not None and (not stack or stack[-1] != production):
        stack.append(production)
    return stack[-2] if len(stack) > 1 else None


def entry_of(signed: SignedMove) -> Entry:
    """A signed move as an entry."""
    move = signed.move
    at = datetime.fromisoformat(move.at)
    return Entry(
        at, move.who, move.action, move.from_version, move.to_version, move.why, dict(move.gates), signed.signed.signer
    )
