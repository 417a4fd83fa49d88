"""The estimator that the configuration's `model` section names; only this module instantiates configured objects."""

from collections.abc import Mapping
from typing import Any

from hydra.utils import instantiate
from sklearn.base import BaseEstimator
from sklearn.ensemble import VotingClassifier
from sklearn.linear_model._base import LinearClassifierMixin
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from streamflow.core.errors import ModelError


def estimator_of(settings: Mapping[str, Any]) -> BaseEstimator:
    """A new estimator of these settings (Hydra's `_target_` and its arguments). Raises ModelError if it rejects them."""
    try:
        estimator: BaseEstimator = instantiate(dict(settings))
    except Exception as error:  # Hydra's and the estimator's own, whatever it checks
        raise ModelError(unusable_settings(settings, error)) from error
    return estimator


def blend(weights: Mapping[str, float], **members: BaseEstimator) -> VotingClassifier:
    """The weighted mean of the members' probabilities; a linear member gets standardised numbers.

    Members have names, so `model.boosting.learning_rate=0.05` overrides one. Raises ValueError if a member has no weight.
    """
    if set(weights) != set(members):
        raise ValueError(f"weights are for {', '.join(sorted(weights))}, members are {', '.join(sorted(members))}")
    voters = [(name, _standardised(member)) for name, member in members.items()]
    return VotingClassifier(voters, voting="soft", weights=[float(weights[name]) for name in members])


class Standardised(Pipeline):  # type: ignore[misc]
    """Scaling, then a linear model, whose users may have weights: Pipeline itself takes none by that name."""

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> "Standardised":
        """Fit both; `sample_weight` is the linear model's alone."""
        fitted: Standardised = super().fit(X, y, **({} if sample_weight is None else {_WEIGHTS: sample_weight}))
        return fitted


_LINEAR = "regression"
_WEIGHTS = f"{_LINEAR}__sample_weight"


def _standardised(member: BaseEstimator) -> BaseEstimator:
    linear = isinstance(member, LinearClassifierMixin)
    return Standardised([("scale", StandardScaler()), (_LINEAR, member)]) if linear else member


def unusable_settings(settings: Mapping[str, Any], error: Exception) -> str:
    """The message for settings that an estimator rejects, in one line."""
    reason = str(error.__cause__ or error).strip().splitlines() or [type(error).__name__]
    return f"{settings['_target_']} refuses its settings: {reason[0]}; see conf/model"
