"""Stage `register` over a real MLflow: what is new, known, damaged, worse or contradictory, and what becomes Production."""

import hashlib
import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import yaml
from click.testing import CliRunner
from project import ROOT
from sklearn.linear_model import LogisticRegression
from small_evaluation import small_evaluation
from small_month import joined_month

from stages import register
from streamflow.cli.models import models
from streamflow.cli.promote import promote
from streamflow.cli.rollback import rollback
from streamflow.core.config import parse_config
from streamflow.core.errors import ModelError, RegistryError
from streamflow.core.schema import TABLES, service_features
from streamflow.evaluation.metrics import classification_metrics
from streamflow.features.dataset import dataset_schema, summary
from streamflow.features.splits import split_by_user
from streamflow.model.card import feature_schema, golden_rows
from streamflow.model.export import export_onnx
from streamflow.model.scoring import ChurnModel
from streamflow.model.sklearn_pipeline import churn_pipeline, fit, pipeline_frame
from streamflow.operations.promote import gates as promotion
from streamflow.operations.promote.gates import version_gates
from streamflow.pipeline.dvc_hash import content_of
from streamflow.pipeline.file_digest import file_sha256
from streamflow.pipeline.parquet import write_parquet
from streamflow.promotion import gates
from streamflow.promotion.ledger import entries
from streamflow.registry.decision import decision_of
from streamflow.registry.registry import open_registry
from streamflow.report.report import evaluation_of, render_report

pytestmark = pytest.mark.filterwarnings("default")
SPLIT = {"salt": "s", "validation": 0.2, "test": 0.4}


def md5(text):
    return hashlib.md5(text.encode()).hexdigest()


def replaced(rows, name, values):
    """The rows with another column of that name."""
    return rows.set_column(rows.schema.get_field_index(name), rows.schema.field(name).with_type(values.type), values)


def locked(deps=None, outs=None, md5s=None):
    """A stage's entry of dvc.lock; the texts stand for contents, unless `md5s` is the MD5 of all outputs."""
    return {
        "cmd": "true",
        "deps": [{"path": path, "md5": md5(text), "size": 1} for path, text in (deps or {}).items()],
        "outs": [
            {"path": path, "md5": md5s or f"{md5(text)}.dir", "size": 1, "nfiles": 1}
            for path, text in (outs or {}).items()
        ],
    }


class Workspace:
    """A project folder after `evaluate`: training set, model, evaluation, dvc.lock, params.yaml, git."""

    def __init__(self, folder, url):
        self.folder, self.url, self.snapshot_md5 = folder, url, None
        rows = joined_month(600)
        moments = pa.array([datetime(2024, 1, 31, tzinfo=UTC)] * rows.num_rows, pa.timestamp("us", tz="UTC"))
        split = pa.array(split_by_user(rows["user_id"].to_pylist(), **SPLIT))
        self.rows = rows.append_column("as_of", moments).append_column("split", split)
        (folder / "requirements.lock").write_text((ROOT / "requirements.lock").read_text())
        (folder / "params.yaml").write_text((ROOT / "params.yaml").read_text())
        self.set("split", **SPLIT)
        for name in ("data/dataset", "artifacts/model", "artifacts/cross_validation", "artifacts/evaluation/plots"):
            (folder / name).mkdir(parents=True)
        (folder / "artifacts/cross_validation/metrics.json").write_text('{"roc_auc": 0.75, "roc_auc_fold_sd": 0.01}')
        (folder / "conf").mkdir()
        (folder / "dvc.yaml").write_text("stages: {}\n")
        (folder / ".gitignore").write_text("/data/\n")
        (folder / "artifacts/evaluation/report.html").write_text(render_report(small_evaluation()), encoding="utf-8")
        (folder / "artifacts/evaluation/plots/roc.csv").write_text("x\n")
        self.write_dataset()
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

    def set(self, section, **values):
        """Change params.yaml; where it is in git, commit it afterwards."""
        path = self.folder / "params.yaml"
        params = yaml.safe_load(path.read_text())
        params[section] |= values
        path.write_text(yaml.safe_dump(params, sort_keys=False))

    def write_dataset(self, service="churn_v1"):
        """The training set as stage `dataset` leaves it."""
        dataset = self.rows.select(dataset_schema(service).names)
        pq.write_table(dataset, self.folder / "data/dataset/dataset.parquet")
        counts = summary(dataset, "2024-01-31", "2024-01-31", service)
        (self.folder / "data/dataset/dataset.json").write_text(json.dumps(counts))

    def head(self):
        return self.git("rev-parse", "HEAD")

    def train(self, strength, inputs, service="churn_v1"):
        """A logistic regression; `inputs` stands for all that dvc.lock says went in."""
        self.write_dataset(service)
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
            "snapshot@2024-01-31": locked(outs={"data/snapshots/2024-01-31": "s"}, md5s=self.snapshot_md5),
            "dataset": locked({"inputs": inputs}, {"data/dataset": "d"}),
            "train": locked({"inputs": inputs}, {"artifacts/model": inputs}),
        }
        (self.folder / "inputs").write_text(inputs)
        (self.folder / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": stages}))
        return metrics["roc_auc"], file_sha256(artifacts / "model/model.onnx")

    def freeze(self):
        """The frozen files of the month, and from now on their MD5 in dvc.lock."""
        for table in TABLES:
            write_parquet(
                self.folder / f"data/snapshots/2024-01-31/{table.name}.parquet",
                self.rows.select(table.header).schema,
                self.rows.select(table.header).sort_by([("user_id", "descending")]).to_batches(),
            )
        content = content_of(Path("data/snapshots/2024-01-31"))
        self.snapshot_md5 = content.md5
        files = {f"data/snapshots/2024-01-31/{name}": digest for name, digest in content.files_sha256.items()}
        receipt = self.folder / "artifacts/sha256/snapshot@2024-01-31.json"
        receipt.parent.mkdir(parents=True, exist_ok=True)
        receipt.write_text(json.dumps({"stage": "snapshot@2024-01-31", "files": files}))

    def register(self, policy="auto", service="churn_v1", **promotion):
        """Run the stage; what it left for the summary."""
        config = parse_config(yaml.safe_load((self.folder / "params.yaml").read_text()))
        config.features.service = service
        for name, value in {"policy": policy, **promotion}.items():
            config.promotion[name] = value
        register.run(config, self.url)
        return json.loads((self.folder / "var/registered.json").read_text())

    def refused(self, **promotion):
        """Register a version that changes nothing: neither Production nor the ledger; the reason that it keeps."""
        before = open_registry(self.url).production()
        lines = entries(self.url)
        done = self.register(**promotion)
        assert done["production"] == (str(before.version) if before else "none")
        after = open_registry(self.url).production()
        assert (after and after.version) == (before and before.version)
        assert entries(self.url) == lines
        assert self.version(done["version"]).tags["streamflow.decision"] == done["reason"]
        assert decision_of(self.version(done["version"])).reason == done["reason"]
        return done["reason"]

    def version(self, number):
        return open_registry(self.url).version(number)

    def test_user_ids(self):
        return self.rows.filter(pc.equal(self.rows["split"], "test"))["user_id"].to_pylist()

    def test_users(self):
        return len(self.test_user_ids())

    def versions(self):
        return [str(version.version) for version in open_registry(self.url).versions()]


@pytest.fixture
def workspace(tmp_path, registry_database_url, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("STREAMFLOW_STATE_DIR", raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    # The stages are not in this folder; tests/e2e fits again for real.
    monkeypatch.setattr(gates, "refit_sha256", lambda: file_sha256(tmp_path / "artifacts/model/model.onnx"))
    return Workspace(tmp_path, registry_database_url)


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
    assert f"roc_auc {worse:.4f} against the champion's {better:.4f} (version 2)" in refused["reason"]
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
    config = parse_config(yaml.safe_load((workspace.folder / "params.yaml").read_text()))
    registry = open_registry(workspace.url)
    lock = register.locked_stages()
    fingerprint = register.input_fingerprint(lock, file_sha256(workspace.folder / "requirements.lock"))
    model_sha256 = file_sha256(workspace.folder / "artifacts/model/model.onnx")
    assert register.register(config, registry, fingerprint, model_sha256) == "2"  # and killed here
    assert workspace.register()["production"] == "2"
    assert workspace.versions() == ["2", "1"]


def test_never_promotes_nothing_and_auto_decides_again(workspace):
    workspace.train(1.0, "a")
    never = {"version": "1", "production": "none", "reason": "promotion.policy is never"}
    assert workspace.register("never") == never
    assert workspace.register("never")["reason"] == "registered before; Production stays"
    assert workspace.register("auto")["production"] == "1"


def test_manual_compares_and_leaves_the_decision_to_a_person_and_auto_decides_again(workspace):
    workspace.train(0.00001, "a")
    first = workspace.register("manual")
    assert first["production"] == "none"
    assert first["reason"] == (
        "promotion.policy is manual, `streamflow promote vN` decides; there was no Production version"
    )
    assert workspace.register("manual")["reason"] == "registered before; Production stays"
    assert workspace.register("auto")["production"] == "1"
    workspace.train(1.0, "b")
    second = workspace.register("manual")
    assert (second["version"], second["production"]) == ("2", "1")
    assert second["reason"].startswith("promotion.policy is manual, `streamflow promote vN` decides; roc_auc 0.")
    record = decision_of(workspace.version("2"))
    assert (record.promote, record.rule.policy, record.champion_version) == (False, "manual", "1")
    assert record.comparison.metrics["roc_auc"].low > 0
    gates = version_gates(open_registry(workspace.url), workspace.version("2"))
    assert {gate.name for gate in gates if gate.passed} >= {"leakage", "overlap", "champion"}
    assert workspace.register("auto")["production"] == "2"


def test_an_equal_challenger_is_refused(workspace):
    workspace.train(1.0, "a")
    workspace.register()
    workspace.train(1.0, "b")
    refused = workspace.refused()
    assert (
        refused
        == f"equal: it ranks the users like the champion, version 1, on the same {workspace.test_users()} test users"
    )


def test_a_challenger_that_is_worse_is_refused_with_the_numbers(workspace):
    better, _ = workspace.train(1.0, "a")
    workspace.register()
    worse, _ = workspace.train(0.00001, "b")
    refused = workspace.refused()
    assert refused.startswith(
        f"roc_auc {worse:.4f} against the champion's {better:.4f} (version 1) on the same {workspace.test_users()} test"
        f" users: worse by {better - worse:.4f}, with 95 % confidence by at least 0."
    )
    shut = {gate.name: gate.detail for gate in version_gates(open_registry(workspace.url), workspace.version("2"))}
    assert shut["champion"].startswith(f"roc_auc {worse:.4f} is below {better:.4f} of the champion, version 1")


def test_a_challenger_that_is_better_by_less_than_delta_is_refused(workspace):
    workspace.train(0.00001, "a")
    workspace.register()
    workspace.train(1.0, "b")
    refused = workspace.refused(delta=0.3)
    assert ": better by 0." in refused
    assert refused.endswith(", less than promotion.delta=0.3")


def test_a_difference_that_could_be_chance_is_refused(workspace):
    workspace.train(0.3, "a")
    workspace.register()
    workspace.train(1.0, "b")
    assert workspace.refused(confidence=0.999, resamples=5000).endswith(", not better with 99.9 % confidence")
    record = decision_of(workspace.version("2"))
    assert (record.rule.confidence, record.rule.resamples, record.rule.seed) == (0.999, 5000, 42)
    assert record.comparison.users == workspace.test_users()


def test_a_model_that_saw_a_leaked_column_is_refused_even_as_the_first(workspace):
    label = workspace.rows["churn_label"].to_pylist()
    leaked = pa.array([int(churned) * 5 for churned in label], pa.int64())
    workspace.rows = replaced(workspace.rows, "skips_7d", leaked)
    workspace.train(1.0, "a")
    assert workspace.refused() == (
        "gate leakage: skips_7d alone ranks the test users with ROC AUC 1.0000, above promotion.leak_auc=0.95: it reveals"
        " the label; train without it, or on an earlier value"
    )
    assert workspace.register()["reason"] == "registered before; Production stays"
    shut = {gate.name for gate in version_gates(open_registry(workspace.url), workspace.version("1")) if gate.detail}
    assert "leakage" in shut
    assert workspace.register(leak_auc=1.0)["production"] == "1"  # a limit of 1 is none


def test_a_feature_that_is_dated_after_as_of_is_refused(workspace):
    later = [datetime(2024, 1, 31, tzinfo=UTC)] * (workspace.rows.num_rows - 2) + [
        datetime(2024, 2, 29, tzinfo=UTC)
    ] * 2
    workspace.rows = replaced(workspace.rows, "as_of", pa.array(later, pa.timestamp("us", tz="UTC")))
    workspace.train(1.0, "a")
    assert workspace.refused().startswith("gate leakage: 2 rows of data/dataset are dated after as_of=2024-01-31;")


def test_a_model_judged_by_users_who_trained_the_champion_is_refused(workspace, monkeypatch):
    workspace.train(0.00001, "a")
    workspace.register()
    split = {**SPLIT, "salt": "another"}
    workspace.set("split", **split)
    workspace.commit()
    users = workspace.rows["user_id"].to_pylist()
    before = set(workspace.test_user_ids())
    workspace.rows = replaced(workspace.rows, "split", pa.array(split_by_user(users, **split)))
    workspace.train(1.0, "b")
    trained = len(set(workspace.test_user_ids()) - before)
    assert 0 < trained < workspace.test_users()
    assert workspace.refused() == (
        f"gate overlap: {trained} of {workspace.test_users()} test users trained the champion, version 1 (split.salt was s,"
        " is another); `streamflow repro split.salt=s`, or `streamflow promote vN --force --reason WHY`"
    )
    compared = decision_of(workspace.version("2")).comparison
    assert compared.users == workspace.test_users() - trained  # held out by both

    monkeypatch.setenv("STREAMFLOW_DATABASE_URL", workspace.url)
    monkeypatch.setattr(promotion, "health_gates", lambda: [])  # what doctor finds here is not what is asked
    by_hand = CliRunner().invoke(promote, ["v2"])
    assert f"overlap: {trained} of" in str(by_hand.exception)
    assert str(open_registry(workspace.url).production().version) == "1"
    assert CliRunner().invoke(promote, ["v2", "--force", "--reason", "a new split"]).exit_code == 0
    line = entries(workspace.url)[-1]
    assert (line.to_version, line.gates["overlap"][: len(f"{trained} of")]) == ("2", f"{trained} of")
    said = workspace.version("2").description.splitlines()[-1]
    assert said == line.in_one_line()
    assert ": a new split; failed gates overridden: " in said


def test_a_training_set_whose_split_is_not_the_hash_s_is_refused(workspace):
    first, *others = workspace.rows["split"].to_pylist()
    parts = ["train" if first == "test" else "test", *others]
    workspace.rows = replaced(workspace.rows, "split", pa.array(parts))
    workspace.train(1.0, "a")
    refused = workspace.refused()
    assert refused.startswith(
        "gate overlap: 1 of 600 users of data/dataset are in another part than the section split of"
    )


def test_a_champion_of_other_features_is_compared_on_the_frozen_files(workspace):
    workspace.train(1.0, "a", "churn_v2")
    workspace.register(service="churn_v2")
    workspace.freeze()
    worse, _ = workspace.train(0.00001, "b")
    assert "contract_type" not in pq.read_schema("data/dataset/dataset.parquet").names
    refused = workspace.refused()
    assert f"roc_auc {worse:.4f} against the champion's" in refused
    champion = open_registry(workspace.url).production()
    of_its_run = open_registry(workspace.url).run_metrics(champion)
    compared = decision_of(workspace.version("2")).comparison.metrics
    assert {name: compared[name].champion for name in compared} == {name: of_its_run[name] for name in compared}


def test_a_snapshot_that_is_not_the_locked_one_is_not_compared_with(workspace):
    workspace.train(1.0, "a", "churn_v2")
    workspace.register(service="churn_v2")
    workspace.freeze()
    (workspace.folder / "data/snapshots/2024-01-31/users.parquet").unlink()
    workspace.train(1.0, "b")
    with pytest.raises(ModelError, match=r"data/snapshots/2024-01-31 differs from dvc\.lock"):
        workspace.register()


def test_a_better_challenger_is_promoted_with_the_numbers_in_the_ledger_and_rolled_back(workspace, monkeypatch):
    champion, _ = workspace.train(0.00001, "a")
    workspace.register()
    challenger, _ = workspace.train(1.0, "b")
    promoted = workspace.register()
    assert promoted["production"] == "2"
    registry = open_registry(workspace.url)
    version = registry.production()
    record = decision_of(version)
    each = record.comparison.metrics["roc_auc"]
    assert (each.challenger, each.champion) == (challenger, champion)
    assert 0 < each.low < each.delta < each.high
    line = entries(workspace.url)[-1]
    assert (line.from_version, line.to_version, line.gates) == ("1", "2", {})
    assert line.why == f"by policy: {promoted['reason']}"
    assert f"better by {each.delta:.4f}, with 95 % confidence by at least {each.low:.4f}" in line.why
    assert version.tags["streamflow.decision"] == f"promoted: {promoted['reason']}"

    metrics = registry.run_metrics(version)
    assert metrics["champion_roc_auc"] == champion
    assert (metrics["cv_roc_auc"], metrics["cv_roc_auc_fold_sd"]) == (0.75, 0.01)
    assert (metrics["delta_roc_auc"], metrics["delta_roc_auc_low"]) == (each.delta, each.low)
    assert metrics["delta_average_precision_high"] == record.comparison.metrics["average_precision"].high
    kept = json.loads(registry.attachment(version, "decision.json"))
    assert kept == record.to_json() == json.loads(version.tags["streamflow.comparison"])
    assert [(gate["name"], gate["state"]) for gate in kept["gates"]] == [
        (name, "open")
        for name in ("leakage", "overlap", "clean git tree", "code", "environment", "source drift", "re-fit")
    ]

    monkeypatch.setenv("STREAMFLOW_DATABASE_URL", workspace.url)
    assert CliRunner().invoke(rollback, ["--reason", "it was a trial"]).exit_code == 0
    assert str(registry.production().version) == "1"
    last = entries(workspace.url)[-1]
    for number in ("1", "2"):
        description = workspace.version(number).description
        assert description == f"random_forest on churn_v1 as of 2024-01-31\n\n{last.in_one_line()}"
        assert description.endswith(": rollback 2 to 1: it was a trial")
    listed = json.loads(CliRunner().invoke(models, ["--json"]).output)
    assert [each["model"] for each in listed] == ["random_forest on churn_v1 as of 2024-01-31"] * 2
    assert listed[0]["decision_in_short"] == f"promoted, roc_auc {each.delta:+.4f}"
    assert listed[0]["comparison"] == record.to_json()
    table = CliRunner().invoke(models, []).output
    assert "decision" in table.splitlines()[0]
    assert "it was a trial" not in table


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
                "mlflow.source.git.commit": workspace.head(),
                "dvc.md5": f"{md5('d')}.dir",
                "split": part,
            }
        }
        columns = {each["name"]: each["type"] for each in json.loads(dataset.schema)["mlflow_colspec"]}
        assert (columns["user_id"], columns["monthly_fee"], columns["churn_label"]) == ("string", "double", "boolean")
        assert str(workspace.folder) not in f"{dataset.source}{dataset.profile}{dataset.schema}"


def test_a_dirty_run_is_registered_with_its_changes_and_waits_for_a_commit(workspace):
    params = workspace.folder / "params.yaml"
    params.write_text(params.read_text().replace("min_samples_leaf: 8", "min_samples_leaf: 9"))
    (workspace.folder / "streamflow").mkdir()
    (workspace.folder / "streamflow/new_helper.py").write_text("x = 1\n")
    workspace.train(1.0, "a")
    refused = workspace.register()
    assert (refused["version"], refused["production"]) == ("1", "none")
    assert refused["reason"].startswith(
        "gate clean git tree: params.yaml changed since the commit; streamflow/new_helper.py not committed"
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
    assert "gate code: inputs changed since the run read it" in refused["reason"]
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
    assert "gate re-fit: a second training on the same inputs made model 000000000000" in refused["reason"]


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

    workspace.freeze()
    workspace.train(0.00001, "b")
    workspace.register()
    refused = registry.attachment(registry.version("2"), "report.html").decode()
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
        registry.attachment(registry.version("1"), "report.html")


def test_a_report_that_can_not_be_published_is_said_and_stops_nothing(workspace, capsys):
    (workspace.folder / "artifacts/evaluation/report.html").write_text("<html></html>")
    workspace.commit()
    workspace.train(1.0, "a")
    assert workspace.register()["production"] == "1"
    said = capsys.readouterr().out
    assert "the report of version 1 is not published: the report of the evaluation has 0 places for the status" in said
