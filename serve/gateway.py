"""Gateway: HTTP request, feature lookup, score, HTTP response; the only module that chooses status codes."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from serve.arguments import Arguments
from serve.batching import MicroBatch
from serve.contract import StalePolicy
from serve.metrics import Metrics
from serve.no_prediction import NOT_FOUND, UNUSABLE, NoPrediction
from streamflow.core.schema import service_features
from streamflow.online.values import (
    Scored,
    UserFeatures,
    absent_features,
    forbidden_nulls,
    nulls_by_design,
    stale_features,
)

Lookup = Callable[[list[str]], Awaitable[list[UserFeatures]]]
Assess = Callable[[list[str]], Awaitable[list[Scored]]]
About = Callable[[], Awaitable[dict[str, Any]]]
PROBE = "readiness probe"


class Gateway:
    """Turns user ids into responses with a graph that looks up features and scores them.

    `assess` is the whole graph from user ids to scores, `lookup` its first part alone. NoPrediction has the status
    and the body.
    """

    def __init__(
        self,
        service: str,
        *,
        assess: Assess,
        lookup: Lookup,
        about: About,
        metrics: Metrics,
        max_age: timedelta,
        stale_policy: StalePolicy = "flag",
    ) -> None:
        self._wanted = service_features(service)
        self._names = [column.name for column in self._wanted]
        self._assess, self._lookup, self._about = assess, lookup, about
        self._max_age, self._refuses_stale = max_age, stale_policy == "refuse"
        self.metrics = metrics
        self._large = asyncio.Semaphore(1)
        self._one = MicroBatch(self._timed, on_batch=metrics.batch_size.observe)

    async def predict(self, user_id: str) -> dict[str, Any]:
        """The Prediction for one user. Raises NoPrediction with 404 or 422 if features are missing or too old."""
        answer = self._answer(await self._one(user_id))
        if isinstance(answer, NoPrediction):
            raise answer
        return answer

    async def predict_batch(self, user_ids: Sequence[str]) -> dict[str, Any]:
        """The BatchAnswer for up to 1,000 users, scored in one call and so by one model."""
        # One at a time: a thousand users take long, and other requests must go on meanwhile.
        async with self._large:
            self.metrics.batch_size.observe(len(user_ids))
            answers = [self._answer(scored) for scored in await self._timed(list(user_ids))]
        return {"results": [each.item() if isinstance(each, NoPrediction) else each for each in answers]}

    async def features(self, user_id: str) -> dict[str, Any]:
        """The Features of one user. Raises NoPrediction with 404 for an unknown user."""
        (features,) = await self._lookup([user_id])
        if not features.values:
            raise self._missing(NOT_FOUND, user_id, self._names)
        return {
            "user_id": user_id,
            "features": features.values,
            "timestamps": features.timestamps,
            "stale_features": stale_features(features, self._wanted, self._oldest()),
        }

    async def model(self) -> dict[str, Any]:
        """The ModelAnswer."""
        return await self._about()

    async def ready(self) -> dict[str, str]:
        """Readiness: a model is loaded and the store answers. Raises a StreamFlowError with the reason if not."""
        model = await self._about()
        await self._lookup([PROBE])
        return {"status": "ready", "model_version": model["version"]}

    async def _timed(self, user_ids: list[str]) -> list[Scored]:
        with self.metrics.part("graph"):
            return await self._assess(user_ids)

    def _answer(self, scored: Scored) -> dict[str, Any] | NoPrediction:
        features, score = scored.features, scored.score
        if score is None:
            return self._incomplete(features)
        oldest, newest = self._oldest(), features.newest
        stale = stale_features(features, self._wanted, oldest)
        is_stale = newest is None or newest < oldest
        self.metrics.count_stale(stale)
        if is_stale and self._refuses_stale:
            limit = f"{self._max_age.total_seconds() / 86400:g} days"
            error = f"Stale features for user_id={features.user_id}: newest of {newest:%Y-%m-%d}, limit {limit}"
            return NoPrediction(UNUSABLE, features.user_id, {"error": error, "stale_features": stale})
        self.metrics.count_prediction(score.model["version"])
        values = features.values
        return {
            "user_id": features.user_id,
            "prediction": score.prediction,
            "probability": score.churn_probability,
            "features_used": {name: values[name] for name in self._names},
            "null_by_design": nulls_by_design(features, self._wanted),
            "feature_timestamp": newest,
            "stale": is_stale,
            "stale_features": stale,
            "model": score.model,
        }

    def _incomplete(self, features: UserFeatures) -> NoPrediction:
        absent, null = absent_features(features, self._wanted), forbidden_nulls(features, self._wanted)
        self.metrics.count_missing(absent, null)
        missing = {*absent, *null}
        status = UNUSABLE if features.values else NOT_FOUND
        return self._missing(status, features.user_id, [name for name in self._names if name in missing])

    def _oldest(self) -> datetime:
        return datetime.now(UTC) - self._max_age

    @staticmethod
    def _missing(status: int, user_id: str, names: list[str]) -> NoPrediction:
        return NoPrediction(
            status, user_id, {"error": f"Missing features for user_id={user_id}", "missing_features": names}
        )


def gateway_of(arguments: Arguments, assess: Assess, lookup: Lookup, about: About, metrics: Metrics) -> Gateway:
    """The gateway that the arguments describe, over a graph."""
    return Gateway(
        arguments.service,
        assess=assess,
        lookup=lookup,
        about=about,
        metrics=metrics,
        max_age=timedelta(days=arguments.max_age_days),
        stale_policy=arguments.stale_policy,
    )
