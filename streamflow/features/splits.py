"""The part of the split of each user, from the id alone, so that a user always stays in one part."""

import hashlib
from collections.abc import Iterable

TRAIN, VALIDATION, TEST = "train", "validation", "test"
PARTS = (TRAIN, VALIDATION, TEST)


def user_fraction(user_id: str, salt: str) -> float:
    """A number in [0, 1) that depends on `salt` and `user_id` only: the first 53 bits of their SHA-256."""
    digest = hashlib.sha256(f"{salt}:{user_id}".encode()).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / 2**53


def split_by_user(user_ids: Iterable[str], salt: str, validation: float, test: float) -> list[str]:
    """The part of each user, in the order given: test below `test`, then validation, the rest train."""
    return [_part(user_fraction(user_id, salt), validation, test) for user_id in user_ids]


def _part(fraction: float, validation: float, test: float) -> str:
    if fraction < test:
        return TEST
    return VALIDATION if fraction < test + validation else TRAIN
