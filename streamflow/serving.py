"""What serving says about a user's features: absent, null where it must not be, null by design, or stale."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from streamflow.schema import Column


@dataclass(frozen=True)
class UserFeatures:
    """A user's online features. A feature that the store has no row for is in neither mapping; None is a stored NULL."""

    user_id: str
    values: dict[str, Any]
    timestamps: dict[str, datetime]

    @property
    def newest(self) -> datetime | None:
        """Event timestamp of the newest feature (UTC); None if there is none."""
        return max(self.timestamps.values(), default=None)


@dataclass(frozen=True)
class Score:
    """A model's answer for one user, with the provenance of the model that gave it."""

    churn_probability: float
    prediction: int
    model: dict[str, str]


def absent_features(features: UserFeatures, wanted: Sequence[Column]) -> list[str]:
    """Features that the store has no row for, in model order."""
    return [column.name for column in wanted if column.name not in features.values]


def forbidden_nulls(features: UserFeatures, wanted: Sequence[Column]) -> list[str]:
    """Stored NULLs in features that the schema does not let be NULL, in model order."""
    return [c.name for c in wanted if not c.nullable and c.name in features.values and features.values[c.name] is None]


def is_stale(features: UserFeatures, now: datetime, limit: timedelta) -> bool:
    """Whether the newest feature is older than `limit` at `now` (UTC)."""
    newest = features.newest
    return newest is None or now - newest > limit
