"""Online beside offline: what counts as the same value, what is counted, what is shown."""

import json
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamflow.operations.skew.compare import (
    ABSENT,
    Difference,
    Skew,
    Values,
    compare_features,
    compare_probabilities,
    is_same,
)

VALUES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5))
USERS = st.dictionaries(st.text(max_size=3), st.fixed_dictionaries({"a": VALUES, "b": VALUES}), max_size=6)
NOTHING = Skew(
    version="3",
    service="churn_v1",
    as_of="2024-01-31",
    online_as_of=("2024-01-31",),
    served=None,
    users=2,
    only_online=(),
    only_offline=(),
    features=compare_features({"serving": {}}, {}),
    probabilities=compare_probabilities("serving", {}, {})[0],
    largest_difference=0.0,
    is_of_these_files=True,
)


@pytest.mark.parametrize(
    ("online", "offline", "same"),
    [
        (1, 1, True),
        (1, 1.0, False),
        (1, True, False),
        (None, False, False),
        (None, None, True),
        (ABSENT, None, False),
        (math.nan, math.nan, True),
        (math.nan, 1.0, False),
        (1.0, math.nan, False),
        (0.1 + 0.2, 0.3, False),
        ("No", "No", True),
    ],
)
def test_a_value_is_the_same_only_in_type_and_value(online, offline, same):
    assert is_same(online, offline) is same


@given(USERS)
def test_equal_users_differ_in_nothing_whichever_reader_asks(users):
    found = compare_features({"serving": users, "feast": users}, users)
    assert found.differences == ()
    assert found.compared == {"serving": 2 * len(users), "feast": 2 * len(users)}


@given(USERS, st.data())
def test_one_changed_value_is_found_with_user_feature_and_both_values(users, data):
    if not users:
        return
    user, name = data.draw(st.sampled_from(sorted(users))), data.draw(st.sampled_from("ab"))
    changed = {**users, user: {**users[user], name: "another value"}}
    found = compare_features({"serving": changed, "feast": users}, users)
    assert found.differences == (Difference(user, name, "another value", users[user][name], ("serving",)),)
    assert found.counts == {name: 1}


def test_a_difference_that_all_readers_see_is_one_and_an_absent_value_is_not_null():
    offline = {"u": {"a": None, "b": 2}}
    found = compare_features({"serving": {"u": {"b": 3}}, "feast": {"u": {"b": 3}}}, offline)
    assert found.counts == {"a": 1, "b": 1}
    assert [each.to_json() for each in found.differences] == [
        {"user_id": "u", "feature": "a", "offline": None, "readers": ["serving", "feast"]},
        {"user_id": "u", "feature": "b", "online": 3, "offline": 2, "readers": ["serving", "feast"]},
    ]


def test_a_user_for_whom_two_readers_differ_is_counted_once():
    found = compare_features({"serving": {"u": {"a": 1}}, "feast": {"u": {"a": 2}}}, {"u": {"a": 3}})
    assert (len(found.differences), found.counts) == (2, {"a": 1})


def test_probabilities_agree_to_a_millionth_and_a_missing_one_differs():
    found, largest = compare_probabilities(
        "serving", {"u": 0.5, "v": 0.5000009, "w": 0.5001}, {"u": 0.5, "v": 0.5, "w": 0.5, "x": 0.1}
    )
    assert found.compared == {"serving": 3}
    assert [(each.user_id, each.online) for each in found.differences] == [("w", 0.5001), ("x", ABSENT)]
    assert largest == pytest.approx(1e-4)
    assert compare_probabilities("serving", {"u": 1e-6}, {"u": 0.0})[0].differences == ()


def test_a_probability_that_is_no_number_differs():
    found, _ = compare_probabilities("serving", {"u": math.nan}, {"u": 0.5})
    assert [each.user_id for each in found.differences] == ["u"]


def test_nothing_that_differs_is_no_finding():
    assert NOTHING.findings == []
    assert NOTHING.to_json()["skew"] is False


def test_another_month_names_both():
    found = replace(NOTHING, online_as_of=("2024-01-31", "2024-02-29"))
    assert found.findings == ["the online store has 2024-01-31 and 2024-02-29, version 3 is as of 2024-01-31"]


def test_users_on_one_side_only_and_another_served_version_are_findings():
    found = replace(
        NOTHING, served="2", only_online=("n",), only_offline=tuple("abcdef"), online_as_of=(), features=differing(7)
    )
    assert found.findings == [
        "the online store has nothing, version 3 is as of 2024-01-31",
        "the server answers with version 2, Production is version 3",
        "1 user online but not offline: n",
        "6 users offline but not online: a, b, c, d, e, …",
        "fee differs for 7 users",
    ]
    assert [each.user_id for each in found.first_differences] == ["u0", "u1", "u2", "u3", "u4"]
    told = json.loads(json.dumps(found.to_json()))
    assert (told["skew"], told["only_offline"], told["features"]["differing"]) == (True, 6, {"fee": 7})
    assert len(told["features"]["first"]) == 5


def test_the_json_has_the_documented_keys():
    probabilities, largest = compare_probabilities("serving", {"u": 0.25}, {"u": 0.5, "v": 0.1})
    found = replace(
        NOTHING, served="3", only_online=tuple("nopqrs"), only_offline=("v",), probabilities=probabilities,
        largest_difference=largest, features=compare_features({"feast": {"u": {"fee": 2}}}, {"u": {"fee": 1}}),
    )  # fmt: skip
    assert found.to_json() == {
        "skew": True,
        "findings": found.findings,
        "version": "3",
        "feature_service": "churn_v1",
        "as_of": "2024-01-31",
        "online_as_of": ["2024-01-31"],
        "served_version": "3",
        "trained_on_these_files": True,
        "users": 2,
        "only_online": 6,
        "only_offline": 1,
        "first_only_online": ["n", "o", "p", "q", "r"],
        "first_only_offline": ["v"],
        "features": {
            "compared": {"feast": 1},
            "differing": {"fee": 1},
            "first": [{"user_id": "u", "feature": "fee", "online": 2, "offline": 1, "readers": ["feast"]}],
        },
        "probabilities": {
            "compared": {"serving": 1},
            "differing": {"churn_probability": 2},
            "first": [
                {
                    "user_id": "u",
                    "feature": "churn_probability",
                    "online": 0.25,
                    "offline": 0.5,
                    "readers": ["serving"],
                },
                {"user_id": "v", "feature": "churn_probability", "offline": 0.1, "readers": ["serving"]},
            ],
            "largest_difference": 0.25,
            "tolerance": 1e-6,
        },
    }
    assert [line for line in found.findings if "differs" in line] == [
        "fee differs for 1 user",
        "churn_probability differs for 2 users",
    ]
    assert replace(found, features=NOTHING.features).first_differences == probabilities.differences


def test_a_thousand_users_are_readable_and_five_are_all_shown():
    found = replace(NOTHING, only_online=tuple("abcde"), features=differing(1000))
    assert found.findings == ["5 users online but not offline: a, b, c, d, e", "fee differs for 1,000 users"]


def test_users_whom_only_one_side_has_are_not_compared():
    found = compare_features({"serving": {"u": {"a": 1}, "n": {"a": 1}}}, {"u": {"a": 1}, "v": {"a": 1}})
    assert (found.compared, found.differences) == ({"serving": 1}, ())
    assert compare_probabilities("serving", {"n": 0.1}, {}) == (Values({"serving": 0}, ()), 0.0)


def differing(count):
    offline = {f"u{number}": {"fee": 1.0} for number in range(count)}
    return compare_features({"serving": {user: {"fee": 2.0} for user in offline}}, offline)
