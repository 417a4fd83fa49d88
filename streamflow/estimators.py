"""The estimator that the configuration's `model` section names; the one place that makes objects of configuration."""

from collections.abc import Mapping
from typing import Any

from hydra.utils import instantiate
from sklearn.base import BaseEstimator

from streamflow.errors import ModelError


def estimator_of(settings: Mapping[str, Any]) -> BaseEstimator:
    """A new estimator of these settings (Hydra's `_target_` and its arguments). Raises ModelError if it refuses them."""
    try:
        estimator: BaseEstimator = instantiate(dict(settings))
    except Exception as error:  # Hydra's and the estimator's own, whatever it checks
        raise ModelError(refusal(settings, error)) from error
    return estimator


def refusal(settings: Mapping[str, Any], error: Exception) -> str:
    """One line that says which estimator refuses what."""
    reason = str(error.__cause__ or error).strip().splitlines() or [type(error).__name__]
    return f"{settings['_target_']} refuses its settings: {reason[0]}; see conf/model"
