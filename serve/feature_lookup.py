"""FeatureLookup: the features of users from the Feast online store, many users in one read."""

from typing import Protocol

from ray import serve

from serve.arguments import Arguments
from serve.metrics import Metrics
from serve.process import DEPLOYED, database_url, shared_metrics
from streamflow.online.values import UserFeatures


class Rows(Protocol):
    """A reader of online features."""

    async def read(self, user_ids: list[str]) -> list[UserFeatures]:
        """The features of each user, in the order of the ids. Raises FeatureStoreError if the store does not answer."""


class FeatureLookup:
    """Reads one feature service and measures the time."""

    def __init__(self, rows: Rows, metrics: Metrics) -> None:
        self._rows, self._metrics = rows, metrics

    async def lookup(self, user_ids: list[str]) -> list[UserFeatures]:
        """The features of each user, in the order of the ids. Raises FeatureStoreError if the store does not answer."""
        with self._metrics.part("lookup"):
            return await self._rows.read(user_ids)


@serve.deployment(name="FeatureLookup", **DEPLOYED)
class FeatureLookupDeployment(FeatureLookup):
    """FeatureLookup over the project's online store."""

    def __init__(self, arguments: Arguments) -> None:
        metrics = shared_metrics(arguments.root)
        super().__init__(online_rows(arguments), metrics)


def online_rows(arguments: Arguments) -> Rows:
    """The reader of the project's online store; it connects with the first read."""
    from streamflow.online.rows import OnlineRows

    return OnlineRows(database_url(arguments.root), arguments.service)
