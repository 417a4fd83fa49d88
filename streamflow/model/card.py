"""The files beside a model: the features it takes, and golden rows with the scores that any loader must get."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from streamflow.core.errors import ModelError
from streamflow.core.schema import LABEL, Column, feature_view_of, service_features
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
    """Rows that are nobody's, and the scores they get: a version keeps its golden rows when a user is erased.

    Each column's values are sorted by themselves, NULL first, and evenly spaced ones are taken; row and column are then
    shifted against each other. What a user had together is lost, what the column holds from end to end is not.
    """
    names = [column.name for column in model.features]
    taken = {name: _evenly_spaced(rows[name], shift) for shift, name in enumerate(names)}
    probabilities, predictions = model.score(taken)
    return {
        "rows": [
            {
                "features": {name: taken[name][at] for name in names},
                "churn_probability": probability,
                "prediction": prediction,
            }
            for at, (probability, prediction) in enumerate(zip(probabilities, predictions, strict=True))
        ]
    }


def _evenly_spaced(values: pa.ChunkedArray, shift: int) -> list[Any]:
    order = pc.array_sort_indices(values, null_placement="at_start") if len(values) else pa.array([], pa.uint64())
    count = min(GOLDEN_ROWS, len(values))
    places = [at * (len(values) - 1) // max(count - 1, 1) for at in range(count)]
    found: list[Any] = values.take(order.take(pa.array(places, pa.int64()))).to_pylist()
    return [found[(at + shift) % count] for at in range(count)]


def check_golden(model: ChurnModel, golden: Mapping[str, Any]) -> None:
    """Check that the golden rows get the scores of training. Raises ModelError naming the first that differs."""
    if not golden["rows"]:
        raise ModelError("golden.json has no row, so the model can't be verified")
    for number, row in enumerate(golden["rows"], 1):
        (probability,), (prediction,) = model.score({name: [value] for name, value in row["features"].items()})
        # In this form NaN fails too.
        if not abs(probability - row["churn_probability"]) <= GOLDEN_TOLERANCE or prediction != row["prediction"]:
            raise ModelError(
                f"golden row {number} scores {probability:.7f}, at training {row['churn_probability']:.7f};"
                " this model or this machine's ONNX Runtime is not the one of training"
            )
