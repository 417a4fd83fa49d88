"""Whether a new model version becomes Production: the rule over policy, scores and gates."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from streamflow.promotion.challenge import METRICS
from streamflow.registry.decision import Comparison, DecisionRecord, Gate, PromotionRule

GATE = "gate "
"""First words of the reason if a gate failed."""
POLICY = "promotion.policy is "
"""First words of the reason if the policy is `manual` or `never`."""
NEVER = f"{POLICY}never"
MANUAL = f"{POLICY}manual"
DATA_GATES = ("leakage", "overlap")
"""Gates on the data that a version is judged by; they are checked under every policy."""


@dataclass(frozen=True)
class Decision:
    """Whether to promote, and why, in words for a person."""

    promote: bool
    reason: str


FIRST = Decision(True, "there was no Production version")


def decide(rule: PromotionRule, judged: Decision) -> Decision:
    """Apply the policy: `auto` follows the judgement, `manual` leaves it to a person, `never` ignores it."""
    if rule.policy == "never":
        return Decision(False, NEVER)
    if rule.policy == "manual":
        return Decision(False, f"{MANUAL}, `streamflow promote vN` decides; {judged.reason}")
    return judged


def judge(rule: PromotionRule, comparison: Comparison) -> Decision:
    """Whether the challenger is better by `rule.delta` with `rule.confidence`, and not worse by the other metric.

    Better: the one-sided lower bound of the difference is at least delta, and above 0. Not worse: the upper bound of the
    other metric's difference is not below 0.
    """
    each = comparison.metrics[rule.metric]
    on = f"on the same {comparison.users} test users"
    if comparison.is_equal:
        return Decision(
            False, f"equal: it ranks the users like the champion, version {comparison.champion_version}, {on}"
        )
    words = (
        f"{rule.metric} {each.challenger:.4f} against the champion's {each.champion:.4f}"
        f" (version {comparison.champion_version}) {on}"
    )
    surely = f"with {rule.confidence * 100:g} % confidence"
    if each.high < 0:
        return Decision(False, f"{words}: worse by {-each.delta:.4f}, {surely} by at least {-each.high:.4f}")
    if each.low <= 0:
        between = f"{each.delta:+.4f}, between {each.low:+.4f} and {each.high:+.4f}"
        return Decision(False, f"{words}: {between}, not better {surely}")
    gained = f"better by {each.delta:.4f}, {surely} by at least {each.low:.4f}"
    if each.low < rule.delta:
        return Decision(False, f"{words}: {gained}, less than promotion.delta={rule.delta:g}")
    for name in METRICS:
        other = comparison.metrics[name]
        if other.high < 0:
            return Decision(
                False, f"{words}: {gained}; but {name} is worse by {-other.delta:.4f}, by at least {-other.high:.4f}"
            )
    return Decision(True, f"{words}: {gained}")


def apply_gates(decision: Decision, gates: Iterable[Gate]) -> tuple[Decision, tuple[Gate, ...]]:
    """The decision, or no promotion if a gate fails, and the gates that were checked.

    Gates are checked in order, none after the first that fails, and none if the decision does not promote.
    """
    checked: list[Gate] = []
    if decision.promote:
        for gate in gates:
            checked.append(gate)
            if not gate.passed:
                return Decision(False, gate_reason(gate)), tuple(checked)
    return decision, tuple(checked)


def gate_reason(gate: Gate) -> str:
    """The reason of a decision after a failed gate."""
    return f"{GATE}{gate.name}: {gate.detail}"


def record_after_gates(record: DecisionRecord, gates: Iterable[Gate]) -> DecisionRecord:
    """The record after the gates that only a promotion needs to pass."""
    decided, checked = apply_gates(Decision(record.promote, record.reason), gates)
    return replace(record, promote=decided.promote, reason=decided.reason, gates=(*record.gates, *checked))


def in_short(decision: str, record: DecisionRecord | None) -> str:
    """A decision in two or three words for a table; `decision` is the text that a version keeps, empty if there is none."""
    if decision.startswith("promoted: forced"):
        words = "promoted by force"
    elif decision.startswith("promoted: "):
        words = "promoted"
    elif decision.startswith(GATE):
        words = decision.partition(":")[0]
    elif decision.startswith(POLICY):
        words = decision.removeprefix(POLICY).split(",")[0]
    else:
        words = "refused" if decision else ""
    if record is None or record.rule is None or record.comparison is None:
        return words
    metric = record.rule.metric
    return f"{words}, {metric} {record.comparison.metrics[metric].delta:+.4f}"
