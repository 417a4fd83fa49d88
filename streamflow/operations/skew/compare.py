"""Online features and scores of serving against the offline ones of training, at the same date."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

PROBABILITY = "churn_probability"
TOLERANCE = 1e-6
"""A score alone and one among many differ in the order of float32 sums."""
SHOWN = 5


class Absent(Enum):
    """No value, which is not NULL: the store has no row for the user, or the server gave no score."""

    ABSENT = "absent"


ABSENT = Absent.ABSENT

Users = Mapping[str, Mapping[str, Any]]
"""User to feature to value; a feature without a row is absent, None is a stored NULL."""


@dataclass(frozen=True)
class Difference:
    """One value of one user that differs, and the readers that gave the online value."""

    user_id: str
    feature: str
    online: Any
    offline: Any
    readers: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The difference as JSON; an absent value has no key."""
        values = {"online": self.online, "offline": self.offline}
        return {
            "user_id": self.user_id,
            "feature": self.feature,
            **{side: value for side, value in values.items() if value is not ABSENT},
            "readers": list(self.readers),
        }


@dataclass(frozen=True)
class Values:
    """A comparison of values: how many, by each reader, and what differs, sorted by user and feature."""

    compared: Mapping[str, int]
    differences: tuple[Difference, ...]

    @property
    def counts(self) -> dict[str, int]:
        """Users whose value differs, by feature."""
        users = {(each.feature, each.user_id) for each in self.differences}
        return dict(sorted(Counter(feature for feature, _ in users).items()))

    def to_json(self) -> dict[str, Any]:
        """The counts and the first differences as JSON."""
        return {
            "compared": dict(self.compared),
            "differing": self.counts,
            "first": [each.to_json() for each in self.differences[:SHOWN]],
        }


@dataclass(frozen=True)
class Skew:
    """The comparison for one model version; `served` is the version of a running server, if one was asked."""

    version: str
    service: str
    as_of: str
    online_as_of: tuple[str, ...]
    served: str | None
    users: int
    only_online: tuple[str, ...]
    only_offline: tuple[str, ...]
    features: Values
    probabilities: Values
    largest_difference: float
    is_of_these_files: bool

    @property
    def findings(self) -> list[str]:
        """The kinds of skew, one line each; empty if there is none."""
        found = []
        if self.online_as_of != (self.as_of,):
            online = " and ".join(self.online_as_of) or "nothing"
            found.append(f"the online store has {online}, version {self.version} is as of {self.as_of}")
        if self.served not in (None, self.version):
            found.append(f"the server answers with version {self.served}, Production is version {self.version}")
        for names, where in (
            (self.only_online, "online but not offline"),
            (self.only_offline, "offline but not online"),
        ):
            if names:
                found.append(f"{_counted(len(names), 'user')} {where}: {_listed(names)}")
        found += [
            f"{feature} differs for {_counted(count, 'user')}"
            for feature, count in {**self.features.counts, **self.probabilities.counts}.items()
        ]
        return found

    @property
    def first_differences(self) -> tuple[Difference, ...]:
        """The first features that differ, or, if all agree, the first probabilities."""
        return (self.features.differences or self.probabilities.differences)[:SHOWN]

    def to_json(self) -> dict[str, Any]:
        """The comparison as JSON."""
        return {
            "skew": bool(self.findings),
            "findings": self.findings,
            "version": self.version,
            "feature_service": self.service,
            "as_of": self.as_of,
            "online_as_of": list(self.online_as_of),
            "served_version": self.served,
            "trained_on_these_files": self.is_of_these_files,
            "users": self.users,
            "only_online": len(self.only_online),
            "only_offline": len(self.only_offline),
            "first_only_online": list(self.only_online[:SHOWN]),
            "first_only_offline": list(self.only_offline[:SHOWN]),
            "features": self.features.to_json(),
            "probabilities": {
                **self.probabilities.to_json(),
                "largest_difference": self.largest_difference,
                "tolerance": TOLERANCE,
            },
        }


def compare_features(online: Mapping[str, Users], offline: Users) -> Values:
    """Compare the offline values with those of each reader in `online`, for the users that the reader was asked for."""
    compared: dict[str, int] = {}
    found: dict[tuple[str, str, str], list[tuple[str, Any]]] = {}
    for reader, users in online.items():
        compared[reader] = 0
        for user in users.keys() & offline.keys():
            compared[reader] += len(offline[user])
            for name, value in offline[user].items():
                seen = users[user].get(name, ABSENT)
                if not is_same(seen, value):
                    found.setdefault((user, name, repr(seen)), []).append((reader, seen))
    differences = [
        Difference(user, name, seen[0][1], offline[user][name], tuple(reader for reader, _ in seen))
        for (user, name, _), seen in sorted(found.items())
    ]
    return Values(compared, tuple(differences))


def compare_probabilities(
    reader: str, online: Mapping[str, float], offline: Mapping[str, float]
) -> tuple[Values, float]:
    """Compare the offline probabilities with the online ones (ABSENT if there is none); also the largest difference."""
    both = online.keys() & offline.keys()
    apart = {user: abs(online[user] - offline[user]) for user in both}
    differing = sorted(user for user in offline if not apart.get(user, math.inf) <= TOLERANCE)
    differences = [
        Difference(user, PROBABILITY, online.get(user, ABSENT), offline[user], (reader,)) for user in differing
    ]
    return Values({reader: len(both)}, tuple(differences)), max(apart.values(), default=0.0)


def is_same(online: Any, offline: Any) -> bool:
    """Equal in type and value: 1 is neither True nor 1.0, NULL is only NULL, NaN is NaN."""
    if type(online) is not type(offline):
        return False
    if isinstance(online, float) and math.isnan(online):
        return math.isnan(offline)
    return bool(online == offline)


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _listed(names: Iterable[str]) -> str:
    shown = list(names)
    return ", ".join(shown[:SHOWN]) + (", …" if len(shown) > SHOWN else "")
