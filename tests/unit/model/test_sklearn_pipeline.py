"""How features become numbers: NULL is a value, and rounded thresholds decide as the exact ones."""

import numpy as np
import pytest
from small_models import ESTIMATORS, labels, trained
from small_month import joined_month

from streamflow.core.schema import service_features
from streamflow.model.sklearn_pipeline import churn_pipeline, fit, pipeline_frame, uncalibrated_probability


@pytest.fixture(scope="module")
def rows():
    return joined_month(600)


def test_rounded_thresholds_decide_as_the_exact_ones_did(rows):
    features = service_features("churn_v1")
    frame = pipeline_frame(rows, features)
    churned = labels(rows)
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
