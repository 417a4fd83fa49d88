"""Permutation importance: the loss of ROC AUC if one feature is shuffled among users."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

from streamflow.evaluation.metrics import DIGITS
from streamflow.model.scoring import ChurnModel, Inputs

REPEATS = 5


def permutation_importance(
    model: ChurnModel, inputs: Inputs, churned: Sequence[bool], seed: int
) -> list[dict[str, Any]]:
    """Feature, mean loss of ROC AUC over the repeats and its standard deviation; largest loss first.

    Method: Breiman, "Random Forests" (2001), on users that the model was not fitted on.
    """
    whole = _auc(model, inputs, churned)
    rows = []
    for position, column in enumerate(model.features):
        random = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, position])))
        losses = [
            whole - _auc(model, {**inputs, column.name: random.permutation(inputs[column.name])}, churned)
            for _ in range(REPEATS)
        ]
        rows.append(
            {
                "feature": column.name,
                "auc_loss": round(float(np.mean(losses)), DIGITS),
                "spread": round(float(np.std(losses)), DIGITS),
            }
        )
    return sorted(rows, key=lambda row: (-row["auc_loss"], row["feature"]))


def _auc(model: ChurnModel, inputs: Inputs, churned: Sequence[bool]) -> float:
    return float(roc_auc_score(churned, model.score_inputs(inputs)[0]))
