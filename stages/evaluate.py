"""Stage `evaluate`: reads data/dataset and artifacts/model, writes artifacts/evaluation/.

Scores the test part with the exported model: metrics.json, plots/ for `dvc plots`, predictions.parquet, report.html.
"""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from streamflow.adapters.audit import audited
from streamflow.adapters.files import read_params, replacing, write_json
from streamflow.adapters.parquet import write_parquet
from streamflow.cli.reporting import one_line_errors, say
from streamflow.config import Config
from streamflow.dataset import SPLIT
from streamflow.importance import permutation_importance
from streamflow.metrics import (
    calibration_points,
    classification_metrics,
    confusion_counts,
    precision_recall_points,
    roc_points,
)
from streamflow.model_card import check_golden, schema_features
from streamflow.report import render_report
from streamflow.schema import ENTITY_KEY, LABEL
from streamflow.scoring import ChurnModel, model_inputs
from streamflow.splits import TEST

DATASET = Path("data/dataset")
MODEL = Path("artifacts/model")
EVALUATION = Path("artifacts/evaluation")


def run(config: Config) -> None:
    """Evaluate the trained model on the test users."""
    dataset = pq.read_table(DATASET / "dataset.parquet")
    test = dataset.filter(pc.equal(dataset[SPLIT], TEST))
    features = schema_features(_json(MODEL / "feature_schema.json"))
    model = ChurnModel((MODEL / "model.onnx").read_bytes(), features)
    check_golden(model, _json(MODEL / "golden.json"))

    churned = test[LABEL].to_pylist()
    inputs = model_inputs({column.name: test[column.name].to_pylist() for column in features}, features)
    probabilities, predictions = model.score_inputs(inputs)
    metrics = classification_metrics(churned, probabilities, predictions)
    curves = {
        "roc": roc_points(churned, probabilities),
        "precision_recall": precision_recall_points(churned, probabilities),
        "calibration": calibration_points(churned, probabilities),
        "importance": permutation_importance(model, inputs, churned, config.seed),
    }
    report = render_report(
        metrics=metrics,
        confusion=confusion_counts(churned, predictions),
        training=_json(MODEL / "training.json"),
        dataset=_json(DATASET / "dataset.json"),
        curves=curves,
    )

    write_json(EVALUATION / "metrics.json", metrics)
    for name, rows in curves.items():
        _write_csv(EVALUATION / "plots" / f"{name}.csv", rows)
    _write_csv(EVALUATION / "plots" / "confusion.csv", _truth_and_prediction(churned, predictions))
    scored = pa.table(
        {
            ENTITY_KEY: test[ENTITY_KEY],
            LABEL: test[LABEL],
            "churn_probability": probabilities,
            "prediction": predictions,
        }
    )
    write_parquet(EVALUATION / "predictions.parquet", scored.schema, scored.to_batches())
    with replacing(EVALUATION / "report.html") as partial:
        partial.write_text(report, encoding="utf-8")
    say(
        f"evaluate: AUC {metrics['roc_auc']:.4f}, F1 {metrics['f1']:.4f}, accuracy {metrics['accuracy']:.4f}"
        f" (majority class {metrics['baseline_accuracy']:.4f})"
    )


def _truth_and_prediction(churned: list[bool], predictions: list[int]) -> list[dict[str, str]]:
    word = {False: "stayed", True: "churned"}
    return [
        {"actual": word[truth], "predicted": word[bool(guess)]}
        for truth, guess in zip(churned, predictions, strict=True)
    ]


def _json(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def _write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    with replacing(path) as partial:
        pd.DataFrame(rows).to_csv(partial, index=False, lineterminator="\n")


def main() -> None:
    with one_line_errors("evaluate"), audited("evaluate"):
        run(read_params("evaluate"))


if __name__ == "__main__":
    main()
