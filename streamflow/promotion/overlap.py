"""Overlap of training and test users: the stable hash of the split keeps them apart, and this module checks that."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from streamflow.features.splits import TEST, split_by_user


@dataclass(frozen=True)
class Split:
    """The `split` section of a params.yaml: it gives the part of each user."""

    salt: str
    validation: float
    test: float

    def held_out(self, user_ids: Sequence[str]) -> list[bool]:
        """Whether each user is in the test part: neither trained on, nor used to choose a threshold."""
        return [part == TEST for part in split_by_user(user_ids, self.salt, self.validation, self.test)]

    def differences(self, other: "Split") -> str:
        """The differences from another split, in words: `split.test was 0.25, is 0.3`; empty if there are none."""
        return ", ".join(f"split.{name} was {was}, is {now}" for name, was, now in self._differing(other))

    def overrides(self, other: "Split") -> str:
        """The overrides that turn another split into this one."""
        return " ".join(f"split.{name}={was}" for name, was, _ in self._differing(other))

    def _differing(self, other: "Split") -> list[tuple[str, Any, Any]]:
        now = asdict(other)
        return [(name, was, now[name]) for name, was in asdict(self).items() if now[name] != was]


def misplaced_users(user_ids: Sequence[str], parts: Sequence[str], split: Split) -> list[str]:
    """Users whose part in a dataset differs from the part of the stable hash, in the order given."""
    expected = split_by_user(user_ids, split.salt, split.validation, split.test)
    return [user for user, part, hashed in zip(user_ids, parts, expected, strict=True) if part != hashed]
