"""A pipeline of each kind, fitted on the users of one small month."""

import numpy as np
import pandas as pd
import pyarrow as pa
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier, VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from small_month import joined_month

from streamflow.core.digest import bytes_sha256
from streamflow.core.schema import Column, service_features
from streamflow.model.export import export_onnx
from streamflow.model.sklearn_pipeline import churn_pipeline, fit, pipeline_frame

ESTIMATORS = {
    "random_forest": lambda: RandomForestClassifier(20, min_samples_leaf=5, n_jobs=2, random_state=0),
    "hist_gradient_boosting": lambda: HistGradientBoostingClassifier(max_iter=20, early_stopping=False, random_state=0),
    "logistic_regression": lambda: LogisticRegression(max_iter=500),
    "blend": lambda: VotingClassifier(
        [
            ["boosting", HistGradientBoostingClassifier(max_iter=20, early_stopping=False, random_state=0)],
            ["linear", make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))],
        ],
        voting="soft",
        weights=[2, 1],
    ),
}


def labels(rows: pa.Table) -> np.ndarray:
    """Who churned."""
    return np.array(rows["churn_label"].to_pylist())


def trained(name: str, rows: pa.Table, service: str = "churn_v1") -> tuple[Pipeline, tuple[Column, ...], pd.DataFrame]:
    """A fitted pipeline, the columns that it takes, and its users as it takes them."""
    features = service_features(service)
    frame = pipeline_frame(rows, features)
    return fit(churn_pipeline(ESTIMATORS[name](), features), frame, labels(rows)), features, frame


if __name__ == "__main__":
    for each in ESTIMATORS:
        fitted, columns, _ = trained(each, joined_month(300))
        print(bytes_sha256(export_onnx(fitted, columns, 0.5)))
