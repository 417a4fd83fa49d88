"""Whether a new model version becomes Production."""

from collections.abc import Iterable
from dataclasses import dataclass

GATE = "gate "
"""How the reason of a decision begins that a gate refused."""
NEVER = "promotion.policy is never"


@dataclass(frozen=True)
class Decision:
    """What to do with Production, and why, in words for a person."""

    promote: bool
    reason: str


def decide(policy: str, metric: str, challenger: float, champion: float | None, tolerance: float) -> Decision:
    """Promote by `policy`: `never`, or `auto`: no champion, or at most `tolerance` below it on the same test users.

    `champion` is None if there is no Production version.
    """
    if policy == "never":
        return Decision(False, NEVER)
    if champion is None:
        return Decision(True, "there was no Production version")
    words = f"{metric} {challenger:.4f} against the champion's {champion:.4f} on the same test users"
    if challenger >= champion - tolerance:
        return Decision(True, f"{words}, tolerance {tolerance:g}")
    return Decision(False, f"{words}, more than the tolerance {tolerance:g} below")


@dataclass(frozen=True)
class Gate:
    """One condition for Production; `detail` says what is wrong and how to mend it, and is empty if it holds."""

    name: str
    detail: str = ""

    @property
    def passed(self) -> bool:
        """Whether the condition holds."""
        return not self.detail


def guarded(decision: Decision, gates: Iterable[Gate]) -> Decision:
    """The decision, unless it promotes and a gate is shut. Gates are asked in turn, none after the first that is shut."""
    if not decision.promote:
        return decision
    shut = next((gate for gate in gates if not gate.passed), None)
    return Decision(False, f"{GATE}{shut.name}: {shut.detail}") if shut else decision
