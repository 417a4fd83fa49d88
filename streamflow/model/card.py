"""The files beside a model: the features it takes, and golden rows with the scores that any loader must get."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from streamflow.core.errors import ModelError
from streamflow.core.schema import ENTITY_KEY, LABEL, Column, feature_view_of, service_features
from streamflow.model.scoring import ChurnModel

GOLDEN_ROWS = 16
GOLDEN_TOLERANCE = 1e-6


def feature_schema(service: str, threshold: float) -> dict[str, Any]:
    """Names, order, types and NULL policy of a model's features, and the threshold of its decision."""
    return {
        "feature_service": service,
        "label": LABEL,
        "threshold": threshold,
        "features": [
            {"name": c.name, "kind": c.kind, "nullable": c.nullable, "feature_view": feature_view_of(c.name)}
            for c in service_features(service)
        ],
    }


def schema_features(schema: Mapping[str, Any]) -> tuple[Column, ...]:
    """The columns that a model's feature_schema.json names. Raises ModelError if the project's schema differs."""
    service = schema["feature_service"]
    try:
        expected = feature_schema(service, schema["threshold"])
    except KeyError:
        raise ModelError(f"the model takes feature service {service}, which this code does not define") from None
    if expected["features"] != schema["features"]:
        differing = [each["name"] for each in schema["features"] if each not in expected["features"]] or [
            each["name"] for each in expected["features"] if each not in schema["features"]
        ]
        raise ModelError(
            f"feature service {service} is not what the model was trained on: {', '.join(differing) or 'order'}"
        )
    return service_features(service)


def golden_rows(model: ChurnModel, rows: pa.Table) -> dict[str, Any]:
    """The first rows, half of them with a NULL where the model takes one, and the scores they get."""
    nullable = [column.name for column in model.features if column.nullable]
    with_null = [row for row in rows.to_pylist() if any(row[name] is None for name in nullable)][: GOLDEN_ROWS // 2]
    chosen = [row for row in rows.to_pylist() if row not in with_null][: GOLDEN_ROWS - len(with_null)] + with_null
    names = [column.name for column in model.features]
    probabilities, predictions = model.score({name: [row[name] for row in chosen] for name in names})
    return {
        "rows": [
            {
                "user_id": row[ENTITY_KEY],
                "features": {name: row[name] for name in names},
                "churn_probability": probability,
                "prediction": prediction,
            }
            for row, probability, prediction in zip(chosen, probabilities, predictions, strict=True)
        ]
    }


def check_golden(model: ChurnModel, golden: Mapping[str, Any]) -> None:
    """Check that the golden rows get the scores of training. Raises ModelError naming the first that differs."""
    if not golden["rows"]:
        raise ModelError("golden.json has no row, so the model can't be verified")
    for row in golden["rows"]:
        (probability,), (prediction,) = model.score({name: [value] for name, value in row["features"].items()})
        # In this form NaN fails too.
        if not abs(probability - row["churn_probability"]) <= GOLDEN_TOLERANCE or prediction != row["prediction"]:
            raise ModelError(
                f"golden row {row['user_id']} scores {probability:.7f}, at training {row['churn_probability']:.7f};"
                " this model or this machine's ONNX Runtime is not the one of training"
            )
