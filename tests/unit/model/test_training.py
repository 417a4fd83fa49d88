"""How a model is made: no user scores herself, weights weigh, the graph holds all of it."""

import numpy as np
import pyarrow as pa
import pytest
from recipes import BLEND, F1, FEATURES, FOREST, LINEAR
from sklearn.metrics import brier_score_loss
from small_month import joined_month

from streamflow.core.errors import ModelError
from streamflow.model.calibration import UNCHANGED, calibration
from streamflow.model.export import export_onnx
from streamflow.model.scoring import ChurnModel
from streamflow.model.sklearn_pipeline import pipeline_frame, uncalibrated_probability
from streamflow.model.thresholds import choose_threshold
from streamflow.model.training import Recipe, fit_pipeline, sample_weights, train


@pytest.fixture(scope="module")
def month():
    rows = joined_month(900)
    return rows, pipeline_frame(rows, FEATURES), np.array(rows["churn_label"].to_pylist())


@pytest.mark.parametrize("settings_", [FOREST, LINEAR, BLEND], ids=["forest", "linear", "blend"])
def test_the_graph_holds_calibration_and_threshold(month, settings_):
    rows, frame, churned = month
    recipe = Recipe(settings_, FEATURES, "sigmoid", F1)
    trained = train(recipe, frame, churned, np.arange(len(churned)) % 4 == 0, None)
    model = ChurnModel(export_onnx(trained.pipeline, FEATURES, trained.threshold, trained.calibration), FEATURES)
    probabilities, predictions = model.score({c.name: rows[c.name].to_pylist() for c in FEATURES})
    expected = trained.churn_probability(frame)
    assert trained.calibration != UNCHANGED
    assert np.max(np.abs(np.array(probabilities) - expected)) < 1e-5
    assert not np.allclose(expected, uncalibrated_probability(trained.pipeline, frame), atol=1e-3)
    assert predictions == [int(p >= np.float32(trained.threshold)) for p in np.array(probabilities, np.float32)]


def test_calibration_mends_the_balanced_forest(month):
    _, frame, churned = month
    rest, scored = slice(0, 600), slice(600, None)
    validation = np.arange(600) % 4 == 0
    briers = {
        method: brier_score_loss(
            churned[scored],
            train(Recipe(FOREST, FEATURES, method, F1), frame[rest], churned[rest], validation, None).churn_probability(
                frame[scored]
            ),
        )
        for method in ("none", "sigmoid")
    }
    assert briers["sigmoid"] < briers["none"]


def test_threshold_and_calibration_come_from_a_model_that_never_saw_the_validation_users(month):
    _, frame, churned = month
    validation = np.arange(len(churned)) % 4 == 0
    recipe = Recipe(FOREST, FEATURES, "sigmoid", F1)
    trained = train(recipe, frame, churned, validation, None)
    unseen = uncalibrated_probability(
        fit_pipeline(recipe, frame[~validation], churned[~validation], None), frame[validation]
    )
    expected = calibration("sigmoid", churned[validation], unseen)
    assert trained.calibration == expected
    assert trained.threshold == choose_threshold(F1, churned[validation], expected.of(unseen))
    whole = uncalibrated_probability(fit_pipeline(recipe, frame, churned, None), frame)
    assert np.array_equal(uncalibrated_probability(trained.pipeline, frame), whole)


@pytest.mark.parametrize(
    "settings_", [LINEAR, {**BLEND, "weights": {"boosting": 0, "linear": 1}}], ids=["alone", "blend"]
)
def test_users_of_weight_zero_teach_nothing(month, settings_):
    _, frame, churned = month
    weights = np.where(np.arange(len(churned)) < 450, 2.0, 0.0)
    recipe = Recipe(settings_, FEATURES, "none", F1)
    weighted = uncalibrated_probability(fit_pipeline(recipe, frame, churned, weights), frame)
    alike = uncalibrated_probability(fit_pipeline(recipe, frame, churned, None), frame)
    assert not np.allclose(weighted, alike, atol=1e-3)
    other = np.where(np.arange(len(churned)) < 450, churned, ~churned)
    assert np.allclose(
        uncalibrated_probability(fit_pipeline(recipe, frame, other, weights), frame), weighted, atol=1e-9
    )


def test_weights_have_a_mean_of_one_and_can_not_be_negative():
    rows = pa.table({"monthly_fee": [10.0, 30.0], "debt": [-1.0, 2.0], "nothing": [0.0, 0.0]})
    assert sample_weights(rows, "monthly_fee").tolist() == [0.5, 1.5]
    assert sample_weights(rows, None) is None
    for column in ("debt", "nothing"):
        with pytest.raises(ModelError, match=f"sample_weight={column}"):
            sample_weights(rows, column)
