"""The graph: `serve run serve.app:app`, or `serve run serve.app:build max_age_days=31` with arguments."""

import atexit
from functools import cache
from pathlib import Path

import ray
from pydantic import BaseModel, ConfigDict, Field
from ray.serve import Application

from serve.feature_lookup import FeatureLookupDeployment
from serve.gateway import GatewayDeployment
from serve.process import prepare
from serve.scorer import ScorerDeployment
from streamflow.adapters.registry import PRODUCTION
from streamflow.errors import StreamFlowError
from streamflow.schema import FEATURE_SERVICES

ROOT = str(Path(__file__).resolve().parents[1])


class Arguments(BaseModel):
    """What `serve run serve.app:build` takes as key=value."""

    model_config = ConfigDict(extra="forbid")

    feature_service: str | None = Field(
        None,
        description="feature service to look up; default: the one of the model behind the alias",
        pattern=f"^({'|'.join(FEATURE_SERVICES)})$",
    )
    alias: str = Field(PRODUCTION, description="alias of the model version to serve")
    max_age_days: float = Field(62, gt=0, description="features older than this are flagged stale")
    replicas: int = Field(1, ge=1, description="replicas of feature lookup and scorer, each")


def build(arguments: Arguments) -> Application:
    """Gateway, feature lookup and scorer as three deployments (graph `split`)."""
    service = arguments.feature_service or _service_of(arguments.alias)
    features = FeatureLookupDeployment.options(num_replicas=arguments.replicas).bind(ROOT, service)
    scorer = ScorerDeployment.options(num_replicas=arguments.replicas).bind(ROOT, service, arguments.alias)
    return GatewayDeployment.bind(service, features, scorer, arguments.max_age_days)


@cache
def _service_of(alias: str) -> str:
    """The feature service of the model behind the alias; churn_v1 as long as there is none."""
    from streamflow.adapters.registry import open_registry

    try:
        # `serve run` builds the graph in the process that the user ends; the embedded Postgres ends with it, after Ray.
        url = prepare(ROOT)
        atexit.register(ray.shutdown)
        version = open_registry(url).version_behind(alias)
    except StreamFlowError:
        version = None  # the replicas report the reason and try again
    return version.tags["streamflow.feature_service"] if version else "churn_v1"


app = build(Arguments())
