"""Whether a new model version becomes Production: what the policy makes of the numbers and the gates."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from streamflow.promotion.challenge import METRICS
from streamflow.registry.decision import Comparison, DecisionRecord, Gate, PromotionRule

GATE = "gate "
"""How the reason of a decision begins that a gate refused."""
POLICY = "promotion.policy is "
"""How the reason of a decision begins that the policy leaves to a person or to nobody."""
NEVER = f"{POLICY}never"
MANUAL = f"{POLICY}manual"
DATA_GATES = ("leakage", "overlap")
"""Gates that look at the data that a version was judged by; they are asked whatever the policy says."""


@dataclass(frozen=True)
class Decision:
    """What to do with Production, and why, in words for a person."""

    promote: bool
    reason: str


FIRST = Decision(True, "there was no Production version")


def decide(rule: PromotionRule, judged: Decision) -> Decision:
    """What the policy makes of a judgement: `auto` follows it, `manual` leaves it to a person, `never` ignores it."""
    if rule.policy == "never":
        return Decision(False, NEVER)
    if rule.policy == "manual":
        return Decision(False, f"{MANUAL}, `streamflow promote` decides; {judged.reason}")
    return judged


def judge(rule: PromotionRule, comparison: Comparison) -> Decision:
    """Whether the challenger is better by `rule.delta` with `rule.confidence`, and not worse by the other metric.

    Better: the one-sided lower bound of the difference is at least delta, and above 0. Not worse: the upper bound of the
    other metric's difference is not below 0.
    """
    each = comparison.metrics[rule.metric]
    on = f"on the same {comparison.users} test users"
    if comparison.is_equal:
        return Decision(False, f"equal: it ranks as the champion, version {comparison.champion_version}, {on}")
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


def guarded(decision: Decision, gates: Iterable[Gate]) -> tuple[Decision, tuple[Gate, ...]]:
    """The decision, unless it promotes and a gate is shut, and the gates that were asked.

    Gates are asked in turn, none after the first that is shut, and none if the decision does not promote.
    """
    asked: list[Gate] = []
    if decision.promote:
        for gate in gates:
            asked.append(gate)
            if not gate.passed:
                return Decision(False, gate_reason(gate)), tuple(asked)
    return decision, tuple(asked)


def gate_reason(gate: Gate) -> str:
    """The reason of a decision that a gate refused."""
    return f"{GATE}{gate.name}: {gate.detail}"


def after_gates(record: DecisionRecord, gates: Iterable[Gate]) -> DecisionRecord:
    """The record after the gates that only a promotion needs."""
    decided, asked = guarded(Decision(record.promote, record.reason), gates)
    return replace(record, promote=decided.promote, reason=decided.reason, gates=(*record.gates, *asked))


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
