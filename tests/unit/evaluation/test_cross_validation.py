"""Folds: every user is scored once in each repeat, by a model that saw none of them."""

from functools import partial

import numpy as np
import pytest
from recipes import F1, FEATURES, FOREST, LINEAR
from small_month import joined_month

from streamflow.core.errors import ModelError
from streamflow.evaluation.cross_validation import cross_validate, fold_numbers, spread
from streamflow.model.sklearn_pipeline import pipeline_frame
from streamflow.model.training import Recipe, train


@pytest.fixture(scope="module")
def month():
    rows = joined_month(900)
    return rows, pipeline_frame(rows, FEATURES), np.array(rows["churn_label"].to_pylist())


def folds_of(month, users=None, **changes):
    rows, frame, churned = month
    order = np.arange(len(churned)) if users is None else users
    recipe = Recipe(LINEAR, FEATURES, "sigmoid", F1)
    how = {"salt": "s", "repeats": 2, "folds": 3, "validation": 0.25, **changes}
    ids = np.array(rows["user_id"].to_pylist())[order].tolist()
    return list(cross_validate(partial(train, recipe), ids, frame.iloc[order], churned[order], None, **how))


def test_every_user_is_scored_once_in_each_repeat(month):
    rows = folds_of(month)
    assert [(row["repeat"], row["fold"]) for row in rows] == [(r, f) for r in range(2) for f in range(3)]
    assert sum(row["users"] for row in rows) == 2 * 900
    assert all(0.6 < row["roc_auc"] < 1 for row in rows)
    found = spread(rows)
    assert found["roc_auc"] == pytest.approx(np.mean([row["roc_auc"] for row in rows]), abs=1e-5)
    assert found["roc_auc_fold_sd"] == pytest.approx(np.std([row["roc_auc"] for row in rows], ddof=1), abs=1e-6)
    assert found["roc_auc_repeat_sd"] > 0
    assert spread(rows[:3])["roc_auc_repeat_sd"] == 0.0


def test_the_order_of_users_does_not_change_their_folds():
    ids = [f"user {number}" for number in range(500)]
    shuffled = np.random.default_rng(0).permutation(500)
    assert fold_numbers([ids[i] for i in shuffled], "s", 5).tolist() == fold_numbers(ids, "s", 5)[shuffled].tolist()
    counts = np.bincount(fold_numbers(ids, "s", 5))
    assert len(counts) == 5
    assert counts.min() > 70


def test_more_folds_than_churners_is_refused(month):
    with pytest.raises(ModelError, match=r"cross_validation\.folds=300: a fold of"):
        folds_of(month, users=np.arange(300), folds=300)


def test_a_feature_of_noise_ranks_nobody_in_cross_validation(month):
    rows, frame, _ = month
    noise = np.random.default_rng(1).uniform(size=900) < 0.5
    recipe = Recipe(FOREST, FEATURES, "none", F1)
    how = {"salt": "s", "repeats": 1, "folds": 3, "validation": 0.25}
    found = cross_validate(partial(train, recipe), rows["user_id"].to_pylist(), frame, noise, None, **how)
    assert 0.42 < spread(found)["roc_auc"] < 0.58
