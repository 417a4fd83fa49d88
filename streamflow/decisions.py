"""Whether a new model version becomes Production."""

from dataclasses import dataclass


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
        return Decision(False, "promotion.policy is never")
    if champion is None:
        return Decision(True, "there was no Production version")
    words = f"{metric} {challenger:.4f} against the champion's {champion:.4f} on the same test users"
    if challenger >= champion - tolerance:
        return Decision(True, f"{words}, tolerance {tolerance:g}")
    return Decision(False, f"{words}, more than the tolerance {tolerance:g} below")
