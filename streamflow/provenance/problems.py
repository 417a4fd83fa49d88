"""What `streamflow doctor` says: conditions, each with its state, what is wrong and the command that mends it."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, and the command or step that mends it."""

    what: str
    mend: str

    def __str__(self) -> str:
        return f"{self.what}; {self.mend}"


@dataclass(frozen=True)
class Check:
    """One condition: it holds if it has no problems; `note` says what was looked at."""

    name: str
    note: str
    problems: tuple[Problem, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the condition holds."""
        return not self.problems

    def to_json(self) -> dict[str, Any]:
        """For machines: name, state, note and problems."""
        return {
            "name": self.name,
            "state": "ok" if self.ok else "failed",
            "note": self.note,
            "problems": [asdict(problem) for problem in self.problems],
        }


def problems_of(checks: Iterable[Check]) -> list[str]:
    """One phrase for each condition that does not hold: its name and its first problem."""
    return [
        f"{check.name}: {check.problems[0]}" + (f" (and {len(check.problems) - 1} more)" if check.problems[1:] else "")
        for check in checks
        if not check.ok
    ]
