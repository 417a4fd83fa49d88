"""Users whom one model was trained on and another is judged by: the stable hash keeps them apart, and this proves it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from streamflow.features.splits import TEST, split_by_user


@dataclass(frozen=True)
class Split:
    """What decides the part of each user: the `split` section of a params.yaml."""

    salt: str
    validation: float
    test: float

    def held_out(self, user_ids: Sequence[str]) -> list[bool]:
        """Whether each user is in the test part: neither trained on, nor used to choose a threshold."""
        return [part == TEST for part in split_by_user(user_ids, self.salt, self.validation, self.test)]

    def differences(self, other: "Split") -> str:
        """What another split has otherwise, in words: `split.test was 0.25, is 0.3`; empty if nothing."""
        return ", ".join(f"split.{name} was {was}, is {now}" for name, was, now in self._unlike(other))

    def overrides(self, other: "Split") -> str:
        """The overrides that make this split of another one."""
        return " ".join(f"split.{name}={was}" for name, was, _ in self._unlike(other))

    def _unlike(self, other: "Split") -> list[tuple[str, Any, Any]]:
        now = asdict(other)
        return [(name, was, now[name]) for name, was in asdict(self).items() if now[name] != was]


def misplaced_users(user_ids: Sequence[str], parts: Sequence[str], split: Split) -> list[str]:
    """Users whose part in a dataset is not the one that the stable hash says, in the order given."""
    expected = split_by_user(user_ids, split.salt, split.validation, split.test)
    return [user for user, part, hashed in zip(user_ids, parts, expected, strict=True) if part != hashed]
