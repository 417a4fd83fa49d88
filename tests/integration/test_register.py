"""Stage `register` over a real MLflow: what is new, known, damaged, worse or contradictory, and what becomes Production."""

import hashlib
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
from small_evaluation import small_evaluation
from small_month import joined_month

from stages import register
from streamflow.adapters import gates
from streamflow.adapters.registry import open_registry
from streamflow.config import typed
from streamflow.digest import file_sha256
from streamflow.errors import RegistryError
from streamflow.export import export_onnx
from streamflow.metrics import classification_metrics
from streamflow.model import churn_pipeline, fit, pipeline_frame
from streamflow.model_card import feature_schema, golden_rows
from streamflow.report import evaluation_of, render_report
from streamflow.schema import TABLES, service_features
from streamflow.scoring import ChurnModel
from streamflow.splits import split_by_user

pytestmark = pytest.mark.filterwarnings("default")


def md5(text):
    return hashlib.md5(text.encode()).hexdigest()


def locked(deps=None, outs=None):
    """A stage's entry of dvc.lock; the texts stand for contents."""
    return {
        "cmd": "true",
        "deps": [{"path": path, "md5": md5(text), "size": 1} for path, text in (deps or {}).items()],
        "outs": [
            {"path": path, "md5": f"{md5(text)}.dir", "size": 1, "nfiles": 1} for path, text in (outs or {}).items()
        ],
    }


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
        (folder / "artifacts/evaluation/report.html").write_text(render_report(small_evaluation()), encoding="utf-8")
        (folder / "artifacts/evaluation/plots/roc.csv").write_text("x\n")
        (folder / "data/dataset/dataset.json").write_text("{}")
        pq.write_table(self.rows, folder / "data/dataset/dataset.parquet")
        self.git("init", "-q")
        self.commit()

    def git(self, *command):
        identity = ("-c", "user.name=t", "-c", "user.email=t@t")
        return subprocess.run(
            ["git", *identity, *command], cwd=self.folder, check=True, capture_output=True, text=True
        ).stdout.strip()

    def commit(self):
        self.git("add", "-A", ".", ":!var")
        self.git("commit", "-qm", "x")

    def head(self):
        return self.git("rev-parse", "HEAD")

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
        stages = {
            "snapshot@2024-01-31": locked(outs={"data/snapshots/2024-01-31": "s"}),
            "dataset": locked({"inputs": inputs}, {"data/dataset": "d"}),
            "train": locked({"inputs": inputs}, {"artifacts/model": inputs}),
        }
        (self.folder / "inputs").write_text(inputs)
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
    # The stages are not in this folder; tests/e2e fits again for real.
    monkeypatch.setattr(gates, "refit_sha256", lambda: file_sha256(tmp_path / "artifacts/model/model.onnx"))
    return Workspace(tmp_path, database_url)


def test_the_first_model_becomes_production_and_a_second_run_changes_nothing(workspace):
    _, digest = workspace.train(1.0, "a")
    first = workspace.register()
    assert (first["version"], first["production"], first["reason"]) == ("1", "1", "there was no Production version")
    assert workspace.register() == {"version": "1", "production": "1", "reason": "it is Production"}
    version = open_registry(workspace.url).production()
    assert version.tags["streamflow.model_sha256"] == digest
    assert version.tags["streamflow.decision"] == "promoted: there was no Production version"
    assert version.tags["streamflow.snapshots"] == json.dumps({"2024-01-31": f"{md5('s')}.dir"})
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
    lock = register.locked_stages()
    fingerprint = register.input_fingerprint(lock, file_sha256(workspace.folder / "requirements.lock"))
    model_sha256 = file_sha256(workspace.folder / "artifacts/model/model.onnx")
    assert register.register(config, registry, fingerprint, model_sha256) == "2"  # and killed here
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


def test_a_dirty_run_is_registered_with_its_changes_and_waits_for_a_commit(workspace):
    params = workspace.folder / "params.yaml"
    params.write_text(params.read_text().replace("min_samples_leaf: 8", "min_samples_leaf: 9"))
    (workspace.folder / "streamflow").mkdir()
    (workspace.folder / "streamflow/new_helper.py").write_text("x = 1\n")
    workspace.train(1.0, "a")
    refused = workspace.register()
    assert (refused["version"], refused["production"]) == ("1", "none")
    assert refused["reason"].startswith(
        "gate clean git tree: params.yaml changed since the commit; streamflow/new_helper.py in no commit"
    )
    (version,) = open_registry(workspace.url).versions()
    assert version.tags["streamflow.git_dirty"] == "true"
    (patch,) = (workspace.folder / "var/mlartifacts").rglob("changes.patch")
    assert file_sha256(patch) == version.tags["streamflow.changes_sha256"]
    assert "+  min_samples_leaf: 9" in patch.read_text()
    assert "+x = 1" in patch.read_text()
    assert "dvc.lock" in patch.read_text()  # it is in no commit either
    assert workspace.register()["reason"] == "registered before; Production stays"

    workspace.commit()
    promoted = workspace.register()
    assert (promoted["version"], promoted["production"]) == ("1", "1")
    tags = open_registry(workspace.url).production().tags
    assert (tags["streamflow.git_dirty"], tags["streamflow.changes_sha256"]) == ("false", "")
    assert tags["streamflow.git_commit"] == workspace.head() != tags["streamflow.trained_at_commit"]


def test_a_result_of_code_that_is_not_here_any_more_is_not_promoted(workspace):
    workspace.train(1.0, "a")
    (workspace.folder / "inputs").write_text("what git has, and the run had not")
    refused = workspace.register()
    assert refused["production"] == "none"
    assert "gate code: the run read another inputs than is here now" in refused["reason"]
    (version,) = open_registry(workspace.url).versions()
    assert version.tags["streamflow.git_dirty"] == "true"


def test_a_version_that_explored_does_not_become_that_of_a_commit_with_another_evaluation(workspace):
    (workspace.folder / "params.yaml").write_text((workspace.folder / "params.yaml").read_text() + "# edited\n")
    workspace.train(1.0, "a")
    workspace.register()
    lock = workspace.folder / "dvc.lock"
    lock.write_text(lock.read_text().replace(md5("d"), md5("e")))
    workspace.commit()
    again = workspace.register()
    assert (again["version"], again["production"]) == ("2", "2")
    tags = {str(version.version): version.tags for version in open_registry(workspace.url).versions()}
    assert (tags["1"]["streamflow.git_dirty"], tags["2"]["streamflow.git_dirty"]) == ("true", "false")


def test_a_version_made_with_other_packages_gives_way_to_the_one_of_the_lock(workspace, capsys):
    workspace.train(0.5, "a")
    workspace.register("never")
    other = {"environment_matches_lock": "false", "environment_differences": "numpy 1.0 (locked 2.0)"}
    open_registry(workspace.url).set_tags("1", other)
    workspace.train(1.0, "a")
    assert workspace.register()["production"] == "2"
    assert "version 1 of the same inputs was made with numpy 1.0 (locked 2.0)" in capsys.readouterr().out


def test_a_model_that_another_process_fits_otherwise_is_not_promoted(workspace, monkeypatch):
    workspace.train(1.0, "a")
    monkeypatch.setattr(gates, "refit_sha256", lambda: "0" * 64)
    refused = workspace.register()
    assert refused["production"] == "none"
    assert "gate re-fit: another process made 000000000000" in refused["reason"]


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
    named = {"changes.patch", "dvc.lock", "params.yaml", "requirements.lock", "feature_schema.json", "dataset.json"}
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
    published = registry.attachment(version, "report.html").decode()
    assert evaluation_of(published) == evaluation != published
    assert "<strong>In Production</strong> since 20" in published
    assert "Version 1 of streamflow_churn: there was no Production version." in published
    for digest in (version.tags["streamflow.model_sha256"], workspace.head(), md5("d"), md5("s")):
        assert digest in published
    assert all(content is not None for content in registry.run_files(version).values())

    for table in TABLES:
        rows = workspace.rows.select([name for name in table.header if name in workspace.rows.column_names])
        path = workspace.folder / "data/snapshots/2024-01-31" / f"{table.name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(rows, path)
    workspace.train(0.00001, "b")
    workspace.register()
    refused = registry.attachment(registry.version("2"), "report.html").decode()
    assert "<strong>Not in Production</strong> as of 20" in refused
    assert "against the champion, version 1" in refused
    churners = sum(workspace.rows["churn_label"].to_pylist())
    assert f'<th scope="row">2024-01-31</th><td class="number">600</td><td class="number">{churners}</td>' in refused


def test_a_report_that_can_not_be_published_is_said_and_stops_nothing(workspace, capsys):
    (workspace.folder / "artifacts/evaluation/report.html").write_text("<html></html>")
    workspace.commit()
    workspace.train(1.0, "a")
    assert workspace.register()["production"] == "1"
    said = capsys.readouterr().out
    assert "the report of version 1 is not published: the report of the evaluation has 0 places for the status" in said
