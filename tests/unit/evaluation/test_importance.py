"""Permutation importance of a model that is known: it scores by one of its features alone."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from streamflow.core.schema import Column
from streamflow.evaluation.importance import permutation_importance

USERS = 200
CHURNED = [position % 4 == 0 for position in range(USERS)]
INPUTS = {
    "noise": np.arange(USERS, dtype=np.float32),
    "sign": np.array([2.0 if churned else 1.0 for churned in CHURNED], np.float32),
    "calm": np.zeros(USERS, np.float32),
}


class BySign:
    """A model whose score is one feature."""

    features = tuple(Column(name, "real", "") for name in INPUTS)

    def score_inputs(self, inputs):
        return inputs["sign"].tolist(), [0] * USERS


def expected(seed):
    """The losses of the second feature, drawn as documented: one stream for each seed and position."""
    random = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, 1])))
    losses = [1 - roc_auc_score(CHURNED, random.permutation(INPUTS["sign"])) for _ in range(5)]
    return {"feature": "sign", "auc_loss": round(np.mean(losses), 6), "spread": round(np.std(losses), 6)}


@pytest.mark.parametrize("seed", [1, 42])
def test_the_loss_is_that_of_shuffling_one_feature_largest_first_and_equals_by_name(seed):
    rows = permutation_importance(BySign(), INPUTS, CHURNED, seed)
    nothing = [{"feature": name, "auc_loss": 0.0, "spread": 0.0} for name in ("calm", "noise")]
    assert rows == [expected(seed), *nothing]
    assert 0.4 < rows[0]["auc_loss"] < 0.6
    assert rows[0]["spread"] > 0
