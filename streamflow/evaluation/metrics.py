"""Metrics of a binary classifier, rounded so that the files are the same on every CPU."""

from collections.abc import Mapping, Sequence
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
        "expected_calibration_error": expected_calibration_error(calibration_points(truth, scores)),
        "churn_rate": rate,
        "baseline_accuracy": max(rate, 1 - rate),
    }
    return {name: round(float(value), DIGITS) for name, value in values.items()}


def baseline_metrics(churn_rate: float) -> dict[str, float | None]:
    """Scores without a model: everybody is called the majority class and has the churn rate as probability.

    None where that is not defined: the precision of calling nobody.
    """
    rate, calls = churn_rate, churn_rate > 0.5
    values = {
        "roc_auc": 0.5,
        "average_precision": rate,
        "f1": 2 * rate / (1 + rate) if calls else 0.0,
        "precision": rate if calls else None,
        "recall": float(calls),
        "accuracy": max(rate, 1 - rate),
        "brier": rate * (1 - rate),
        "log_loss": -sum(share * float(np.log(share)) for share in (rate, 1 - rate) if share),
    }
    return {name: value if value is None else round(value, DIGITS) for name, value in values.items()}


def offer_costs(counts: Mapping[str, int], missed_churner: float, wasted_offer: float) -> dict[str, float]:
    """What the users of `counts` cost at the threshold, if nobody is called, if everybody is; in the prices' currency."""
    churners = counts["false_negative"] + counts["true_positive"]
    others = counts["true_negative"] + counts["false_positive"]
    values = {
        "cost": missed_churner * counts["false_negative"] + wasted_offer * counts["false_positive"],
        "cost_of_calling_nobody": missed_churner * churners,
        "cost_of_calling_everybody": wasted_offer * others,
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


def expected_calibration_error(points: Sequence[Row]) -> float:
    """Mean distance of prediction and churn rate over the bins of `calibration_points`, weighted by their users.

    Source: Naeini, Cooper and Hauskrecht, "Obtaining Well Calibrated Probabilities Using Bayesian Binning" (2015), with bins
    of equally many users.
    """
    users = sum(point["users"] for point in points)
    return float(sum(abs(point["predicted"] - point["observed"]) * point["users"] for point in points) / users)


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
