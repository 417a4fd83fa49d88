"""Every configuration that conf/ offers composes, and what makes no sense is refused in one line."""

import itertools
from pathlib import Path

import pytest
from omegaconf import OmegaConf
from omegaconf.errors import MissingMandatoryValue
from project import ROOT

from streamflow.core.config import SourceConfig, choices, parse_config, source_identity
from streamflow.core.config_checks import check
from streamflow.core.errors import ConfigError
from streamflow.operations.repro.compose import compose


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with this project's conf/, where params.yaml may be written."""
    (tmp_path / "conf").symlink_to(ROOT / "conf")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def options(group):
    return sorted(path.stem for path in (ROOT / "conf" / group).glob("*.yaml"))


def test_every_choice_of_model_features_and_promotion_composes(project):
    combinations = list(itertools.product(options("model"), options("features"), options("promotion")))
    assert len(combinations) >= 24
    for model, features, promotion in combinations:
        config = compose([f"model={model}", f"features={features}", f"promotion={promotion}"])
        assert choices(config) == {
            "model": model,
            "features": features,
            "promotion": promotion,
            "source": "synthetic",
            "calibration": "sigmoid",
            "threshold": "f1",
        }
        assert "_target_" in config.model


@pytest.mark.parametrize("experiment", options("experiment"))
def test_every_experiment_composes_and_opens_with_its_command(project, experiment):
    compose([f"experiment={experiment}"])
    lines = (ROOT / "conf" / "experiment" / f"{experiment}.yaml").read_text().splitlines()
    assert lines[1] == f"# streamflow repro experiment={experiment}"


def test_every_threshold_and_calibration_composes(project):
    assert options("threshold") == ["cost", "f1", "top_fraction"]
    assert compose(["threshold=cost", "threshold.missed_churner=300"]).threshold.missed_churner == 300.0
    assert compose(["threshold=top_fraction"]).threshold.fraction == 0.2
    assert options("calibration") == ["none", "sigmoid"]
    assert compose(["calibration=none"]).calibration.method == "none"


def test_next_month_takes_its_labels_a_month_later(project):
    config = compose(["experiment=next_month"])
    assert (config.as_of, config.label_as_of) == ("2024-01-31", "2024-02-29")


def test_every_source_composes(project):
    assert options("source") == ["csv", "postgres", "synthetic"]
    assert compose(["source=csv", "source.dir=extracts"]).source.dir == "extracts"
    assert compose(["source=postgres"]).source.name == "postgres"


def test_the_policies_differ_in_nothing_but_their_name(project):
    composed = {name: compose([f"promotion={name}"]).promotion for name in options("promotion")}
    assert {name: rule.policy for name, rule in composed.items()} == {name: name for name in options("promotion")}
    others = [{key: value for key, value in rule.items() if key != "policy"} for rule in composed.values()]
    assert others == [{"metric": "roc_auc", "delta": 0.0, "confidence": 0.95, "resamples": 2000, "leak_auc": 0.95}] * 3


def test_the_committed_params_are_what_conf_composes_by_default(project):
    compose(["seed=42"])
    assert (project / "params.yaml").read_text() == (ROOT / "params.yaml").read_text()


def test_the_label_date_follows_the_horizon(project):
    config = compose(["label_horizon_months=1"])
    assert (config.as_of, config.label_as_of) == ("2024-01-31", "2024-02-29")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("as_of=2030-01-31", "as_of=2030-01-31 is not one of 2024-01-31, 2024-02-29"),
        ("as_of=yesterday", "as_of=yesterday is not a date; write it as YYYY-MM-DD"),
        ("as_of=20240131", "as_of=20240131 is not a date"),
        ("model=nonesuch", f"one of {', '.join(options('model'))}"),
        ("nonesuch=1", "nonesuch is not a key of conf/"),
        ("model.nonesuch=1", "model.nonesuch is not a key of conf/"),
        ("source=csv", "source.dir"),
        ("seed=abc", "seed: Value 'abc'"),
        ("split.test=0.9", "split.test=0.9"),
        ("months=[2024-01-31,2024-01-31]", "names a month twice"),
        ("label_horizon_months=2", "label_as_of=2024-03-31 is not one of"),
        ("label_horizon_months=-1", "is negative"),
        ("known_at=2024-02-15", "known_at=2024-02-15 has no time zone"),
        ("known_at=soon", "is not a timestamp"),
        ("source.users=10", "too few"),
        ("source.max_row_drop=0", "must be above 0"),
        ("source.seed=-1", "source.seed=-1 is negative"),
        ("seed=-1", "seed=-1 must be 0 or more"),
        ("compute.jobs=0", "compute.jobs=0 not 0"),
        ("months=[2023-12-31,2024-01-31]", "synthetic users begin with 2024-01-31"),
        ("months=[2024-01-15,2024-01-31]", "names a calendar month twice"),
        ("drift.alpha=0", "drift.alpha=0.0 must be above 0 and at most 1"),
        ("drift.label_rate=2", "drift.label_rate=2.0 must be above 0"),
        ("drift.psi=0.2", "drift.psi=0.2 must be 0 or more and not above drift.psi_major=0.1"),
        ("drift.psi_major=inf", "a finite number"),
        ("drift.share=nan", "drift.share=nan must be"),
        ("promotion.metric=luck", "not one of roc_auc"),
        ("experiment=nonesuch", "experiment=nonesuch: no such option; one of baseline, best, next_month"),
        ("promotion.metric=f1", "promotion.metric=f1 is not one of roc_auc, average_precision"),
        ("promotion.delta=-0.01", "promotion.delta=-0.01 must be 0 or more"),
        ("promotion.confidence=1", "promotion.confidence=1.0 must be 0.5 or more and below 1"),
        ("promotion.confidence=0.999", "2000 are too few for promotion.confidence=0.999; use 5000 or more"),
        ("promotion.resamples=10", "promotion.resamples=10 must be 100 to 100000"),
        ("promotion.leak_auc=0.5", "promotion.leak_auc=0.5 must be above 0.5"),
        ("promotion.tolerance=0", "promotion.tolerance is not a key of conf/"),
        ("compute.threads=0", "must be 1 or more"),
        ("as_of=", "as_of"),
        ("a=b=c", "a"),
        ("[", "["),
    ],
)
def test_a_wrong_override_is_one_line_and_writes_nothing(project, override, message):
    with pytest.raises(ConfigError) as refused:
        compose([override])
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not Path("params.yaml").exists()


def test_a_stage_sees_only_the_sections_it_declares():
    values = OmegaConf.load(ROOT / "params.yaml")
    config = parse_config(values, ["as_of", "features"])
    assert config.features.service == "churn_v1"
    with pytest.raises(MissingMandatoryValue):
        _ = config.seed


def test_an_unknown_key_in_params_is_refused():
    values = OmegaConf.to_container(OmegaConf.load(ROOT / "params.yaml"))
    with pytest.raises(ConfigError, match="surprise"):
        parse_config({**values, "surprise": 1})


def test_a_missing_value_that_dvc_dumped_as_text_is_refused():
    values = OmegaConf.to_container(OmegaConf.load(ROOT / "params.yaml"))
    values["source"] = {"name": "csv", "max_row_drop": 0.5, "dir": "???"}
    with pytest.raises(ConfigError, match="source"):
        check(parse_config(values))


def test_synthetic_populations_have_histories_of_their_own():
    def synthetic(users):
        return source_identity(SourceConfig(name="synthetic", max_row_drop=0.5, users=users, seed=1))

    assert synthetic(100) != synthetic(200)
    assert source_identity(SourceConfig(name="csv", max_row_drop=0.5, dir="anywhere")) == "csv"
