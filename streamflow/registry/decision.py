"""The decision on a version, as the registry keeps it: policy, numbers, gates and reason in one record."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from streamflow.provenance.record import PREFIX

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

DECISION_TAG = f"{PREFIX}decision"
COMPARISON_TAG = f"{PREFIX}comparison"


@dataclass(frozen=True)
class PairedDifference:
    """One metric of champion and challenger; `delta` is challenger minus champion.

    `low` is the one-sided lower bound of the difference at the confidence of the rule and `high` the upper one; together
    they are a two-sided interval of confidence 2c - 1. `share_better` is the share of resamples whose difference is above
    the delta of the rule.
    """

    champion: float
    challenger: float
    delta: float
    low: float
    high: float
    share_better: float


@dataclass(frozen=True)
class Gate:
    """One condition for Production; `detail` says what is wrong and how to fix it, and is empty if the gate passed."""

    name: str
    detail: str = ""

    @property
    def passed(self) -> bool:
        """Whether the condition is met."""
        return not self.detail


@dataclass(frozen=True)
class Comparison:
    """Champion and challenger on test users that neither was trained on; `metrics` is by name of the metric."""

    champion_version: str
    users: int
    churners: int
    metrics: Mapping[str, PairedDifference]

    @property
    def in_short(self) -> str:
        """Each metric's difference with its bounds, for one line."""
        words = (f"{name} {e.delta:+.4f} ({e.low:+.4f} to {e.high:+.4f})" for name, e in self.metrics.items())
        return f"{', '.join(words)} on {self.users} test users"

    @property
    def is_equal(self) -> bool:
        """Whether both rank the users in the same way, so that no resample differs."""
        return all((each.delta, each.low, each.high) == (0, 0, 0) for each in self.metrics.values())


@dataclass(frozen=True)
class PromotionRule:
    """When a challenger becomes Production: section `promotion` of the configuration and the seed of the resamples."""

    policy: str
    metric: str
    delta: float
    confidence: float
    resamples: int
    leak_auc: float
    seed: int


@dataclass(frozen=True)
class DecisionRecord:
    """A decision with everything that it was based on.

    `champion_version` is None if there was no Production version, `comparison` if nothing was compared; the reason
    says why. `gates` are those that were checked, in order: for a decision not to promote only `leakage` and `overlap`, and
    none after the first that failed.
    """

    promote: bool
    reason: str
    rule: PromotionRule | None = None
    champion_version: str | None = None
    comparison: Comparison | None = None
    gates: tuple[Gate, ...] = field(default=())

    def to_json(self) -> dict[str, Any]:
        """The record as JSON; equal records give equal JSON."""
        gates = [
            {"name": gate.name, "state": "open" if gate.passed else "shut", "detail": gate.detail}
            for gate in self.gates
        ]
        return {**asdict(self), "gates": gates}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "DecisionRecord":
        """The record that `to_json` gave. Raises KeyError or TypeError if it is not a record."""
        compared = content["comparison"]
        return cls(
            promote=content["promote"],
            reason=content["reason"],
            rule=content["rule"] and PromotionRule(**content["rule"]),
            champion_version=content["champion_version"],
            comparison=compared and Comparison(**{**compared, "metrics": _differences(compared["metrics"])}),
            gates=tuple(Gate(gate["name"], gate["detail"]) for gate in content["gates"]),
        )

    def gate(self, name: str) -> Gate | None:
        """The gate of that name; None if it was not checked."""
        return next((gate for gate in self.gates if gate.name == name), None)

    def run_metrics(self) -> dict[str, float]:
        """Metrics of the comparison for the run of the version: champion_roc_auc, delta_roc_auc, delta_roc_auc_low, …"""
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


def decision_of(version: "ModelVersion") -> DecisionRecord | None:
    """The decision record of a version; None if there is none, or if this code can't read it."""
    try:
        return DecisionRecord.from_json(json.loads(version.tags[COMPARISON_TAG]))
    except (KeyError, TypeError, ValueError):
        return None


def _differences(metrics: Mapping[str, Mapping[str, float]]) -> dict[str, PairedDifference]:
    return {name: PairedDifference(**values) for name, values in metrics.items()}
