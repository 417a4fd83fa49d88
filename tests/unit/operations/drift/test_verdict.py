"""Two months compared: what drifts, what does not, what calls for a new model, and the page that shows it."""

import json
from dataclasses import asdict, replace

import numpy as np
import pyarrow as pa
import pytest
from small_month import joined_month

from streamflow.core.schema import LABEL
from streamflow.operations.drift.page import render_page
from streamflow.operations.drift.shifts import churn_rate, compare
from streamflow.operations.drift.verdict import (
    NO_ACTION,
    RETRAIN,
    SCORE,
    DataDrift,
    Month,
    Policy,
    ScoreMeans,
    percent,
    points,
)

POLICY = Policy(alpha=0.05, psi=0.005, psi_major=0.1, label_rate=0.02, share=0.2)
USERS = 2000


@pytest.fixture(scope="module")
def january():
    return joined_month(USERS).drop_columns(["signup_date"])


def drift(reference, current, policy=POLICY, score="there is no registry here"):
    rates = (churn_rate(reference[LABEL]), churn_rate(current[LABEL]))
    months = Month("2024-01-31", reference.num_rows, "a" * 32), Month("2024-02-29", current.num_rows, "b" * 32)
    return DataDrift(*months, compare(reference, current), rates, score, policy)


def changed(rows, **columns):
    for name, values in columns.items():
        at = rows.column_names.index(name)
        rows = rows.set_column(at, name, pa.array(values, rows.schema.field(name).type))
    return rows


def names(shifts):
    return [each.name for each in shifts]


def test_a_month_does_not_drift_from_itself_nor_from_its_rows_in_another_order(january):
    shuffled = january.take(np.random.default_rng(0).permutation(USERS))
    for current in (january, shuffled):
        found = drift(january, current)
        assert (len(found.features), names(found.drifted), found.verdict) == (20, [], NO_ACTION)
        assert {(each.psi, each.statistic, each.adjusted_p) for each in found.shifts} == {(0.0, 0.0, 1.0)}


def test_what_moved_is_named_and_nothing_beside_it(january):
    hours = [value + 2 for value in january["watch_hours_30d"].to_pylist()]
    terms = ["Month-to-month" if value == "One year" else value for value in january["contract_type"].to_pylist()]
    found = drift(january, changed(january, watch_hours_30d=hours, contract_type=terms))
    assert sorted(names(found.drifted)) == ["contract_type", "watch_hours_30d"]
    assert (found.shift("watch_hours_30d").test, found.shift("contract_type").test) == ("KS", "chi-square")
    assert found.verdict == NO_ACTION
    assert "1 of 20 features with major drift (contract_type), fewer than 20 %" in found.reasons


def test_other_users_of_the_same_population_are_no_drift(january):
    found = drift(january, joined_month(USERS // 2, seed=4).drop_columns(["signup_date"]))
    assert (names(found.drifted), found.current.users) == ([], USERS // 2)


def test_a_constant_that_stays_is_stable_and_one_that_falls_is_major(january):
    constant = changed(january, avg_session_mins_7d=[29.14] * USERS)
    assert drift(constant, constant).shift("avg_session_mins_7d").psi == 0
    fallen = drift(constant, changed(january, avg_session_mins_7d=[20.0] * USERS))
    assert names(fallen.drifted) == ["avg_session_mins_7d"]
    assert fallen.level(fallen.drifted[0]) == "MAJOR"


def test_null_is_a_value_of_its_own_in_numbers_and_categories(january):
    half = [None if at % 2 else value for at, value in enumerate(january["skips_7d"].to_pylist())]
    plans = [value or None for value in january["plan_stream_tv"].to_pylist()]
    found = drift(january, changed(january, skips_7d=half, plan_stream_tv=plans))
    assert sorted(names(found.drifted)) == ["plan_stream_tv", "skips_7d"]
    assert found.shift("skips_7d").nulls == (0.0, 0.5)
    assert found.shift("skips_7d").histogram.bars[-1] == "NULL"


def test_columns_of_nothing_but_null_differ_only_from_others(january):
    empty = changed(january, skips_7d=[None] * USERS, user_gender=[None] * USERS)
    assert names(drift(empty, empty).drifted) == []
    for pair in ((empty, january), (january, empty)):
        assert sorted(names(drift(*pair).drifted)) == ["skips_7d", "user_gender"]


def test_a_label_that_moved_by_two_points_calls_for_a_new_model_if_chance_can_not_do_that(january):
    few = [at < USERS * 0.25 for at in range(USERS)]
    more = [at < USERS * 0.30 for at in range(USERS)]
    found = drift(changed(january, churn_label=few), changed(january, churn_label=more))
    assert found.verdict == RETRAIN
    assert found.reasons == ("churn rate 25.00 % to 30.00 %, +5.00 points, at least 2 points",)
    hardly = drift(changed(january, churn_label=few), changed(january, churn_label=more), replace(POLICY, alpha=1e-6))
    assert hardly.verdict == NO_ACTION
    assert hardly.reasons[-1].endswith("at least 2 points, but chance can do that with so few users")


def test_a_score_with_major_drift_calls_for_a_new_model(january):
    scores = np.linspace(0, 1, USERS)
    before, after = (january.append_column(SCORE, pa.array(each)) for each in (scores, scores**1.5))
    found = drift(before, after, score=ScoreMeans("3", "churn_v1", (0.5, 0.4)))
    assert found.verdict == RETRAIN
    assert found.reasons[0].startswith("score PSI 0.1")
    assert SCORE not in names(found.features)
    assert found.to_json()["score"] == {
        "version": "3",
        "feature_service": "churn_v1",
        "reference_mean": 0.5,
        "current_mean": 0.4,
    }


def test_major_drift_of_the_share_of_features_calls_for_a_new_model(january):
    moved = {name: [value + 9 for value in january[name].to_pylist()] for name in ("skips_7d", "unique_devices_30d")}
    found = drift(january, changed(january, **moved), replace(POLICY, share=0.1))
    assert found.verdict == RETRAIN
    assert found.reasons == ("2 of 20 features with major drift (unique_devices_30d, skips_7d), at least 10 %",)


def test_a_certain_but_tiny_effect_is_no_drift(january):
    fees = [value + 0.01 for value in january["monthly_fee"].to_pylist()]
    found = drift(january, changed(january, monthly_fee=fees), replace(POLICY, alpha=1.0))
    assert found.level(found.shift("monthly_fee")) == ""


def test_forty_random_halves_raise_at_most_as_many_alarms_as_alpha_says(january):
    alarms = 0
    for seed in range(40):
        order = np.random.default_rng(seed).permutation(USERS)
        found = drift(january.take(order[: USERS // 2]), january.take(order[USERS // 2 :]))
        alarms += any(found.level(each) for each in found.shifts)
    assert alarms <= 2


def test_the_json_has_the_documented_keys(january):
    found = drift(january, changed(january, skips_7d=[None] * USERS))
    told = found.to_json()
    assert list(told) == [
        *("verdict", "reasons", "reference", "current", "label", "score", "features", "columns", "policy"),
    ]
    assert told["reasons"] == list(found.reasons)
    assert told["reference"] == {"as_of": found.reference.as_of, "users": USERS, "snapshot_md5": found.reference.md5}
    rate = found.label_rates[0]
    assert told["label"]["reference_rate"] == told["label"]["current_rate"] == pytest.approx(rate, rel=1e-5)
    assert told["label"]["difference"] == 0.0
    assert told["features"] == {"compared": 20, "drifted": ["skips_7d"], "major": ["skips_7d"]}
    shift = found.shift("skips_7d")
    (column,) = (each for each in told["columns"] if each["name"] == "skips_7d")
    assert column == {
        "name": "skips_7d",
        "drift": "major",
        "psi": float(f"{shift.psi:.6g}"),
        "test": shift.test,
        "statistic": float(f"{shift.statistic:.6g}"),
        "p_value": float(f"{shift.p_value:.6g}"),
        "adjusted_p_value": float(f"{shift.adjusted_p:.6g}"),
        "reference_nulls": 0.0,
        "current_nulls": 1.0,
    }
    assert told["policy"] == asdict(found.policy)


def test_three_rules_are_asked_in_this_order_and_the_words_of_a_verdict_are_these(january):
    scored = january.append_column(SCORE, pa.array(np.linspace(0, 1, USERS)))
    assert [rule.name for rule in drift(scored, scored).rules] == ["score", "features", "label"]
    few, more = ([at < USERS * share for at in range(USERS)] for share in (0.25, 0.30))
    moved = drift(changed(january, churn_label=few), changed(january, churn_label=more))
    assert [(rule.name, rule.holds) for rule in moved.rules] == [("features", False), ("label", True)]
    hardly = drift(changed(january, churn_label=few), changed(january, churn_label=more), replace(POLICY, alpha=1e-6))
    assert [rule.name for rule in hardly.rules] == ["features", "label"]
    assert (NO_ACTION, RETRAIN) == ("NO_ACTION", "RETRAIN")
    assert (percent(0.12345), points(-0.012345)) == ("12.35 %", "-1.23 points")


def test_json_holds_numbers_that_json_knows(january):
    told = json.loads(json.dumps(drift(january, january).to_json(), allow_nan=False))
    assert (told["verdict"], told["features"]) == (NO_ACTION, {"compared": 20, "drifted": [], "major": []})
    assert told["score"] == {"left_out": "there is no registry here"}
    assert [each["drift"] for each in told["columns"]] == ["none"] * 21
    assert told["policy"]["psi"] == 0.005


def test_the_page_is_the_same_twice_needs_nothing_else_and_shows_what_drifted(january):
    hours = [value + 2 for value in january["watch_hours_30d"].to_pylist()]
    current = changed(january, watch_hours_30d=hours)
    page = render_page(drift(january, current))
    assert page == render_page(drift(january, current))
    assert "<script" not in page
    assert "http" not in page
    assert page.count("<svg") == 2  # the label and the one that drifted
    assert 'aria-label="watch_hours_30d: share of users' in page
    assert page.count("<tr") == 1 + 21
