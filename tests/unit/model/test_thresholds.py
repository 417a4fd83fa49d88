"""The threshold is what its policy wants."""

from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from streamflow.model.thresholds import GRID, ThresholdPolicy, choose_threshold

F1 = ThresholdPolicy("f1")

SCORED_USERS = st.lists(st.tuples(st.booleans(), st.floats(0, 1)), min_size=2, max_size=60)


def arrays(pairs):
    return np.array([churned for churned, _ in pairs]), np.array([score for _, score in pairs])


def f1(churned, called):
    """Of both classes' errors, 0 if nobody churns and nobody is called."""
    right, wrong = (churned & called).sum(), (churned ^ called).sum()
    return 2 * right / (2 * right + wrong) if right else 0.0


@given(SCORED_USERS)
@settings(max_examples=30)
def test_no_threshold_of_the_grid_has_a_higher_f1(pairs):
    churned, scores = arrays(pairs)
    chosen = choose_threshold(F1, churned, scores)
    found = [f1(churned, scores >= each) for each in GRID]
    assert chosen == GRID[found.index(max(found))], "the lowest of equals"
    assert f1(churned, scores >= chosen) == pytest.approx(f1_score(churned, scores >= chosen, zero_division=0.0))


@given(SCORED_USERS, st.floats(1, 500), st.floats(1, 500))
@settings(max_examples=30)
def test_no_threshold_of_the_grid_costs_less(pairs, missed, wasted):
    churned, scores = arrays(pairs)

    def cost(threshold):
        called = scores >= threshold
        return missed * (churned & ~called).sum() + wasted * (~churned & called).sum()

    chosen = choose_threshold(ThresholdPolicy("cost", missed, wasted), churned, scores)
    assert cost(chosen) == pytest.approx(min(cost(each) for each in GRID))


@given(st.lists(st.floats(0.01, 0.99), min_size=5, max_size=60, unique=True), st.floats(0.05, 0.9))
@example([0.5, np.nextafter(0.5, 1), 0.1, 0.2, 0.3], 0.2)
@example([0.3, np.nextafter(0.3, 0), 0.1, 0.2, 0.05], 0.2)
def test_a_fraction_of_the_users_is_called_whoever_churned(scores, fraction):
    scores = np.array(scores)
    chosen = choose_threshold(ThresholdPolicy("top_fraction", fraction=fraction), np.zeros(len(scores), bool), scores)
    assert (scores >= chosen).sum() == max(1, round(fraction * len(scores)))


def test_prices_move_the_threshold_as_they_should():
    random = np.random.default_rng(0)
    scores = random.uniform(size=20_000)
    churned = random.uniform(size=20_000) < scores
    # Whoever is worth an offer churns with a probability of at least price of an offer / sum of both prices.
    for missed, wasted in ((180.0, 20.0), (100.0, 100.0), (20.0, 180.0)):
        chosen = choose_threshold(ThresholdPolicy("cost", missed, wasted), churned, scores)
        assert chosen == pytest.approx(wasted / (wasted + missed), abs=0.05)


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        (ThresholdPolicy("f1"), "the best F1"),
        (ThresholdPolicy("cost", 200, 19.5), "the least cost, 200 for a missed churner and 19.5 for a wasted offer"),
        (ThresholdPolicy("top_fraction", fraction=0.125), "the 12.5% of users who are most likely to churn"),
    ],
)
def test_a_policy_in_words(policy, words):
    assert policy.describe() == words


SCORES = np.array([0.9, 0.8, 0.6, 0.4, 0.2, 0.1])


@pytest.mark.parametrize(
    ("churners", "policy", "threshold"),
    [
        # The lowest threshold of the grid that calls four users: three of them churned, none is missed.
        ((0, 1, 3), ThresholdPolicy("f1"), 0.205),
        ((0, 1, 3), ThresholdPolicy("cost", 10.0, 1.0), 0.205),
        ((0, 1, 3), ThresholdPolicy("cost", 1.0, 10.0), 0.605),
        ((0, 1, 3), ThresholdPolicy("cost", 1.0, 1.0), 0.205),
        ((), ThresholdPolicy("cost", 1.0, 1.0), 0.905),
        ((), ThresholdPolicy("f1"), 0.005),
        ((0, 1), ThresholdPolicy("top_fraction", fraction=0.5), 0.5),
        ((0, 1), ThresholdPolicy("top_fraction", fraction=0.01), 0.85),
        ((0, 1), ThresholdPolicy("top_fraction", fraction=0.99), 0.05),
    ],
)
def test_thresholds_of_six_users_by_hand(churners, policy, threshold):
    churned = np.isin(np.arange(6), churners)
    assert choose_threshold(policy, churned, SCORES) == pytest.approx(threshold, abs=1e-9)


def test_what_a_policy_does_not_use_is_none():
    assert asdict(F1) == {"policy": "f1", "missed_churner": None, "wasted_offer": None, "fraction": None}


def test_the_grid_has_199_steps_of_half_a_percent():
    assert (len(GRID), GRID[0], GRID[-1]) == (199, 0.005, 0.995)
    assert np.diff(GRID) == pytest.approx(0.005)
