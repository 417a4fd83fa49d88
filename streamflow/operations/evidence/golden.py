"""Golden rows: the model scores them again, by the features that its own schema names, whatever this project's code has."""

import json
from collections.abc import Mapping

from streamflow.core.errors import ModelError
from streamflow.core.schema import Column
from streamflow.model.card import check_golden
from streamflow.model.scoring import ChurnModel


def score_again(model: Mapping[str, bytes]) -> int:
    """Score the golden rows of a model's files; returns how many. Raises ModelError naming the first that differs."""
    try:
        schema, golden = (json.loads(model[name]) for name in ("feature_schema.json", "golden.json"))
        features = [Column(each["name"], each["kind"], "", each["nullable"]) for each in schema["features"]]
        check_golden(ChurnModel(model["model.onnx"], features), golden)
        return len(golden["rows"])
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise ModelError(f"feature_schema.json or golden.json is malformed: {type(error).__name__}") from error


def feature_service(model: Mapping[str, bytes]) -> str:
    """The feature service that a model's schema names; empty if it names none."""
    try:
        return str(json.loads(model["feature_schema.json"])["feature_service"])
    except (KeyError, TypeError, ValueError, RecursionError):
        return ""
