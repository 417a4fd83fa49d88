"""How a search ends, and which trials it gives up."""

import pytest

from streamflow.core.errors import ModelError
from streamflow.operations.tuning.optimiser import search
from streamflow.operations.tuning.search import Range

SPACE = {"C": Range(0.0001, 10.0, True, None, False)}


def test_a_hopeless_trial_is_given_up_between_folds():
    folds_scored = []

    def scores(values):
        folds_scored.append(0)
        for _ in range(6):
            folds_scored[-1] += 1
            yield values["C"]

    found = search(SPACE, scores, [0.5] * 6, trials=30, seconds=None, seed=1, after_trial=lambda number, best: None)
    assert found.given_up >= 2
    assert folds_scored.count(2) == found.given_up
    assert folds_scored.count(6) == 30 - found.given_up


def test_ctrl_c_keeps_the_best_so_far():
    begun = []

    def scores(values):
        begun.append(values)
        if len(begun) == 4:
            raise KeyboardInterrupt
        yield from (values["C"], values["C"])

    found = search(SPACE, scores, [0, 0], trials=9, seconds=None, seed=1, after_trial=lambda number, best: None)
    assert (found.trials, found.ended) == (3, "interrupted")
    assert found.best.values["C"] == max(values["C"] for values in begun[:3])


def test_the_time_ends_a_search_before_the_next_trial():
    found = search(
        SPACE, lambda values: iter([1.0]), [0.0], trials=9, seconds=0, seed=1, after_trial=lambda number, best: None
    )
    assert (found.best, found.trials, found.ended) == (None, 0, "the timeout was reached")


def test_a_model_that_refuses_every_set_says_why():
    def scores(values):
        raise ModelError("LogisticRegression refuses its settings")
        yield 0.0

    with pytest.raises(ModelError, match="refuses its settings"):
        search(SPACE, scores, [0.0], trials=3, seconds=None, seed=1, after_trial=lambda number, best: None)
