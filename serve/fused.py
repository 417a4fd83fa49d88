"""The whole graph in one replica: the same gateway, feature lookup and scorer, called directly."""

from ray import serve

from serve.arguments import Arguments
from serve.feature_lookup import FeatureLookup, online_rows
from serve.gateway import Gateway, gateway_of
from serve.http_api import HttpApi
from serve.metrics import Metrics
from serve.process import ENTRANCE, shared_metrics
from serve.scorer import Scorer, current_model
from streamflow.online.values import Scored


def fused(arguments: Arguments, features: FeatureLookup, scorer: Scorer, metrics: Metrics) -> Gateway:
    """A gateway over a lookup and a scorer of its own process."""

    async def assess(user_ids: list[str]) -> list[Scored]:
        return await scorer.score(await features.lookup(user_ids))

    return gateway_of(arguments, assess, features.lookup, scorer.about, metrics)


@serve.deployment(name="Fused", **ENTRANCE)
@serve.ingress()
class FusedDeployment:
    """Graph `fused`: no calls between processes."""

    def __init__(self, arguments: Arguments) -> None:
        metrics = shared_metrics(arguments.root)
        scorer = Scorer(current_model(arguments, metrics), metrics)
        features = FeatureLookup(online_rows(arguments), metrics)
        self._api = HttpApi(fused(arguments, features, scorer, metrics), arguments.token)

    def __serve_build_asgi_app__(self) -> HttpApi:
        return self._api
