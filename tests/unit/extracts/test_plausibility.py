"""A month beside the months next to it: each limit finds what it is for, says it in figures, and finds nothing else."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from project import ROOT

from streamflow.core.config_checks import LIMITS
from streamflow.core.schema import LABELS, SUBSCRIPTIONS, TABLES, USAGE, USERS
from streamflow.extracts.csv_files import read_month
from streamflow.extracts.plausibility import Limit, Month, implausible
from streamflow.extracts.synthetic import generate_month

EXTRACTS = ROOT.parent / "shared" / "data" / "streamflow"
JANUARY, FEBRUARY, MARCH = "2024-01-31", "2024-02-29", "2024-03-31"
DEFAULTS = {
    name: Limit(**each) for name, each in yaml.safe_load((ROOT / "conf/source/limits/default.yaml").read_text()).items()
}
BEFORE = generate_month(400, JANUARY, 42)
MONTH = generate_month(400, FEBRUARY, 42)


def found(month, before=BEFORE, same=None, limits=DEFAULTS, as_of=FEBRUARY, after=None):
    others = [Month(date, each) for date, each in ((JANUARY, before), (MARCH, after)) if each]
    return implausible(Month(as_of, month), others, same or {}, limits)


def with_column(month, table, name, values):
    rows = month[table]
    at = rows.column_names.index(name)
    return {**month, table: rows.set_column(at, rows.schema.field(name), values.cast(rows.schema.field(name).type))}


def times(month, table, name, factor):
    return with_column(month, table, name, pc.multiply(month[table][name], factor))


def test_every_limit_has_a_default_and_a_check():
    assert tuple(DEFAULTS) == LIMITS


@pytest.mark.parametrize("users", [50, 60, 80, 100, 150, 250, 400, 1000, 2500, 7043, 20_000])
def test_synthetic_months_are_plausible(users):
    months = [generate_month(users, month, 42) for month in (JANUARY, FEBRUARY, MARCH)]
    assert found(months[0], None) == []
    assert found(months[1], months[0], after=months[2]) == []
    assert found(months[2], months[1]) == []


@pytest.mark.skipif(not EXTRACTS.is_dir(), reason="needs the real extracts in ../shared/data/streamflow")
def test_the_real_extracts_are_plausible():
    first, second = (read_month(EXTRACTS / f"month_00{number}")[0] for number in (0, 1))
    assert found(first, None) == found(second, first) == found(first, None, as_of=FEBRUARY, after=second) == []


def constant(value, kind, count=400):
    return pa.chunked_array([pa.array([value] * count, kind)])


IMPLAUSIBLE = {
    "twenty times as many rows": (
        lambda: generate_month(8000, FEBRUARY, 42),
        "row_growth",
        "users has 8,000 rows, 20 times the 400 of 2024-01-31 (at most 3 times)",
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
    "ten times as many users, the old ones among them": (
        lambda: generate_month(4000, FEBRUARY, 42),
        "share_new",
        "3,600 of the 4,000 users are not in 2024-01-31, 90% (at most 70%)",
    ),
    "nobody churned": (
        lambda: with_column(MONTH, LABELS.name, "churn_label", constant(False, pa.bool_())),
        "label_change",
        "0% of 400 users churned, 0 times the 25.2% of 2024-01-31 (at most 3 times)",
    ),
    "nobody of many churned": (
        lambda: with_column(
            generate_month(7043, FEBRUARY, 42), LABELS.name, "churn_label", constant(False, pa.bool_(), 7043)
        ),
        "label_rate_min",
        "0% of 7,043 users churned (at least 0.2%)",
    ),
    "all churned": (
        lambda: with_column(MONTH, LABELS.name, "churn_label", constant(True, pa.bool_())),
        "label_rate_max",
        "100% of 400 users churned (at most 90%)",
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
    said = found(BEFORE, same={JANUARY: ["e", "d", "c", "b", "a"], "2023-12-31": ["a", "b"]})
    assert [(each.name, each.what, each.contents) for each in said] == [
        (
            "same_month",
            "5 of 5 tables with facts have the same rows as 2024-01-31 (at most 50%)",
            ("a", "b", "c", "d", "e"),
        )
    ]
    assert found(BEFORE, same={JANUARY: ["a", "b"]}) == []


@settings(max_examples=60)
@given(st.floats(0.05, 20), st.sampled_from(["monthly_fee", "total_paid"]))
def test_a_scale_is_found_if_it_is_well_beyond_the_limit_and_never_within(factor, name):
    said = [each.name for each in found(times(BEFORE, SUBSCRIPTIONS.name, name, factor)) if each.name == "scale"]
    if 1 / 5 <= factor <= 5:
        assert said == []
    elif not 1 / 10 <= factor <= 10:
        assert said == ["scale"]


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


def labels(rate, users):
    return with_column(
        generate_month(users, FEBRUARY, 42),
        LABELS.name,
        "churn_label",
        pa.chunked_array([pa.array(np.arange(users) < rate * users)]),
    )


@pytest.mark.parametrize(
    ("rate", "before", "words"),
    [
        (0.03, 0.26, "3.01% of 7,043 users churned, 1/8.64 of the 26% of 2024-01-31 (at most 3 times)"),
        (0.30, 0.05, "30% of 7,043 users churned, 5.99 times the 5.01% of 2024-01-31 (at most 3 times)"),
        (0.10, 0.0, "10% of 7,043 users churned, more than the 0% of 2024-01-31 (at most 3 times)"),
        (0.10, 0.26, None),
        (0.10, 0.04, None),
    ],
)
def test_a_churn_rate_that_is_a_multiple_of_the_month_before_is_found(rate, before, words):
    said = found(labels(rate, 7043), labels(before, 7043))
    assert [each.what for each in said if each.name == "label_change"] == ([words] if words else [])


def test_a_small_team_is_not_refused_by_chance():
    rare = pa.chunked_array([pa.array(np.arange(60) < 2)])
    small = with_column(generate_month(60, JANUARY, 42), USERS.name, "user_is_senior", rare)
    none = with_column(generate_month(60, FEBRUARY, 42), USERS.name, "user_is_senior", constant(False, pa.bool_(), 60))
    assert found(none, small) == []
    assert found(labels(0, 60), labels(0.05, 60)) == []
    assert found(labels(0.95, 60), labels(0.95, 60)) == []
    others = {name: rows.slice(33) for name, rows in generate_month(93, FEBRUARY, 42).items()}
    assert found(others, generate_month(60, JANUARY, 42)) == []  # 33 of 60 are gone
    low, high = (pa.chunked_array([pa.array([1.0] * ones + [10.0] * (60 - ones))]) for ones in (31, 29))
    lower, higher = (with_column(small, SUBSCRIPTIONS.name, "monthly_fee", fees) for fees in (low, high))
    assert found(higher, lower) == found(lower, higher) == []  # the median is 10 times the other
    limits = {"label_rate_min": Limit(0.1, "refuse")}
    assert found(labels(0.05, 60), limits=limits) == []
    assert [each.name for each in found(labels(0.05, 2000), limits=limits)] == ["label_rate_min"]


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([50, 60, 100, 400, 7043]), st.integers(0, 2**32 - 1), st.floats(0.001, 0.2))
def test_a_month_drawn_with_the_same_rates_is_plausible_and_one_that_is_all_zero_is_not(users, seed, rate):
    random = np.random.default_rng(seed)
    columns = {
        (SUBSCRIPTIONS.name, "paperless_billing"): lambda: random.random(users) < rate,
        (LABELS.name, "churn_label"): lambda: random.random(users) < max(rate, 0.002),
        (USAGE.name, "skips_7d"): lambda: random.poisson(rate, users),
        (USAGE.name, "watch_hours_30d"): lambda: np.exp(random.normal(1, 1, users)),
        (SUBSCRIPTIONS.name, "total_paid"): lambda: np.where(
            random.random(users) < rate, 0, random.exponential(9, users)
        ),
    }
    before, month = drawn(users, columns), drawn(users, columns)
    assert found(month, before) == []
    assert found(before, None, after=month) == []
    hours = constant(0.0, pa.float64(), users)
    said = found(with_column(month, USAGE.name, "watch_hours_30d", hours), before)
    assert [(each.name, each.of) for each in said] == [("constant", "usage_agg_30d.watch_hours_30d")]


def drawn(users, columns):
    month = generate_month(users, FEBRUARY, 42)
    for (table, name), draw in columns.items():
        month = with_column(month, table, name, pa.chunked_array([pa.array(draw())]))
    return month


def test_all_usage_zero_is_refused_of_the_real_number_of_users():
    before, month = (generate_month(7043, date, 42) for date in (JANUARY, FEBRUARY))
    for column in USAGE.columns:
        month = with_column(month, USAGE.name, column.name, constant(0, pa.int64(), 7043))
    said = found(month, before)
    assert [(each.name, each.of) for each in said] == [
        ("constant", f"usage_agg_30d.{column.name}") for column in USAGE.columns
    ]


def test_a_late_month_is_compared_with_the_month_after_it():
    late = times(BEFORE, SUBSCRIPTIONS.name, "monthly_fee", 80.0)
    said = found(late, None, as_of=FEBRUARY, after=MONTH)
    assert [(each.name, each.of) for each in said] == [("scale", "subscriptions.monthly_fee")]
    assert said[0].what.endswith("of 2024-03-31 (at most 5 times)")
    zero = with_column(BEFORE, USAGE.name, "skips_7d", constant(0, pa.int64()))
    assert [each.name for each in found(zero, None, after=MONTH)] == ["constant"]
    assert [each.what for each in found(generate_month(50, FEBRUARY, 42), None, after=MONTH)][::6] == [
        "users has 50 rows, 1/8 of the 400 of 2024-03-31 (at most 3 times)",
        "350 of the 400 users of 2024-03-31 are not in it, 87.5% (at most 70%)",
    ]
    assert found(generate_month(8000, FEBRUARY, 42), None, after=MONTH)[-1].what == (
        "7,600 of the 8,000 users are gone in 2024-03-31, 95% (at most 50%)"
    )


@pytest.mark.parametrize("factor", [80.0, 0.01])
def test_the_same_finding_has_the_same_key_whichever_month_is_asked(factor):
    one = Month(JANUARY, BEFORE, {"subscriptions": "a" * 64})
    other = Month(FEBRUARY, times(MONTH, "subscriptions", "monthly_fee", factor), {"subscriptions": "b" * 64})
    (forth,), (back,) = implausible(one, [other], {}, DEFAULTS), implausible(other, [one], {}, DEFAULTS)
    assert forth.key == back.key == ("scale", "subscriptions.monthly_fee", ("a" * 64, "b" * 64))
    assert forth.what != back.what


def test_a_correction_is_compared_with_the_version_before_unless_it_mends_it():
    right, wrong = Month(FEBRUARY, MONTH), Month(FEBRUARY, times(MONTH, SUBSCRIPTIONS.name, "monthly_fee", 80.0))
    neighbour = Month(JANUARY, BEFORE)
    (alone,) = implausible(wrong, [right], {}, DEFAULTS)
    assert alone.what.endswith("of the version before (at most 5 times)")
    assert len(implausible(wrong, [neighbour, right], {}, DEFAULTS)) == 2
    assert implausible(right, [neighbour, wrong], {}, DEFAULTS) == []
    assert len(implausible(right, [wrong], {}, DEFAULTS)) == 1  # nothing tells which of them is right
    worse = Month(FEBRUARY, times(MONTH, SUBSCRIPTIONS.name, "monthly_fee", 0.01))
    assert [each.what.split(" the ")[-1] for each in implausible(worse, [neighbour, wrong], {}, DEFAULTS)] == [
        "72.75 of 2024-01-31 (at most 5 times)",
        "version before (at most 5 times)",
    ]
    zero = Month(FEBRUARY, with_column(MONTH, USAGE.name, "skips_7d", constant(0, pa.int64())))
    assert [each.what for each in implausible(zero, [right], {}, DEFAULTS)] == [
        "usage_agg_30d.skips_7d is 0 for all 400 users, it had several values in the version before"
    ]
    assert implausible(right, [zero], {}, DEFAULTS) == []


def test_figures_show_enough_digits_to_see_what_is_beyond_the_limit_and_no_more():
    fees = pa.chunked_array([pa.array([20.0] * 4000)])
    before = with_column(generate_month(4000, JANUARY, 42), SUBSCRIPTIONS.name, "monthly_fee", fees)
    month = with_column(before, SUBSCRIPTIONS.name, "monthly_fee", pc.multiply(fees, 5.0004))
    said = [each.what for each in found(month, before) if each.name == "scale"]
    assert said == [
        "the median of subscriptions.monthly_fee is 100.008, 5.0004 times the 20 of 2024-01-31 (at most 5 times)"
    ]
    same = with_column(before, SUBSCRIPTIONS.name, "monthly_fee", pa.chunked_array([pa.array([26.000000001] * 4000)]))
    assert [each.what for each in found(same, generate_month(4000, JANUARY, 42)) if each.name == "constant"] == [
        "subscriptions.monthly_fee is 26 for all 4,000 users, it had several values in 2024-01-31"
    ]
    limits = {"label_rate_max": Limit(0.07, "refuse"), "row_growth": Limit(1.999, "refuse")}
    assert [each.what for each in found(labels(0.5, 800), limits=limits)] == [
        "users has 800 rows, 2 times the 400 of 2024-01-31 (at most 1.999 times)",
        *(f"{table.name} has 800 rows, 2 times the 400 of 2024-01-31 (at most 1.999 times)" for table in TABLES[1:]),
        "50% of 800 users churned (at most 7%)",
    ]
    for limit, rows, words in [(20, 8001, "20.003 times"), (20.01, 8005, "20.012 times"), (1.9999, 800, "2 times")]:
        (first, *_) = found(generate_month(rows, FEBRUARY, 42), limits={"row_growth": Limit(limit, "refuse")})
        assert first.what == f"users has {rows:,} rows, {words} the 400 of 2024-01-31 (at most {limit} times)"


def test_a_source_that_lacks_tables_and_columns_is_asked_for_the_rest():
    def without(month):
        fewer = month[SUBSCRIPTIONS.name].drop_columns(["monthly_fee", "contract_type"])
        return {**month, SUBSCRIPTIONS.name: fewer, USAGE.name: month[USAGE.name].select(["user_id"])}

    assert found(without(MONTH), without(BEFORE)) == found(MONTH, without(BEFORE)) == found(without(MONTH)) == []
    late = times(without(MONTH), SUBSCRIPTIONS.name, "total_paid", 80.0)
    assert [each.of for each in found(late, without(BEFORE))] == ["subscriptions.total_paid"]
    assert [each.what for each in found(without(MONTH), same={JANUARY: ["a", "b", "c"]})] == [
        "3 of 4 tables with facts have the same rows as 2024-01-31 (at most 50%)"
    ]
