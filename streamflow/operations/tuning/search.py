"""The search for better parameters: the search space, and the score of a model on users outside of the test part."""

import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from statistics import mean, stdev
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from streamflow.core.errors import ConfigError
from streamflow.core.schema import ENTITY_KEY, LABEL
from streamflow.evaluation.cross_validation import Train, cross_validate
from streamflow.features.dataset import SPLIT
from streamflow.features.splits import TEST
from streamflow.model.calibration import UNCHANGED
from streamflow.model.sklearn_pipeline import Labels, pipeline_frame
from streamflow.model.training import Mask, Recipe, Trained, Weights, fit_pipeline, sample_weights, train

RANKINGS = ("roc_auc", "average_precision")
"""Scores that depend on the order of users only; calibration and threshold don't change them."""
LOSSES = ("brier", "log_loss")
SEARCH_METRICS = (*RANKINGS, *LOSSES)
_DIGITS = 3
_COMPARED = 4


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included: `whole` ones only, in steps, or on a logarithmic scale (`log`)."""

    low: float
    high: float
    log: bool
    step: float | None
    whole: bool

    def rounded(self, value: float) -> float:
        """The value with three significant digits, within the range, for the file."""
        if self.whole:
            return int(value)
        return min(max(float(f"{value:.{_DIGITS}g}"), self.low), self.high)


@dataclass(frozen=True)
class Choices:
    """One of some values."""

    values: tuple[Any, ...]


Space = Mapping[str, Range | Choices]


@dataclass(frozen=True)
class Trial:
    """Parameters and the scores of the folds that were scored with them, in the order of the folds."""

    values: Mapping[str, Any]
    scores: tuple[float, ...]


@dataclass(frozen=True)
class Found:
    """What a search found: the best whole trial (None: there was none), how many were started and pruned, why it ended."""

    best: Trial | None
    trials: int
    given_up: int
    ended: str


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation of a score over folds, and of its gain over the untuned model in the same folds."""

    score: float
    sd: float
    untuned: float
    untuned_sd: float
    gain: float
    gain_sd: float
    folds: int

    @property
    def is_noise(self) -> bool:
        """Whether the mean gain is below twice its standard error (a lower bound: the folds overlap)."""
        return abs(self.gain) < 2 * self.gain_sd / math.sqrt(self.folds)


def space_of(content: Any, where: str) -> dict[str, Range | Choices]:
    """The search space of a file of conf/search. Raises ConfigError naming file, parameter and what is wrong."""
    if not isinstance(content, dict) or not content:
        raise ConfigError(f"{where} names no parameter; write NAME: {{low: 1, high: 9}} or NAME: {{choices: [a, b]}}")
    return {str(name): _dimension(f"{where}: {name}", entry) for name, entry in content.items()}


def _dimension(where: str, entry: Any) -> Range | Choices:
    if not isinstance(entry, dict):
        raise ConfigError(f"{where}={entry} is neither {{low: …, high: …}} nor {{choices: […]}}")
    if "choices" in entry:
        return _choices(where, entry)
    if unknown := sorted(set(entry) - {"low", "high", "log", "step"}):
        raise ConfigError(f"{where}: {unknown[0]} is unknown; use low, high, log, step, or choices alone")
    bounds: list[Any] = [entry.get(name) for name in ("low", "high", "step", "log")]
    low, high, step, log = bounds
    for name, value in (("low", low), ("high", high), *([("step", step)] if step is not None else [])):
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise ConfigError(f"{where}: {name}={value} is not a number")
    if not low < high:
        raise ConfigError(f"{where}: low={low} must be below high={high}")
    if log not in (None, False, True):
        raise ConfigError(f"{where}: log={log} must be true or false")
    if log and (low <= 0 or step is not None):
        raise ConfigError(f"{where}: log needs low above 0 and no step (low={low}, step={step})")
    if step is not None and not 0 < step <= high - low:
        raise ConfigError(f"{where}: step={step} must be above 0 and at most high - low")
    whole = all(isinstance(value, int) for value in (low, high, 1 if step is None else step))
    return Range(low, high, bool(log), step, whole)


def _choices(where: str, entry: Mapping[str, Any]) -> Choices:
    values = entry["choices"]
    if len(entry) > 1:
        raise ConfigError(f"{where}: use choices without {', '.join(sorted(set(entry) - {'choices'}))}")
    plain = isinstance(values, list) and all(value is None or isinstance(value, str | int | float) for value in values)
    if not plain or len({repr(value) for value in values}) < max(2, len(values)):
        raise ConfigError(f"{where}: choices={values} must be a list of two or more different values")
    return Choices(tuple(values))


def check_space(space: Space, settings: Mapping[str, Any], where: str) -> None:
    """Check that the model has every parameter of the space. Raises ConfigError."""
    for name in space:
        part: Any = settings
        for key in name.split("."):
            if not isinstance(part, Mapping) or key not in part:
                raise ConfigError(f"{where}: {name} is not a parameter that the model's file in conf/model states")
            part = part[key]


def with_values(settings: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """The settings with some parameters replaced; a dot in a name goes one level down."""
    changed = copy.deepcopy(dict(settings))
    for name, value in values.items():
        *folders, key = name.split(".")
        part = changed
        for folder in folders:
            part = part[folder]
        part[key] = value
    return changed


@dataclass(frozen=True)
class Users:
    """Users that a search may use, one row for each."""

    user_ids: Sequence[str]
    frame: pd.DataFrame
    churned: Labels
    weights: Weights | None


def development_users(dataset: pa.Table, recipe: Recipe, sample_weight: str | None) -> Users:
    """The users of the train and validation parts. Test users are left out, features and labels."""
    rows = dataset.filter(pc.not_equal(dataset[SPLIT], TEST))
    return Users(
        rows[ENTITY_KEY].to_pylist(),
        pipeline_frame(rows, recipe.features),
        np.array(rows[LABEL].to_pylist()),
        sample_weights(rows, sample_weight),
    )


@dataclass(frozen=True)
class Objective:
    """How good a recipe is: one score, repeatedly cross-validated. `validation` is the share that calibration takes."""

    recipe: Recipe
    users: Users
    metric: str
    salt: str
    repeats: int
    folds: int
    validation: float

    def scores(self, values: Mapping[str, Any]) -> Iterator[float]:
        """The score of each fold for a model with these parameters in place of the recipe's own; for a loss, minus it."""
        recipe = replace(self.recipe, settings=with_values(self.recipe.settings, values))
        rows = cross_validate(
            _trainer_for(self.metric, recipe),
            self.users.user_ids,
            self.users.frame,
            self.users.churned,
            self.users.weights,
            salt=self.salt,
            repeats=self.repeats,
            folds=self.folds,
            validation=self.validation,
        )
        sign = -1 if self.metric in LOSSES else 1
        return (sign * float(row[self.metric]) for row in rows)

    def on_other_folds(self) -> "Objective":
        """The same objective on other folds, with four repeats at least: five folds alone overrate a gain."""
        return replace(self, salt=f"{self.salt}:compare", repeats=max(self.repeats, _COMPARED))


def compare_scores(tuned: Sequence[float], untuned: Sequence[float], metric: str) -> Spread:
    """Spread of two models' scores, as `Objective` gives them, over the same folds; a gain above 0: `tuned` is better."""
    sign = -1 if metric in LOSSES else 1
    gains = [one - other for one, other in zip(tuned, untuned, strict=True)]
    return Spread(
        sign * mean(tuned), stdev(tuned), sign * mean(untuned), stdev(untuned), mean(gains), stdev(gains), len(gains)
    )


def _trainer_for(metric: str, recipe: Recipe) -> Train:
    return partial(_train_to_rank if metric in RANKINGS else train, recipe)


def _train_to_rank(recipe: Recipe, frame: pd.DataFrame, churned: Labels, _: Mask, weights: Weights | None) -> Trained:
    # The order of users is that of the last fit; the first, for calibration and threshold, would double the time.
    return Trained(fit_pipeline(recipe, frame, churned, weights), UNCHANGED, 0.5)
