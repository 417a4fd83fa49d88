"""Scoring with the exported ONNX model: evaluation, registration and serving all score in this way."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnxruntime as ort
import pyarrow as pa

from streamflow.core.errors import ModelError, first_line
from streamflow.core.schema import Column

PROBABILITY_OUTPUT = "churn_probability"
PREDICTION_OUTPUT = "churn"

Inputs = dict[str, np.ndarray[Any, Any]]


def model_inputs(values: Mapping[str, Sequence[Any]], features: Sequence[Column]) -> Inputs:
    """One array of shape (n_users,) for each feature: text as object, all else as float32 with NaN for NULL.

    Raises KeyError if a feature has no values.
    """
    numbers = [column.name for column in features if column.kind != "text"]
    # One array for all of them is made several times faster than one for each; None becomes NaN.
    matrix = np.array([values[name] for name in numbers], dtype=np.float32)
    arrays = iter(matrix)
    return {
        column.name: np.array(values[column.name], dtype=object) if column.kind == "text" else next(arrays)
        for column in features
    }


def arrow_inputs(rows: pa.RecordBatch, features: Sequence[Column]) -> Inputs:
    """`model_inputs` of Arrow columns, the same bits, without a Python number for each value.

    Raises KeyError if a feature has no column.
    """
    return {column.name: _as_input(rows[column.name], column) for column in features}


class ChurnModel:
    """An ONNX model in memory, pinned to one thread so that a score does not depend on the load."""

    def __init__(self, onnx_bytes: bytes, features: Sequence[Column]) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session = ort.InferenceSession(onnx_bytes, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime raises classes that it does not export
            raise ModelError(f"the model is not a usable ONNX file: {first_line(error)}") from error
        inputs = [each.name for each in self._session.get_inputs()]
        expected = [column.name for column in features]
        if inputs != expected:
            raise ModelError(f"the model takes {inputs}, its feature schema names {expected}; register it again")
        self.features = tuple(features)

    def score(self, values: Mapping[str, Sequence[Any]]) -> tuple[list[float], list[int]]:
        """Churn probability and prediction (1: churns, at the model's own threshold) for each user, in order."""
        return self.score_inputs(model_inputs(values, self.features))

    def score_inputs(self, inputs: Inputs) -> tuple[list[float], list[int]]:
        """`score` for arrays that `model_inputs` made. Raises ModelError if the graph takes or gives other things."""
        probabilities, predictions = self.score_arrays(inputs)
        return probabilities.tolist(), predictions.tolist()

    def score_arrays(self, inputs: Inputs) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """`score_inputs` as float32 and int64 arrays of shape (n_users,); several threads may call it at once."""
        try:
            probabilities, predictions = self._session.run([PROBABILITY_OUTPUT, PREDICTION_OUTPUT], inputs)
        except Exception as error:  # ONNX Runtime raises classes that it does not export
            raise ModelError(f"the model does not score these features: {first_line(error)}") from error
        return probabilities, predictions


def _as_input(values: pa.Array, column: Column) -> np.ndarray[Any, Any]:
    if column.kind == "text":
        return np.asarray(values.to_numpy(zero_copy_only=False), dtype=object)
    numbers = values.cast(pa.uint8()) if column.kind == "boolean" else values
    # By way of float64, as numpy takes a list of Python numbers; NULL becomes NaN there.
    return np.asarray(numbers.to_numpy(zero_copy_only=False), dtype=np.float64).astype(np.float32)
