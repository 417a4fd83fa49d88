"""Where files lie: what people, dvc.yaml and the tags of registered versions call them."""

from pathlib import Path

import yaml
from project import ROOT

from streamflow.pipeline import layout

LAYOUT = {
    "CONF": "conf",
    "PARAMS": "params.yaml",
    "PIPELINE": "dvc.yaml",
    "LOCK": "dvc.lock",
    "REQUIREMENTS": "requirements.lock",
    "FEATURE_REPO": "feature_repo",
    "SCHEMA_MODULE": "streamflow/core/schema.py",
    "SNAPSHOTS": "data/snapshots",
    "DATASET": "data/dataset",
    "DATASET_ROWS": "data/dataset/dataset.parquet",
    "DATASET_COUNTS": "data/dataset/dataset.json",
    "CHOICES": "artifacts/config.json",
    "INGEST_RECEIPTS": "artifacts/ingest",
    "ERASURES": "artifacts/erasures",
    "RECEIPTS": "artifacts/sha256",
    "MODEL": "artifacts/model",
    "ONNX": "artifacts/model/model.onnx",
    "FEATURE_SCHEMA": "artifacts/model/feature_schema.json",
    "GOLDEN": "artifacts/model/golden.json",
    "TRAINING": "artifacts/model/training.json",
    "CROSS_VALIDATION": "artifacts/cross_validation",
    "CROSS_VALIDATION_METRICS": "artifacts/cross_validation/metrics.json",
    "EVALUATION": "artifacts/evaluation",
    "METRICS": "artifacts/evaluation/metrics.json",
    "PLOTS": "artifacts/evaluation/plots",
    "REPORT": "artifacts/evaluation/report.html",
}


def test_every_path_is_where_it_is_known_to_be():
    found = {name: value.as_posix() for name, value in vars(layout).items() if isinstance(value, Path)}
    assert found == LAYOUT


def test_what_is_tracked_is_there_and_what_dvc_writes_is_an_output_of_dvc_yaml():
    for name in ("CONF", "PARAMS", "PIPELINE", "LOCK", "REQUIREMENTS", "FEATURE_REPO", "SCHEMA_MODULE"):
        assert (ROOT / LAYOUT[name]).exists(), name
    text = yaml.safe_dump(yaml.safe_load((ROOT / "dvc.yaml").read_text()))
    for name in ("SNAPSHOTS", "DATASET", "CHOICES", "INGEST_RECEIPTS", "RECEIPTS", "MODEL", "EVALUATION"):
        assert LAYOUT[name] in text, name
