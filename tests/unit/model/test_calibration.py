"""Calibration keeps the order of users and finds their rates."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss

from streamflow.core.errors import ModelError
from streamflow.model.calibration import UNCHANGED, Calibration, calibration


@given(st.floats(0.2, 5), st.floats(-3, 3), st.lists(st.floats(0, 1), min_size=2, max_size=30))
def test_calibration_never_changes_the_order_of_users(slope, intercept, scores):
    before = np.sort(np.array(scores))
    after = Calibration(slope, intercept).of(before)
    assert np.all(np.diff(after) >= -1e-14)  # a logarithm of neighbouring floats may be off by its last bit
    assert np.all((after >= 0) & (after <= 1))
    assert UNCHANGED.of(before) is before


def test_calibration_finds_the_rates_that_a_distorted_score_hides():
    random = np.random.default_rng(0)
    odds = random.normal(-1, 1.5, 50_000)
    churned = random.uniform(size=50_000) < 1 / (1 + np.exp(-odds))
    distorted = 1 / (1 + np.exp(-(0.5 * odds + 1)))
    found = calibration("sigmoid", churned, distorted)
    assert (found.slope, found.intercept) == pytest.approx((2.0, -2.0), abs=0.06)
    assert brier_score_loss(churned, found.of(distorted)) < brier_score_loss(churned, distorted) - 0.02
    assert calibration("none", churned, distorted) == UNCHANGED


def test_a_score_that_ranks_users_the_wrong_way_round_is_no_score():
    with pytest.raises(ModelError, match="no better than chance"):
        calibration("sigmoid", np.array([True, True, False, False] * 9), np.array([0.1, 0.2, 0.8, 0.9] * 9))
