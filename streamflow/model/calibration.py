"""Calibration: an estimator's log-odds, stretched and shifted so that a probability of 0.3 is a churn rate of 0.3.

Method: Platt, "Probabilistic outputs for support vector machines" (1999), on the log-odds instead of a margin. It has two
parameters, so a few hundred users are enough, and it never changes the order of users.
"""

from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import LogisticRegression

from streamflow.core.errors import ModelError
from streamflow.model.sklearn_pipeline import Labels, Probabilities

CLIP = 1e-6
"""Probabilities are kept this far from 0 and 1, whose log-odds are infinite."""
_DIGITS = 6


@dataclass(frozen=True)
class Calibration:
    """`probability = sigmoid(slope * log-odds + intercept)`; slope 1 and intercept 0 change nothing."""

    slope: float = 1.0
    intercept: float = 0.0

    def of(self, probabilities: Probabilities) -> Probabilities:
        """The calibrated probabilities, in the order given."""
        if self == UNCHANGED:
            return probabilities
        return np.asarray(1 / (1 + np.exp(-(self.slope * _log_odds(probabilities) + self.intercept))))


UNCHANGED = Calibration()


def calibration(method: str, churned: Labels, probabilities: Probabilities) -> Calibration:
    """Fit the calibration on users that the estimator was not fitted on; `none` fits nothing.

    Raises ModelError if the estimator ranks them no better than chance, which a calibration must not hide.
    """
    if method == "none":
        return UNCHANGED
    # Newton's method solves two parameters to the last digits, whatever the BLAS kernel; rounding cuts the rest.
    fitted = LogisticRegression(C=np.inf, solver="newton-cholesky").fit(
        _log_odds(probabilities)[:, np.newaxis], churned
    )
    slope, intercept = round(float(fitted.coef_[0, 0]), _DIGITS), round(float(fitted.intercept_[0]), _DIGITS)
    if not slope > 0:
        raise ModelError(
            f"the estimator ranks {len(churned)} validation users no better than chance (slope {slope:g});"
            " choose another model, more users, or `calibration=none`"
        )
    return Calibration(slope, intercept)


def _log_odds(probabilities: Probabilities) -> Probabilities:
    clipped = np.clip(np.asarray(probabilities, np.float64), CLIP, 1 - CLIP)
    return np.asarray(np.log(clipped / (1 - clipped)))
