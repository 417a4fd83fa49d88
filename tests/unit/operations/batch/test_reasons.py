"""Reasons: what a feature adds to the log-odds against a reference user, in an order that ties can't change."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from small_month import joined_month

from streamflow.core.schema import Column, service_features
from streamflow.model.export import export_onnx
from streamflow.model.scoring import ChurnModel, model_inputs
from streamflow.model.sklearn_pipeline import churn_pipeline, fit, pipeline_frame
from streamflow.operations.batch.reasons import contributions, reference_value, strongest

FEATURES = service_features("churn_v1")
NAMES = [column.name for column in FEATURES]
USER = {
    "months_active": 40,
    "monthly_fee": 20.0,
    "paperless_billing": False,
    "plan_stream_tv": None,
    "plan_stream_movies": None,
    "net_service": "No",
    "watch_hours_30d": 12.5,
    "avg_session_mins_7d": 29.0,
    "unique_devices_30d": 1,
    "skips_7d": 9,
    "rebuffer_events_7d": 4,
    "failed_payments_90d": 2,
    "support_tickets_90d": 0,
    "ticket_avg_resolution_hrs_90d": 16.0,
}
REFERENCE = {
    **USER,
    "months_active": 29,
    "monthly_fee": 70.0,
    "plan_stream_tv": False,
    "net_service": "DSL",
    "failed_payments_90d": 0,
}


@pytest.fixture(scope="module")
def pipeline():
    rows = joined_month(600)
    linear = churn_pipeline(LogisticRegression(C=0.3, max_iter=500), FEATURES)
    return fit(linear, pipeline_frame(rows, FEATURES), np.array(rows["churn_label"].to_pylist()))


@pytest.fixture(scope="module")
def model(pipeline):
    return ChurnModel(export_onnx(pipeline, FEATURES, 0.5), FEATURES)


def inputs(user):
    return model_inputs({name: [value] for name, value in user.items()}, FEATURES)


def explained(model, user, reference):
    asked = inputs(user)
    found = contributions(model, asked, model.score_arrays(asked)[0], inputs(reference))
    return dict(zip(NAMES, found[0].tolist(), strict=True))


def weight(pipeline, name, user, reference):
    """weight x (value - reference) by hand, from the fitted columns and coefficients."""
    columns = pipeline[0].transform(pipeline_frame(pa.Table.from_pylist([user, reference]), FEATURES))
    belongs = np.array([name in column for column in pipeline[0].get_feature_names_out()])
    return float(((columns[0] - columns[1]) * pipeline[-1].coef_[0])[belongs].sum())


def test_contributions_of_a_linear_model_are_weight_times_distance(pipeline, model):
    found = explained(model, USER, REFERENCE)
    differing = {name for name in NAMES if USER[name] != REFERENCE[name]}
    assert {name for name in NAMES if found[name] != 0} == differing
    for name in differing - {"plan_stream_tv"}:
        assert found[name] == pytest.approx(weight(pipeline, name, USER, REFERENCE), abs=5e-6)
    tv = {**REFERENCE, "plan_stream_tv": None}  # its indicators have the names of the columns that may be NULL
    assert found["plan_stream_tv"] == pytest.approx(weight(pipeline, "plan_stream_tv", tv, REFERENCE), abs=5e-6)


def test_contributions_of_a_linear_model_add_up_to_the_distance_in_log_odds(model):
    own, typical = (model.score_arrays(inputs(user))[0][0].astype(float) for user in (USER, REFERENCE))
    distance = np.log(own / (1 - own)) - np.log(typical / (1 - typical))
    assert sum(explained(model, USER, REFERENCE).values()) == pytest.approx(distance, abs=1e-5)


def test_the_reference_user_has_no_reason(model):
    assert set(explained(model, REFERENCE, REFERENCE).values()) == {0.0}


def test_a_score_of_zero_or_one_has_contributions_that_are_numbers():
    class Certain:
        features = (Column("fee", "real", ""),)

        def score_arrays(self, inputs):
            return (inputs["fee"] > 1).astype(np.float32), None

    asked = {"fee": np.array([0.0, 2.0, np.nan], np.float32)}
    found = contributions(Certain(), asked, Certain().score_arrays(asked)[0], {"fee": np.array([2.0], np.float32)})
    assert found[:, 0].tolist() == [-27.631019, 0.0, -27.631019]


def test_the_strongest_come_first_with_their_sign_and_equals_by_name():
    found = np.array([[0.5, -2.0, -0.5, 0.0], [0.0, 0.0, 0.0, 0.25], [0.1, 0.1, -0.1, 0.1]])
    ranks = strongest(found, ["d", "c", "b", "a"], 3)
    assert [names.to_pylist() for names, _ in ranks] == [["c", "a", "a"], ["b", None, "b"], ["d", None, "c"]]
    assert [values.to_pylist() for _, values in ranks] == [[-2.0, 0.25, 0.1], [-0.5, None, -0.1], [0.5, None, 0.1]]


@given(st.lists(st.lists(st.sampled_from([-1.5, -0.5, 0.0, 0.5, 1.5]), min_size=4, max_size=4), min_size=1))
def test_ranks_follow_the_absolute_size_and_then_the_name(users):
    names = ["d", "c", "b", "a"]
    ranks = strongest(np.array(users), names, 4)
    for at, user in enumerate(users):
        wanted = sorted((pair for pair in zip(user, names, strict=True) if pair[0]), key=lambda p: (-abs(p[0]), p[1]))
        told = [(values[at].as_py(), labels[at].as_py()) for labels, values in ranks]
        assert told == wanted + [(None, None)] * (4 - len(wanted))


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        ([4, 1, 3, 2], "integer", 2),
        ([0.5, None, 0.25, 0.75], "real", 0.5),
        ([None, None], "real", None),
        ([True, False, None, None], "boolean", None),
        ([True, False, None], "boolean", False),
        (["DSL", "No", "No", "DSL"], "text", "DSL"),
    ],
)
def test_the_typical_value_is_the_lower_median_or_the_most_frequent(values, kind, expected):
    assert reference_value(pa.chunked_array([values]), Column("x", kind, "")) == expected
