"""Folds: every user is scored once in each repeat, by a model that saw none of them."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
from recipes import F1, FEATURES, FOREST, LINEAR
from small_month import joined_month

from streamflow.core.errors import ModelError
from streamflow.evaluation.cross_validation import cross_validate, fold_numbers, fractions, spread
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


class Known:
    """Trains nothing: the probability is the frame's column, the threshold a half. Remembers what it was given."""

    threshold = 0.5

    def __init__(self):
        self.given = []

    def __call__(self, frame, churned, chooses, weights):
        self.given.append((frame, churned, chooses, weights))
        return self

    def churn_probability(self, frame):
        return frame["score"].to_numpy()


IDS = [f"user {number}" for number in range(120)]
CHURNED = np.arange(120) % 3 == 0
FRAME = pd.DataFrame({"score": np.where(CHURNED, 0.9, 0.2)}, index=IDS)
WEIGHTS = np.arange(120.0)


def known_folds(train, weights=WEIGHTS, **changes):
    how = {"salt": "s", "repeats": 2, "folds": 3, "validation": 0.3, **changes}
    return list(cross_validate(train, IDS, FRAME, CHURNED, weights, **how))


def test_a_fold_is_trained_on_the_others_whose_own_part_chooses():
    train = Known()
    rows = known_folds(train)
    for (frame, churned, chooses, weights), row in zip(train.given, rows, strict=True):
        salt = f"s:repeat {row['repeat']}"
        scored = fold_numbers(IDS, salt, 3) == row["fold"]
        assert row["users"] == scored.sum()
        assert frame.index.tolist() == [user for user, out in zip(IDS, scored, strict=True) if not out]
        assert churned.tolist() == CHURNED[~scored].tolist()
        assert weights.tolist() == WEIGHTS[~scored].tolist()
        assert chooses.tolist() == (fractions(IDS, f"{salt}:validation") < 0.3)[~scored].tolist()
        assert 0.1 < chooses.mean() < 0.5
    assert {row["repeat"] for row in rows} == {0, 1}
    known_folds(train, weights=None)
    assert train.given[-1][3] is None


def test_a_row_has_the_scores_of_the_fold_and_their_mean_and_spread_are_told():
    rows = known_folds(Known())
    names = ("roc_auc", "average_precision", "f1", "precision", "recall", "accuracy", "brier", "log_loss")
    assert list(rows[0]) == ["repeat", "fold", "users", *names]
    assert {(row["roc_auc"], row["f1"], row["accuracy"]) for row in rows} == {(1.0, 1.0, 1.0)}
    found = spread([{**dict.fromkeys(names, 0.5), "repeat": r, "f1": value} for r, value in
                    ((0, 0.1), (0, 0.3), (1, 0.4), (1, 0.7))])  # fmt: skip
    assert list(found) == [f"{name}{end}" for name in names for end in ("", "_fold_sd", "_repeat_sd")]
    assert (found["f1"], found["f1_fold_sd"], found["f1_repeat_sd"]) == (0.375, 0.25, 0.247487)
    assert (found["brier"], found["brier_fold_sd"]) == (0.5, 0.0)


@pytest.mark.parametrize("part", ["scored", "chooses", "trains"])
@pytest.mark.parametrize("label", [True, False])
def test_a_part_of_a_fold_without_churners_or_others_is_refused(part, label):
    scored = fold_numbers(IDS, "s:repeat 0", 3) == 1
    chooses = fractions(IDS, "s:repeat 0:validation") < 0.3
    inside = {"scored": scored, "chooses": ~scored & chooses, "trains": ~scored & ~chooses}[part]
    churned = np.where(inside, label, CHURNED)
    how = {"salt": "s", "repeats": 1, "folds": 3, "validation": 0.3}
    with pytest.raises(ModelError, match=f"folds=3: a fold of {inside.sum()} users lacks churners or others"):
        list(cross_validate(Known(), IDS, FRAME, churned, None, **how))


def test_the_fold_of_a_user_is_pinned():
    assert fold_numbers(["7590-VHVEG", "ada"], "streamflow", 10).tolist() == [7, 2]
    assert fractions(["7590-VHVEG"], "streamflow").tolist() == [0.7801607911344274]
