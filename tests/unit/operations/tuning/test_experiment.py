"""An experiment file: only what it changes, and where its values came from."""

import pytest
import yaml
from project import ROOT

from streamflow.core.errors import ConfigError
from streamflow.operations.repro.compose import compose_config
from streamflow.operations.tuning.experiment import (
    check_experiment_name,
    experiment_text,
    group_overrides,
    provenance_lines,
)
from streamflow.operations.tuning.search import Found, Spread


@pytest.fixture
def project(monkeypatch):
    monkeypatch.chdir(ROOT)


def test_an_experiment_states_only_its_difference(project):
    default, config = (
        compose_config([])[0],
        compose_config(["model=blend", "calibration=none", "sample_weight=monthly_fee"])[0],
    )
    assert group_overrides(config, default) == ["features=churn_v1", "model=blend", "calibration=none"]
    same = compose_config(group_overrides(config, default))[0]
    text = experiment_text(
        "spring", config, default, same, {"boosting.max_iter": 80, "linear.C": 0.3}, ["a reason", "and another"]
    )
    assert text.splitlines()[:4] == [
        "# @package _global_",
        "# streamflow repro experiment=spring",
        "# a reason",
        "# and another",
    ]
    assert yaml.safe_load(text) == {
        "defaults": [
            {"override /features": "churn_v1"},
            {"override /model": "blend"},
            {"override /calibration": "none"},
        ],
        "sample_weight": "monthly_fee",
        "model": {"boosting": {"max_iter": 80}, "linear": {"C": 0.3}},
    }


@pytest.mark.parametrize("name", ["", "a/b", "..", "a b", "-x", "x.yaml"])
def test_a_name_that_is_no_file_or_choice_is_refused(name):
    with pytest.raises(ConfigError, match="can't name an experiment"):
        check_experiment_name(name)


@pytest.mark.parametrize("name", ["spring", "a", "A-1_b", "9"])
def test_letters_digits_dashes_and_underscores_name_an_experiment(name):
    check_experiment_name(name)


def test_a_file_holds_what_was_tuned_even_if_it_is_the_default_and_keeps_the_order_of_its_lines(project):
    default = compose_config([])[0]
    groups = group_overrides(default, default)
    assert groups == ["features=churn_v1", "model=random_forest"]
    values = {"n_estimators": default.model["n_estimators"], "max_depth": 3}
    config = compose_config(["label_horizon_months=1"])[0]
    text = experiment_text("same", config, default, default, values, ["word " * 60])
    body = yaml.safe_load(text)
    assert list(body) == ["defaults", "label_horizon_months", "model"]
    assert body["model"] == values
    comments = [line for line in text.splitlines() if line.startswith("# word")]
    assert len(comments) == 3
    assert max(map(len, text.splitlines())) <= 120
    assert text.splitlines()[-3:] == ["model:", *(f"  {name}: {values[name]}" for name in body["model"])]


SPREAD = Spread(0.81234, 0.01, 0.8, 0.02, 0.01234, 0.005, folds=20)
KNOWN = {"command": "streamflow tune", "metric": "roc_auc", "seed": 7, "users": 900, "repeats": 4}


def test_a_reader_is_told_how_it_was_found_and_how_sure_that_is(project):
    config = compose_config([])[0]
    lines = provenance_lines(config=config, spread=SPREAD, found=Found(None, 30, 4, "interrupted"), **KNOWN)
    assert lines == [
        "Found by `streamflow tune`",
        "As of 2024-01-31, labels as of 2024-01-31: 30 trials with seed 7, 4 of them pruned between folds;"
        " ended before the rest: interrupted.",
        "roc_auc 0.8123 ± 0.0100, untuned 0.8000 ± 0.0200: better by 0.0123 ± 0.0050 over 4 x 5 folds of 900 users,"
        " other folds than those of the search; no test user was used.",
    ]


def test_what_did_not_happen_is_not_told_and_noise_is_called_noise(project):
    config = compose_config(["label_horizon_months=1"])[0]
    noise = Spread(0.8, 0.01, 0.8, 0.02, 0.0, 0.005, folds=20)
    _, found, good = provenance_lines(config=config, spread=noise, found=Found(None, 30, 0, ""), **KNOWN)
    assert found == "As of 2024-01-31, labels as of 2024-02-29: 30 trials with seed 7."
    assert "better by 0.0000 ± 0.0050, which is within the noise, over" in good
