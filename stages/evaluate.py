"""Stage `evaluate`: reads data/dataset, the model, its cross-validation and the snapshots, writes artifacts/evaluation/.

Scores the test part with the exported model: metrics.json, plots/ for `dvc plots`, predictions.parquet, report.html. The
snapshots give the users' segments, which may not be in the training set, and the counts of the months.
"""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from streamflow.core.config import Config
from streamflow.core.schema import ENTITY_KEY, LABEL, SUBSCRIPTIONS, TABLES
from streamflow.evaluation.importance import permutation_importance
from streamflow.evaluation.metrics import (
    calibration_points,
    classification_metrics,
    confusion_counts,
    offer_costs,
    precision_recall_points,
    roc_points,
)
from streamflow.evaluation.segments import SEGMENT_COLUMNS, score_rows, segment_score_rows, segment_values, segments
from streamflow.features.dataset import SPLIT
from streamflow.features.splits import TEST
from streamflow.model.card import check_golden, schema_features
from streamflow.model.scoring import ChurnModel, model_inputs
from streamflow.pipeline.file_digest import file_sha256
from streamflow.pipeline.layout import (
    CROSS_VALIDATION_METRICS,
    DATASET_COUNTS,
    DATASET_ROWS,
    EVALUATION,
    FEATURE_SCHEMA,
    GOLDEN,
    METRICS,
    ONNX,
    PLOTS,
    REPORT,
    REQUIREMENTS,
    SNAPSHOTS,
    TRAINING,
)
from streamflow.pipeline.parquet import write_parquet
from streamflow.pipeline.project import replacing, write_json
from streamflow.pipeline.reporting import say
from streamflow.pipeline.stage import stage
from streamflow.report.report import Evaluation, render_report
from streamflow.snapshots.profile import month_profile


def run(config: Config) -> None:
    """Evaluate the trained model on the test users."""
    dataset = pq.read_table(DATASET_ROWS)
    test = dataset.filter(pc.equal(dataset[SPLIT], TEST))
    training = _json(TRAINING)
    features = schema_features(_json(FEATURE_SCHEMA))
    model = ChurnModel(ONNX.read_bytes(), features)
    check_golden(model, _json(GOLDEN))
    frozen = SNAPSHOTS / config.as_of / f"{SUBSCRIPTIONS.name}.parquet"
    delivered = set(pq.read_schema(frozen).names)
    subscriptions = pq.read_table(
        frozen, columns=[ENTITY_KEY, *(each for each in SEGMENT_COLUMNS if each in delivered)]
    )

    churned = test[LABEL].to_pylist()
    inputs = model_inputs({column.name: test[column.name].to_pylist() for column in features}, features)
    probabilities, predictions = model.score_inputs(inputs)
    confusion = confusion_counts(churned, predictions)
    metrics = {**classification_metrics(churned, probabilities, predictions), **_costs(training, confusion)}
    curves = {
        "roc": roc_points(churned, probabilities),
        "precision_recall": precision_recall_points(churned, probabilities),
        "calibration": calibration_points(churned, probabilities),
        "importance": permutation_importance(model, inputs, churned, config.seed),
        "scores": score_rows(churned, probabilities),
    }
    found = segments(segment_values(subscriptions, test[ENTITY_KEY].to_pylist()), churned, probabilities)
    folds = config.cross_validation
    report = render_report(
        Evaluation(
            metrics=metrics,
            cross_validation=_json(CROSS_VALIDATION_METRICS),
            folds=f"{folds.repeats} × {folds.folds} folds",
            confusion=confusion,
            training=training,
            dataset=_json(DATASET_COUNTS),
            curves=curves,
            segments=found,
            months=[month_profile(month) for month in _months(config)],
            source=config.source.name,
            settings=_settings(config),
            inputs={str(path): file_sha256(path) for path in _files_read(config)},
        )
    )

    write_json(METRICS, metrics)
    for name, rows in curves.items():
        _write_csv(PLOTS / f"{name}.csv", rows)
    _write_csv(PLOTS / "segments.csv", [each.row() for each in found])
    _write_csv(PLOTS / "segment_scores.csv", segment_score_rows(found))
    _write_csv(PLOTS / "confusion.csv", _truth_and_prediction(churned, predictions))
    scored = pa.table(
        {
            ENTITY_KEY: test[ENTITY_KEY],
            LABEL: test[LABEL],
            "churn_probability": probabilities,
            "prediction": predictions,
        }
    )
    write_parquet(EVALUATION / "predictions.parquet", scored.schema, scored.to_batches())
    with replacing(REPORT) as partial:
        partial.write_text(report, encoding="utf-8")
    say(
        f"evaluate: AUC {metrics['roc_auc']:.4f}, F1 {metrics['f1']:.4f}, accuracy {metrics['accuracy']:.4f}"
        f" (majority class {metrics['baseline_accuracy']:.4f})"
    )


def _costs(training: dict[str, Any], confusion: dict[str, int]) -> dict[str, float]:
    """The cost of the test users, if the threshold's policy has prices."""
    policy = training["threshold_policy"]
    if policy["policy"] != "cost":
        return {}
    return offer_costs(confusion, policy["missed_churner"], policy["wasted_offer"])


def _months(config: Config) -> list[str]:
    return sorted({config.as_of, config.label_as_of})


def _settings(config: Config) -> dict[str, str]:
    return {
        "as_of": config.as_of,
        "label_as_of": config.label_as_of,
        "known_at": config.known_at or "no bound",
        "source": config.source.name,
        "seed": str(config.seed),
    }


def _files_read(config: Config) -> list[Path]:
    snapshots = [SNAPSHOTS / month / f"{table.name}.parquet" for month in _months(config) for table in TABLES]
    return [DATASET_ROWS, ONNX, *(path for path in snapshots if path.is_file()), REQUIREMENTS]


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
    with stage("evaluate") as config:
        run(config)


if __name__ == "__main__":
    main()
