"""The exported graph is the pipeline: the same scores, alone and in company, and bytes that only the pipeline decides."""

import subprocess
import sys

import numpy as np
import onnx
import pyarrow as pa
import pytest
from hydra.utils import instantiate
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from project import ROOT
from sklearn.calibration import CalibratedClassifierCV
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from small_models import ESTIMATORS, labels, trained
from small_month import joined_month

from streamflow.core.errors import ModelError
from streamflow.core.schema import FEATURE_SERVICES, service_features
from streamflow.model.calibration import Calibration
from streamflow.model.export import export_onnx
from streamflow.model.scoring import ChurnModel, arrow_inputs, model_inputs
from streamflow.model.sklearn_pipeline import churn_pipeline, fit, pipeline_frame, uncalibrated_probability


@pytest.fixture(scope="module")
def rows():
    return joined_month(600)


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
    fit(pipeline, pipeline_frame(rows, features), labels(rows))
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
    frame, churned = pipeline_frame(rows, features), labels(rows)
    calibrated = CalibratedClassifierCV(LogisticRegression(solver="liblinear"), cv=3)
    pipeline = fit(churn_pipeline(calibrated, features), frame, churned)
    model = ChurnModel(export_onnx(pipeline, features, 0.4), features)
    inputs = model_inputs({c.name: rows[c.name].to_pylist() for c in features}, features)
    together, _ = model.score_arrays(inputs)
    alone = [model.score_arrays({name: each[at : at + 1] for name, each in inputs.items()})[0][0] for at in range(600)]
    assert np.array(alone).tobytes() == together.tobytes()
    assert np.max(np.abs(together - uncalibrated_probability(pipeline, frame))) < 1e-6


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


def test_the_bytes_do_not_depend_on_the_hash_seed():
    """Under these two seeds skl2onnx lists its operator sets in two orders."""
    processes = [
        subprocess.Popen(
            [sys.executable, "tests/support/small_models.py"],
            cwd=ROOT,
            env={"PYTHONHASHSEED": seed, "OMP_NUM_THREADS": "1", "PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in ("0", "1")
    ]
    digests = [process.communicate()[0].split() for process in processes]
    assert digests[0] == digests[1]
    assert len(set(digests[0])) == 4


def test_the_opsets_stand_in_the_order_of_their_names(rows):
    pipeline, features, _ = trained("random_forest", rows)
    found = onnx.load_from_string(export_onnx(pipeline, features, 0.5)).opset_import
    assert [(each.domain, each.version) for each in found] == [("", 17), ("ai.onnx.ml", 1)]


def test_an_estimator_without_a_converter_for_its_pipeline_is_refused(rows):
    class Unconvertible(KNeighborsClassifier):
        pass

    features = service_features("churn_v1")
    frame = pipeline_frame(rows, features)
    pipeline = fit(churn_pipeline(Unconvertible(), features), frame.fillna(0), labels(rows))
    with pytest.raises(ModelError, match="Unconvertible can't be converted to ONNX"):
        export_onnx(pipeline, features, 0.5)
