"""`streamflow tune` on a small frozen dataset: the file it writes, what it refuses, and what it never looks at."""

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from click.testing import CliRunner
from project import ROOT
from small_month import joined_month

from streamflow.cli.tune import tune as command
from streamflow.core.errors import ConfigError, ModelError
from streamflow.core.schema import ENTITY_KEY, EVENT_TIMESTAMP, LABEL, service_features
from streamflow.features.dataset import assemble, summary
from streamflow.model.recipe import recipe_of
from streamflow.model.training import fit_pipeline
from streamflow.operations.repro.compose import compose
from streamflow.pipeline.dvc_hash import content_of
from streamflow.pipeline.file_digest import tree_sha256
from streamflow.pipeline.layout import DATASET
from streamflow.pipeline.parquet import write_parquet

AS_OF = "2024-01-31"
QUICK = ["--trials", "5", "cross_validation.repeats=1", "cross_validation.folds=3"]
LINEAR = ["--model", "logistic_regression", *QUICK, "model.C=0.0001"]
EXPERIMENT = "conf/experiment/spring.yaml"


@pytest.fixture(scope="module")
def frozen(tmp_path_factory):
    """A project folder with a dataset of churn_v2, as stage `dataset` leaves it."""
    folder = tmp_path_factory.mktemp("tune")
    shutil.copytree(ROOT / "conf", folder / "conf", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "dvc.yaml", folder)
    patch = pytest.MonkeyPatch()
    patch.chdir(folder)
    config = compose(["features=churn_v2", "model=logistic_regression"])
    _write_dataset(config)
    patch.undo()
    return folder


@pytest.fixture
def project(frozen, tmp_path, monkeypatch):
    """A copy of it that a test may spoil."""
    shutil.copytree(frozen, tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"


def _write_dataset(config):
    month = joined_month(500)
    moment = pa.array(
        [datetime.fromisoformat(AS_OF).replace(tzinfo=UTC)] * month.num_rows, pa.timestamp("us", tz="UTC")
    )
    rows = month.append_column(EVENT_TIMESTAMP, moment).sort_by(ENTITY_KEY)
    users = rows.select([ENTITY_KEY, EVENT_TIMESTAMP])
    names = [column.name for column in service_features("churn_v2")]
    dataset = assemble(
        "churn_v2", users, rows.select([*users.schema.names, *names]), rows.select([ENTITY_KEY, LABEL]),
        config.split.salt, config.split.validation, config.split.test,
    )  # fmt: skip
    write_parquet(DATASET / "dataset.parquet", dataset.schema, dataset.to_batches())
    counts = summary(dataset, config.as_of, config.label_as_of, "churn_v2")
    (DATASET / "dataset.json").write_text(json.dumps(counts))
    split = {"salt": config.split.salt, "validation": config.split.validation, "test": config.split.test}
    stage = {
        "cmd": "python -m stages.dataset",
        "params": {"params.yaml": {"split": split}},
        "outs": [{"path": str(DATASET), "md5": content_of(DATASET).md5, "hash": "md5", "size": 1, "nfiles": 2}],
    }
    Path("dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": {"dataset": stage}}))


def run(*arguments):
    done = CliRunner().invoke(command, [*arguments, "--name", "spring"])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


def test_the_best_is_an_experiment_that_composes_and_trains_and_is_the_same_again(project):
    done = run(*LINEAR)
    assert done.exit_code == 0, done.output
    assert "roc_auc" in done.output
    assert f"tune: {EXPERIMENT} is written: 5 trials" in done.output
    text = (project / EXPERIMENT).read_text()
    lines = text.splitlines()
    assert lines[:2] == ["# @package _global_", "# streamflow repro experiment=spring"]
    assert max(len(line) for line in lines) <= 120
    assert "no test user was used" in text.replace("\n# ", " ")
    content = yaml.safe_load(text)
    assert content["defaults"] == [{"override /features": "churn_v2"}, {"override /model": "logistic_regression"}]
    assert list(content["model"]) == ["C"]

    before = (project / "params.yaml").read_text()
    config = compose(["experiment=spring"])
    assert config.model["C"] == content["model"]["C"] > 0.0001
    rows = joined_month(300)
    recipe = recipe_of(config)
    from streamflow.model.sklearn_pipeline import pipeline_frame

    labels = rows[LABEL].to_numpy(zero_copy_only=False)
    assert content["model"]["C"] == fit_pipeline(recipe, pipeline_frame(rows, recipe.features), labels, None)[-1].C

    (project / "params.yaml").write_text(before)
    again = run(*LINEAR, "--force", "--json")
    assert again.exit_code == 0
    told = json.loads(again.stdout)
    assert (told["written"], told["trials"], told["metric"]) == (str(EXPERIMENT), 5, "roc_auc")
    assert told["gain"] == pytest.approx(told["score"] - told["untuned"])
    assert (project / EXPERIMENT).read_text() == text


def test_params_that_were_current_stay_so_and_stale_ones_stay_stale(project):
    def params_digest():
        return yaml.safe_load((project / "params.yaml").read_text())["conf_sha256"]

    before = yaml.safe_load((project / "params.yaml").read_text())
    assert run(*LINEAR).exit_code == 0
    assert params_digest() == tree_sha256(project / "conf") != before["conf_sha256"]
    after = yaml.safe_load((project / "params.yaml").read_text())
    assert {**after, "conf_sha256": ""} == {**before, "conf_sha256": ""}
    (project / "conf" / "threshold" / "f1.yaml").write_text("policy: f1\n# edited\n")
    stale = params_digest()
    assert run(*LINEAR, "--force").exit_code == 0
    assert params_digest() == stale


def test_an_experiment_is_not_written_over_and_a_refusal_writes_nothing(project):
    (project / EXPERIMENT).write_text("mine\n")
    with pytest.raises(ConfigError, match=f"{EXPERIMENT} exists; choose another --name, or overwrite it with --force"):
        run(*LINEAR)
    assert (project / EXPERIMENT).read_text() == "mine\n"


def test_nothing_is_written_if_nothing_is_better(project):
    (project / "conf" / "search" / "logistic_regression.yaml").write_text(
        "C: {low: 0.00001, high: 0.00002, log: true}\n"
    )
    done = run("--model", "logistic_regression", *QUICK)
    assert done.exit_code == 1
    told = run("--model", "logistic_regression", *QUICK, "--json")
    assert (told.exit_code, json.loads(told.stdout)["written"]) == (1, None)
    assert "not better than the untuned model; nothing was written" in done.output
    assert not (project / EXPERIMENT).exists()


def test_a_narrower_service_may_use_the_same_dataset(project):
    assert run(*LINEAR, "--features", "churn_v1").exit_code == 0
    assert "override /features: churn_v1" in (project / EXPERIMENT).read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--model", "nonesuch"], "model=nonesuch: no such option; one of blend, "),
        (["as_of=2024-02-29"], "data/dataset has as_of=2024-01-31, not 2024-02-29; `streamflow repro features="),
        (["label_horizon_months=1"], "data/dataset has label_as_of=2024-01-31, not 2024-02-29"),
        (["split.test=0.3"], "data/dataset has split="),
        (["model.C=-1"], "LogisticRegression refuses its settings"),
        (["--timeout", "0.000001"], "no trial ended in that time"),
    ],
)
def test_what_can_not_be_tuned_is_one_line(project, arguments, said):
    with pytest.raises((ConfigError, ModelError)) as refused:
        run(*QUICK, *arguments)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not (project / EXPERIMENT).exists()


def test_a_model_without_a_search_space_names_those_that_have_one(project):
    (project / "conf" / "search" / "blend.yaml").unlink()
    with pytest.raises(ConfigError, match=r"conf/search/blend\.yaml is missing.*tune .*logistic_regression"):
        run("--model", "blend", *QUICK)


def test_a_dataset_that_was_edited_or_is_gone_is_refused(project):
    table = pq.read_table(DATASET / "dataset.parquet")
    write_parquet(DATASET / "dataset.parquet", table.schema, table.slice(1).to_batches())
    with pytest.raises(ModelError, match=r"MD5 of data/dataset is \w+, stage dataset wrote"):
        run(*LINEAR)
    shutil.rmtree(DATASET)
    with pytest.raises(ModelError, match=r"data/dataset is missing; `streamflow repro features=churn_v2"):
        run(*LINEAR)


def test_a_dataset_of_fewer_features_is_refused(project):
    counts = json.loads((DATASET / "dataset.json").read_text())
    (DATASET / "dataset.json").write_text(json.dumps({**counts, "feature_service": "churn_v1"}))
    lock = yaml.safe_load((project / "dvc.lock").read_text())
    lock["stages"]["dataset"]["outs"][0]["md5"] = content_of(DATASET).md5
    (project / "dvc.lock").write_text(yaml.safe_dump(lock))
    with pytest.raises(ModelError, match="has the features of churn_v1, not those of churn_v2"):
        run(*LINEAR)
