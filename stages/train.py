"""Stage `train`: reads data/dataset, writes artifacts/model/.

model.onnx with its decision threshold inside, feature_schema.json (what it takes), golden.json (rows and the scores that
any loader must get) and training.json (what was fitted). Fits on the train part, chooses the threshold on the validation
part, and refuses to write a model that scores any user otherwise than scikit-learn did.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from hydra.utils import instantiate
from omegaconf import OmegaConf
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

from streamflow.adapters.audit import audited
from streamflow.adapters.files import read_params, replacing, state_dir, write_json
from streamflow.cli.reporting import one_line_errors, say
from streamflow.config import Config
from streamflow.dataset import SPLIT
from streamflow.digest import bytes_sha256
from streamflow.errors import ModelError
from streamflow.export import PARITY_TOLERANCE, export_onnx
from streamflow.model import (
    best_f1_threshold,
    churn_pipeline,
    churn_probability,
    estimator_parameters,
    fit,
    pipeline_frame,
)
from streamflow.model_card import feature_schema, golden_rows
from streamflow.schema import LABEL, Column, service_features
from streamflow.scoring import ChurnModel
from streamflow.splits import TEST, TRAIN, VALIDATION

DATASET = Path("data/dataset/dataset.parquet")
MODEL = Path("artifacts/model")


def run(config: Config) -> str:
    """Train, export and prove one model; returns the SHA-256 of its bytes."""
    dataset = pq.read_table(DATASET)
    parts = {part: dataset.filter(pc.equal(dataset[SPLIT], part)) for part in (TRAIN, VALIDATION, TEST)}
    features = service_features(config.features.service)
    frames = {part: pipeline_frame(rows, features) for part, rows in parts.items()}
    churned = {part: np.array(rows[LABEL].to_pylist()) for part, rows in parts.items()}
    settings = OmegaConf.to_container(config.model)  # type: ignore[arg-type]

    with threadpool_limits(limits=config.compute.threads):
        pipeline = fitted(settings, features, frames[TRAIN], churned[TRAIN])
        threshold = best_f1_threshold(churned[VALIDATION], churn_probability(pipeline, frames[VALIDATION]))
        onnx_bytes = export_onnx(pipeline, features, threshold)
        model = ChurnModel(onnx_bytes, features)
        for part in (VALIDATION, TEST):
            check_parity(churn_probability(pipeline, frames[part]), scores_of(model, parts[part]), part)

    with replacing(MODEL / "model.onnx") as partial:
        partial.write_bytes(onnx_bytes)
    write_json(MODEL / "feature_schema.json", feature_schema(config.features.service, threshold))
    write_json(MODEL / "golden.json", golden_rows(model, parts[TEST]))
    write_json(
        MODEL / "training.json",
        {
            "estimator": settings["_target_"],
            "parameters": estimator_parameters(settings),
            "rows": {part: rows.num_rows for part, rows in parts.items()},
            "threshold": threshold,
            "parity": {"rows": parts[TEST].num_rows, "tolerance": PARITY_TOLERANCE},
        },
    )
    return bytes_sha256(onnx_bytes)


def fitted(settings: Any, features: Sequence[Column], frame: pd.DataFrame, churned: np.ndarray) -> Pipeline:
    """The pipeline around the estimator that `settings` names, fitted. Raises ModelError if it refuses its settings."""
    try:
        return fit(churn_pipeline(instantiate(settings), features), frame, churned)
    except Exception as error:  # Hydra's and scikit-learn's, whatever the estimator checks
        reason = str(error.__cause__ or error).strip().splitlines()[0]
        raise ModelError(f"{settings['_target_']} refuses its settings: {reason}; see conf/model") from error


def scores_of(model: ChurnModel, rows: pa.Table) -> np.ndarray:
    """Churn probability of each row by the exported model; shape (n_users,)."""
    return np.array(model.score({name: rows[name].to_pylist() for name in (c.name for c in model.features)})[0])


def check_parity(expected: np.ndarray, actual: np.ndarray, part: str) -> None:
    """Refuse an export that scores a user otherwise than scikit-learn. Raises ModelError with the worst difference."""
    worst = float(np.max(np.abs(expected - actual)))
    if not worst <= PARITY_TOLERANCE:
        raise ModelError(
            f"the ONNX model differs from scikit-learn by {worst:.2e} on the {part} part (at most {PARITY_TOLERANCE:.0e});"
            " choose another model"
        )
    say(f"train: ONNX equals scikit-learn on {len(expected)} {part} users (largest difference {worst:.1e})")


def main() -> None:
    with one_line_errors("train"), audited("train"):
        started = time.perf_counter()
        model_sha256 = run(read_params("train"))
        seconds = time.perf_counter() - started
        # A duration is no output of the pipeline; `register` logs it as a metric of the run.
        write_json(state_dir() / "timings" / "train.json", {"model_sha256": model_sha256, "seconds": seconds})
        say(f"train: model {model_sha256[:12]} in {seconds:.1f} s")


if __name__ == "__main__":
    main()
