"""Stage `register` over a real MLflow: what a run keeps of its data and files, and the report that it publishes."""

import json

import pyarrow.parquet as pq
import pytest
from register_workspace import md5

from streamflow.core.errors import RegistryError
from streamflow.pipeline.file_digest import file_sha256
from streamflow.registry.registry import open_registry
from streamflow.report.report import evaluation_of

pytestmark = pytest.mark.filterwarnings("default")


def test_the_run_names_its_training_set_and_its_test_part_as_dataset_inputs(workspace):
    import mlflow

    workspace.train(1.0, "a")
    workspace.register()
    run = mlflow.MlflowClient().get_run(open_registry(workspace.url).production().run_id)
    inputs = {
        (each.tags[0].value, json.loads(each.dataset.source)["tags"]["split"]): each.dataset
        for each in run.inputs.dataset_inputs
    }
    assert [tag.key for each in run.inputs.dataset_inputs for tag in each.tags] == ["mlflow.data.context"] * 3
    counts = json.loads((workspace.folder / "data/dataset/dataset.json").read_text())["parts"]
    for context, part in (("training", "train"), ("training", "validation"), ("evaluation", "test")):
        dataset = inputs[context, part]
        assert (dataset.name, dataset.digest) == (f"churn_v1 as of 2024-01-31, {part}", f"{md5('d')}.dir")
        assert json.loads(dataset.profile) == counts[part]
        assert mlflow.data.get_source(dataset).to_dict() == {
            "tags": {
                "mlflow.source.name": "data/dataset",
                "mlflow.source.git.commit": workspace.made_at(),
                "dvc.md5": f"{md5('d')}.dir",
                "split": part,
            }
        }
        columns = {each["name"]: each["type"] for each in json.loads(dataset.schema)["mlflow_colspec"]}
        assert (columns["user_id"], columns["monthly_fee"], columns["churn_label"]) == ("string", "double", "boolean")
        assert str(workspace.folder) not in f"{dataset.source}{dataset.profile}{dataset.schema}"


def test_the_run_keeps_its_files_and_the_record_names_the_digest_of_each(workspace):
    workspace.train(1.0, "a")
    workspace.register()
    version = open_registry(workspace.url).production()
    (record,) = (workspace.folder / "var/mlartifacts").rglob("provenance.json")
    assert file_sha256(record) == version.tags["streamflow.provenance_sha256"]
    facts = json.loads(record.read_text())
    assert facts["outs"]["data/dataset"] == f"{md5('d')}.dir"
    (run,) = (workspace.folder / "var/mlartifacts").glob("*/artifacts")
    stored = {path.name: path for path in (workspace.folder / "var/mlartifacts").rglob("*") if path.is_file()}
    stored["report.html"] = run / "evaluation/report.html"
    named = {"dvc.lock", "params.yaml", "requirements.lock", "feature_schema.json", "dataset.json"}
    named |= {
        "evaluation/report.html",
        "plots/roc.csv",
        "model/model.onnx",
        "model/feature_schema.json",
        "model/golden.json",
    }
    assert set(facts["artifacts"]) == named
    for name, digest in facts["artifacts"].items():
        assert file_sha256(stored[name.split("/")[-1]]) == digest
    assert facts["dvc_lock_sha256"] == facts["artifacts"]["dvc.lock"]


def test_the_run_keeps_the_report_of_the_evaluation_and_publishes_it_with_the_decision(workspace):
    evaluation = (workspace.folder / "artifacts/evaluation/report.html").read_text(encoding="utf-8")
    workspace.train(1.0, "a")
    workspace.register()
    registry = open_registry(workspace.url)
    version = registry.production()
    assert registry.run_file(version, "evaluation/report.html").decode() == evaluation
    published = registry.attached(version, "report.html")
    assert evaluation_of(published) == evaluation != published
    assert "<strong>In Production</strong> since 20" in published
    assert "Version 1 of streamflow_churn: there was no Production version." in published
    for digest in (version.tags["streamflow.model_sha256"], workspace.made_at(), md5("d"), md5("s")):
        assert digest in published
    assert all(content is not None for content in registry.run_files(version).values())

    workspace.freeze()
    workspace.train(0.00001, "b")
    workspace.register()
    refused = registry.attached(registry.version("2"), "report.html")
    assert "<strong>Not in Production</strong> as of 20" in refused
    assert "against the champion, version 1" in refused
    churners = sum(workspace.rows["churn_label"].to_pylist())
    assert f'<th scope="row">2024-01-31</th><td class="number">600</td><td class="number">{churners}</td>' in refused


def test_a_month_that_is_not_what_was_frozen_is_not_published(workspace, capsys):
    workspace.freeze()
    labels = workspace.folder / "data/snapshots/2024-01-31/labels.parquet"
    pq.write_table(pq.read_table(labels).slice(1), labels)
    workspace.train(1.0, "a")
    workspace.register()
    assert "the report of version 1 is not published: SHA-256 of data/snapshots/2024-01-31" in capsys.readouterr().out
    registry = open_registry(workspace.url)
    with pytest.raises(RegistryError, match="can't be fetched"):
        registry.attached(registry.version("1"), "report.html")


def test_a_report_that_can_not_be_published_is_said_and_stops_nothing(workspace, capsys):
    (workspace.folder / "artifacts/evaluation/report.html").write_text("<html></html>")
    workspace.commit()
    workspace.train(1.0, "a")
    assert workspace.register()["production"] == "1"
    said = capsys.readouterr().out
    assert "the report of version 1 is not published: the report of the evaluation has 0 places for the status" in said
