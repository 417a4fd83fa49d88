"""Repeated cross-validation over all users: the scores of models of a recipe, and their spread.

Folds are decided by the user's id alone, as the split is, so the rows' order and the months do not change them.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from streamflow.core.errors import ModelError
from streamflow.evaluation.metrics import DIGITS, classification_metrics
from streamflow.features.splits import user_fraction
from streamflow.model.sklearn_pipeline import Labels
from streamflow.model.training import Mask, Trained, Weights

SCORES = ("roc_auc", "average_precision", "f1", "precision", "recall", "accuracy", "brier", "log_loss")

Row = dict[str, Any]
Train = Callable[[pd.DataFrame, Labels, Mask, Weights | None], Trained]


def cross_validate(
    train: Train,
    user_ids: Sequence[str],
    frame: pd.DataFrame,
    churned: Labels,
    weights: Weights | None,
    *,
    salt: str,
    repeats: int,
    folds: int,
    validation: float,
) -> Iterator[Row]:
    """Scores of each repeat and fold, one at a time, the fold's users scored by a model that was not fitted on them.

    `validation` is the share of the other users on which threshold and calibration are chosen. Every user is scored once in
    each repeat. Raises ModelError if a fold lacks churners or others.
    """
    for repeat in range(repeats):
        fold_of = fold_numbers(user_ids, f"{salt}:repeat {repeat}", folds)
        chooses = fractions(user_ids, f"{salt}:repeat {repeat}:validation") < validation
        for fold in range(folds):
            scored = fold_of == fold
            for part in (scored, ~scored & chooses, ~scored & ~chooses):
                if len(set(churned[part].tolist())) < 2:
                    raise ModelError(
                        f"cross_validation.folds={folds}: a fold of {int(part.sum())} users lacks churners or others; use"
                        " fewer folds or more users"
                    )
            rest = ~scored
            model = train(frame[rest], churned[rest], chooses[rest], None if weights is None else weights[rest])
            probabilities = model.churn_probability(frame[scored])
            metrics = classification_metrics(churned[scored], probabilities, probabilities >= model.threshold)
            scores = {name: metrics[name] for name in SCORES}
            yield {"repeat": repeat, "fold": fold, "users": int(scored.sum()), **scores}


def spread(rows: Iterable[Row]) -> dict[str, float]:
    """Mean of each score, its standard deviation over folds, and over the repeats' means (0 for a single repeat).

    The first says how much a score varies with the users that are scored, the second how much with the cut into folds.
    """
    table = pd.DataFrame(rows)
    found: dict[str, float] = {}
    for name in SCORES:
        means = table.groupby("repeat")[name].mean()
        found[name] = round(float(means.mean()), DIGITS)
        found[f"{name}_fold_sd"] = round(float(table[name].std(ddof=1)), DIGITS)
        found[f"{name}_repeat_sd"] = round(float(means.std(ddof=1)) if len(means) > 1 else 0.0, DIGITS)
    return found


def fold_numbers(user_ids: Sequence[str], salt: str, folds: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """The fold of each user, 0 to folds - 1, in the order given."""
    return np.asarray(fractions(user_ids, salt) * folds, np.int64)


def fractions(user_ids: Sequence[str], salt: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """`user_fraction` of each user, in the order given."""
    return np.array([user_fraction(user_id, salt) for user_id in user_ids])
