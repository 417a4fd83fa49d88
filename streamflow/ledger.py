"""The ledger of Production: who moved it, when, from where to where, why, and what the gates said."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

# MLflow's column takes 5,000 characters, and a person reads one line.
_LINE_LENGTH = 1000

Action = Literal["promote", "rollback"]


@dataclass(frozen=True)
class Entry:
    """One move of Production. `from_version` is None if there was none; `gates` are those passed by force, by name."""

    at: datetime
    who: str
    action: Action
    from_version: str | None
    to_version: str
    why: str
    gates: dict[str, str] = field(default_factory=dict)

    def in_one_line(self) -> str:
        """The ledger's line, as the description of a version ends with it."""
        forced = f"; gates passed by force: {', '.join(sorted(self.gates))}" if self.gates else ""
        moved = f"{self.action} {self.from_version or 'none'} to {self.to_version}"
        why = " ".join(self.why.split())
        return f"{self.at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC, {self.who}: {moved}: {why}{forced}"[:_LINE_LENGTH]


def described(description: str, last_line: str) -> str:
    """The first line of a version's description, which stays, and the ledger's line below it."""
    return f"{first_line(description)}\n\n{last_line}"


def first_line(description: str) -> str:
    """What a version is, without what the ledger says of it."""
    return description.split("\n", 1)[0]


def rollback_target(entries: Iterable[Entry], production: str | None) -> str | None:
    """The version that was Production before the one that is; None if the ledger knows of none.

    `entries` are in order of time. A promotion goes on top of those before it, a rollback takes the top away, so that
    two rollbacks go two versions back. A move that the ledger does not hold (by MLflow's own pages) counts as a
    promotion on top.
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
