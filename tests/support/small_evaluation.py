"""An evaluation of forty users by hand, for tests of the report."""

from dataclasses import replace

from streamflow.core.schema import TABLES
from streamflow.evaluation.metrics import (
    calibration_points,
    classification_metrics,
    confusion_counts,
    offer_costs,
    precision_recall_points,
    roc_points,
)
from streamflow.evaluation.segments import score_rows, segments
from streamflow.registry.decision import Comparison, DecisionRecord, Gate, PairedDifference, PromotionRule
from streamflow.report.publication import Publication
from streamflow.report.report import Evaluation
from streamflow.snapshots.profile import MonthProfile

SCORES = [round((position + 0.5) / 40, 4) for position in range(40)]
CHURNED = [position % 10 in (3, 6, 9) or position > 33 for position in range(40)]
PREDICTIONS = [int(score >= 0.6) for score in SCORES]
CONTRACTS = ["Month-to-month", "Two year", "One year", "Month-to-month"] * 10
SERVICES = ["Fiber optic", "No", "DSL", "DSL", "No"] * 8
PRICES = {"missed_churner": 200.0, "wasted_offer": 20.0}


def month(as_of: str, churners: int = 11) -> MonthProfile:
    """A frozen month of 40 users, two of them without internet."""
    nulls = {column.name: 2 * column.nullable for table in TABLES for column in table.columns}
    return MonthProfile(as_of, 40, churners, nulls)


def small_evaluation(services: list[str] | None = None, **changes: object) -> Evaluation:
    """The evaluation, with some of its fields changed; `services` are the users' net_service."""
    confusion = confusion_counts(CHURNED, PREDICTIONS)
    metrics = classification_metrics(CHURNED, SCORES, PREDICTIONS)
    spread = {name: value for name in metrics for name, value in ((name, 0.5), (f"{name}_fold_sd", 0.0117))}
    evaluation = Evaluation(
        metrics={**metrics, **offer_costs(confusion, **PRICES)},
        cross_validation={**spread, "roc_auc": 0.8229, "roc_auc_repeat_sd": 0.0002},
        folds="2 × 5 folds",
        confusion=confusion,
        training={
            "estimator": "sklearn.ensemble.RandomForestClassifier",
            "parameters": {"n_estimators": 20},
            "sample_weight": None,
            "calibration": {"method": "sigmoid", "slope": 1.1, "intercept": -0.8},
            "threshold": 0.6,
            "threshold_policy": {"policy": "cost", "in_words": "the least cost", **PRICES},
            "parity": {"rows": 40, "tolerance": 1e-05},
        },
        dataset={
            "as_of": "2024-01-31",
            "label_as_of": "2024-01-31",
            "feature_service": "churn_v1",
            "rows": 1160,
            "churners": 311,
            "parts": {
                "train": {"rows": 1000, "churners": 270},
                "validation": {"rows": 120, "churners": 25},
                "test": {"rows": 40, "churners": sum(CHURNED)},
            },
        },
        curves={
            "roc": roc_points(CHURNED, SCORES),
            "precision_recall": precision_recall_points(CHURNED, SCORES),
            "calibration": calibration_points(CHURNED, SCORES),
            "importance": [
                {"feature": "months_active", "auc_loss": 0.1446, "spread": 0.0074},
                {"feature": "skips_7d", "auc_loss": -0.0007, "spread": 0.0003},
            ],
            "scores": score_rows(CHURNED, SCORES),
        },
        segments=segments({"contract_type": CONTRACTS, "net_service": services or SERVICES}, CHURNED, SCORES),
        months=[month("2024-01-31")],
        source="synthetic",
        settings={"seed": "42"},
        inputs={"data/dataset/dataset.parquet": "ab" * 32},
    )
    return replace(evaluation, **changes)


def small_publication(promoted: bool = True, reason: str = "there was no Production version") -> Publication:
    """All that a publication can hold."""
    difference = PairedDifference(0.8121, 0.8144, 0.0023, -0.0011, 0.0057, 0.9)
    decided = DecisionRecord(
        promote=promoted,
        reason=reason,
        rule=PromotionRule("auto", "roc_auc", 0.002, 0.95, resamples=100, leak_auc=0.99, seed=1),
        champion_version="3",
        comparison=Comparison("3", users=40, churners=16, metrics={"roc_auc": difference}),
        gates=(Gate("leakage"), Gate("clean git tree", "params.yaml changed; `streamflow tag NAME` commits it")),
    )
    return Publication(
        model_name="streamflow_churn",
        version="4",
        published_at="2026-11-23 19:20:00 UTC",
        decision=decided,
        lineage={"git commit": "b25d82ff04e8" * 3, "git tag": ""},
        months=[month("2024-01-31"), month("2024-02-29", 9)],
    )


if __name__ == "__main__":
    import hashlib

    from streamflow.report.report import publish, render_report

    rendered = render_report(small_evaluation())
    for text in (rendered, publish(rendered, small_publication())):
        print(hashlib.sha256(text.encode("utf-8")).hexdigest())
