"""The scikit-learn pipeline around an estimator: how features become numbers, and probabilities come out."""

from collections.abc import Iterator, Mapping, Sequence
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

from streamflow.core.schema import Column
from streamflow.model.scoring import model_inputs

_NULL = -1.0
_NULLABLE_LEVELS = [_NULL, 0.0, 1.0]

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


def fit(
    pipeline: Pipeline,
    frame: pd.DataFrame,
    churned: Labels,
    weights: np.ndarray[Any, np.dtype[np.float64]] | None = None,
) -> Pipeline:
    """Fit the pipeline; `churned` and the users' `weights` (None: all alike) are aligned with the frame's rows.

    The thresholds of trees are rounded down to float32. Features are float32, so no decision changes; ONNX holds
    thresholds as float32, and rounding to the nearest would send a user on the border to the other side.
    """
    pipeline.fit(frame, churned, **({} if weights is None else {"estimator__sample_weight": weights}))
    for thresholds in _tree_thresholds(pipeline[-1]):
        thresholds[:] = _rounded_down(thresholds)
    return pipeline


def uncalibrated_probability(pipeline: Pipeline, frame: pd.DataFrame) -> Probabilities:
    """The estimator's own probability of the class True for each row, summed in a fixed order; shape (n_users,)."""
    for part in _fitted_parts(pipeline[-1]):
        if hasattr(part, "n_jobs"):
            # With several workers a forest adds its trees up in another order each time.
            part.n_jobs = 1
    column = list(pipeline[-1].classes_).index(True)
    return np.asarray(pipeline.predict_proba(frame)[:, column])


def estimator_parameters(model: Mapping[str, Any]) -> dict[str, Any]:
    """The estimator's settings without Hydra's `_target_`."""
    return {name: value for name, value in model.items() if name != "_target_"}


def _tree_thresholds(estimator: Any) -> list[np.ndarray[Any, Any]]:
    """Views on the thresholds of every tree of forests and of histogram gradient boosting; empty for other models."""
    parts = list(_fitted_parts(estimator))
    forest = [part.tree_.threshold for part in parts if hasattr(part, "tree_")]
    boosted = [
        tree.nodes["num_threshold"] for part in parts for trees in getattr(part, "_predictors", []) for tree in trees
    ]
    return forest + boosted


def _fitted_parts(estimator: Any) -> Iterator[Any]:
    """An estimator and all that it is made of: the steps of a pipeline, the trees of a forest, the voters of an ensemble."""
    yield estimator
    inner = (
        [step for _, step in estimator.steps]
        if isinstance(estimator, Pipeline)
        else list(np.ravel(np.asarray(getattr(estimator, "estimators_", []), dtype=object)))
    )
    for part in inner:
        yield from _fitted_parts(part)


def _rounded_down(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    nearest = values.astype(np.float32)
    return np.where(nearest > values, np.nextafter(nearest, np.float32(-np.inf)), nearest).astype(np.float64)


def _indicators(categories: list[list[Any]]) -> OneHotEncoder:
    return OneHotEncoder(categories=categories, handle_unknown="ignore", sparse_output=False)
