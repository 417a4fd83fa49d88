"""Every configuration that conf/ offers composes, and what makes no sense is refused in one line."""

import itertools
from pathlib import Path

import pytest
from omegaconf import OmegaConf
from omegaconf.errors import MissingMandatoryValue
from project import ROOT

from streamflow.core.config import SourceConfig, choices, main_overrides, parse_config, source_identity
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
    assert options("source") == ["csv", "postgres", "synthetic", "telephone"]
    assert compose(["source=csv", "source.dir=extracts"]).source.dir == "extracts"
    assert compose(["source=postgres"]).source.name == "postgres"
    mapped = compose(["source=telephone", "source.dir=extracts"])
    assert mapped.features.service == "churn_v1 without usage_agg_30d, payments_agg_90d, support_agg_90d"
    assert main_overrides(mapped)[:5] == [
        "calibration=sigmoid", "features=churn_v1", "model=random_forest", "promotion=auto", "source=telephone",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["source.absent=[usage_agg_30d]"], "source.tables.payments_agg_90d is not mapped; map it, or say"),
        (["source.name=csv"], "source.name='csv': a mapped source has the name of its file in conf/source"),
        (["source.kind=excel"], "source.kind=excel is not one of csv, postgres"),
        (["source.dir=null"], "source=telephone needs a folder: `streamflow repro source=telephone source.dir=PATH`"),
        (
            ["features.service=churn_v1"],
            "features.service='churn_v1' must be 'churn_v1 without usage_agg_30d, payments",
        ),
        (["source.tables.labels.columns.churn_label={python: 1}"], "python is none of them"),
    ],
)
def test_a_mapping_that_can_not_be_is_refused_before_anything(project, overrides, message):
    with pytest.raises(ConfigError) as caught:
        compose(["source=telephone", "source.dir=extracts", *overrides])
    assert message in str(caught.value)


def test_the_policies_differ_in_nothing_but_their_name(project):
    composed = {name: compose([f"promotion={name}"]).promotion for name in options("promotion")}
    assert {name: rule.policy for name, rule in composed.items()} == {name: name for name in options("promotion")}
    others = [{key: value for key, value in rule.items() if key != "policy"} for rule in composed.values()]
    assert (
        others
        == [
            {
                "metric": "roc_auc",
                "delta": 0.0,
                "confidence": 0.95,
                "resamples": 2000,
                "leak_auc": 0.95,
                "rebuilders": 1,
            }
        ]
        * 3
    )


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
        ("modle=blend", "modle is not a key of conf/ (did you mean model?); see conf/config.yaml"),
        ("sed=1", "sed is not a key of conf/ (did you mean seed?); see conf/config.yaml"),
        (
            "promotion.polcy=auto",
            "promotion.polcy is not a key of conf/ (did you mean promotion.policy?); see conf/promotion",
        ),
        (
            "threshold.missed_churner=300",
            "threshold.missed_churner is not a key of what is chosen, but of conf/threshold/cost.yaml: choose it by"
            " threshold=cost",
        ),
        (
            "model.n_estimator=5",
            "(did you mean model.n_estimators?); see conf/model; to give the estimator one more setting:"
            " +model.n_estimator=VALUE",
        ),
        ("model=blnd", "model=blnd: no such option (did you mean blend?); one of blend, hist_gradient_boosting"),
        ("experiment=bset", "experiment=bset: no such option (did you mean best?); one of baseline, best"),
        (
            "+split.sallt=x",
            "split.sallt: Key 'sallt' not in 'SplitConfig' (did you mean split.salt?); conf/split shows",
        ),
        ("+sead=1", "sead: Key 'sead' not in 'Config' (did you mean seed?); conf/config.yaml shows"),
        ("drift.psi=much", "could not be converted to Float; conf/drift shows what is allowed"),
        ("months=[2024-01-31", "months=[2024-01-31 is no override (no viable alternative"),
        ("k" * 300 + "=1", f"{'k' * 80}…: File name too long; see conf/config.yaml"),
        ("k" * 100 + "=1", f"{'k' * 80}… is not a key of conf/; see"),
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


def committed(**changes):
    """params.yaml of this tree, single values changed; a dot in a key is written as two underscores."""
    values = OmegaConf.load(ROOT / "params.yaml")
    for key, value in changes.items():
        OmegaConf.update(values, key.replace("__", "."), value, force_add=True)
    return parse_config(values)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("as_of", "2030-01-31", "as_of=2030-01-31 is not one of 2024-01-31, 2024-02-29; "),
        ("features__service", "churn_v9", "features.service=churn_v9 is not one of churn_v1, churn_v2; "),
        ("source__name", "tape", "source.name=tape is not one of csv, postgres, synthetic; "),
        ("calibration__method", "magic", "calibration.method=magic is not one of none, sigmoid; "),
        ("sample_weight", "plan_stream_tv", "sample_weight=plan_stream_tv is not one of months_active, monthly_fee, "),
        ("threshold__policy", "luck", "threshold.policy=luck is not one of f1, cost, top_fraction; "),
        ("promotion__policy", "luck", "promotion.policy=luck is not one of auto, manual, never; "),
        ("promotion__metric", "luck", "promotion.metric=luck is not one of roc_auc, average_precision; "),
        ("label_as_of", "2024-02-29", "label_as_of=2024-02-29 must be 2024-01-31"),
        ("months", ["2024-01-31", "soon"], "months=soon is not a date"),
        ("cross_validation__repeats", 0, "cross_validation.repeats=0 must be 1 or more"),
        ("cross_validation__folds", 1, "cross_validation.folds=1 2 or more"),
        ("split__validation", 0.0, "split.validation=0.0 and split.test=0.25 must be above 0"),
        ("split__validation", 0.75, "split.validation=0.75 and split.test=0.25 must be above 0"),
        ("split__test", 0.0, "split.test=0.0 must be above 0"),
        ("split__test", 1.0, "split.test=1.0 must be above 0"),
        ("seed", 2**32, "seed=4294967296 must be 0 or more and below 2^32"),
        ("source__users", 99, "source.users=99 is too few"),
        ("source__users", None, "source.users=None is too few"),
        ("source__max_row_drop", 1.01, "source.max_row_drop=1.01 must be above 0 and at most 1"),
        ("drift__alpha", 1.01, "drift.alpha=1.01 must be"),
        ("drift__psi", -0.1, "drift.psi=-0.1 must be 0 or more"),
        ("promotion__delta", 1.0, "promotion.delta=1.0 must be 0 or more and below 1"),
        ("promotion__confidence", 0.49, "promotion.confidence=0.49 must be 0.5 or more"),
        ("promotion__leak_auc", 1.01, "promotion.leak_auc=1.01 must be above 0.5 and at most 1"),
        ("promotion__resamples", 99, "promotion.resamples=99 must be 100 to 100000"),
        ("promotion__resamples", 100_001, "promotion.resamples=100001 must be 100 to 100000"),
        ("compute__threads", 0, "compute.threads=0 must be 1 or more"),
        ("compute__jobs", 0, "compute.jobs=0 not 0"),
        ("model", {"n_estimators": 3}, "model has no _target_"),
    ],
)
def test_a_value_that_makes_no_sense_is_named_with_its_key(key, value, words):
    config = committed()
    OmegaConf.update(config, key.replace("__", "."), value, merge=False)
    with pytest.raises(ConfigError) as refused:
        check(config)
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("seed", 0), ("seed", 2**32 - 1), ("source__seed", 0), ("source__seed", None), ("source__users", 100)),
        *(("source__max_row_drop", 1.0), ("sample_weight", "monthly_fee"), ("compute__jobs", -1)),
        *(("drift__alpha", 1.0), ("drift__psi", 0.0), ("drift__psi_major", 0.005), ("promotion__leak_auc", 1.0)),
        *(("promotion__confidence", 0.5), ("promotion__resamples", 100), ("promotion__resamples", 100_000)),
        *(
            ("promotion__confidence", 0.9975),
            ("known_at", "2024-02-15T00:00:00+00:00"),
            ("cross_validation__repeats", 1),
        ),
        *(("cross_validation__folds", 2), ("promotion__delta", 0.0), ("split__test", 0.79)),
    ],
)
def test_the_last_value_that_makes_sense_is_taken(key, value):
    check(committed(**{key: value}))


@pytest.mark.parametrize(
    ("threshold", "words"),
    [
        ({"policy": "cost", "missed_churner": 0, "wasted_offer": 1}, "threshold.missed_churner=0.0"),
        ({"policy": "cost", "missed_churner": 1, "wasted_offer": 0}, "threshold.wasted_offer=0.0 must be above 0"),
        ({"policy": "cost", "missed_churner": 1}, "threshold.wasted_offer=None"),
        ({"policy": "top_fraction", "fraction": 0}, "threshold.fraction=0.0 must be above 0 and below 1"),
        ({"policy": "top_fraction", "fraction": 1}, "threshold.fraction=1.0"),
        ({"policy": "top_fraction"}, "threshold.fraction=None"),
        ({"policy": "cost", "missed_churner": 0.01, "wasted_offer": 0.01}, None),
        ({"policy": "top_fraction", "fraction": 0.99}, None),
        ({"policy": "f1"}, None),
    ],
)
def test_a_threshold_has_what_its_policy_needs(threshold, words):
    config = committed(threshold=threshold)
    if words is None:
        check(config)
    else:
        with pytest.raises(ConfigError) as refused:
            check(config)
        assert words in str(refused.value)


def test_csv_needs_a_folder_and_may_begin_before_the_generator():
    source = {"name": "csv", "max_row_drop": 0.5, "dir": "extracts"}
    months = {"months": ["2023-12-31"], "as_of": "2023-12-31", "label_as_of": "2023-12-31"}
    check(committed(source=source, **months))
    with pytest.raises(ConfigError, match="needs a folder"):
        check(committed(source={**source, "dir": None}))


def test_the_overrides_that_compose_a_configuration_again():
    same = [
        "calibration=sigmoid",
        "features=churn_v1",
        f"model={committed().model_name}",
        f"promotion={committed().promotion.policy}",
    ]
    rest = ["threshold=f1", "'months=[2024-01-31,2024-02-29]'", "as_of=2024-01-31", "label_horizon_months=0"]
    assert main_overrides(committed()) == [*same, "source=synthetic", *rest]
    csv = {"name": "csv", "max_row_drop": 0.5, "dir": "extracts"}
    threshold, *dates = rest
    assert main_overrides(committed(source=csv)) == [*same, "source=csv", threshold, "source.dir=extracts", *dates]


def test_histories_are_kept_under_these_names():
    source = SourceConfig(name="synthetic", max_row_drop=0.5, users=100, seed=7)
    assert source_identity(source) == "synthetic users=100 seed=7"
    assert source_identity(SourceConfig(name="postgres", max_row_drop=0.5)) == "postgres"


def test_a_section_without_a_value_is_named_with_the_override_that_gives_it_one():
    values = OmegaConf.to_container(OmegaConf.load(ROOT / "params.yaml"))
    del values["split"]["salt"], values["seed"]
    with pytest.raises(ConfigError, match="seed has no value; give it one: `streamflow repro … seed=VALUE`"):
        parse_config(values)
    with pytest.raises(ConfigError, match=r"split\.salt has no value"):
        parse_config(values, ["split.salt", "as_of"])
    assert parse_config(values, ["as_of"]).as_of == "2024-01-31"
    with pytest.raises(ConfigError, match="seed: Value 'x'"):
        parse_config({**values, "seed": "x"})
