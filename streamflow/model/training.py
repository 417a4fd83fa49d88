"""Training of a model, the same for the pipeline, cross-validation and tuning."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from sklearn.pipeline import Pipeline

from streamflow.core.errors import ModelError
from streamflow.core.schema import Column
from streamflow.model.calibration import Calibration, calibration
from streamflow.model.estimators import estimator_of, unusable_settings
from streamflow.model.sklearn_pipeline import Labels, Probabilities, churn_pipeline, fit, uncalibrated_probability
from streamflow.model.thresholds import ThresholdPolicy, choose_threshold

Weights = np.ndarray[Any, np.dtype[np.float64]]
Mask = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True)
class Recipe:
    """What determines a model besides its users: estimator settings, features, calibration method, threshold policy."""

    settings: Mapping[str, Any]
    features: Sequence[Column]
    calibration: str
    threshold: ThresholdPolicy


@dataclass(frozen=True)
class Trained:
    """A fitted pipeline, what calibrates its probabilities, and the threshold of the decision."""

    pipeline: Pipeline
    calibration: Calibration
    threshold: float

    def churn_probability(self, frame: pd.DataFrame) -> Probabilities:
        """Calibrated probability that each user churns; shape (n_users,)."""
        return self.calibration.of(uncalibrated_probability(self.pipeline, frame))


def train(recipe: Recipe, frame: pd.DataFrame, churned: Labels, validation: Mask, weights: Weights | None) -> Trained:
    """Fit without the validation users, calibrate and choose the threshold on them, then fit on all users given.

    All arguments have one row for each user. Neither calibration nor threshold ever sees a score of a user that the
    estimator was fitted on; the last fit uses all users. Raises ModelError if the estimator rejects its settings.
    """
    first = fit_pipeline(recipe, frame[~validation], churned[~validation], _of(weights, ~validation))
    scores = uncalibrated_probability(first, frame[validation])
    calibrated = calibration(recipe.calibration, churned[validation], scores)
    threshold = choose_threshold(recipe.threshold, churned[validation], calibrated.of(scores))
    return Trained(fit_pipeline(recipe, frame, churned, weights), calibrated, threshold)


def fit_pipeline(recipe: Recipe, frame: pd.DataFrame, churned: Labels, weights: Weights | None) -> Pipeline:
    """The recipe's pipeline, fitted. Raises ModelError if the estimator rejects its settings."""
    pipeline = churn_pipeline(estimator_of(recipe.settings), recipe.features)
    try:
        return fit(pipeline, frame, churned, weights)
    except Exception as error:  # scikit-learn's, whatever the estimator checks
        raise ModelError(unusable_settings(recipe.settings, error)) from error


def sample_weights(rows: pa.Table, column: str | None) -> Weights | None:
    """The values of a column of `rows`, scaled to a mean of 1; None if no column is named.

    Raises ModelError if all are 0, or one is negative.
    """
    if column is None:
        return None
    values = np.asarray(rows[column].to_pylist(), np.float64)
    if not (values.min() >= 0 and values.max() > 0):
        raise ModelError(f"sample_weight={column}: weights must be 0 or more and not all 0; choose another column")
    return np.asarray(values / values.mean())


def _of(weights: Weights | None, users: Mask) -> Weights | None:
    return None if weights is None else weights[users]
