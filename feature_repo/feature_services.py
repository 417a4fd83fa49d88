"""The feature services: what a model is trained on and served with.

A source that lacks tables or columns has a service without their features; the one that is asked for is among them.
"""

import os

from feast import FeatureService
from feature_views import views

from streamflow.core.schema import FEATURE_SERVICES, views_of
from streamflow.features.point_in_time import SERVICE_VARIABLE


def _service(name: str) -> FeatureService:
    return FeatureService(
        name=name, features=[views[view][list(features)] for view, features in views_of(name).items()]
    )


# Feast collects what the module names.
globals().update(
    {name: _service(name) for name in [*FEATURE_SERVICES, *filter(None, [os.environ.get(SERVICE_VARIABLE)])]}
)
