"""Estimator settings as conf/model has them, small enough for a test."""

from streamflow.core.schema import service_features
from streamflow.model.thresholds import ThresholdPolicy

F1 = ThresholdPolicy("f1")

FEATURES = service_features("churn_v1")

FOREST = {
    "_target_": "sklearn.ensemble.RandomForestClassifier",
    "n_estimators": 20,
    "min_samples_leaf": 5,
    "class_weight": "balanced",
    "random_state": 0,
}

LINEAR = {"_target_": "sklearn.linear_model.LogisticRegression", "max_iter": 500}

BLEND = {
    "_target_": "streamflow.model.estimators.blend",
    "weights": {"boosting": 2, "linear": 1},
    "boosting": {"_target_": "sklearn.ensemble.HistGradientBoostingClassifier", "max_iter": 10, "random_state": 0},
    "linear": LINEAR,
}
