"""Whether a new model version becomes Production, as one record: the policy, the numbers, the gates and the reason."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from streamflow.challenge import METRICS, PairedDifference

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


@dataclass(frozen=True)
class Gate:
    """One condition for Production; `detail` says what is wrong and how to mend it, and is empty if it holds."""

    name: str
    detail: str = ""

    @property
    def passed(self) -> bool:
        """Whether the condition holds."""
        return not self.detail


@dataclass(frozen=True)
class Comparison:
    """Champion and challenger on the test users that both were kept from; `metrics` is by name of the metric."""

    champion_version: str
    users: int
    churners: int
    metrics: Mapping[str, PairedDifference]

    @property
    def in_short(self) -> str:
        """Each metric's difference and the bounds of it, for one line."""
        words = (f"{name} {e.delta:+.4f} ({e.low:+.4f} to {e.high:+.4f})" for name, e in self.metrics.items())
        return f"{', '.join(words)} on {self.users} test users"

    @property
    def is_equal(self) -> bool:
        """Whether both rank the users in the same way, so that no resample differs."""
        return all((each.delta, each.low, each.high) == (0, 0, 0) for each in self.metrics.values())


@dataclass(frozen=True)
class Rule:
    """When a challenger takes over: section `promotion` of the configuration and the seed of the resamples."""

    policy: str
    metric: str
    delta: float
    confidence: float
    resamples: int
    leak_auc: float
    seed: int


@dataclass(frozen=True)
class DecisionRecord:
    """A decision with all that led to it.

    `champion_version` is None if there was no Production version, `comparison` if nothing could be or was to be compared;
    the reason says which. `gates` are those that were asked, in turn: a decision not to promote asks no more of them than
    `leakage` and `overlap`, and none is asked after the first that is shut.
    """

    promote: bool
    reason: str
    rule: Rule
    champion_version: str | None
    comparison: Comparison | None
    gates: tuple[Gate, ...] = field(default=())

    def to_json(self) -> dict[str, Any]:
        """For machines; the same record gives the same content."""
        gates = [
            {"name": gate.name, "state": "open" if gate.passed else "shut", "detail": gate.detail}
            for gate in self.gates
        ]
        return {**asdict(self), "gates": gates}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "DecisionRecord":
        """The record that `to_json` gave. Raises KeyError or TypeError if it is none."""
        compared = content["comparison"]
        return cls(
            promote=content["promote"],
            reason=content["reason"],
            rule=Rule(**content["rule"]),
            champion_version=content["champion_version"],
            comparison=compared and Comparison(**{**compared, "metrics": _differences(compared["metrics"])}),
            gates=tuple(Gate(gate["name"], gate["detail"]) for gate in content["gates"]),
        )

    def gate(self, name: str) -> Gate | None:
        """The gate of that name; None if it was not asked."""
        return next((gate for gate in self.gates if gate.name == name), None)

    def run_metrics(self) -> dict[str, float]:
        """What the run of the version shows of the comparison: champion_roc_auc, delta_roc_auc, delta_roc_auc_low, …"""
        shown: dict[str, float] = {}
        for name, each in (self.comparison.metrics if self.comparison else {}).items():
            shown |= {
                f"champion_{name}": each.champion,
                f"delta_{name}": each.delta,
                f"delta_{name}_low": each.low,
                f"delta_{name}_high": each.high,
                f"share_better_{name}": each.share_better,
            }
        return shown


def decide(rule: Rule, judged: Decision) -> Decision:
    """What the policy makes of a judgement: `auto` follows it, `manual` leaves it to a person, `never` ignores it."""
    if rule.policy == "never":
        return Decision(False, NEVER)
    if rule.policy == "manual":
        return Decision(False, f"{MANUAL}, `streamflow promote` decides; {judged.reason}")
    return judged


def judge(rule: Rule, comparison: Comparison) -> Decision:
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
                return Decision(False, refusal(gate)), tuple(asked)
    return decision, tuple(asked)


def refusal(gate: Gate) -> str:
    """The reason of a decision that a gate refused."""
    return f"{GATE}{gate.name}: {gate.detail}"


def concluded(record: DecisionRecord, gates: Iterable[Gate]) -> DecisionRecord:
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
    if record is None or record.comparison is None:
        return words
    metric = record.rule.metric
    return f"{words}, {metric} {record.comparison.metrics[metric].delta:+.4f}"


def _differences(metrics: Mapping[str, Mapping[str, float]]) -> dict[str, PairedDifference]:
    return {name: PairedDifference(**values) for name, values in metrics.items()}
