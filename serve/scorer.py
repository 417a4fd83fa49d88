"""Scorer: churn probabilities from the version of an alias, or from one exact version."""

from collections.abc import Iterator
from functools import partial
from typing import Any

from ray import serve

from serve.arguments import Arguments
from serve.metrics import Metrics
from serve.process import DEPLOYED, database_url, shared_metrics
from serve.reloading import CurrentModel
from streamflow.core.errors import StreamFlowError
from streamflow.core.schema import MODEL_NAME
from streamflow.online.values import Score, Scored, UserFeatures, is_complete
from streamflow.registry.decision import COMPARISON_TAG
from streamflow.registry.loading import LoadedModel


class Scorer:
    """Scores users with the one verified model that is current when their batch arrives."""

    def __init__(self, current: CurrentModel, metrics: Metrics) -> None:
        self._current, self._metrics = current, metrics

    async def score(self, users: list[UserFeatures]) -> list[Scored]:
        """A score for each user who has all features, all of the same model. Raises the reason if there is no model."""
        loaded = self._current.get()
        wanted = loaded.model.features
        complete = [user.values for user in users if is_complete(user, wanted)]
        scores: Iterator[Score] = iter(())
        if complete:
            with self._metrics.part("score"):
                columns = {column.name: [values[column.name] for values in complete] for column in wanted}
                probabilities, predictions = loaded.model.score(columns)
            reference = _reference(loaded)
            scores = iter([Score(*each, reference) for each in zip(probabilities, predictions, strict=True)])
        return [Scored(user, next(scores) if is_complete(user, wanted) else None) for user in users]

    async def about(self) -> dict[str, Any]:
        """The ModelAnswer. Raises the reason if there is no model."""
        loaded, refused = self._current.get(), self._current.refused
        return {
            **_reference(loaded),
            "run_id": loaded.run_id,
            "loaded_at": self._current.loaded_at,
            "from_local_copy": self._current.is_kept_copy,
            "not_served": refused and {"version": refused.version, "reason": refused.reason, "since": refused.since},
            "signed_by": loaded.claim and loaded.claim.signed.signer,
            "unsigned": loaded.unsigned or None,
            "threshold": loaded.threshold,
            "features": [column.name for column in loaded.model.features],
            "provenance": {name: value for name, value in loaded.tags.items() if name != COMPARISON_TAG},
        }


def _reference(loaded: LoadedModel) -> dict[str, str]:
    return {
        "name": MODEL_NAME,
        "version": loaded.version,
        "model_sha256": loaded.model_sha256,
        "git_commit": loaded.git_commit,
        "as_of": loaded.as_of,
    }


def current_model(arguments: Arguments, metrics: Metrics) -> CurrentModel:
    """The version that the arguments name: load it if possible, and follow its alias."""
    from streamflow.online.months import online_month
    from streamflow.registry.registry import open_registry
    from streamflow.registry.served import RegistrySource

    url = partial(database_url, arguments.root)

    def users() -> str:
        """The source of the users who are online; empty if that is not asked or not known."""
        try:
            found = None if arguments.any_source else online_month(url())
        except StreamFlowError:
            return ""  # no user is found either, and /predict says why
        return found.source if found else ""

    source = RegistrySource(lambda: open_registry(url()), arguments.model, arguments.service, users)
    current = CurrentModel(source, metrics)
    current.refresh()
    current.follow()
    return current


@serve.deployment(name="Scorer", **DEPLOYED)
class ScorerDeployment(Scorer):
    """Scorer of the project's registry."""

    def __init__(self, arguments: Arguments) -> None:
        metrics = shared_metrics(arguments.root)
        super().__init__(current_model(arguments, metrics), metrics)
