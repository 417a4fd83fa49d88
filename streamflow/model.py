"""The scikit-learn pipeline around an estimator: how features become numbers, and how a threshold is chosen."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model._base import LinearClassifierMixin
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from streamflow.schema import Column
from streamflow.scoring import model_inputs

_NULL = -1.0
_NULLABLE_LEVELS = [_NULL, 0.0, 1.0]
THRESHOLDS = np.round(np.arange(0.05, 0.951, 0.005), 3)

Probabilities = np.ndarray[Any, np.dtype[np.floating[Any]]]
Labels = np.ndarray[Any, np.dtype[np.bool_]]


def churn_pipeline(estimator: BaseEstimator, features: Sequence[Column]) -> Pipeline:
    """Preprocessing and estimator for the columns of a feature service.

    Booleans that may be NULL become three indicator columns (NULL, false, true): NULL is a value of its own. Text becomes
    one indicator for each value of its domain. A linear model gets standardised numbers; trees need none.
    """
    numbers = StandardScaler() if isinstance(estimator, LinearClassifierMixin) else "passthrough"
    nullable = [column.name for column in features if column.nullable]
    texts = [column for column in features if column.kind == "text"]
    plain = [column.name for column in features if column.kind != "text" and not column.nullable]
    null_as_value = Pipeline(
        [
            ("null", SimpleImputer(strategy="constant", fill_value=_NULL, keep_empty_features=True)),
            ("indicators", _indicators([_NULLABLE_LEVELS] * len(nullable))),
        ]
    )
    columns = ColumnTransformer(
        [
            ("number", numbers, plain),
            ("nullable", null_as_value, nullable),
            ("text", _indicators([list(column.allowed) for column in texts]), [column.name for column in texts]),
        ]
    )
    return Pipeline([("columns", columns), ("estimator", estimator)])


def pipeline_frame(rows: pa.Table, features: Sequence[Column]) -> pd.DataFrame:
    """The features as the pipeline and the ONNX graph take them: float32 with NaN for NULL, text as str."""
    inputs = model_inputs({column.name: rows[column.name].to_pylist() for column in features}, features)
    return pd.DataFrame(inputs)


def fit(pipeline: Pipeline, frame: pd.DataFrame, churned: Labels) -> Pipeline:
    """Fit the pipeline; `churned` is aligned with the frame's rows.

    The thresholds of trees are rounded down to float32. Features are float32, so no decision changes; ONNX holds
    thresholds as float32, and rounding to the nearest would send a user on the border to the other side.
    """
    pipeline.fit(frame, churned)
    for thresholds in _tree_thresholds(pipeline[-1]):
        thresholds[:] = _rounded_down(thresholds)
    return pipeline


def churn_probability(pipeline: Pipeline, frame: pd.DataFrame) -> Probabilities:
    """Probability of the class True for each row, summed in a fixed order; shape (n_users,)."""
    estimator = pipeline[-1]
    if hasattr(estimator, "n_jobs"):
        # With several workers a forest adds its trees up in another order each time.
        estimator.set_params(n_jobs=1)
    column = list(estimator.classes_).index(True)
    return np.asarray(pipeline.predict_proba(frame)[:, column])


def best_f1_threshold(churned: Labels, probabilities: Probabilities) -> float:
    """The threshold of the grid 0.050, 0.055 … 0.950 with the highest F1; the lowest of equals."""
    predicted = probabilities[:, np.newaxis] >= THRESHOLDS
    caught = (predicted & churned[:, np.newaxis]).sum(axis=0)
    # F1 = 2 TP / (2 TP + FP + FN); without a churner and without an alarm it is 0.
    f1 = 2 * caught / np.maximum(predicted.sum(axis=0) + churned.sum(), 1)
    return float(THRESHOLDS[int(np.argmax(f1))])


def estimator_parameters(model: Mapping[str, Any]) -> dict[str, Any]:
    """The estimator's settings without Hydra's `_target_`."""
    return {name: value for name, value in model.items() if name != "_target_"}


def _tree_thresholds(estimator: Any) -> list[np.ndarray[Any, Any]]:
    """Views on the thresholds of every tree of a forest or of histogram gradient boosting; empty for other models."""
    forest = [
        tree.tree_.threshold for tree in np.ravel(getattr(estimator, "estimators_", [])) if hasattr(tree, "tree_")
    ]
    boosted = [tree.nodes["num_threshold"] for trees in getattr(estimator, "_predictors", []) for tree in trees]
    return forest + boosted


def _rounded_down(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    nearest = values.astype(np.float32)
    return np.where(nearest > values, np.nextafter(nearest, np.float32(-np.inf)), nearest).astype(np.float64)


def _indicators(categories: list[list[Any]]) -> OneHotEncoder:
    return OneHotEncoder(categories=categories, handle_unknown="ignore", sparse_output=False)
