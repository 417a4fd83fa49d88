"""The paths of the project's files, from its root: each path is written here and nowhere else."""

from pathlib import Path

CONF = Path("conf")
PARAMS = Path("params.yaml")
PIPELINE = Path("dvc.yaml")
LOCK = Path("dvc.lock")
REQUIREMENTS = Path("requirements.lock")
FEATURE_REPO = Path("feature_repo")
SCHEMA_MODULE = Path("streamflow/core/schema.py")
"""From which feature_repo/ takes columns and services."""

SNAPSHOTS = Path("data/snapshots")
DATASET = Path("data/dataset")
DATASET_ROWS = DATASET / "dataset.parquet"
DATASET_COUNTS = DATASET / "dataset.json"

CHOICES = Path("artifacts/config.json")
INGEST_RECEIPTS = Path("artifacts/ingest")
"""MONTH.json: what was ingested of a month."""
ERASURES = Path("artifacts/erasures")
"""NNNN.json: an erasure of users, without their names; NNNN.dsse.json: the same, signed."""
RECEIPTS = Path("artifacts/sha256")
"""STAGE.json: the SHA-256 of each file that a stage wrote."""
MODEL = Path("artifacts/model")
ONNX = MODEL / "model.onnx"
FEATURE_SCHEMA = MODEL / "feature_schema.json"
GOLDEN = MODEL / "golden.json"
TRAINING = MODEL / "training.json"
MODEL_FILES = (ONNX.name, FEATURE_SCHEMA.name, GOLDEN.name)
"""The files of a version that serving uses: the model, its inputs, and rows with their scores."""
CROSS_VALIDATION = Path("artifacts/cross_validation")
CROSS_VALIDATION_METRICS = CROSS_VALIDATION / "metrics.json"
EVALUATION = Path("artifacts/evaluation")
METRICS = EVALUATION / "metrics.json"
PLOTS = EVALUATION / "plots"
REPORT = EVALUATION / "report.html"
