"""Gateway: HTTP in, features looked up, scored, HTTP out; the only place that knows status codes."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import FastAPI, Path, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from ray import serve
from ray.exceptions import RayError
from ray.serve.exceptions import RayServeException
from ray.serve.handle import DeploymentHandle

from streamflow.errors import StreamFlowError
from streamflow.schema import service_features
from streamflow.serving import Score, UserFeatures, absent_features, forbidden_nulls, is_stale

NOT_FOUND, UNUSABLE, UNAVAILABLE = 404, 422, 503

Lookup = Callable[[list[str]], Awaitable[list[UserFeatures]]]
Scoring = Callable[[list[dict[str, Any]]], Awaitable[list[Score]]]
About = Callable[[], Awaitable[dict[str, Any]]]
UserId = Annotated[str, Field(min_length=1, max_length=64, examples=["7590-VHVEG"])]


class PredictRequest(BaseModel):
    """Whose churn is asked for."""

    user_id: UserId


class ModelReference(BaseModel):
    """Which model answered."""

    name: str
    version: str
    model_sha256: str
    git_commit: str
    as_of: str


class Prediction(BaseModel):
    """A score, the features it came from and the model that gave it. `stale`: the newest feature is over the age limit."""

    user_id: str
    prediction: int = Field(description="1: churns, 0: stays, at the model's own threshold")
    probability: float = Field(description="probability of churn", ge=0, le=1)
    features_used: dict[str, Any]
    feature_timestamp: datetime
    stale: bool
    model: ModelReference


class Features(BaseModel):
    """A user's online features, null where null is a value."""

    user_id: str
    features: dict[str, Any]


class MissingFeatures(BaseModel):
    """Features that a prediction needs and the store does not have (404) or has as null (422)."""

    error: str
    missing_features: list[str]


class Problem(BaseModel):
    """Why there is no answer."""

    error: str


class Refusal(Exception):
    """An answer that is no prediction: a status and its body."""

    def __init__(self, status: int, body: BaseModel) -> None:
        super().__init__(status)
        self.status, self.body = status, body


class Gateway:
    """Turns a user id into an answer by way of a feature lookup and a scorer, whatever runs them."""

    def __init__(self, service: str, lookup: Lookup, score: Scoring, about: About, max_age: timedelta) -> None:
        self._wanted = service_features(service)
        self._lookup, self._score, self._about = lookup, score, about
        self._max_age = max_age

    async def predict(self, user_id: str) -> Prediction:
        """A prediction for one user. Raises Refusal with 404 or 422 if features are missing."""
        features = await self._complete(user_id)
        used = {column.name: features.values[column.name] for column in self._wanted}
        (score,) = await self._score([used])
        return Prediction(
            user_id=user_id,
            prediction=score.prediction,
            probability=score.churn_probability,
            features_used=used,
            feature_timestamp=features.newest or datetime.min,
            stale=is_stale(features, datetime.now(UTC), self._max_age),
            model=ModelReference(**score.model),
        )

    async def features(self, user_id: str) -> Features:
        """The online features of one user. Raises Refusal with 404 for an unknown user."""
        (features,) = await self._lookup([user_id])
        if not features.values:
            raise self._missing(NOT_FOUND, user_id, absent_features(features, self._wanted))
        return Features(user_id=user_id, features=features.values)

    async def model(self) -> dict[str, Any]:
        """Provenance of the model that answers."""
        return await self._about()

    async def ready(self) -> dict[str, str]:
        """Ready: a model is loaded and the store answers. Raises the StreamFlowError that says why not."""
        model = await self._about()
        await self._lookup(["readiness probe"])
        return {"status": "ready", "model_version": model["version"]}

    async def _complete(self, user_id: str) -> UserFeatures:
        (features,) = await self._lookup([user_id])
        absent = absent_features(features, self._wanted)
        if not features.values:
            raise self._missing(NOT_FOUND, user_id, absent)
        unusable = absent + forbidden_nulls(features, self._wanted)
        if unusable:
            raise self._missing(UNUSABLE, user_id, unusable)
        return features

    @staticmethod
    def _missing(status: int, user_id: str, names: list[str]) -> Refusal:
        return Refusal(status, MissingFeatures(error=f"Missing features for user_id={user_id}", missing_features=names))


def http_api(gateway: Gateway) -> FastAPI:
    """The HTTP endpoints of a gateway; /docs describes them."""
    api = FastAPI(title="StreamFlow churn", description="Churn predictions of the Production model.")
    missing: dict[int | str, dict[str, Any]] = {
        NOT_FOUND: {"model": MissingFeatures, "description": "unknown user: all features are missing"},
        UNAVAILABLE: {"model": Problem, "description": "no model, or the feature store does not answer"},
    }
    unusable: dict[int | str, dict[str, Any]] = {
        UNUSABLE: {
            "model": MissingFeatures | Problem,
            "description": "features that must not be null are, or bad input",
        }
    }
    unavailable = {UNAVAILABLE: missing[UNAVAILABLE]}

    @api.post("/predict", responses={**missing, **unusable})
    async def predict(request: PredictRequest) -> Prediction:
        """Predict one user's churn."""
        return await gateway.predict(request.user_id)

    @api.get("/features/{user_id}", responses={**missing, UNUSABLE: {"model": Problem}})
    async def features(user_id: Annotated[str, Path(min_length=1, max_length=64)]) -> Features:
        """Show one user's online features."""
        return await gateway.features(user_id)

    @api.get("/model", responses=unavailable)
    async def model() -> dict[str, Any]:
        """Show where the model that answers came from."""
        return await gateway.model()

    @api.get("/health")
    async def health() -> dict[str, str]:
        """The process is up."""
        return {"status": "ok"}

    @api.get("/ready", responses=unavailable)
    async def ready() -> dict[str, str]:
        """Model and feature store are usable."""
        return await gateway.ready()

    @api.exception_handler(Refusal)
    async def refused(_: Request, refusal: Refusal) -> JSONResponse:
        return JSONResponse(refusal.body.model_dump(), refusal.status)

    @api.exception_handler(StreamFlowError)
    async def unavailable_now(_: Request, error: StreamFlowError) -> JSONResponse:
        # A Ray handle raises a class of its own around the cause; its text is a whole remote traceback.
        cause = getattr(error, "cause", error)
        return JSONResponse(Problem(error=str(cause)).model_dump(), UNAVAILABLE)

    @api.exception_handler(RayError)
    @api.exception_handler(RayServeException)
    async def overloaded(_: Request, error: Exception) -> JSONResponse:
        return JSONResponse(
            Problem(error=f"a part of the graph does not answer: {type(error).__name__}").model_dump(), UNAVAILABLE
        )

    @api.exception_handler(RequestValidationError)
    async def malformed(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return JSONResponse(Problem(error=f"{where}: {first['msg']}").model_dump(), UNUSABLE)

    return api


@serve.deployment(name="Gateway", max_ongoing_requests=200, ray_actor_options={"num_cpus": 0.2})
@serve.ingress()
class GatewayDeployment:
    """Gateway over the deployments of feature lookup and scorer."""

    def __init__(self, service: str, features: DeploymentHandle, scorer: DeploymentHandle, max_age_days: float) -> None:
        self._gateway = Gateway(
            service, features.lookup.remote, scorer.score.remote, scorer.about.remote, timedelta(days=max_age_days)
        )

    def __serve_build_asgi_app__(self) -> FastAPI:
        return http_api(self._gateway)
