"""The graph: `serve run serve.app:app`, or `serve run serve.app:build graph=fused max_age_days=31` with arguments."""

import atexit
from functools import cache

import ray
from ray.serve import Application

from serve.arguments import Arguments
from serve.feature_lookup import FeatureLookupDeployment
from serve.fused import FusedDeployment
from serve.process import database_url
from serve.scorer import ScorerDeployment
from serve.split import GatewayDeployment
from streamflow.core.errors import ConfigError, StreamFlowError


def build(arguments: Arguments) -> Application:
    """Gateway, feature lookup and scorer: as three deployments (`split`), or in one replica (`fused`)."""
    return graph(arguments)


def graph(arguments: Arguments, *rules: Application) -> Application:
    """The graph, with more parts behind the scorer: deployments whose `apply` takes and returns a list of Scored.

    Raises ConfigError for rules in a fused graph, whose parts are not deployments.
    """
    service = arguments.feature_service or _service_of(arguments.root, arguments.model)
    told = arguments.model_copy(update={"feature_service": service})
    if told.graph == "fused":
        if rules:
            raise ConfigError("graph=fused takes no rules; use graph=split")
        return FusedDeployment.options(num_replicas=told.replicas).bind(told)
    features = FeatureLookupDeployment.options(num_replicas=told.replicas).bind(told)
    scorer = ScorerDeployment.options(num_replicas=told.replicas).bind(told)
    return GatewayDeployment.options(num_replicas=told.gateways).bind(told, features, scorer, *rules)


@cache
def _service_of(root: str, model: str) -> str:
    """The feature service of the version to serve; churn_v1 if there is none."""
    from streamflow.registry.registry import open_registry

    try:
        # `serve run` builds the graph in the process that the user ends; the embedded Postgres ends with it, after Ray.
        url = database_url(root)
        atexit.register(ray.shutdown)
        version = open_registry(url).version(model)
    except StreamFlowError:
        return "churn_v1"  # the replicas report the reason and try again
    return version.tags["streamflow.feature_service"]


app = build(Arguments())
