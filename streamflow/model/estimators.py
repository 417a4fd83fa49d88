"""The estimator that the configuration's `model` section names; only this module instantiates configured objects."""

import re
from collections.abc import Mapping
from typing import Any

from hydra.utils import instantiate
from sklearn.base import BaseEstimator
from sklearn.ensemble import VotingClassifier
from sklearn.linear_model._base import LinearClassifierMixin
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from streamflow.core.errors import ModelError, first_line


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
    reason = str(error.__cause__ or error).strip()
    if named := re.match(r"Error loading '([^']+)':", reason):
        return _unloadable(named[1], reason)
    return f"{settings['_target_']} refuses its settings: {first_line(reason, type(error).__name__)}; see conf/model"


def _unloadable(target: str, reason: str) -> str:
    """Why a `_target_` can't be imported: `reason` is Hydra's."""
    package = target.partition(".")[0]
    if f"No module named '{package}'" in reason:
        return (
            f"package {package} of {target} is not installed; name it in requirements.in, then `make lock` and"
            " `make install`, or choose another file of conf/model"
        )
    if lacking := re.search(r"'([^']+)' is importable from module '([^']+)'", reason):
        return f"{lacking[2]} has no {lacking[1]}, which _target_: {target} names; see conf/model"
    return f"{target} can't be imported: {' '.join(reason.splitlines()[1:2])}; see conf/model"
