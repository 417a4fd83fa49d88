"""Segments, costs and calibration error on examples that can be checked by hand."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamflow.core.errors import ModelError
from streamflow.evaluation.metrics import baseline_metrics, classification_metrics, confusion_counts, offer_costs
from streamflow.evaluation.segments import score_rows, segment_score_rows, segment_values, segments, tenure_band

SUBSCRIPTIONS = pa.table(
    {
        "user_id": ["a", "b", "c", "d", "e"],
        "contract_type": ["Two year", "Month-to-month", "Two year", "Two year", "One year"],
        "net_service": ["No", "DSL", "<script>", "DSL", "No"],
        "months_active": [0, 6, 7, 48, 49],
    }
)


def test_each_user_is_in_the_segment_that_the_snapshot_says():
    values = segment_values(SUBSCRIPTIONS.take([4, 2, 0, 1, 3]), ["a", "c", "e"])
    assert values == {
        "contract_type": ["Two year", "Two year", "One year"],
        "net_service": ["No", "<script>", "No"],
        "tenure": ["0 to 6 months", "7 to 12 months", "49 months or more"],
    }


def test_a_user_whom_the_snapshot_does_not_have_is_refused():
    with pytest.raises(ModelError, match="subscriptions of the snapshot has 1 of 2 users"):
        segment_values(SUBSCRIPTIONS, ["a", "z"])


@pytest.mark.parametrize(
    ("months", "band"),
    [
        (0, "0 to 6 months"),
        (6, "0 to 6 months"),
        (7, "7 to 12 months"),
        (48, "25 to 48 months"),
        (1200, "49 months or more"),
    ],
)
def test_both_ends_of_a_tenure_band_belong_to_it(months, band):
    assert tenure_band(months) == band


def test_segments_of_a_worked_example():
    values = {"contract_type": ["Two year", "Month-to-month", "Two year", "Two year", "Month-to-month"]}
    found = segments(values, [False, True, True, False, True], [0.1, 0.9, 0.3, 0.35, 1.0])
    assert [each.value for each in found] == ["Month-to-month", "Two year"]  # in the order of the schema
    monthly, two_years = found
    assert (monthly.users, monthly.churn_rate, monthly.mean_score, monthly.roc_auc) == (2, 1.0, 0.95, None)
    assert (two_years.users, two_years.churners, two_years.churn_rate) == (3, 1, 0.333333)
    assert (two_years.mean_score, two_years.roc_auc) == (0.25, 0.5)
    assert two_years.quantiles["score_50"] == 0.3
    assert two_years.histogram[2] == two_years.histogram[6] == two_years.histogram[7] == 1
    assert monthly.histogram[18:] == (1, 1)  # 1 is in the last bin
    assert monthly.row()["group"] == "contract_type: Month-to-month"
    assert "histogram" not in monthly.row()


def test_a_value_that_the_schema_does_not_know_comes_last():
    found = segments({"net_service": ["<script>", "No", "DSL"]}, [True, False, True], [0.5, 0.5, 0.5])
    assert [each.value for each in found] == ["DSL", "No", "<script>"]


@given(st.lists(st.tuples(st.sampled_from(["DSL", "No"]), st.booleans(), st.floats(0, 1)), min_size=1, max_size=50))
def test_every_user_is_counted_once(users):
    names, churned, scores = (list(each) for each in zip(*users, strict=True))
    found = segments({"net_service": names}, churned, scores)
    assert sum(each.users for each in found) == len(users)
    assert sum(each.churners for each in found) == sum(churned)
    assert all(sum(each.histogram) == each.users for each in found)
    rows = score_rows(churned, scores)
    assert (sum(row["stayed"] for row in rows), sum(row["churned"] for row in rows)) == (
        len(churned) - sum(churned),
        sum(churned),
    )
    shares = segment_score_rows(found)
    assert sum(row["share"] for row in shares) == pytest.approx(len(found), abs=1e-4)


def test_the_calibration_error_is_the_mean_distance_of_ten_bins():
    scores = np.repeat(np.arange(10) / 10 + 0.05, 4)
    churned = np.tile([True, False, False, False], 10)  # a rate of 0.25 in each bin
    expected = float(np.mean(np.abs(np.arange(10) / 10 + 0.05 - 0.25)))
    metrics = classification_metrics(churned, scores, scores >= 0.5)
    assert metrics["expected_calibration_error"] == pytest.approx(expected, abs=1e-6)


def test_costs_of_a_worked_example():
    counts = confusion_counts([True, True, True, False, False], [1, 0, 0, 1, 0])
    assert offer_costs(counts, missed_churner=200.0, wasted_offer=20.0) == {
        "cost": 2 * 200.0 + 20.0,
        "cost_of_calling_nobody": 3 * 200.0,
        "cost_of_calling_everybody": 2 * 20.0,
    }


def test_the_baseline_is_what_the_metrics_say_of_the_majority_class():
    churned = np.array([True] * 3 + [False] * 7)
    constant = classification_metrics(churned, np.full(10, 0.3), np.zeros(10, int))
    baseline = baseline_metrics(0.3)
    assert baseline["precision"] is None
    for name, value in baseline.items():
        assert value is None or constant[name] == pytest.approx(value, abs=1e-6), name
    mostly = baseline_metrics(0.75)
    assert (mostly["recall"], mostly["precision"], mostly["f1"]) == (1.0, 0.75, pytest.approx(6 / 7, abs=1e-6))
