"""Scorer: churn probabilities from the model version behind an alias."""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from ray import serve

from serve.process import Held, prepare
from streamflow.adapters.registry import LoadedModel
from streamflow.errors import StreamFlowError
from streamflow.schema import MODEL_NAME
from streamflow.serving import Score


class Scorer:
    """Scores with one verified model, loaded before the first answer."""

    def __init__(self, load: Callable[[], LoadedModel]) -> None:
        self._loaded_at: datetime | None = None
        self._model = Held(lambda: self._stamped(load()))

    def ready(self) -> None:
        """Load the model now if it is there, so that the first request does not wait for it."""
        with suppress(StreamFlowError):
            self._model.get()

    def score(self, rows: list[dict[str, Any]]) -> list[Score]:
        """A score for each row of features, all from the same model. Raises why there is no model, if there is none."""
        loaded = self._model.get()
        values = {column.name: [row[column.name] for row in rows] for column in loaded.model.features}
        probabilities, predictions = loaded.model.score(values)
        about = self._about(loaded)
        return [Score(*each, about) for each in zip(probabilities, predictions, strict=True)]

    def about(self) -> dict[str, Any]:
        """Provenance of the model, its features, and since when it is loaded. Raises why there is none."""
        loaded = self._model.get()
        return {
            **self._about(loaded),
            "run_id": loaded.run_id,
            "loaded_at": self._loaded_at.isoformat() if self._loaded_at else None,
            "features": [column.name for column in loaded.model.features],
            "provenance": dict(loaded.tags),
        }

    def _stamped(self, loaded: LoadedModel) -> LoadedModel:
        self._loaded_at = datetime.now(UTC)
        return loaded

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

        super().__init__(lambda: load_alias(prepare(root), alias, service))
        self.ready()
