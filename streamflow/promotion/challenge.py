"""Champion and challenger on the same test users: the difference of their scores, and its confidence bounds.

The paired percentile bootstrap (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapters 8 and 13): each
resample draws users with replacement and scores both models on the same draw, so that an easy or a hard draw counts
for both. The draws are stratified by class, as in pROC (Robin et al., BMC Bioinformatics 12:77, 2011): ROC AUC is
defined given the two classes, so their counts say nothing about it; average precision is compared at the churn rate of
the test users; and no draw is without churners, where neither is defined.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from streamflow.registry.decision import PairedDifference

METRICS = ("roc_auc", "average_precision")
DIGITS = 6
# Elements of one block of resamples by users: it fits into the CPU's cache, which makes it twice as fast.
_BLOCK = 60_000

Floats = np.ndarray[Any, np.dtype[np.float64]]


def paired_bootstrap(
    churned: Any, champion: Any, challenger: Any, *, delta: float, confidence: float, resamples: int, seed: int
) -> dict[str, PairedDifference]:
    """Metric name to the difference on the same users; the three arrays are of shape (n_users,), both classes present.

    Only the order of the scores counts. Rounded to six digits, so that the last bit of a CPU does not decide.
    """
    truth = np.asarray(churned, bool)
    ranked = [_Ranking(truth, np.asarray(scores, float)) for scores in (champion, challenger)]
    observed = [ranking.metrics(np.ones((1, len(truth)))) for ranking in ranked]
    drawn = [[ranking.metrics(weights) for ranking in ranked] for weights in resample_weights(truth, resamples, seed)]
    found = {}
    for name in METRICS:
        first, second = (float(values[name][0]) for values in observed)
        differences = np.concatenate([challenging[name] - defending[name] for defending, challenging in drawn])
        low, high = np.quantile(differences, [1 - confidence, confidence])
        better = float(np.mean(differences > delta))
        found[name] = PairedDifference(*(_rounded(each) for each in (first, second, second - first, low, high, better)))
    return found


def ranking_metrics(churned: Any, scores: Any, weights: Any = None) -> dict[str, float]:
    """ROC AUC and average precision of scores of shape (n_users,), each user counted `weights` times (default: once)."""
    truth = np.asarray(churned, bool)
    counted = np.ones(len(truth)) if weights is None else np.asarray(weights, float)
    return {
        name: float(values[0])
        for name, values in _Ranking(truth, np.asarray(scores, float)).metrics(counted[np.newaxis]).items()
    }


def resample_weights(churned: Any, resamples: int, seed: int) -> Iterator[Floats]:
    """How often each user is drawn, in blocks of shape (resamples of the block, n_users).

    Each resample has as many churners and as many others as the users. One generator draws resample after resample, so the
    numbers do not depend on the blocks.
    """
    truth = np.asarray(churned, bool)
    generator = np.random.default_rng(seed)
    classes = [np.flatnonzero(truth), np.flatnonzero(~truth)]
    block = max(1, _BLOCK // len(truth))
    for start in range(0, resamples, block):
        weights = np.zeros((min(block, resamples - start), len(truth)))
        for row in weights:
            for members in classes:
                row[members] = np.bincount(generator.integers(len(members), size=len(members)), minlength=len(members))
        yield weights


class _Ranking:
    """Users in the order of falling scores, those with equal scores in one group."""

    def __init__(self, churned: np.ndarray[Any, np.dtype[np.bool_]], scores: Floats) -> None:
        self._order = np.argsort(-scores, kind="stable")
        ordered = scores[self._order]
        self._starts = np.concatenate([[0], np.flatnonzero(ordered[1:] != ordered[:-1]) + 1])
        self._churned = churned[self._order].astype(float)

    def metrics(self, weights: Floats) -> dict[str, Floats]:
        """Both metrics of each row of `weights`, shape (n_resamples, n_users); equal to scikit-learn's."""
        ordered = weights[:, self._order]
        counted = np.add.reduceat(ordered, self._starts, axis=1)
        churners = np.add.reduceat(ordered * self._churned, self._starts, axis=1)
        caught = np.cumsum(churners, axis=1)
        reached = np.cumsum(counted, axis=1)
        positives, negatives = caught[:, -1], reached[:, -1] - caught[:, -1]
        # Mann and Whitney: pairs in which the churner has the higher score, an equal score counting half.
        won = ((counted - churners) * (caught - churners / 2)).sum(axis=1)
        # Groups that nobody was drawn from before the first user have no precision, and add no recall.
        precision = caught / np.maximum(reached, 1)
        return {
            "roc_auc": won / (positives * negatives),
            "average_precision": (churners * precision).sum(axis=1) / positives,
        }


def _rounded(value: float) -> float:
    # Adding 0.0 turns -0.0 into 0.0.
    return round(float(value), DIGITS) + 0.0
