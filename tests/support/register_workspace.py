"""A project folder as stage `register` finds it, with small models that take no pipeline to make."""

import hashlib
import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import yaml
from project import ROOT
from sklearn.linear_model import LogisticRegression
from small_evaluation import small_evaluation
from small_month import joined_month

from stages import register
from streamflow.core.config import parse_config
from streamflow.core.schema import TABLES, service_features
from streamflow.evaluation.metrics import classification_metrics
from streamflow.features.dataset import dataset_schema, summary
from streamflow.features.splits import split_by_user
from streamflow.model.card import feature_schema, golden_rows
from streamflow.model.export import export_onnx
from streamflow.model.scoring import ChurnModel
from streamflow.model.sklearn_pipeline import churn_pipeline, fit, pipeline_frame
from streamflow.pipeline.dvc_hash import content_of
from streamflow.pipeline.file_digest import file_sha256
from streamflow.pipeline.layout import MODEL_FILES
from streamflow.pipeline.parquet import write_parquet
from streamflow.pipeline.project import write_json
from streamflow.promotion.ledger import entries
from streamflow.registry.decision import decision_of
from streamflow.registry.registry import open_registry
from streamflow.report.report import render_report

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
        receipts = [{f"artifacts/sha256/{name}.json": {"cache": False}} for name in ("dataset", "train")]
        scores = [{"artifacts/evaluation/metrics.json": {"cache": False}}]
        train = {"cmd": "true", "outs": receipts, "metrics": scores}
        (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"train": train}}))
        ignored = ("data", "artifacts/model", "artifacts/evaluation/*", "artifacts/cross_validation")
        (folder / ".gitignore").write_text(
            "".join(f"/{name}\n" for name in ignored) + "!/artifacts/evaluation/metrics.json\n"
        )
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
        self.git("commit", "-qm", "x", "--allow-empty")

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

    def made_at(self, number="1"):
        """The commit of a version: HEAD with the results of its run."""
        commit = self.version(number).tags["streamflow.git_commit"]
        assert self.git("rev-parse", f"{commit}^") == self.head()
        return commit

    def train(self, strength, inputs, service="churn_v1"):
        """A logistic regression; `inputs` stands for all that dvc.lock says went in."""
        if yaml.safe_load((self.folder / "params.yaml").read_text())["features"]["service"] != service:
            self.set("features", service=service)
            self.commit()
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
        self.receipt("train", *(f"artifacts/model/{name}" for name in MODEL_FILES))
        self.receipt("dataset", "data/dataset/dataset.parquet")
        (self.folder / "inputs").write_text(inputs)
        (self.folder / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": stages}))
        return metrics["roc_auc"], file_sha256(artifacts / "model/model.onnx")

    def receipt(self, stage, *names):
        """The receipt of a stage."""
        files = {name: file_sha256(self.folder / name) for name in names}
        write_json(self.folder / f"artifacts/sha256/{stage}.json", {"files": files, "stage": stage})

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
