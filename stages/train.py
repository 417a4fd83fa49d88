"""Stage `train`: reads data/dataset, writes artifacts/model/.

model.onnx with its decision threshold inside, feature_schema.json (its inputs), golden.json (rows and the scores that
any loader must get) and training.json (facts of the fit). Calibration and threshold are chosen on the validation part by a
model of the train part; the exported model is fitted on both. Fails if the exported model and scikit-learn score any
user differently.
"""

import time
from dataclasses import asdict

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from threadpoolctl import threadpool_limits

from streamflow.core.config import Config
from streamflow.core.digest import bytes_sha256
from streamflow.core.errors import ModelError
from streamflow.core.schema import LABEL
from streamflow.features.dataset import SPLIT
from streamflow.features.splits import PARTS, TEST, VALIDATION
from streamflow.model.card import feature_schema, golden_rows
from streamflow.model.export import PARITY_TOLERANCE, export_onnx
from streamflow.model.recipe import recipe_of
from streamflow.model.scoring import ChurnModel
from streamflow.model.sklearn_pipeline import estimator_parameters, pipeline_frame
from streamflow.model.training import sample_weights, train
from streamflow.pipeline.layout import DATASET_ROWS, FEATURE_SCHEMA, GOLDEN, ONNX, TRAINING
from streamflow.pipeline.project import replacing, state_dir, write_json
from streamflow.pipeline.reporting import say
from streamflow.pipeline.stage import stage


def run(config: Config) -> str:
    """Train, export and verify one model; returns the SHA-256 of its bytes."""
    dataset = pq.read_table(DATASET_ROWS)
    parts = {part: dataset.filter(pc.equal(dataset[SPLIT], part)) for part in PARTS}
    learned_from = dataset.filter(pc.not_equal(dataset[SPLIT], TEST))
    recipe = recipe_of(config)
    churned = np.array(learned_from[LABEL].to_pylist())
    validation = np.array(learned_from[SPLIT].to_pylist()) == VALIDATION
    weights = sample_weights(learned_from, config.sample_weight)

    with threadpool_limits(limits=config.compute.threads):
        trained = train(recipe, pipeline_frame(learned_from, recipe.features), churned, validation, weights)
        onnx_bytes = export_onnx(trained.pipeline, recipe.features, trained.threshold, trained.calibration)
        model = ChurnModel(onnx_bytes, recipe.features)
        for part in (VALIDATION, TEST):
            expected = trained.churn_probability(pipeline_frame(parts[part], recipe.features))
            check_parity(expected, scores_of(model, parts[part]), part)

    with replacing(ONNX) as partial:
        partial.write_bytes(onnx_bytes)
    write_json(FEATURE_SCHEMA, feature_schema(config.features.service, trained.threshold))
    write_json(GOLDEN, golden_rows(model, parts[TEST]))
    write_json(
        TRAINING,
        {
            "estimator": recipe.settings["_target_"],
            "parameters": estimator_parameters(recipe.settings),
            "rows": {part: rows.num_rows for part, rows in parts.items()},
            "sample_weight": config.sample_weight,
            "calibration": {"method": recipe.calibration, **asdict(trained.calibration)},
            "threshold": trained.threshold,
            "threshold_policy": {**asdict(recipe.threshold), "in_words": recipe.threshold.describe()},
            "parity": {"rows": parts[TEST].num_rows, "tolerance": PARITY_TOLERANCE},
        },
    )
    return bytes_sha256(onnx_bytes)


def scores_of(model: ChurnModel, rows: pa.Table) -> np.ndarray:
    """Churn probability of each row by the exported model; shape (n_users,)."""
    return np.array(model.score({name: rows[name].to_pylist() for name in (c.name for c in model.features)})[0])


def check_parity(expected: np.ndarray, actual: np.ndarray, part: str) -> None:
    """Check that the export scores every user like scikit-learn. Raises ModelError with the largest difference."""
    worst = float(np.max(np.abs(expected - actual)))
    if not worst <= PARITY_TOLERANCE:
        raise ModelError(
            f"the ONNX model differs from scikit-learn by {worst:.2e} on the {part} part (at most {PARITY_TOLERANCE:.0e});"
            " choose another model"
        )
    say(f"train: ONNX equals scikit-learn on {len(expected)} {part} users (largest difference {worst:.1e})")


def main() -> None:
    with stage("train") as config:
        started = time.perf_counter()
        model_sha256 = run(config)
        seconds = time.perf_counter() - started
        # A duration is no output of the pipeline; `register` logs it as a metric of the run.
        write_json(state_dir() / "timings" / "train.json", {"model_sha256": model_sha256, "seconds": seconds})
        say(f"train: model {model_sha256[:12]} in {seconds:.1f} s")


if __name__ == "__main__":
    main()
