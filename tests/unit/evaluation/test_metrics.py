"""Metrics and curves of users that can be worked out by hand."""

import math

import numpy as np
import pytest

from streamflow.evaluation.metrics import (
    baseline_metrics,
    calibration_points,
    classification_metrics,
    confusion_counts,
    expected_calibration_error,
    offer_costs,
    precision_recall_points,
    roc_points,
)

CHURNED = [True, True, False, False, False]
SCORES = [0.9, 0.4, 0.6, 0.2, 0.1]
PREDICTIONS = [1, 0, 1, 0, 0]


def test_metrics_of_a_worked_example():
    assert classification_metrics(CHURNED, SCORES, PREDICTIONS) == {
        "roc_auc": round(5 / 6, 6),
        "average_precision": round((1 + 2 / 3) / 2, 6),
        "f1": 0.5,
        "precision": 0.5,
        "recall": 0.5,
        "accuracy": 0.6,
        "brier": 0.156,
        "log_loss": round(float(-np.mean(np.log([0.9, 0.4, 0.4, 0.8, 0.9]))), 6),
        "expected_calibration_error": round((0.1 + 0.6 + 0.6 + 0.2 + 0.1) / 5, 6),
        "churn_rate": 0.4,
        "baseline_accuracy": 0.6,
    }
    # Labels as a file may hold them, and a model that calls nobody.
    metrics = classification_metrics([1.0, 0.5, 0, 0, 0], SCORES, [0] * 5)
    assert metrics["roc_auc"] == round(5 / 6, 6)
    assert (metrics["f1"], metrics["precision"], metrics["recall"]) == (0.0, 0.0, 0.0)
    assert classification_metrics([True] * 4 + [False], SCORES, PREDICTIONS)["baseline_accuracy"] == 0.8


def test_without_a_model_everybody_is_called_the_majority():
    log_loss = round(-(0.25 * math.log(0.25) + 0.75 * math.log(0.75)), 6)
    same = {"roc_auc": 0.5, "accuracy": 0.75, "brier": 0.1875, "log_loss": log_loss}
    assert baseline_metrics(0.25) == {**same, "average_precision": 0.25, "f1": 0.0, "precision": None, "recall": 0.0}
    churning = baseline_metrics(0.75)
    assert churning == {**same, "average_precision": 0.75, "f1": round(6 / 7, 6), "precision": 0.75, "recall": 1.0}
    assert list(churning) == [
        *("roc_auc", "average_precision", "f1", "precision", "recall", "accuracy", "brier", "log_loss"),
    ]
    assert baseline_metrics(0.0)["log_loss"] == 0.0
    assert baseline_metrics(0.5)["precision"] is None


def test_costs_of_offers_by_hand():
    counts = {"true_negative": 2, "false_positive": 3, "false_negative": 5, "true_positive": 7}
    assert offer_costs(counts, 100.5, 20.0) == {
        "cost": 5 * 100.5 + 3 * 20,
        "cost_of_calling_nobody": 12 * 100.5,
        "cost_of_calling_everybody": 5 * 20.0,
    }


def test_curves_of_a_worked_example():
    rates = [(row["false_positive_rate"], row["true_positive_rate"]) for row in roc_points(CHURNED, SCORES)]
    assert rates == [(0.0, 0.0), (0.0, 0.5), (0.333333, 0.5), (0.333333, 1.0), (1.0, 1.0)]
    found = [(row["recall"], row["precision"]) for row in precision_recall_points(CHURNED, SCORES)]
    assert found == [(0.0, 1.0), (0.5, 1.0), (0.5, 0.5), (1.0, 0.666667), (1.0, 0.5), (1.0, 0.4)]
    assert confusion_counts(CHURNED, PREDICTIONS) == {
        "true_negative": 2,
        "false_positive": 1,
        "false_negative": 1,
        "true_positive": 1,
    }
    assert confusion_counts([True], [1.0])["true_positive"] == 1
    assert confusion_counts([1, 1, 1], np.array([0, 0, 1]))["false_negative"] == 2


def test_calibration_in_ten_bins_of_equally_many_users_lowest_first():
    points = calibration_points([True, False] * 50, np.linspace(0, 1, 100)[::-1])
    assert [point["users"] for point in points] == [10] * 10
    assert all(point["observed"] == 0.5 for point in points)
    assert points[0]["predicted"] == pytest.approx(4.5 / 99, abs=1e-6)
    assert points == sorted(points, key=lambda point: point["predicted"])
    few = calibration_points([True, False], [0.5, 0.25])
    assert few == [
        {"predicted": 0.25, "observed": 0.0, "users": 1},
        {"predicted": 0.5, "observed": 1.0, "users": 1},
    ]


def test_calibration_error_weighs_bins_by_their_users():
    points = [{"predicted": 0.2, "observed": 0.1, "users": 3}, {"predicted": 0.5, "observed": 0.9, "users": 1}]
    assert expected_calibration_error(points) == pytest.approx((0.3 + 0.4) / 4)


def test_the_calibration_error_is_the_mean_distance_of_ten_bins():
    scores = np.repeat(np.arange(10) / 10 + 0.05, 4)
    churned = np.tile([True, False, False, False], 10)  # a rate of 0.25 in each bin
    expected = float(np.mean(np.abs(np.arange(10) / 10 + 0.05 - 0.25)))
    metrics = classification_metrics(churned, scores, scores >= 0.5)
    assert metrics["expected_calibration_error"] == pytest.approx(expected, abs=1e-6)


def test_the_baseline_is_what_the_metrics_say_of_the_majority_class():
    churned = np.array([True] * 3 + [False] * 7)
    constant = classification_metrics(churned, np.full(10, 0.3), np.zeros(10, int))
    baseline = baseline_metrics(0.3)
    assert baseline["precision"] is None
    for name, value in baseline.items():
        assert value is None or constant[name] == pytest.approx(value, abs=1e-6), name
    mostly = baseline_metrics(0.75)
    assert (mostly["recall"], mostly["precision"], mostly["f1"]) == (1.0, 0.75, pytest.approx(6 / 7, abs=1e-6))
