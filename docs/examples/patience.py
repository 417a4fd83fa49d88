"""A part of one's own behind the scorer: `serve run docs.examples.patience:build`."""

from dataclasses import replace

from ray import serve
from ray.serve import Application

from serve.app import graph
from serve.arguments import Arguments
from streamflow.online.values import Scored


@serve.deployment
class Patience:
    """Nobody is predicted to churn in the first month: the offer would come before the first bill."""

    async def apply(self, users: list[Scored]) -> list[Scored]:
        """The same users; `probability` stays the model's."""
        return [
            self._spare(each) if each.score and each.features.values["months_active"] < 2 else each for each in users
        ]

    def _spare(self, user: Scored) -> Scored:
        return replace(user, score=replace(user.score, prediction=0))


def build(arguments: Arguments) -> Application:
    """The graph with the rule behind the scorer."""
    return graph(arguments, Patience.bind())
