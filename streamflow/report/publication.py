"""What the published report adds to an evaluation: the decision on Production, the lineage, every frozen month, the time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from streamflow.registry.decision import DecisionRecord
from streamflow.snapshots.profile import MonthProfile


@dataclass(frozen=True)
class Publication:
    """The content of the published report beyond the evaluation; `published_at` is UTC, ISO text to the second.

    `lineage` is name to value in the order in which it is shown; `months` are all that are frozen, in order.
    """

    model_name: str
    version: str
    published_at: str
    decision: DecisionRecord
    lineage: Mapping[str, str] = field(default_factory=dict)
    months: Sequence[MonthProfile] = ()
