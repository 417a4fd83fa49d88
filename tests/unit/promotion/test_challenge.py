"""The paired bootstrap against scikit-learn, and what must hold of it whatever the scores."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from streamflow.evaluation.metrics import classification_metrics
from streamflow.promotion.challenge import METRICS, paired_bootstrap, ranking_metrics, resample_weights

SCORES = st.lists(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0]), min_size=12, max_size=12)


def judged(churned, champion, challenger, delta=0.0, confidence=0.95, resamples=200, seed=1):
    return paired_bootstrap(
        churned, champion, challenger, delta=delta, confidence=confidence, resamples=resamples, seed=seed
    )


@pytest.fixture(scope="module")
def users():
    """Labels of 300 users and the scores of two models, the second the better one, both with ties."""
    drawn = np.random.default_rng(5)
    churned = drawn.random(300) < 0.3
    common = churned + drawn.normal(size=300)
    champion, challenger = (common + spread * drawn.normal(size=300) for spread in (1.5, 0.2))
    return churned, np.round(champion, 1), np.round(challenger, 1)


def test_each_resample_is_scored_as_scikit_learn_scores_it(users):
    churned, scores, _ = users
    checked = 0
    for weights in resample_weights(churned, 100, seed=3):
        for row in weights:
            drawn = np.repeat(np.arange(len(churned)), row.astype(int))
            found = ranking_metrics(churned, scores, row)
            assert found["roc_auc"] == pytest.approx(roc_auc_score(churned[drawn], scores[drawn]), abs=1e-12)
            expected = average_precision_score(churned[drawn], scores[drawn])
            assert found["average_precision"] == pytest.approx(expected, abs=1e-12)
            checked += 1
    assert checked == 100


def test_the_interval_is_that_of_resamples_scored_one_by_one(users):
    churned, champion, challenger = users
    differences = []
    for weights in resample_weights(churned, 400, seed=9):
        for row in weights:
            drawn = np.repeat(np.arange(len(churned)), row.astype(int))
            of_both = [roc_auc_score(churned[drawn], each[drawn]) for each in (champion, challenger)]
            differences.append(of_both[1] - of_both[0])
    found = judged(churned, champion, challenger, delta=0.05, confidence=0.9, resamples=400, seed=9)["roc_auc"]
    low, high = np.quantile(differences, [0.1, 0.9])
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-6)
    assert found.share_better == pytest.approx(np.mean(np.array(differences) > 0.05), abs=1e-6)
    assert 0 < found.low < found.delta < found.high


def test_what_is_observed_is_what_evaluate_writes(users):
    churned, champion, challenger = users
    written = classification_metrics(churned, challenger / 10 + 0.5, challenger > 0)
    for name, each in judged(churned, champion, challenger).items():
        assert each.challenger == written[name]
        assert each.delta == pytest.approx(each.challenger - each.champion, abs=1.1e-6)


def test_a_resample_has_as_many_churners_and_others_as_there_are(users):
    churned, _, _ = users
    (weights,) = resample_weights(churned, 50, seed=2)
    assert weights.shape == (50, 300)
    assert set(weights[:, churned].sum(axis=1)) == {churned.sum()}
    assert set(weights[:, ~churned].sum(axis=1)) == {(~churned).sum()}
    assert weights.max() > 2


def test_the_numbers_do_not_depend_on_how_the_resamples_are_cut_into_blocks(users, monkeypatch):
    whole = judged(*users)
    monkeypatch.setattr("streamflow.promotion.challenge._BLOCK", 700)
    assert judged(*users) == whole


@pytest.mark.parametrize("block", [1, 700, 2000, 60_000])
def test_there_are_as_many_resamples_as_asked_for(users, monkeypatch, block):
    monkeypatch.setattr("streamflow.promotion.challenge._BLOCK", block)
    blocks = [len(weights) for weights in resample_weights(users[0], 50, seed=2)]
    assert sum(blocks) == 50
    assert max(blocks) == min(50, max(1, block // 300))


def test_labels_may_be_numbers_and_scores_of_any_kind(users):
    churned, champion, challenger = users
    whole = (champion * 10).round(), (challenger * 10).round()
    found = judged(churned.astype(int).tolist(), *([int(score) for score in each] for each in whole))
    assert found == judged(churned, *whole)


def test_the_same_seed_gives_the_same_numbers_and_another_one_others(users):
    assert judged(*users, seed=1) == judged(*users, seed=1)
    assert judged(*users, seed=1)["roc_auc"].low != judged(*users, seed=2)["roc_auc"].low


@given(SCORES, SCORES)
def test_swapped_champion_and_challenger_have_the_opposite_difference(first, second):
    churned = [True] * 5 + [False] * 7
    forward, back = judged(churned, first, second), judged(churned, second, first)
    for name in METRICS:
        assert (forward[name].champion, forward[name].challenger) == (back[name].challenger, back[name].champion)
        mirrored = (-back[name].delta, -back[name].high, -back[name].low)
        assert (forward[name].delta, forward[name].low, forward[name].high) == pytest.approx(mirrored, abs=1e-9)


@given(SCORES)
def test_equal_scores_differ_by_exactly_nothing(scores):
    churned = [True, False] * 6
    stretched = [2 * score + 3 for score in scores]  # another scale, the same order
    for each in judged(churned, scores, stretched).values():
        assert (each.delta, each.low, each.high, each.share_better) == (0.0, 0.0, 0.0, 0.0)


@given(SCORES, SCORES, st.floats(0.5, 0.99), st.floats(0.5, 0.99))
def test_more_confidence_never_narrows_the_interval(first, second, one, other):
    churned = [True] * 5 + [False] * 7
    less, more = (judged(churned, first, second, confidence=level) for level in sorted((one, other)))
    for name in METRICS:
        assert more[name].low <= less[name].low
        assert less[name].high <= more[name].high
        assert less[name].low <= less[name].high


@given(SCORES, SCORES, st.floats(0, 0.4), st.floats(0, 0.4))
def test_a_larger_delta_is_never_exceeded_more_often(first, second, one, other):
    churned = [True] * 5 + [False] * 7
    small, large = (judged(churned, first, second, delta=delta) for delta in sorted((one, other)))
    for name in METRICS:
        assert large[name].share_better <= small[name].share_better
