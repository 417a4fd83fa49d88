"""The states of a user's features in serving: absent, null but not nullable, null by design, or stale."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from streamflow.core.schema import Column


@dataclass(frozen=True, slots=True)
class UserFeatures:
    """A user's online features. A feature without a row in the store is in neither mapping; None is a stored NULL."""

    user_id: str
    values: Mapping[str, Any]
    timestamps: Mapping[str, datetime]

    @property
    def newest(self) -> datetime | None:
        """Event timestamp of the newest feature (UTC); None if there is none."""
        return max(self.timestamps.values(), default=None)


@dataclass(frozen=True, slots=True)
class Score:
    """A model's answer for one user, with the model that gave it."""

    churn_probability: float
    prediction: int
    model: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Scored:
    """A user in the graph: the features found, and a score if the model had all that it needs."""

    features: UserFeatures
    score: Score | None


def is_complete(features: UserFeatures, wanted: Sequence[Column]) -> bool:
    """Whether a model that takes `wanted` can score the user: nothing absent, no NULL where the schema forbids one."""
    values = features.values
    return all(c.name in values and (c.nullable or values[c.name] is not None) for c in wanted)


def absent_features(features: UserFeatures, wanted: Sequence[Column]) -> list[str]:
    """Features that the store has no row for, in model order."""
    return [column.name for column in wanted if column.name not in features.values]


def forbidden_nulls(features: UserFeatures, wanted: Sequence[Column]) -> list[str]:
    """Stored NULLs in features that are not nullable, in model order."""
    return [c.name for c in wanted if not c.nullable and c.name in features.values and features.values[c.name] is None]


def nulls_by_design(features: UserFeatures, wanted: Sequence[Column]) -> list[str]:
    """Stored NULLs that are a value of their own, in model order."""
    return [c.name for c in wanted if c.nullable and c.name in features.values and features.values[c.name] is None]


def stale_features(features: UserFeatures, wanted: Sequence[Column], oldest: datetime) -> list[str]:
    """Features whose event timestamp is before `oldest`, in model order; an absent feature is not stale."""
    times = features.timestamps
    return [column.name for column in wanted if column.name in times and times[column.name] < oldest]
