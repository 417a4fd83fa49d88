"""What is said of a user's online features: absent, null, null by design, stale."""

from datetime import UTC, datetime, timedelta

import pytest

from streamflow.core.schema import Column
from streamflow.online.values import (
    UserFeatures,
    absent_features,
    forbidden_nulls,
    is_complete,
    nulls_by_design,
    stale_features,
)

WANTED = (Column("fee", "real", ""), Column("plan", "boolean", "", nullable=True), Column("skips", "integer", ""))
MOMENT = datetime(2024, 1, 31, tzinfo=UTC)


def user(**values):
    return UserFeatures("ada", values, dict.fromkeys(values, MOMENT))


@pytest.mark.parametrize(
    ("features", "complete", "absent", "forbidden", "by_design"),
    [
        (user(fee=1.0, plan=True, skips=0, more=None), True, [], [], []),
        (user(fee=0.0, plan=None, skips=0), True, [], [], ["plan"]),
        (user(fee=None, plan=None, skips=None), False, [], ["fee", "skips"], ["plan"]),
        (user(fee=1.0, skips=0), False, ["plan"], [], []),
        (user(skips=None), False, ["fee", "plan"], ["skips"], []),
        (user(), False, ["fee", "plan", "skips"], [], []),
    ],
)
def test_a_feature_is_absent_or_null_where_it_must_not_be_or_null_by_design(
    features, complete, absent, forbidden, by_design
):
    assert is_complete(features, WANTED) is complete
    assert absent_features(features, WANTED) == absent
    assert forbidden_nulls(features, WANTED) == forbidden
    assert nulls_by_design(features, WANTED) == by_design


def test_a_feature_is_stale_before_the_limit_and_an_absent_one_is_not():
    times = {"fee": MOMENT, "skips": MOMENT - timedelta(days=1), "more": MOMENT - timedelta(days=9)}
    features = UserFeatures("ada", {"fee": 1.0, "skips": 2}, times)
    assert stale_features(features, WANTED, MOMENT) == ["skips"]
    assert stale_features(features, WANTED, MOMENT - timedelta(days=1)) == []
    assert stale_features(features, WANTED, MOMENT + timedelta(seconds=1)) == ["fee", "skips"]
    assert features.newest == MOMENT
    assert UserFeatures("nobody", {}, {}).newest is None
