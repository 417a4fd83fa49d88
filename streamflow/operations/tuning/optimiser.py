"""Optuna: proposes parameters, learns from their scores, prunes bad trials. In memory; no file, no server."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import mean
from typing import Any

import optuna
from optuna.trial import TrialState

from streamflow.core.errors import ModelError
from streamflow.operations.tuning.search import Choices, Found, Range, Space, Trial

_FIRST = 10
"""Random trials before Optuna learns and before any trial is pruned."""
_FOLDS_AT_LEAST = 2

Scores = Callable[[Mapping[str, Any]], Iterator[float]]


def search(
    space: Space,
    scores: Scores,
    untuned: Sequence[float],
    *,
    trials: int,
    seconds: float | None,
    seed: int,
    after_trial: Callable[[int, Trial | None], None],
) -> Found:
    """The best of `trials` sets of parameters, or fewer if `seconds` or Ctrl-C ends the search; higher scores are better.

    A trial is pruned between folds when its mean gain over the untuned model, over the folds so far, is below the median of
    the trials before it. Without `seconds` the same seed finds the same. `after_trial` gets their number and the best
    so far. Raises ModelError if the estimator rejects every set.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=seed, n_startup_trials=_FIRST, multivariate=True),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=_FIRST, n_warmup_steps=_FOLDS_AT_LEAST - 1),
    )
    until = None if seconds is None else time.monotonic() + seconds
    best: Trial | None = None
    begun, given_up, refused, ended = 0, 0, None, ""
    try:
        while begun < trials:
            if until is not None and time.monotonic() >= until:
                ended = "the timeout was reached"
                break
            proposed = study.ask()
            values = {name: _value(proposed, name, dimension) for name, dimension in space.items()}
            try:
                found = _score_trial(proposed, scores(values), untuned)
            except ModelError as error:
                study.tell(proposed, state=TrialState.FAIL)
                begun, given_up, refused = begun + 1, given_up + 1, error
                continue
            begun += 1
            if found is None:
                study.tell(proposed, state=TrialState.PRUNED)
                given_up += 1
            else:
                study.tell(proposed, mean(found) - mean(untuned))
                if best is None or mean(found) > mean(best.scores):
                    best = Trial(values, tuple(found))
            after_trial(begun, best)
    except KeyboardInterrupt:
        if best is None:
            raise
        ended = "interrupted"
    if best is None and refused is not None:
        raise refused
    return Found(best, begun, given_up, ended)


def _score_trial(proposed: optuna.Trial, scores: Iterator[float], untuned: Sequence[float]) -> list[float] | None:
    """The score of each fold; None if the trial was pruned."""
    found: list[float] = []
    for fold, score in enumerate(scores):
        found.append(score)
        # Folds differ more than models do: a gain on the same folds says more than a score.
        proposed.report(mean(found) - mean(untuned[: fold + 1]), fold)
        if fold + 1 < len(untuned) and proposed.should_prune():
            return None
    return found


def _value(proposed: optuna.Trial, name: str, dimension: Range | Choices) -> Any:
    if isinstance(dimension, Choices):
        return proposed.suggest_categorical(name, dimension.values)
    if dimension.whole:
        step = 1 if dimension.step is None else int(dimension.step)
        return proposed.suggest_int(name, int(dimension.low), int(dimension.high), step=step, log=dimension.log)
    value = proposed.suggest_float(name, dimension.low, dimension.high, step=dimension.step, log=dimension.log)
    return dimension.rounded(value)
