"""Training pieces: NULL is a value, the threshold is the best of its grid, the export is the pipeline with stable bytes."""

import subprocess
import sys

import numpy as np
import onnxruntime as ort
import pyarrow as pa
import pytest
from hydra.utils import instantiate
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from project import ROOT
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier, VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from small_month import joined_month

from streamflow.core.arrow import ARROW_TYPES
from streamflow.core.digest import bytes_sha256
from streamflow.core.errors import ModelError
from streamflow.core.schema import FEATURE_SERVICES, service_features
from streamflow.model.calibration import Calibration
from streamflow.model.card import check_golden, feature_schema, golden_rows, schema_features
from streamflow.model.export import export_onnx
from streamflow.model.scoring import ChurnModel, arrow_inputs, model_inputs
from streamflow.model.sklearn_pipeline import churn_pipeline, fit, pipeline_frame, uncalibrated_probability

ESTIMATORS = {
    "random_forest": lambda: RandomForestClassifier(20, min_samples_leaf=5, n_jobs=2, random_state=0),
    "hist_gradient_boosting": lambda: HistGradientBoostingClassifier(max_iter=20, early_stopping=False, random_state=0),
    "logistic_regression": lambda: LogisticRegression(max_iter=500),
    "blend": lambda: VotingClassifier(
        [
            ["boosting", HistGradientBoostingClassifier(max_iter=20, early_stopping=False, random_state=0)],
            ["linear", make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))],
        ],
        voting="soft",
        weights=[2, 1],
    ),
}


@pytest.fixture(scope="module")
def rows():
    return joined_month(600)


def trained(name, rows, service="churn_v1"):
    features = service_features(service)
    frame = pipeline_frame(rows, features)
    pipeline = fit(churn_pipeline(ESTIMATORS[name](), features), frame, np.array(rows["churn_label"].to_pylist()))
    return pipeline, features, frame


@pytest.mark.parametrize("service", list(FEATURE_SERVICES))
@pytest.mark.parametrize("name", list(ESTIMATORS))
def test_the_export_scores_every_user_as_scikit_learn_does(name, service, rows):
    pipeline, features, frame = trained(name, rows, service)
    model = ChurnModel(export_onnx(pipeline, features, 0.4), features)
    probabilities, predictions = model.score({c.name: rows[c.name].to_pylist() for c in features})
    expected = uncalibrated_probability(pipeline, frame)
    assert np.max(np.abs(np.array(probabilities) - expected)) < 1e-5
    assert len(set(probabilities)) > 10
    assert predictions == [int(p >= np.float32(0.4)) for p in np.array(probabilities, np.float32)]


@pytest.fixture(scope="module", params=sorted((ROOT / "conf" / "model").glob("*.yaml")), ids=lambda path: path.stem)
def configured(request, rows):
    """A model as conf/model configures it, its inputs, and the scores of all users at once."""
    values = {"seed": 42, "compute": {"jobs": 2, "threads": 1}}
    config = OmegaConf.merge(values, OmegaConf.load(request.param))
    features = service_features("churn_v2")
    pipeline = churn_pipeline(instantiate(config.model), features)
    fit(pipeline, pipeline_frame(rows, features), np.array(rows["churn_label"].to_pylist()))
    model = ChurnModel(export_onnx(pipeline, features, 0.4, Calibration(1.3, -0.2)), features)
    inputs = arrow_inputs(rows.combine_chunks().to_batches()[0], features)
    return model, inputs, model.score_arrays(inputs)[0]


@given(first=st.integers(0, 599), users=st.sampled_from([1, 1, 2, 3, 5, 8, 31, 129, 600]))
@settings(max_examples=40)
def test_a_score_has_the_same_bits_in_any_company(configured, first, users):
    model, inputs, together = configured
    scores, _ = model.score_arrays({name: values[first : first + users] for name, values in inputs.items()})
    assert scores.dtype == np.float32
    assert scores.tobytes() == together[first : first + users].tobytes()


def test_every_user_alone_scores_the_same_bits_as_in_company(configured):
    model, inputs, together = configured
    alone = [model.score_arrays({name: each[at : at + 1] for name, each in inputs.items()})[0][0] for at in range(600)]
    assert np.array(alone).tobytes() == together.tobytes()
    assert len(set(together.tolist())) > 50


def test_a_calibrated_linear_model_scores_a_user_alone_as_in_company(rows):
    features = service_features("churn_v1")
    frame, churned = pipeline_frame(rows, features), np.array(rows["churn_label"].to_pylist())
    calibrated = CalibratedClassifierCV(LogisticRegression(solver="liblinear"), cv=3)
    pipeline = fit(churn_pipeline(calibrated, features), frame, churned)
    model = ChurnModel(export_onnx(pipeline, features, 0.4), features)
    inputs = model_inputs({c.name: rows[c.name].to_pylist() for c in features}, features)
    together, _ = model.score_arrays(inputs)
    alone = [model.score_arrays({name: each[at : at + 1] for name, each in inputs.items()})[0][0] for at in range(600)]
    assert np.array(alone).tobytes() == together.tobytes()
    assert np.max(np.abs(together - uncalibrated_probability(pipeline, frame))) < 1e-6


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


@pytest.mark.parametrize("name", ["random_forest", "hist_gradient_boosting", "blend"])
def test_users_on_the_border_of_a_split_are_scored_as_scikit_learn_does(name, rows):
    """Between 10.5 and 10.7 a tree splits at a number that rounds to 10.6 in float32, but lies below it."""
    steps = [round(10.0 + 0.2 * (number % 12), 1) for number in range(rows.num_rows)]
    position = rows.schema.get_field_index("ticket_avg_resolution_hrs_90d")
    field = rows.schema.field(position)
    learned = rows.set_column(position, field, pa.array([round(step + 0.1, 1) for step in steps]))
    learned = learned.set_column(
        rows.schema.get_field_index("churn_label"), "churn_label", pa.array([step > 10.9 for step in steps])
    )
    pipeline, features, _ = trained(name, learned)
    model = ChurnModel(export_onnx(pipeline, features, 0.5), features)
    for asked in (rows.set_column(position, field, pa.array(steps)), learned):
        expected = uncalibrated_probability(pipeline, pipeline_frame(asked, features))
        probabilities, _ = model.score({c.name: asked[c.name].to_pylist() for c in features})
        assert np.max(np.abs(np.array(probabilities) - expected)) < 1e-5


def test_rounded_thresholds_decide_as_the_exact_ones_did(rows):
    features = service_features("churn_v1")
    frame = pipeline_frame(rows, features)
    churned = np.array(rows["churn_label"].to_pylist())
    exact = churn_pipeline(ESTIMATORS["random_forest"](), features).fit(frame, churned)
    rounded = fit(churn_pipeline(ESTIMATORS["random_forest"](), features), frame, churned)
    changed = [
        np.any(before.tree_.threshold != after.tree_.threshold)
        for before, after in zip(exact[-1].estimators_, rounded[-1].estimators_, strict=True)
    ]
    assert any(changed)
    assert np.array_equal(uncalibrated_probability(exact, frame), uncalibrated_probability(rounded, frame))


def test_null_plan_is_neither_true_nor_false(rows):
    pipeline, _, frame = trained("logistic_regression", rows)
    one = frame.iloc[[0]].copy()
    scores = set()
    for value in (np.nan, 0.0, 1.0):
        one["plan_stream_tv"] = np.float32(value)
        scores.add(round(float(uncalibrated_probability(pipeline, one)[0]), 9))
    assert len(scores) == 3


def test_the_bytes_do_not_depend_on_the_hash_seed():
    code = (
        "import sys; sys.path[:0] = ['tests/unit/model', 'tests/support']\n"
        "import test_model as t; rows = t.joined_month(600)\n"
        "for name in t.ESTIMATORS: p, f, _ = t.trained(name, rows); print(t.bytes_sha256(t.export_onnx(p, f, 0.5)))"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env={"PYTHONHASHSEED": seed, "OMP_NUM_THREADS": "1", "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "2", "3")
    }
    assert len(digests) == 1
    assert len(digests.pop().split()) == 4


def test_an_estimator_without_a_converter_for_its_pipeline_is_refused(rows):
    class Unconvertible(KNeighborsClassifier):
        pass

    features = service_features("churn_v1")
    frame = pipeline_frame(rows, features)
    pipeline = fit(
        churn_pipeline(Unconvertible(), features), frame.fillna(0), np.array(rows["churn_label"].to_pylist())
    )
    with pytest.raises(ModelError, match="Unconvertible can't be converted to ONNX"):
        export_onnx(pipeline, features, 0.5)


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


def test_golden_rows_hold_nulls_and_catch_another_model(rows):
    pipeline, features, _ = trained("logistic_regression", rows)
    model = ChurnModel(export_onnx(pipeline, features, 0.5), features)
    golden = golden_rows(model, rows)
    assert len(golden["rows"]) == 16
    assert sum(row["features"]["plan_stream_tv"] is None for row in golden["rows"]) >= 4
    check_golden(model, golden)
    other = ChurnModel(export_onnx(trained("random_forest", rows)[0], features, 0.5), features)
    with pytest.raises(ModelError, match="golden row"):
        check_golden(other, golden)


def test_a_feature_schema_that_this_code_does_not_define_is_refused():
    schema = feature_schema("churn_v1", 0.5)
    assert schema_features(schema) == service_features("churn_v1")
    with pytest.raises(ModelError, match="does not define"):
        schema_features({**schema, "feature_service": "churn_v9"})
    fewer = {**schema, "features": schema["features"][1:]}
    with pytest.raises(ModelError, match="months_active"):
        schema_features(fewer)


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
    assert bytes_sha256(b"") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert isinstance(rows, pa.Table)
