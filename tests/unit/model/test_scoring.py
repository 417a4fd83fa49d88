"""What goes into the graph and comes out of it."""

import numpy as np
import onnxruntime as ort
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_models import trained
from small_month import joined_month

from streamflow.core.arrow import ARROW_TYPES
from streamflow.core.errors import ModelError
from streamflow.core.schema import FEATURE_SERVICES, service_features
from streamflow.model.export import export_onnx
from streamflow.model.scoring import ChurnModel, arrow_inputs, model_inputs


@pytest.fixture(scope="module")
def rows():
    return joined_month(600)


COLUMNS = service_features("churn_v2")

VALUES = {
    "text": lambda column: st.sampled_from([*column.allowed, "", "näher"]),
    "boolean": lambda column: st.booleans(),
    "integer": lambda column: st.integers(-(2**62), 2**62),
    "real": lambda column: st.floats(-1e38, 1e38),
}


@given(
    st.lists(
        st.tuples(*(VALUES[c.kind](c) if not c.nullable else st.none() | VALUES[c.kind](c) for c in COLUMNS)),
        min_size=1,
        max_size=20,
    )
)
def test_arrow_gives_the_inputs_that_lists_give(users):
    values = {column.name: [user[at] for user in users] for at, column in enumerate(COLUMNS)}
    rows = pa.record_batch([pa.array(values[c.name], ARROW_TYPES[c.kind]) for c in COLUMNS], [c.name for c in COLUMNS])
    by_lists, by_arrow = model_inputs(values, COLUMNS), arrow_inputs(rows, COLUMNS)
    assert list(by_arrow) == list(by_lists)
    for name, expected in by_lists.items():
        assert by_arrow[name].dtype == expected.dtype
        assert by_arrow[name].tolist() == expected.tolist() or by_arrow[name].tobytes() == expected.tobytes()


def test_inputs_are_float32_with_nan_for_null_and_text_as_it_is():
    features = service_features("churn_v1")
    values = {
        column.name: ["DSL", "No"] if column.kind == "text" else [1, None if column.nullable else 2]
        for column in features
    }
    inputs = model_inputs(values, features)
    assert list(inputs) == list(FEATURE_SERVICES["churn_v1"])
    assert inputs["plan_stream_tv"].dtype == np.float32
    assert np.isnan(inputs["plan_stream_tv"][1])
    assert inputs["net_service"].tolist() == ["DSL", "No"]


def test_garbage_is_not_a_model():
    with pytest.raises(ModelError, match="not a usable ONNX file"):
        ChurnModel(b"garbage", service_features("churn_v1"))


def test_a_model_of_other_features_is_refused(rows):
    pipeline, features, _ = trained("logistic_regression", rows)
    with pytest.raises(ModelError, match="its feature schema names"):
        ChurnModel(export_onnx(pipeline, features, 0.5), service_features("churn_v2"))


def test_onnx_runtime_is_pinned_to_one_thread(rows, monkeypatch):
    seen = []
    real = ort.InferenceSession

    def spy(content, options, **rest):
        seen.append((options.intra_op_num_threads, options.inter_op_num_threads))
        return real(content, options, **rest)

    monkeypatch.setattr(ort, "InferenceSession", spy)
    pipeline, features, _ = trained("logistic_regression", rows)
    ChurnModel(export_onnx(pipeline, features, 0.5), features)
    assert seen == [(1, 1)]
