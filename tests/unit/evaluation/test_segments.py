"""Segments on examples that can be checked by hand."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamflow.core.errors import ModelError
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


def test_the_rows_of_a_segment_have_the_documented_columns():
    (found,) = segments({"net_service": ["DSL"] * 4}, [False, True, False, True], [0.0, 0.25, 0.5, 1.0])
    documented = {
        "group": "net_service: DSL",
        "segment": "net_service",
        "value": "DSL",
        "users": 4,
        "churners": 2,
        "churn_rate": 0.5,
        "mean_score": 0.4375,
        "roc_auc": 0.75,
        "score_5": 0.0375,
        "score_25": 0.1875,
        "score_50": 0.375,
        "score_75": 0.625,
        "score_95": 0.925,
    }
    assert {name: found.row()[name] for name in documented} == documented
    assert next(iter(found.row())) == "group"
    assert "histogram" not in found.row()
    rows = segment_score_rows([found])
    assert len(rows) == 20
    assert rows[5] == {"segment": "net_service", "value": "DSL", "score_from": 0.25, "share": 0.25}
    third = segments({"net_service": ["DSL"] * 3}, [True] * 3, [0.0, 0.0, 0.5])
    assert [row["share"] for row in segment_score_rows(third) if row["share"]] == [0.666667, 0.333333]


def test_users_are_counted_in_twenty_bins_by_whether_they_churned():
    rows = score_rows([True, False, False, True], [0.049, 0.05, 0.0999999999, 1.0])
    assert rows[0] == {"score_from": 0.0, "score_to": 0.05, "stayed": 0, "churned": 1}
    assert rows[1] == {"score_from": 0.05, "score_to": 0.1, "stayed": 1, "churned": 0}
    assert rows[2] == {"score_from": 0.1, "score_to": 0.15, "stayed": 1, "churned": 0}, "rounded to six digits"
    assert rows[19] == {"score_from": 0.95, "score_to": 1.0, "stayed": 0, "churned": 1}
    assert len(rows) == 20


def test_bands_of_tenure_stand_in_their_order():
    found = segments({"tenure": ["49 months or more", "13 to 24 months", "0 to 6 months"]}, [True] * 3, [0.5] * 3)
    assert [each.value for each in found] == ["0 to 6 months", "13 to 24 months", "49 months or more"]


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
