"""Metrics of a binary classifier, rounded so that no CPU's last bit reaches a file."""

from typing import Any

import numpy as np
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    brier_score_loss,
    confusion_matrix,
    f1_score,
    log_loss,
    precision_recall_curve,
    precision_score,
    recall_score,
    roc_auc_score,
    roc_curve,
)

DIGITS = 6
CALIBRATION_BINS = 10

Row = dict[str, Any]


def classification_metrics(churned: Any, probabilities: Any, predictions: Any) -> dict[str, float]:
    """Scores of all users given; `predictions` are 0 or 1 at the model's threshold.

    `baseline_accuracy` is that of calling everybody the majority class, whose F1 for churn is 0.
    """
    truth, scores = np.asarray(churned, bool), np.asarray(probabilities, float)
    rate = float(truth.mean())
    values = {
        "roc_auc": roc_auc_score(truth, scores),
        "average_precision": average_precision_score(truth, scores),
        "f1": f1_score(truth, predictions, zero_division=0.0),
        "precision": precision_score(truth, predictions, zero_division=0.0),
        "recall": recall_score(truth, predictions, zero_division=0.0),
        "accuracy": accuracy_score(truth, predictions),
        "brier": brier_score_loss(truth, scores),
        "log_loss": log_loss(truth, scores, labels=[False, True]),
        "churn_rate": rate,
        "baseline_accuracy": max(rate, 1 - rate),
    }
    return {name: round(float(value), DIGITS) for name, value in values.items()}


def roc_points(churned: Any, probabilities: Any) -> list[Row]:
    """The ROC curve's corners."""
    false_rate, true_rate, _ = roc_curve(churned, probabilities)
    return _rows(false_positive_rate=false_rate, true_positive_rate=true_rate)


def precision_recall_points(churned: Any, probabilities: Any) -> list[Row]:
    """Precision over recall, in the order of rising recall."""
    precision, recall, _ = precision_recall_curve(churned, probabilities)
    return _rows(recall=recall[::-1], precision=precision[::-1])


def calibration_points(churned: Any, probabilities: Any) -> list[Row]:
    """Mean prediction and churn rate in ten bins with equally many users, lowest predictions first."""
    truth, scores = np.asarray(churned, float), np.asarray(probabilities, float)
    order = np.argsort(scores, kind="stable")
    bins = [part for part in np.array_split(order, CALIBRATION_BINS) if len(part)]
    return _rows(
        predicted=[scores[part].mean() for part in bins],
        observed=[truth[part].mean() for part in bins],
        users=[len(part) for part in bins],
    )


def confusion_counts(churned: Any, predictions: Any) -> dict[str, int]:
    """Users by truth and prediction."""
    counts = confusion_matrix(np.asarray(churned, bool), np.asarray(predictions, bool), labels=[False, True])
    (stayed_right, false_alarm), (missed, caught) = counts.tolist()
    return {
        "true_negative": stayed_right,
        "false_positive": false_alarm,
        "false_negative": missed,
        "true_positive": caught,
    }


def _rows(**columns: Any) -> list[Row]:
    names = list(columns)
    return [
        {
            name: round(float(value), DIGITS) if not isinstance(value, int) else value
            for name, value in zip(names, values, strict=True)
        }
        for values in zip(*columns.values(), strict=True)
    ]
