"""The feature services: what a model is trained on and served with."""

from feast import FeatureService
from feature_views import views

from streamflow.schema import views_of


def _service(name: str) -> FeatureService:
    return FeatureService(
        name=name, features=[views[view][list(features)] for view, features in views_of(name).items()]
    )


churn_v1 = _service("churn_v1")
churn_v2 = _service("churn_v2")
