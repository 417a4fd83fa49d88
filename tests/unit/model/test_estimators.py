"""Estimators made of settings: a blend, and what is refused."""

import numpy as np
import pytest
from recipes import BLEND, F1, FEATURES
from small_month import joined_month

from streamflow.core.errors import ModelError
from streamflow.model.sklearn_pipeline import pipeline_frame, uncalibrated_probability
from streamflow.model.training import Recipe, fit_pipeline


@pytest.fixture(scope="module")
def month():
    rows = joined_month(600)
    return rows, pipeline_frame(rows, FEATURES), np.array(rows["churn_label"].to_pylist())


def test_a_blend_is_the_weighted_mean_of_its_members(month):
    _, frame, churned = month

    def scores(settings_):
        return uncalibrated_probability(
            fit_pipeline(Recipe(settings_, FEATURES, "none", F1), frame, churned, None), frame
        )

    alone = [scores({**BLEND, "weights": {"boosting": one, "linear": 1 - one}}) for one in (1, 0)]
    assert np.allclose(scores(BLEND), (2 * alone[0] + alone[1]) / 3)
    assert np.allclose(alone[0], scores(BLEND["boosting"]))


def test_a_blend_whose_weights_name_others_than_its_members_is_refused(month):
    _, frame, churned = month
    settings_ = {**BLEND, "weights": {"boosting": 2, "forest": 1}}
    with pytest.raises(ModelError, match="weights are for boosting, forest, members are boosting, linear"):
        fit_pipeline(Recipe(settings_, FEATURES, "none", F1), frame, churned, None)


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (
            "xgboost_of_another.XGBClassifier",
            "package xgboost_of_another of xgboost_of_another.XGBClassifier is not installed; name it in requirements.in,"
            " then `make lock` and `make install`, or choose another file of conf/model",
        ),
        (
            "sklearn.ensemble.RandomForst",
            "sklearn.ensemble has no RandomForst, which _target_: sklearn.ensemble.RandomForst names; see conf/model",
        ),
        ("sklearn.nope.X", "sklearn has no nope, which _target_: sklearn.nope.X names; see conf/model"),
    ],
)
def test_a_package_or_class_that_is_not_there_is_named_also_within_a_blend(month, target, said):
    _, frame, churned = month
    for settings_ in ({"_target_": target}, {**BLEND, "linear": {"_target_": target}}):
        with pytest.raises(ModelError) as refused:
            fit_pipeline(Recipe(settings_, FEATURES, "none", F1), frame, churned, None)
        assert str(refused.value) == said


@pytest.mark.parametrize("broken", [{"_target_": "sklearn.linear_model.LogisticRegression", "C": -1}])
def test_an_estimator_that_refuses_its_settings_is_named(month, broken):
    _, frame, churned = month
    with pytest.raises(ModelError, match=f"{broken['_target_']} refuses its settings: .*; see conf/model"):
        fit_pipeline(Recipe(broken, FEATURES, "none", F1), frame, churned, None)
