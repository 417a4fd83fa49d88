"""The graph as three deployments: gateway, feature lookup and scorer, each with replicas of its own."""

from collections.abc import Sequence
from typing import Any

from ray import serve
from ray.serve.handle import DeploymentHandle

from serve.arguments import Arguments
from serve.gateway import Assess, gateway_of
from serve.http_api import HttpApi
from serve.process import ENTRANCE, shared_metrics
from streamflow.online.values import Scored


def through_handles(features: DeploymentHandle, scorer: DeploymentHandle, rules: Sequence[DeploymentHandle]) -> Assess:
    """The graph over deployments. Responses are passed on as futures: the gateway waits once, for the last."""

    async def assess(user_ids: list[str]) -> list[Scored]:
        response: Any = scorer.score.remote(features.lookup.remote(user_ids))
        for rule in rules:
            response = rule.apply.remote(response)
        scored: list[Scored] = await response
        return scored

    return assess


@serve.deployment(name="Gateway", **ENTRANCE)
@serve.ingress()
class GatewayDeployment:
    """Gateway over the deployments of feature lookup, scorer and rules (graph `split`)."""

    def __init__(
        self, arguments: Arguments, features: DeploymentHandle, scorer: DeploymentHandle, *rules: DeploymentHandle
    ) -> None:
        assess = through_handles(features, scorer, rules)
        metrics = shared_metrics(arguments.root)
        gateway = gateway_of(arguments, assess, features.lookup.remote, scorer.about.remote, metrics)
        self._api = HttpApi(gateway, arguments.token)

    def __serve_build_asgi_app__(self) -> HttpApi:
        return self._api
