"""What `serve run serve.app:build` takes as key=value, and every deployment of the graph gets."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from serve.contract import StalePolicy
from streamflow.core.schema import FEATURE_SERVICES

PRODUCTION = "Production"


class Arguments(BaseModel):
    """The graph and its limits. Raises pydantic's ValidationError for a key or value that it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    graph: Literal["split", "fused"] = Field(
        "split", description="split: three deployments, each with replicas of its own; fused: all three in one replica"
    )
    model: str = Field(
        PRODUCTION,
        description="alias of the version to serve, followed when it moves; or one exact version: 3 or v3",
        pattern=r"^[A-Za-z0-9_.-]+$",
    )
    feature_service: str | None = Field(
        None,
        description="feature service to look up; default: the one of the model",
        pattern=f"^({'|'.join(FEATURE_SERVICES)})( without [a-z0-9_]+(, [a-z0-9_]+)*)?$",
    )
    max_age_days: float = Field(62, gt=0, description="features older than this are stale")
    stale_policy: StalePolicy = Field("flag", description="flag: answer and name the stale features; refuse: 422")
    any_source: bool = Field(False, description="answer for users of another source than the model's, too")
    replicas: int = Field(1, ge=1, le=64, description="replicas of feature lookup and scorer each; fused: of the whole")
    gateways: int = Field(1, ge=1, le=64, description="replicas of the gateway of graph split")
    token: str | None = Field(
        None, min_length=8, description="bearer token that every request but the page, /health and /ready needs"
    )
    root: str = Field(
        str(Path(__file__).resolve().parents[1]), description="the project's folder on the machine that serves"
    )

    @property
    def service(self) -> str:
        """The feature service to look up; `build` has filled it in."""
        assert self.feature_service is not None
        return self.feature_service
