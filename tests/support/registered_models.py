"""Small models, trained and registered as the stages do."""

import json

import numpy as np

from streamflow.core.digest import bytes_sha256
from streamflow.core.schema import service_features
from streamflow.model.card import feature_schema, golden_rows
from streamflow.model.export import export_onnx
from streamflow.model.scoring import ChurnModel
from streamflow.model.sklearn_pipeline import churn_pipeline, fit, pipeline_frame
from streamflow.registry.registration import Registration


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
    """Register such a folder."""
    tags = {
        "streamflow.model_sha256": digest,
        "streamflow.input_fingerprint": fingerprint,
        "streamflow.feature_service": "churn_v1",
        "streamflow.git_commit": "abc",
        "streamflow.as_of": "2024-01-31",
        "streamflow.changes_sha256": "",
    }
    return registry.register(
        Registration(
            model_folder=folder,
            artifacts={str(folder / "golden.json"): "", str(folder): "folder"},
            params={"seed": 42},
            metrics={"roc_auc": 0.8, "training_seconds": 1.5},
            tags=tags,
            run_tags={"mlflow.source.git.commit": "abc"},
            description="a test",
        )
    )
