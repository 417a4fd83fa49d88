"""The results of `streamflow doctor`: conditions, each with its state, what is wrong and the command that fixes it."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, and the command or step that fixes it."""

    what: str
    fix: str

    def __str__(self) -> str:
        return f"{self.what}; {self.fix}"


@dataclass(frozen=True)
class Check:
    """One condition: it is met if it has no problems; `note` says what was checked."""

    name: str
    note: str
    problems: tuple[Problem, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the condition is met."""
        return not self.problems

    def to_json(self) -> dict[str, Any]:
        """Name, state, note and problems as JSON."""
        return {
            "name": self.name,
            "state": "ok" if self.ok else "failed",
            "note": self.note,
            "problems": [asdict(problem) for problem in self.problems],
        }


def problem_of(error: Exception) -> Problem:
    """An error of one line as a problem: its last part is the command."""
    what, _, fix = str(error).rpartition("; ")
    return Problem(what or str(error), fix or "see above")


def problems_of(checks: Iterable[Check]) -> list[str]:
    """One phrase for each condition that is not met: its name and its first problem."""
    return [
        f"{check.name}: {check.problems[0]}" + (f" (and {len(check.problems) - 1} more)" if check.problems[1:] else "")
        for check in checks
        if not check.ok
    ]
