"""Scorer: churn probabilities from the model version behind an alias."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from ray import serve

from serve.process import prepare
from streamflow.adapters.registry import LoadedModel
from streamflow.errors import StreamFlowError
from streamflow.schema import MODEL_NAME
from streamflow.serving import Score

RETRY_SECONDS = 5.0


class Scorer:
    """Holds one verified model; while it has none, it tries again at most every five seconds."""

    def __init__(self, load: Callable[[], LoadedModel]) -> None:
        self._load = load
        self._loaded: LoadedModel | None = None
        self._loaded_at: datetime | None = None
        self._problem: StreamFlowError | None = None
        self._next_try = 0.0
        self._try_to_load()

    def score(self, rows: list[dict[str, Any]]) -> list[Score]:
        """A score for each row of features, all from the same model. Raises why there is no model, if there is none."""
        loaded = self._model()
        values = {column.name: [row[column.name] for row in rows] for column in loaded.model.features}
        probabilities, predictions = loaded.model.score(values)
        about = self._about(loaded)
        return [Score(*each, about) for each in zip(probabilities, predictions, strict=True)]

    def about(self) -> dict[str, Any]:
        """Provenance of the model, its features, and since when it is loaded. Raises why there is none."""
        loaded = self._model()
        return {
            **self._about(loaded),
            "run_id": loaded.run_id,
            "loaded_at": self._loaded_at.isoformat() if self._loaded_at else None,
            "features": [column.name for column in loaded.model.features],
            "provenance": dict(loaded.tags),
        }

    def _model(self) -> LoadedModel:
        if self._loaded is None and time.monotonic() >= self._next_try:
            self._try_to_load()
        if self._loaded is None:
            raise self._problem or StreamFlowError("no model is loaded")
        return self._loaded

    def _try_to_load(self) -> None:
        try:
            self._loaded, self._loaded_at = self._load(), datetime.now(UTC)
        except StreamFlowError as problem:
            self._problem = problem
            self._next_try = time.monotonic() + RETRY_SECONDS

    @staticmethod
    def _about(loaded: LoadedModel) -> dict[str, str]:
        return {
            "name": MODEL_NAME,
            "version": str(loaded.version),
            "model_sha256": loaded.model_sha256,
            "git_commit": loaded.tags["streamflow.git_commit"],
            "as_of": loaded.tags["streamflow.as_of"],
        }


@serve.deployment(name="Scorer", max_ongoing_requests=100, ray_actor_options={"num_cpus": 0.2})
class ScorerDeployment(Scorer):
    """Scorer of the registered version behind `alias`, which must take the features of `service`."""

    def __init__(self, root: str, service: str, alias: str) -> None:
        from streamflow.adapters.registry import load_alias

        url = prepare(root)
        super().__init__(lambda: load_alias(url, alias, service))
