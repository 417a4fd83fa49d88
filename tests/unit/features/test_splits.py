"""A user's part of the split depends on the user alone."""

from hypothesis import given
from hypothesis import strategies as st

from streamflow.features.splits import PARTS, TEST, TRAIN, VALIDATION, split_by_user, user_fraction

IDS = st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=40, unique=True)


@given(IDS, st.randoms())
def test_order_and_company_do_not_move_a_user(users, random):
    together = dict(zip(users, split_by_user(users, "salt", 0.2, 0.25), strict=True))
    shuffled = random.sample(users, len(users))
    assert dict(zip(shuffled, split_by_user(shuffled, "salt", 0.2, 0.25), strict=True)) == together
    assert all(split_by_user([user], "salt", 0.2, 0.25) == [part] for user, part in together.items())


@given(st.text(min_size=1), st.floats(0.05, 0.4), st.floats(0.05, 0.4))
def test_growing_the_test_share_never_takes_a_user_out_of_the_test(user, small, large):
    low, high = sorted((small, large))
    if split_by_user([user], "salt", 0.1, low) == [TEST]:
        assert split_by_user([user], "salt", 0.1, high) == [TEST]


def test_shares_come_out_as_asked():
    parts = split_by_user([f"user {number}" for number in range(20_000)], "salt", 0.2, 0.25)
    assert abs(parts.count(TEST) / 20_000 - 0.25) < 0.01
    assert abs(parts.count(VALIDATION) / 20_000 - 0.20) < 0.01
    assert set(parts) == set(PARTS)


def test_the_hash_is_pinned():
    assert user_fraction("7590-VHVEG", "streamflow") == 0.7801607911344274
    assert split_by_user(["7590-VHVEG"], "streamflow", 0.2, 0.25) == [TRAIN]


def test_the_borders_between_the_parts():
    fraction = user_fraction("ada", "salt")

    def part(validation, test):
        return split_by_user(["ada"], "salt", validation, test)

    assert part(0.0, fraction) == [TRAIN], "a part ends before its border"
    assert part(0.0, fraction + 1e-9) == [TEST]
    assert part(fraction + 1e-9, 0.0) == [VALIDATION]
    assert part(fraction, 0.0) == [TRAIN]
    assert part(fraction / 2 + 1e-9, fraction / 2) == [VALIDATION]


def test_another_salt_moves_users():
    users = [f"user {number}" for number in range(200)]
    assert split_by_user(users, "one", 0.2, 0.25) != split_by_user(users, "another", 0.2, 0.25)
