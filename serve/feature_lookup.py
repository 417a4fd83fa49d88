"""FeatureLookup: a user's features from the Feast online store."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ray import serve

from serve.process import prepare
from streamflow.errors import FeatureStoreError
from streamflow.schema import ENTITY_KEY, FEATURE_SERVICES
from streamflow.serving import UserFeatures

if TYPE_CHECKING:
    from feast import FeatureStore


class FeatureLookup:
    """Reads a feature service from an open Feast store, many users in one call."""

    def __init__(self, store: "FeatureStore", service: str) -> None:
        from feast.protos.feast.serving.ServingService_pb2 import FieldStatus

        self._store = store
        self._features = FEATURE_SERVICES[service]
        self._service = store.get_feature_service(service)
        self._found = (FieldStatus.PRESENT, FieldStatus.NULL_VALUE)

    def lookup(self, user_ids: list[str]) -> list[UserFeatures]:
        """The features of each user, in the order asked. Raises FeatureStoreError if the store does not answer."""
        try:
            response = self._store.get_online_features(
                features=self._service, entity_rows=[{ENTITY_KEY: user_id} for user_id in user_ids]
            )
        except Exception as error:  # Feast lets the errors of psycopg and its pool through
            raise FeatureStoreError(f"the online store does not answer: {str(error).splitlines()[0]}") from error
        columns = response.to_dict()
        results = dict(zip(response.proto.metadata.feature_names.val, response.proto.results, strict=True))
        return [self._user(position, user_id, columns, results) for position, user_id in enumerate(user_ids)]

    def _user(self, position: int, user_id: str, columns: dict[str, Any], results: dict[str, Any]) -> UserFeatures:
        found = [name for name in self._features if results[name].statuses[position] in self._found]
        return UserFeatures(
            user_id=user_id,
            values={name: columns[name][position] for name in found},
            timestamps={
                name: datetime.fromtimestamp(results[name].event_timestamps[position].seconds, UTC) for name in found
            },
        )


@serve.deployment(name="FeatureLookup", max_ongoing_requests=100, ray_actor_options={"num_cpus": 0.2})
class FeatureLookupDeployment(FeatureLookup):
    """FeatureLookup over the project's online store."""

    def __init__(self, root: str, service: str) -> None:
        from streamflow.adapters.online_store import online_feature_store

        super().__init__(online_feature_store(prepare(root)), service)
