"""Small models, trained and registered as the stages do."""

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import yaml
from project import ROOT

from streamflow.core.digest import bytes_sha256
from streamflow.core.errors import ModelError
from streamflow.core.schema import service_features
from streamflow.model.card import feature_schema, golden_rows
from streamflow.model.export import export_onnx
from streamflow.model.scoring import ChurnModel
from streamflow.model.sklearn_pipeline import churn_pipeline, fit, pipeline_frame
from streamflow.pipeline.file_digest import file_sha256
from streamflow.pipeline.layout import MODEL_FILES
from streamflow.pipeline.project import write_json
from streamflow.registry.registration import Registration
from streamflow.registry.signing import sign_version


def model_folder(tmp_path, rows, strength, service="churn_v1"):
    """A trained model's files as stage `train` writes them, and the digest of its ONNX bytes."""
    from sklearn.linear_model import LogisticRegression

    features = service_features(service)
    pipeline = fit(
        churn_pipeline(LogisticRegression(C=strength, max_iter=500), features),
        pipeline_frame(rows, features),
        np.array(rows["churn_label"].to_pylist()),
    )
    content = export_onnx(pipeline, features, 0.4)
    tmp_path.mkdir(exist_ok=True)
    (tmp_path / "model.onnx").write_bytes(content)
    (tmp_path / "feature_schema.json").write_text(json.dumps(feature_schema(service, 0.4)))
    (tmp_path / "golden.json").write_text(json.dumps(golden_rows(ChurnModel(content, features), rows)))
    return tmp_path, bytes_sha256(content)


def register(registry, folder, digest, fingerprint):
    """Commit the receipts of such a folder to a repository where we are, register the folder, and sign for it."""
    commit = commit_of(folder, fingerprint)
    tags = {
        "streamflow.model_sha256": digest,
        "streamflow.input_fingerprint": fingerprint,
        "streamflow.feature_service": "churn_v1",
        "streamflow.git_commit": commit,
        "streamflow.as_of": "2024-01-31",
        "streamflow.changes_sha256": "",
    }
    version = registry.register(
        Registration(
            model_folder=folder,
            artifacts={str(folder / "golden.json"): "", str(folder): "folder"},
            params={"seed": 42},
            metrics={"roc_auc": 0.8, "training_seconds": 1.5},
            tags=tags,
            run_tags={"mlflow.source.git.commit": commit},
            description="a test",
        )
    )
    with suppress(ModelError):  # a model without golden rows
        sign_version(registry, version, commit)
    return version


def commit_of(folder, inputs):
    """A commit as the stages leave one for a model, in a repository where we are; no file is written beside .git.

    `inputs` stands for all that went in.
    """
    if not Path(".git").exists():
        git("init", "--quiet")
    made = {f"artifacts/model/{name}": file_sha256(folder / name) for name in MODEL_FILES if (folder / name).exists()}
    stages = {
        "dataset": locked({"inputs": inputs}, {"data/dataset": inputs}),
        "train": locked({"inputs": inputs}, {"artifacts/model": made["artifacts/model/model.onnx"]}),
    }
    with tempfile.TemporaryDirectory() as scratch:
        here = Path(scratch)
        for name in ("params.yaml", "requirements.lock"):
            shutil.copy(ROOT / name, here / name)
        receipts = {"train": made, "dataset": {"data/dataset/dataset.parquet": bytes_sha256(inputs.encode())}}
        for stage, files in receipts.items():
            write_json(here / f"artifacts/sha256/{stage}.json", {"files": files, "stage": stage})
        (here / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": stages}))
        place = {
            "GIT_WORK_TREE": scratch,
            "GIT_INDEX_FILE": f"{scratch}/.index",
            "GIT_DIR": str(Path(".git").resolve()),
        }
        git("add", "--all", ".", ":!.index", **place)
        tree = git("write-tree", **place)
    made_at = git("-c", "user.name=t", "-c", "user.email=t@t", "commit-tree", tree, "-m", inputs)
    git("update-ref", f"refs/heads/{made_at[:12]}", made_at)
    return made_at


def git(*command, **environment):
    done = subprocess.run(
        ["git", *command], check=True, capture_output=True, text=True, env={**os.environ, **environment}
    )
    return done.stdout.strip()


def locked(deps, outs):
    """A stage's entry of dvc.lock; the texts stand for contents."""

    def md5(text):
        return hashlib.md5(text.encode()).hexdigest()

    return {
        "cmd": "true",
        "deps": [{"path": path, "md5": md5(text), "size": 1} for path, text in deps.items()],
        "outs": [{"path": path, "md5": f"{md5(text)}.dir", "size": 1, "nfiles": 1} for path, text in outs.items()],
    }
