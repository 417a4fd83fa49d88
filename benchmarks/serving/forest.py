"""The scikit-learn pipeline behind the registered ONNX model, fitted again: the registry keeps no pickle."""

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from sklearn.base import BaseEstimator, ClassifierMixin

from streamflow.core.schema import LABEL, service_features
from streamflow.features.dataset import SPLIT
from streamflow.features.splits import TEST, VALIDATION
from streamflow.model.recipe import recipe_of
from streamflow.model.sklearn_pipeline import pipeline_frame
from streamflow.model.training import Trained, sample_weights, train
from streamflow.pipeline.layout import DATASET
from streamflow.pipeline.params import read_params


class CalibratedForest(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A trained pipeline and its calibration as one scikit-learn classifier of the classes False and True."""

    def __init__(self, trained: Trained, jobs: int = 1) -> None:
        self.trained, self.jobs = trained, jobs
        self.classes_ = np.array([False, True])
        # Workers cost more than they give for one row.
        trained.pipeline[-1].n_jobs = jobs

    def predict_proba(self, frame: pd.DataFrame) -> np.ndarray[Any, Any]:
        """Probabilities of both classes; shape (n_users, 2)."""
        churns = self.trained.calibration.of(self.trained.pipeline.predict_proba(frame)[:, 1])
        return np.column_stack([1 - churns, churns])

    def __sklearn_is_fitted__(self) -> bool:
        return True


def fitted_forest(jobs: int = 1) -> CalibratedForest:
    """What stage `train` makes from params.yaml and data/dataset, set to predict with `jobs` threads."""
    config = read_params("train")
    recipe = recipe_of(config)
    rows = pq.read_table(DATASET)
    rows = rows.filter(pc.not_equal(rows[SPLIT], TEST))
    frame, churned = pipeline_frame(rows, recipe.features), rows[LABEL].to_numpy()
    validation = np.array(rows[SPLIT].to_pylist()) == VALIDATION
    return CalibratedForest(train(recipe, frame, churned, validation, sample_weights(rows, config.sample_weight)), jobs)


def held_out_users() -> tuple[pa.Table, pd.DataFrame]:
    """The test part of the dataset, and the same rows as the pipeline takes them."""
    rows = pq.read_table(DATASET)
    rows = rows.filter(pc.equal(rows[SPLIT], TEST))
    return rows, pipeline_frame(rows, service_features(read_params("train").features.service))
