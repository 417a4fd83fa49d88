"""From a fitted pipeline to ONNX bytes that are the same for the same pipeline."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper
from skl2onnx import convert_sklearn
from skl2onnx.common._registration import get_converter
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.ensemble import HistGradientBoostingClassifier, VotingClassifier
from sklearn.pipeline import Pipeline

from streamflow.core.errors import ModelError, first_line
from streamflow.core.schema import MODEL_NAME, Column
from streamflow.model.calibration import CLIP, UNCHANGED, Calibration
from streamflow.model.estimators import Standardised
from streamflow.model.scoring import PREDICTION_OUTPUT, PROBABILITY_OUTPUT

OPSETS = {"": 17, "ai.onnx.ml": 3}
PARITY_TOLERANCE = 1e-5
"""Float32 sums of 300 trees differ from float64 ones by less than this; see docs/adr/0003."""


def export_onnx(
    pipeline: Pipeline, features: Sequence[Column], threshold: float, calibration: Calibration = UNCHANGED
) -> bytes:
    """A graph with one input for each feature and the outputs churn_probability and churn, all of shape (n_users,).

    Calibration and decision threshold are part of the graph. Raises ModelError if the estimator can't be converted.
    """
    inputs = [
        (column.name, StringTensorType([None, 1]) if column.kind == "text" else FloatTensorType([None, 1]))
        for column in features
    ]
    if isinstance(pipeline[-1], VotingClassifier):
        _make_convertible(pipeline[-1])
    try:
        model = convert_sklearn(
            pipeline,
            name=MODEL_NAME,
            initial_types=inputs,
            options={"zipmap": False},
            target_opset=OPSETS,
            custom_conversion_functions={HistGradientBoostingClassifier: _convert_hist_gradient_boosting},
        )
    except Exception as error:  # skl2onnx raises whatever its converters do
        name = type(pipeline[-1]).__name__
        raise ModelError(f"{name} can't be converted to ONNX: {first_line(error)}; choose another model") from error
    column = list(pipeline[-1].classes_).index(True)
    _begin_with_vectors(model.graph)
    _add_up_in_order(model.graph)
    _end_with_decision(model.graph, column, threshold, calibration)
    _sort_opsets(model)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))


def _make_convertible(voting: VotingClassifier) -> None:
    # None changes a probability: skl2onnx 1.20 wants an array of weights, refuses an option of `transform`, and knows
    # Pipeline by its type alone.
    voting.weights = None if voting.weights is None else np.asarray(voting.weights)
    voting.flatten_transform = False
    voting.estimators_ = [
        Pipeline(member.steps) if isinstance(member, Standardised) else member for member in voting.estimators_
    ]


def _sort_opsets(model: onnx.ModelProto) -> None:
    # skl2onnx takes them from a set of text, whose order changes with the hash seed of the process.
    ordered = sorted(model.opset_import, key=lambda opset: opset.domain)
    del model.opset_import[:]
    model.opset_import.extend(ordered)


def _begin_with_vectors(graph: Any) -> None:
    # skl2onnx wants columns of shape (n, 1); mlflow.pyfunc feeds the columns of a data frame as vectors.
    graph.initializer.append(helper.make_tensor("column_axis", TensorProto.INT64, [1], [1]))
    columns = {each.name: f"{each.name}_column" for each in graph.input}
    for node in graph.node:
        for position, name in enumerate(node.input):
            node.input[position] = columns.get(name, name)
    for position, (name, column) in enumerate(columns.items()):
        graph.node.insert(position, helper.make_node("Unsqueeze", [name, "column_axis"], [column]))
    vectors = [
        helper.make_tensor_value_info(each.name, each.type.tensor_type.elem_type, [None]) for each in graph.input
    ]
    del graph.input[:]
    graph.input.extend(vectors)


# How a LinearClassifier makes its answer of the log-odds of the second class, and what the answers of both add up to.
_OF_THE_SECOND_CLASS = {b"LOGISTIC": ("Sigmoid", 1.0), b"NONE": ("Identity", 0.0)}


def _add_up_in_order(graph: Any) -> None:
    """Give linear models of two classes one order of addition, whatever the number of users.

    LinearClassifier multiplies matrices, which ONNX Runtime does in another order for one row than for several. CumSum
    adds from the first column to the last, each step one IEEE addition, so a user's bits don't depend on the company.
    """
    read = {name for node in graph.node for name in node.input}
    nodes = []
    for node in graph.node:
        settings = {each.name: helper.get_attribute_value(each) for each in node.attribute}
        two_classes = node.op_type == "LinearClassifier" and settings["classlabels_ints"] == [0, 1]
        if two_classes and settings["post_transform"] in _OF_THE_SECOND_CLASS and node.output[0] not in read:
            constants, steps = _ordered_sum(node, settings)
            graph.initializer.extend(constants)
            nodes += steps
        else:
            nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)


def _ordered_sum(node: Any, settings: Mapping[str, Any]) -> tuple[list[Any], list[Any]]:
    """Constants and nodes that give what a LinearClassifier gives of both classes, shape (n_users, 2).

    Its weights of the first class are those of the second with the other sign.
    """
    rows, scores = node.input[0], node.output[1]
    of_second, whole = _OF_THE_SECOND_CLASS[settings["post_transform"]]
    weights = settings["coefficients"][len(settings["coefficients"]) // 2 :]

    def own(name: str) -> str:
        return f"{scores}_{name}"

    constants = [
        helper.make_tensor(own("weights"), TensorProto.DOUBLE, [len(weights)], weights),
        helper.make_tensor(own("intercept"), TensorProto.DOUBLE, [1], settings["intercepts"][1:]),
        helper.make_tensor(own("axis"), TensorProto.INT64, [], [1]),
        helper.make_tensor(own("last"), TensorProto.INT64, [1], [-1]),
        helper.make_tensor(own("whole"), TensorProto.FLOAT, [1], [whole]),
    ]
    steps = [
        helper.make_node("Cast", [rows], [own("numbers")], to=TensorProto.DOUBLE),
        helper.make_node("Mul", [own("numbers"), own("weights")], [own("terms")]),
        helper.make_node("CumSum", [own("terms"), own("axis")], [own("sums")]),
        helper.make_node("Gather", [own("sums"), own("last")], [own("sum")], axis=1),
        helper.make_node("Add", [own("sum"), own("intercept")], [own("exact_log_odds")]),
        helper.make_node("Cast", [own("exact_log_odds")], [own("log_odds")], to=TensorProto.FLOAT),
        helper.make_node(of_second, [own("log_odds")], [own("of_second")]),
        helper.make_node("Sub", [own("whole"), own("of_second")], [own("of_first")]),
        helper.make_node("Concat", [own("of_first"), own("of_second")], [scores], axis=1),
    ]
    return constants, steps


def _end_with_decision(graph: Any, churn_column: int, threshold: float, calibration: Calibration) -> None:
    probabilities = graph.output[1].name
    chosen = PROBABILITY_OUTPUT if calibration == UNCHANGED else "uncalibrated"
    graph.initializer.extend(
        [
            helper.make_tensor("churn_column", TensorProto.INT64, [], [churn_column]),
            helper.make_tensor("threshold", TensorProto.FLOAT, [1], [threshold]),
        ]
    )
    graph.node.extend(
        [
            helper.make_node("Gather", [probabilities, "churn_column"], [chosen], axis=1),
        ]
    )
    if chosen != PROBABILITY_OUTPUT:
        _calibrate(graph, chosen, calibration)
    graph.node.extend(
        [
            helper.make_node("GreaterOrEqual", [PROBABILITY_OUTPUT, "threshold"], ["churns"]),
            helper.make_node("Cast", ["churns"], [PREDICTION_OUTPUT], to=TensorProto.INT64),
        ]
    )
    del graph.output[:]
    graph.output.extend(
        [
            helper.make_tensor_value_info(PROBABILITY_OUTPUT, TensorProto.FLOAT, [None]),
            helper.make_tensor_value_info(PREDICTION_OUTPUT, TensorProto.INT64, [None]),
        ]
    )


def _calibrate(graph: Any, uncalibrated: str, calibration: Calibration) -> None:
    # In double: a float32 logarithm differs in its last bit with a user's place in the batch.
    constants = {
        "lowest": CLIP, "highest": 1 - CLIP, "one": 1.0, "slope": calibration.slope, "intercept": calibration.intercept,
    }  # fmt: skip
    graph.initializer.extend(
        helper.make_tensor(name, TensorProto.DOUBLE, [], [value]) for name, value in constants.items()
    )
    graph.node.extend(
        [
            helper.make_node("Cast", [uncalibrated], ["in_double"], to=TensorProto.DOUBLE),
            helper.make_node("Clip", ["in_double", "lowest", "highest"], ["clipped"]),
            helper.make_node("Sub", ["one", "clipped"], ["stays"]),
            helper.make_node("Div", ["clipped", "stays"], ["odds"]),
            helper.make_node("Log", ["odds"], ["log_odds"]),
            helper.make_node("Mul", ["log_odds", "slope"], ["stretched"]),
            helper.make_node("Add", ["stretched", "intercept"], ["shifted"]),
            helper.make_node("Sigmoid", ["shifted"], ["calibrated"]),
            helper.make_node("Cast", ["calibrated"], [PROBABILITY_OUTPUT], to=TensorProto.FLOAT),
        ]
    )


class _PlainNumbers:
    """A skl2onnx container whose nodes get Python numbers.

    skl2onnx 1.20 hands numpy and Python booleans of scikit-learn 1.9's gradient boosting to an attribute of integers,
    which protobuf refuses.
    """

    def __init__(self, container: Any) -> None:
        self._container = container

    def __getattr__(self, name: str) -> Any:
        return getattr(self._container, name)

    def add_node(self, *args: Any, **attributes: Any) -> Any:
        return self._container.add_node(*args, **{name: _plain(value) for name, value in attributes.items()})


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [int(each) if isinstance(each, bool | np.bool_ | np.integer) else each for each in value]
    return value


def _convert_hist_gradient_boosting(scope: Any, operator: Any, container: Any) -> None:
    get_converter("SklearnHistGradientBoostingClassifier")(scope, operator, _PlainNumbers(container))
