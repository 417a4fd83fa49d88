"""A month beside the month before: each limit finds what it is for, says it in figures, and finds nothing else."""

import pyarrow as pa
import pyarrow.compute as pc
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from project import ROOT

from streamflow.core.config_checks import LIMITS
from streamflow.core.schema import LABELS, SUBSCRIPTIONS, TABLES, USAGE
from streamflow.extracts.plausibility import Limit, implausible
from streamflow.extracts.synthetic import generate_month

JANUARY, FEBRUARY, MARCH = "2024-01-31", "2024-02-29", "2024-03-31"
DEFAULTS = {
    name: Limit(**each) for name, each in yaml.safe_load((ROOT / "conf/source/limits/default.yaml").read_text()).items()
}
BEFORE = generate_month(400, JANUARY, 42)
MONTH = generate_month(400, FEBRUARY, 42)


def found(month, before=BEFORE, same=None, limits=DEFAULTS):
    return implausible(month, before, JANUARY, same or {}, limits)


def with_column(month, table, name, values):
    rows = month[table]
    at = rows.column_names.index(name)
    return {**month, table: rows.set_column(at, rows.schema.field(name), values.cast(rows.schema.field(name).type))}


def times(month, table, name, factor):
    return with_column(month, table, name, pc.multiply(month[table][name], factor))


def test_every_limit_has_a_default_and_a_check():
    assert tuple(DEFAULTS) == LIMITS


@pytest.mark.parametrize("users", [50, 400, 7043])
def test_synthetic_months_are_plausible(users):
    months = [generate_month(users, month, 42) for month in (JANUARY, FEBRUARY, MARCH)]
    assert found(months[0], None) == []
    assert found(months[1], months[0]) == found(months[2], months[1]) == []


def constant(value, kind, count=400):
    return pa.chunked_array([pa.array([value] * count, kind)])


IMPLAUSIBLE = {
    "twenty times as many rows": (
        lambda: generate_month(8000, FEBRUARY, 42),
        "row_growth",
        "users has 8,000 rows, 20.0 times the 400 of 2024-01-31 (at most 3 times)",
    ),
    "all other users": (
        lambda: {
            name: rows.set_column(0, rows.schema.field(0), pc.binary_join_element_wise("x", rows["user_id"], ""))
            for name, rows in MONTH.items()
        },
        "turnover",
        "400 of the 400 users of 2024-01-31 are gone, 100% (at most 50%)",
    ),
    "usage all zero": (
        lambda: with_column(MONTH, USAGE.name, "skips_7d", constant(0, pa.int64())),
        "constant",
        "usage_agg_30d.skips_7d is 0 for all 400 users, it had several values in 2024-01-31",
    ),
    "plans all NULL": (
        lambda: with_column(MONTH, SUBSCRIPTIONS.name, "plan_stream_tv", constant(None, pa.bool_())),
        "constant",
        "subscriptions.plan_stream_tv is NULL for all 400 users, it had several values in 2024-01-31",
    ),
    "fees times 80": (
        lambda: times(MONTH, SUBSCRIPTIONS.name, "monthly_fee", 80.0),
        "scale",
        "the median of subscriptions.monthly_fee is 5",
    ),
    "nobody churned": (
        lambda: with_column(MONTH, LABELS.name, "churn_label", constant(False, pa.bool_())),
        "label_rate_min",
        "0.00% of 400 users churned (at least 0.10%)",
    ),
    "all churned": (
        lambda: with_column(MONTH, LABELS.name, "churn_label", constant(True, pa.bool_())),
        "label_rate_max",
        "100.00% of 400 users churned (at most 90.00%)",
    ),
}


@pytest.mark.parametrize("name", IMPLAUSIBLE)
def test_what_is_wrong_is_named_by_its_limit_and_by_no_other_once_that_is_off(name):
    make, limit, words = IMPLAUSIBLE[name]
    month = make()
    said = found(month)
    assert next(each.what for each in said if each.name == limit).startswith(words)
    assert {each.action for each in said} == {"refuse"}
    off = {key: each for key, each in DEFAULTS.items() if key != limit}
    assert limit not in {each.name for each in found(month, limits=off)}


def test_a_month_that_was_delivered_under_another_date_is_named():
    said = found(BEFORE, same={JANUARY: 5, "2023-12-31": 2})
    assert [(each.name, each.what) for each in said] == [
        ("same_month", "5 of 5 tables with facts have the same rows as 2024-01-31 (at most 50%)")
    ]
    assert found(BEFORE, same={JANUARY: 2}) == []


@settings(max_examples=60)
@given(st.floats(0.05, 20), st.sampled_from(["monthly_fee", "total_paid"]))
def test_a_scale_is_found_exactly_if_it_is_beyond_the_limit(factor, name):
    month = times(BEFORE, SUBSCRIPTIONS.name, name, factor)
    assert [each.name for each in found(month) if each.name == "scale"] == ["scale"] * (not 1 / 5 <= factor <= 5)


@settings(max_examples=20)
@given(st.randoms(use_true_random=False))
def test_the_order_of_the_users_says_nothing(chance):
    order = list(range(400))
    chance.shuffle(order)
    assert found({name: rows.take(pa.array(order)) for name, rows in MONTH.items()}) == []


def test_few_rows_say_nothing():
    small = {name: rows.slice(0, 49) for name, rows in BEFORE.items()}
    wrong = times(small, SUBSCRIPTIONS.name, "monthly_fee", 80.0)
    assert found(wrong, small) == []
    assert {table.name for table in TABLES} == set(small)


def test_an_action_is_that_of_the_limit():
    warned = {"scale": Limit(5, "warn")}
    said = found(times(MONTH, SUBSCRIPTIONS.name, "monthly_fee", 0.01), limits=warned)
    assert [(each.name, each.action) for each in said] == [("scale", "warn")]
    assert "1/" in said[0].what
