"""Stage `register` over a real MLflow: what is new, known, damaged, worse or contradictory, and what becomes Production."""

import json
import subprocess

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import yaml
from project import ROOT
from sklearn.linear_model import LogisticRegression
from small_month import joined_month

from stages import register
from streamflow.adapters.registry import open_registry
from streamflow.config import typed
from streamflow.digest import file_sha256
from streamflow.errors import RegistryError
from streamflow.export import export_onnx
from streamflow.metrics import classification_metrics
from streamflow.model import churn_pipeline, fit, pipeline_frame
from streamflow.model_card import feature_schema, golden_rows
from streamflow.schema import service_features
from streamflow.scoring import ChurnModel
from streamflow.splits import split_by_user

pytestmark = pytest.mark.filterwarnings("default")


class Workspace:
    """A project folder after `evaluate`: training set, model, evaluation, dvc.lock, params.yaml, git."""

    def __init__(self, folder, url):
        self.folder, self.url = folder, url
        rows = joined_month(600)
        self.rows = rows.append_column("split", pa.array(split_by_user(rows["user_id"].to_pylist(), "s", 0.2, 0.4)))
        for name in ("params.yaml", "requirements.lock"):
            (folder / name).write_text((ROOT / name).read_text())
        for name in ("data/dataset", "artifacts/model", "artifacts/evaluation/plots"):
            (folder / name).mkdir(parents=True)
        (folder / "conf").mkdir()
        (folder / "dvc.yaml").write_text("stages: {}\n")
        (folder / "artifacts/evaluation/report.html").write_text("<html></html>")
        (folder / "artifacts/evaluation/plots/roc.csv").write_text("x\n")
        (folder / "data/dataset/dataset.json").write_text("{}")
        pq.write_table(self.rows, folder / "data/dataset/dataset.parquet")
        for command in (
            ["init", "-q"],
            ["add", "-A"],
            ["-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "x"],
        ):
            subprocess.run(["git", *command], cwd=folder, check=True)

    def train(self, strength, inputs, service="churn_v1"):
        """A logistic regression; `inputs` stands for all that dvc.lock says went in."""
        features = service_features(service)
        pipeline = fit(
            churn_pipeline(LogisticRegression(C=strength, max_iter=500), features),
            pipeline_frame(self.rows, features),
            np.array(self.rows["churn_label"].to_pylist()),
        )
        content = export_onnx(pipeline, features, 0.4)
        model = ChurnModel(content, features)
        test = self.rows.filter(pc.equal(self.rows["split"], "test"))
        scores = model.score({c.name: test[c.name].to_pylist() for c in features})
        metrics = classification_metrics(test["churn_label"].to_pylist(), *scores)
        artifacts = self.folder / "artifacts"
        (artifacts / "model/model.onnx").write_bytes(content)
        (artifacts / "model/feature_schema.json").write_text(json.dumps(feature_schema(service, 0.4)))
        (artifacts / "model/golden.json").write_text(json.dumps(golden_rows(model, self.rows)))
        (artifacts / "evaluation/metrics.json").write_text(json.dumps(metrics))
        stage = {"deps": [{"path": "inputs", "md5": inputs}], "outs": [{"path": "data/dataset", "md5": "d.dir"}]}
        snapshot = {"outs": [{"path": "data/snapshots/2024-01-31", "md5": "s.dir"}]}
        stages = {"dataset": stage, "train": stage, "snapshot@2024-01-31": snapshot}
        (self.folder / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": stages}))
        return metrics["roc_auc"], file_sha256(artifacts / "model/model.onnx")

    def register(self, policy="auto", service="churn_v1"):
        """Run the stage; what it left for the summary."""
        config = typed(yaml.safe_load((self.folder / "params.yaml").read_text()))
        config.promotion.policy, config.features.service = policy, service
        register.run(config, self.url)
        return json.loads((self.folder / "var/registered.json").read_text())

    def versions(self):
        return [str(version.version) for version in open_registry(self.url).versions()]


@pytest.fixture
def workspace(tmp_path, database_url, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("STREAMFLOW_STATE_DIR", raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return Workspace(tmp_path, database_url)


def test_the_first_model_becomes_production_and_a_second_run_changes_nothing(workspace):
    _, digest = workspace.train(1.0, "a")
    first = workspace.register()
    assert (first["version"], first["production"], first["reason"]) == ("1", "1", "there was no Production version")
    assert workspace.register() == {"version": "1", "production": "1", "reason": "it is Production"}
    version = open_registry(workspace.url).production()
    assert version.tags["streamflow.model_sha256"] == digest
    assert version.tags["streamflow.decision"] == "auto: there was no Production version"
    assert version.tags["streamflow.snapshots"] == '{"2024-01-31": "s.dir"}'
    assert workspace.versions() == ["1"]


def test_a_better_model_takes_over_a_worse_one_does_not_and_neither_is_decided_twice(workspace):
    worse, _ = workspace.train(0.00001, "a")
    workspace.register()
    better, _ = workspace.train(1.0, "b")
    assert better > worse
    assert workspace.register()["production"] == "2"
    workspace.train(0.00001, "c")
    refused = workspace.register()
    assert (refused["version"], refused["production"]) == ("3", "2")
    assert f"roc_auc {worse:.4f} against the champion's {better:.4f}" in refused["reason"]
    workspace.train(1.0, "b")
    open_registry(workspace.url).promote("3")
    assert workspace.register() == {"version": "2", "production": "3", "reason": "registered before; Production stays"}


def test_the_same_inputs_with_another_model_are_an_error_and_no_version(workspace):
    workspace.train(1.0, "a")
    workspace.register()
    workspace.train(0.5, "a")
    with pytest.raises(RegistryError, match="came from the same inputs with model"):
        workspace.register()
    assert workspace.versions() == ["1"]


@pytest.mark.parametrize("damage", ["bytes", "gone"])
def test_a_damaged_production_version_is_replaced(workspace, damage):
    workspace.train(1.0, "a")
    workspace.register()
    (stored,) = (workspace.folder / "var/mlartifacts").rglob("model.onnx")
    stored.unlink() if damage == "gone" else stored.write_bytes(stored.read_bytes()[:-1] + b"\0")
    healed = workspace.register()
    assert (healed["version"], healed["production"]) == ("2", "2")
    assert "version 1, is not usable" in healed["reason"]
    assert workspace.register()["reason"] == "it is Production"


def test_a_version_that_nothing_was_decided_on_is_decided_on(workspace):
    workspace.train(0.00001, "a")
    workspace.register()
    workspace.train(1.0, "b")
    config = typed(yaml.safe_load((workspace.folder / "params.yaml").read_text()))
    registry = open_registry(workspace.url)
    lock = yaml.safe_load((workspace.folder / "dvc.lock").read_text())["stages"]
    fingerprint = register.input_fingerprint(lock, file_sha256(workspace.folder / "requirements.lock"))
    facts = register.gather(config, fingerprint, file_sha256(workspace.folder / "artifacts/model/model.onnx"))
    assert register.register(config, registry, facts) == "2"  # and killed here
    assert workspace.register()["production"] == "2"
    assert workspace.versions() == ["2", "1"]


def test_never_promotes_nothing_and_auto_decides_again(workspace):
    workspace.train(1.0, "a")
    assert workspace.register("never") == {
        "version": "1",
        "production": "none",
        "reason": "promotion.policy is never",
    }
    assert workspace.register("auto")["production"] == "1"


def test_a_champion_of_other_features_stays(workspace):
    workspace.train(1.0, "a", "churn_v2")
    workspace.register(service="churn_v2")
    narrow = workspace.rows.drop_columns(["contract_type"])
    pq.write_table(narrow, workspace.folder / "data/dataset/dataset.parquet")
    workspace.train(1.0, "b")
    refused = workspace.register()
    assert (refused["version"], refused["production"]) == ("2", "1")
    assert "this dataset has no contract_type" in refused["reason"]
