"""What travels with a model: its features, and rows whose scores any loader must get."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_models import trained
from small_month import joined_month

from streamflow.core.errors import ModelError
from streamflow.core.schema import Column, service_features
from streamflow.model.card import check_golden, feature_schema, golden_rows, schema_features
from streamflow.model.export import export_onnx
from streamflow.model.scoring import ChurnModel


@pytest.fixture(scope="module")
def rows():
    return joined_month(600)


def test_golden_rows_hold_nulls_and_catch_another_model(rows):
    pipeline, features, _ = trained("logistic_regression", rows)
    model = ChurnModel(export_onnx(pipeline, features, 0.5), features)
    golden = golden_rows(model, rows)
    assert len(golden["rows"]) == 16
    assert sum(row["features"]["plan_stream_tv"] is None for row in golden["rows"]) >= 3
    check_golden(model, golden)
    other = ChurnModel(export_onnx(trained("random_forest", rows)[0], features, 0.5), features)
    with pytest.raises(ModelError, match="golden row"):
        check_golden(other, golden)


def test_a_feature_schema_has_the_documented_keys():
    schema = feature_schema("churn_v1", 0.5)
    assert list(schema) == ["feature_service", "label", "threshold", "features"]
    assert (schema["feature_service"], schema["label"], schema["threshold"]) == ("churn_v1", "churn_label", 0.5)
    first = {"name": "months_active", "kind": "integer", "nullable": False, "feature_view": "subs_profile_fv"}
    assert schema["features"][0] == first
    assert [each["name"] for each in schema["features"] if each["nullable"]] == ["plan_stream_tv", "plan_stream_movies"]


class ByFee:
    """Scores a hundredth of the fee, rounded as told; NaN for a fee of 0."""

    features = (Column("fee", "real", ""), Column("tv", "boolean", "", nullable=True))

    def __init__(self, off=0.0):
        self.off = off

    def score(self, values):
        found = [float("nan") if fee == 0 else fee / 100 + self.off for fee in values["fee"]]
        return found, [int(each > 0.5) for each in found]


def users(count, null_every):
    tv = [None if at % null_every == 0 else True for at in range(count)]
    return pa.table({"user_id": [f"u{at}" for at in range(count)], "fee": [1.0 + at for at in range(count)], "tv": tv})


@pytest.mark.parametrize(
    ("count", "fees"),
    [
        (31, [*range(1, 32, 2)]),
        (10, [*range(1, 11)]),
        (1, [1]),
        (4000, [1, 267, 534, 800, 1067, 1334, 1600, 1867, 2133, 2400, 2667, 2933, 3200, 3466, 3733, 4000]),
    ],
)
def test_golden_rows_span_each_column_from_end_to_end(count, fees):
    rows = golden_rows(ByFee(), users(count, 3))["rows"]
    assert [row["features"]["fee"] for row in rows] == [float(fee) for fee in fees]
    assert rows[0].keys() == {"features", "churn_probability", "prediction"}
    assert [row["churn_probability"] for row in rows] == [fee / 100 for fee in fees]
    assert any(row["features"]["tv"] is None for row in rows)


@given(st.permutations(range(40)))
def test_golden_rows_tell_nothing_of_who_had_which_values_together(order):
    """They are the same whatever values are in a row with each other."""
    rows = users(40, 7)
    other = rows.set_column(2, "tv", rows["tv"].take(pa.array(order)))
    assert golden_rows(ByFee(), other) == golden_rows(ByFee(), rows)


def golden(**changes):
    row = {"features": {"fee": 40.0, "tv": None}, "churn_probability": 0.4, "prediction": 0}
    return {"rows": [row, {**row, **changes}]}


@pytest.mark.parametrize(
    ("model", "row"),
    [
        (ByFee(2e-6), {}),
        (ByFee(-2e-6), {}),
        (ByFee(), {"churn_probability": 0.5}),
        (ByFee(), {"prediction": 1}),
        (ByFee(), {"features": {"fee": 0.0, "tv": None}}),
    ],
)
def test_a_score_that_is_another_or_no_number_is_refused_with_both(model, row):
    with pytest.raises(ModelError, match=r"golden row [12] scores \S{3,9}, at training 0\.[45]000000;"):
        check_golden(model, golden(**row))


def test_a_score_within_a_millionth_is_the_same_and_no_row_proves_nothing():
    for off in (0.0, 5e-7, -5e-7):
        check_golden(ByFee(off), golden())
    with pytest.raises(ModelError, match="has no row"):
        check_golden(ByFee(), {"rows": []})


def test_a_feature_schema_that_differs_is_refused_with_what_differs():
    schema = feature_schema("churn_v1", 0.5)
    other = [{**each, "kind": "text"} if each["name"] == "skips_7d" else each for each in schema["features"]]
    with pytest.raises(ModelError, match=r"not what the model was trained on: skips_7d$"):
        schema_features({**schema, "features": other})
    with pytest.raises(ModelError, match=r"trained on: order$"):
        schema_features({**schema, "features": schema["features"][::-1]})
    with pytest.raises(ModelError, match=r"trained on: months_active, monthly_fee$"):
        schema_features({**schema, "features": schema["features"][2:]})
    assert schema_features(feature_schema("churn_v2", 0.1)) == service_features("churn_v2")


def test_a_feature_schema_that_this_code_does_not_define_is_refused():
    schema = feature_schema("churn_v1", 0.5)
    assert schema_features(schema) == service_features("churn_v1")
    with pytest.raises(ModelError, match="does not define"):
        schema_features({**schema, "feature_service": "churn_v9"})
    fewer = {**schema, "features": schema["features"][1:]}
    with pytest.raises(ModelError, match="months_active"):
        schema_features(fewer)
