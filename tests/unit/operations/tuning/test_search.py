"""What `streamflow tune` may choose, how it is scored, and that no test user has a say."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from project import ROOT
from small_month import joined_month
from threadpoolctl import threadpool_limits

from streamflow.core.errors import ConfigError
from streamflow.core.schema import LABEL, service_features
from streamflow.features.splits import TEST, split_by_user
from streamflow.model.recipe import recipe_of
from streamflow.model.thresholds import ThresholdPolicy
from streamflow.model.training import Recipe
from streamflow.operations.repro.compose import compose_config
from streamflow.operations.tuning.optimiser import search
from streamflow.operations.tuning.search import (
    Choices,
    Objective,
    Range,
    Spread,
    check_space,
    compare_scores,
    development_users,
    space_of,
    with_values,
)

LINEAR = {"_target_": "sklearn.linear_model.LogisticRegression", "C": 0.0001, "max_iter": 500}
RECIPE = Recipe(LINEAR, service_features("churn_v1"), "sigmoid", ThresholdPolicy("f1"))
SPACE = {"C": Range(0.0001, 10.0, True, None, False)}
SPACES = sorted((ROOT / "conf" / "search").glob("*.yaml"))


@pytest.fixture(scope="module")
def dataset():
    rows = joined_month(500)
    return rows.append_column("split", pa.array(split_by_user(rows["user_id"].to_pylist(), "s", 0.2, 0.25)))


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """As `streamflow tune` has it; more would only wait for each other."""
    with threadpool_limits(limits=1):
        yield


@pytest.fixture
def project(monkeypatch):
    monkeypatch.chdir(ROOT)


def objective(dataset, metric="roc_auc", **changes):
    users = development_users(dataset, RECIPE, None)
    return replace(Objective(RECIPE, users, metric, "s", repeats=1, folds=3, validation=0.25), **changes)


def best_of(dataset, trials=12, **changes):
    how = objective(dataset, **changes)
    untuned = list(how.scores({}))
    found = search(
        SPACE, how.scores, untuned, trials=trials, seconds=None, seed=7, after_trial=lambda number, best: None
    )
    return found, untuned


def test_there_is_a_space_for_every_model_and_the_model_states_every_parameter_of_it(project):
    assert [path.stem for path in SPACES] == sorted(path.stem for path in (ROOT / "conf" / "model").glob("*.yaml"))
    for path in SPACES:
        space = space_of(yaml.safe_load(path.read_text()), str(path))
        settings = recipe_of(compose_config([f"model={path.stem}"])[0]).settings
        check_space(space, settings, str(path))
        assert settings != with_values(settings, dict.fromkeys(space, "another"))


def test_a_dimension_is_what_its_numbers_say():
    read = space_of(
        yaml.safe_load("""
            whole: {low: 1, high: 9}
            real: {low: 1.0, high: 9}
            log: {low: 0.01, high: 1.0, log: true}
            steps: {low: 100, high: 500, step: 50}
            either: {choices: [sqrt, 0.5, null]}
        """),
        "a file",
    )
    assert read == {
        "whole": Range(1, 9, False, None, True),
        "real": Range(1.0, 9, False, None, False),
        "log": Range(0.01, 1.0, True, None, False),
        "steps": Range(100, 500, False, 50, True),
        "either": Choices(("sqrt", 0.5, None)),
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "conf/search/m.yaml names no parameter"),
        ("C", "names no parameter"),
        ("C: 1", "C=1 is neither"),
        ("C: {low: 1}", "C: high=None is not a number"),
        ("C: {low: 2, high: 1}", "C: low=2 must be below high=1"),
        ("C: {low: a, high: 1}", "C: low=a is not a number"),
        ("C: {low: true, high: 3}", "C: low=True is not a number"),
        ("C: {low: 0, high: .inf}", "C: high=inf is not a number"),
        ("C: {low: 0, high: 1, log: true}", "C: log needs low above 0"),
        ("C: {low: 1, high: 9, log: true, step: 2}", "and no step"),
        ("C: {low: 1, high: 9, log: 2}", "log=2 must be true or false"),
        ("C: {low: 1, high: 9, step: 20}", "step=20 must be above 0 and at most high - low"),
        ("C: {low: 1, high: 9, stp: 2}", "C: stp is unknown"),
        ("C: {choices: [1, 2], low: 1}", "use choices without low"),
        ("C: {choices: [1]}", "choices=[1] must be a list of two or more"),
        ("C: {choices: [1, 1]}", "two or more different values"),
        ("C: {choices: [[1], 2]}", "two or more different values"),
    ],
)
def test_a_space_that_makes_no_sense_is_one_line(text, said):
    with pytest.raises(ConfigError) as refused:
        space_of(yaml.safe_load(text), "conf/search/m.yaml")
    assert said in str(refused.value)
    assert str(refused.value).startswith("conf/search/m.yaml")


def test_a_parameter_that_the_model_does_not_state_is_refused():
    with pytest.raises(ConfigError, match=r"conf/search/m\.yaml: boosting\.C is not a parameter"):
        check_space({"boosting.C": SPACE["C"]}, LINEAR, "conf/search/m.yaml")


@given(st.floats(0.0001, 10.0))
def test_a_rounded_value_stays_in_its_range_and_is_close(value):
    rounded = SPACE["C"].rounded(value)
    assert 0.0001 <= rounded <= 10.0
    assert rounded == pytest.approx(value, rel=0.006)
    assert len(f"{rounded:.3g}") >= len(repr(rounded).rstrip("0").rstrip(".")) or rounded == float(f"{rounded:.3g}")


def test_values_are_put_in_at_their_place_and_the_settings_stay():
    settings = {"weights": {"a": 2, "b": 1}, "n": 1}
    assert with_values(settings, {"weights.a": 3.5, "n": 2}) == {"weights": {"a": 3.5, "b": 1}, "n": 2}
    assert settings == {"weights": {"a": 2, "b": 1}, "n": 1}


def test_the_same_seed_finds_the_same_and_it_is_better_than_a_poor_default(dataset):
    found, untuned = best_of(dataset)
    assert best_of(dataset) == (found, untuned)
    assert np.mean(found.best.scores) > np.mean(untuned) + 0.005
    assert found.best.values["C"] > 0.001
    assert (found.trials, found.ended) == (12, "")


def test_no_test_user_has_a_say(dataset):
    labels, split = np.array(dataset[LABEL].to_pylist()), np.array(dataset["split"].to_pylist())
    corrupt = np.where(split == TEST, ~labels, labels)
    fee = np.where(split == TEST, -1e6, np.array(dataset["monthly_fee"].to_pylist(), float))
    other = dataset.set_column(dataset.schema.get_field_index(LABEL), LABEL, pa.array(corrupt))
    other = other.set_column(other.schema.get_field_index("monthly_fee"), "monthly_fee", pa.array(fee))
    assert (corrupt != labels).sum() > 80
    assert best_of(other, trials=4) == best_of(dataset, trials=4)
    assert list(objective(other).on_other_folds().scores({})) == list(objective(dataset).on_other_folds().scores({}))
    assert len(development_users(dataset, RECIPE, None).user_ids) == (split != TEST).sum()


def test_ranking_needs_no_calibration_and_a_loss_is_turned_round(dataset):
    everyone = list(objective(dataset).scores({"C": 0.3}))
    assert all(0.6 < score < 1 for score in everyone)
    losses = list(objective(dataset, "brier").scores({"C": 0.3}))
    assert all(-0.25 < loss < 0 for loss in losses)
    spread = compare_scores(losses, list(objective(dataset, "brier").scores({})), "brier")
    assert 0 < spread.score < spread.untuned
    assert spread.gain == pytest.approx(spread.untuned - spread.score)


def test_the_comparison_uses_other_folds(dataset):
    assert list(objective(dataset).scores({})) != list(objective(dataset).on_other_folds().scores({}))


@pytest.mark.parametrize(
    ("dimension", "value", "rounded"),
    [
        (Range(0.0001, 10.0, True, None, False), 0.0123456, 0.0123),
        (Range(0.0001, 10.0, True, None, False), 9.9999, 10.0),
        (Range(1.0, 2.0, False, None, False), 0.9, 1.0),
        (Range(1.0, 2.0, False, None, False), 2.5, 2.0),
        (Range(1, 900, False, None, True), 123.0, 123),
        (Range(1, 9000, False, None, True), 1234, 1234),
    ],
)
def test_a_value_is_whole_or_has_three_digits_within_its_range(dimension, value, rounded):
    assert dimension.rounded(value) == rounded
    assert type(dimension.rounded(value)) is type(rounded)


def test_a_gain_is_compared_fold_by_fold():
    spread = compare_scores([0.8, 0.7, 0.9], [0.7, 0.7, 0.7], "roc_auc")
    assert (spread.score, spread.sd) == pytest.approx((0.8, 0.1))
    assert (spread.untuned, spread.untuned_sd) == pytest.approx((0.7, 0.0))
    assert (spread.gain, spread.gain_sd, spread.folds) == (pytest.approx(0.1), pytest.approx(0.1), 3)
    loss = compare_scores([-0.2, -0.1], [-0.3, -0.3], "log_loss")
    assert (loss.score, loss.untuned, loss.gain) == pytest.approx((0.15, 0.3, 0.15))
    with pytest.raises(ValueError, match="longer"):
        compare_scores([0.8, 0.7], [0.7, 0.7, 0.7], "roc_auc")


@pytest.mark.parametrize(("gain", "noise"), [(0.49, True), (0.51, False), (-0.49, True), (-0.51, False)])
def test_a_gain_below_twice_its_standard_error_is_noise(gain, noise):
    assert Spread(0.8, 0.1, 0.7, 0.1, gain, 0.5, folds=4).is_noise is noise


def test_the_comparison_has_four_repeats_at_least(dataset):
    some = objective(dataset)
    assert (some.on_other_folds().salt, some.on_other_folds().repeats) == ("s:compare", 4)
    assert replace(some, repeats=5).on_other_folds().repeats == 5
    assert replace(some, repeats=5).on_other_folds().folds == 3


def test_users_of_a_search_have_their_weights(dataset):
    users = development_users(dataset, RECIPE, "monthly_fee")
    fees = np.array(dataset["monthly_fee"].to_pylist())[np.array(dataset["split"].to_pylist()) != TEST]
    assert users.weights == pytest.approx(fees / fees.mean())
    assert development_users(dataset, RECIPE, None).weights is None
    weighted = Objective(RECIPE, users, "roc_auc", "s", repeats=1, folds=3, validation=0.25)
    assert list(weighted.scores({"C": 0.3})) != list(objective(dataset).scores({"C": 0.3}))
