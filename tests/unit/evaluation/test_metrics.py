"""Metrics and curves of users that can be worked out by hand."""

import numpy as np
import pytest

from streamflow.evaluation.metrics import (
    calibration_points,
    classification_metrics,
    confusion_counts,
    precision_recall_points,
    roc_points,
)

CHURNED = [True, True, False, False, False]

SCORES = [0.9, 0.4, 0.6, 0.2, 0.1]

PREDICTIONS = [1, 0, 1, 0, 0]


def test_metrics_of_a_worked_example():
    metrics = classification_metrics(CHURNED, SCORES, PREDICTIONS)
    assert metrics["roc_auc"] == pytest.approx(5 / 6, abs=1e-6)
    assert metrics["f1"] == 0.5
    assert metrics["precision"] == 0.5
    assert metrics["recall"] == 0.5
    assert metrics["accuracy"] == 0.6
    assert metrics["baseline_accuracy"] == 0.6
    assert metrics["churn_rate"] == 0.4
    assert metrics["brier"] == pytest.approx((0.01 + 0.36 + 0.36 + 0.04 + 0.01) / 5)
    assert metrics["log_loss"] == pytest.approx(-np.mean(np.log([0.9, 0.4, 0.4, 0.8, 0.9])), abs=1e-6)


def test_curves_of_a_worked_example():
    assert roc_points(CHURNED, SCORES)[-1] == {"false_positive_rate": 1.0, "true_positive_rate": 1.0}
    assert precision_recall_points(CHURNED, SCORES)[0]["recall"] == 0.0
    assert confusion_counts(CHURNED, PREDICTIONS) == {
        "true_negative": 2,
        "false_positive": 1,
        "false_negative": 1,
        "true_positive": 1,
    }
    points = calibration_points([True, False] * 50, np.linspace(0, 1, 100))
    assert len(points) == 10
    assert sum(point["users"] for point in points) == 100
    assert all(point["observed"] == 0.5 for point in points)
