"""What the outside world adds to an evaluation: the decision on Production, the lineage, every frozen month, the time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from streamflow.month_profile import MonthProfile


@dataclass(frozen=True)
class MetricPair:
    """One metric of champion and challenger on the same test users; `low` and `high` bound challenger less champion."""

    name: str
    champion: float
    challenger: float
    delta: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class GateState:
    """One condition for Production that was asked; `detail` is empty if it holds."""

    name: str
    detail: str = ""


@dataclass(frozen=True)
class PublishedDecision:
    """What was decided on a version, and by which numbers; None or empty is what was not asked or not compared."""

    promoted: bool
    reason: str
    policy: str | None = None
    metric: str | None = None
    confidence: float | None = None
    minimum_gain: float | None = None
    champion_version: str | None = None
    users: int | None = None
    metrics: Sequence[MetricPair] = ()
    gates: Sequence[GateState] = ()

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "PublishedDecision":
        """From the content of decision.json; what it lacks stays empty, but `promote` and `reason` must be there."""
        rule, compared = content.get("rule") or {}, content.get("comparison") or {}
        return cls(
            promoted=bool(content["promote"]),
            reason=str(content["reason"]),
            policy=rule.get("policy"),
            metric=rule.get("metric"),
            confidence=rule.get("confidence"),
            minimum_gain=rule.get("delta"),
            champion_version=content.get("champion_version"),
            users=compared.get("users"),
            metrics=[_pair(name, values) for name, values in (compared.get("metrics") or {}).items()],
            gates=[GateState(gate["name"], gate.get("detail", "")) for gate in content.get("gates") or ()],
        )


@dataclass(frozen=True)
class Publication:
    """All that the published report shows beyond the evaluation; `published_at` is UTC, ISO text to the second.

    `lineage` is name to value in the order in which it is shown; `months` are all that are frozen, in order.
    """

    model_name: str
    version: str
    published_at: str
    decision: PublishedDecision
    lineage: Mapping[str, str] = field(default_factory=dict)
    months: Sequence[MonthProfile] = ()


def _pair(name: str, values: Mapping[str, Any]) -> MetricPair:
    return MetricPair(
        name, values["champion"], values["challenger"], values["delta"], values.get("low"), values.get("high")
    )
