"""FeatureLookup: a user's features from the Feast online store."""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ray import serve

from serve.process import Held, prepare
from streamflow.errors import FeatureStoreError, StreamFlowError
from streamflow.schema import ENTITY_KEY, FEATURE_SERVICES
from streamflow.serving import UserFeatures

if TYPE_CHECKING:
    from feast import FeatureStore

# Feast's FieldStatus PRESENT and NULL_VALUE: the store has a row, whose value may be NULL.
_FOUND = (1, 2)


class OpenService:
    """A feature service of an open store. Raises FeatureStoreError if the registry does not have it."""

    def __init__(self, store: "FeatureStore", service: str) -> None:
        self._store = store
        try:
            self._service = store.get_feature_service(service)
        except Exception as error:  # Feast's own errors and those of SQLAlchemy
            reason = str(error).splitlines()[0]
            raise FeatureStoreError(f"feature service {service} is not there: {reason}; run `make repro`") from error

    def read(self, user_ids: list[str]) -> Any:
        """Feast's response for the users. Raises FeatureStoreError if the online store does not answer."""
        rows = [{ENTITY_KEY: user_id} for user_id in user_ids]
        try:
            return self._store.get_online_features(features=self._service, entity_rows=rows)
        except Exception as error:  # Feast lets the errors of psycopg and its pool through
            raise FeatureStoreError(f"the online store does not answer: {str(error).splitlines()[0]}") from error


class FeatureLookup:
    """Reads a feature service from a Feast store, many users in one call; the store is opened before the first answer."""

    def __init__(self, open_store: Callable[[], "FeatureStore"], service: str) -> None:
        self._features = FEATURE_SERVICES[service]
        self._store = Held(lambda: OpenService(open_store(), service))

    def ready(self) -> None:
        """Open the store now if it is there, so that the first request does not wait for it."""
        with suppress(StreamFlowError):
            self._store.get()

    def lookup(self, user_ids: list[str]) -> list[UserFeatures]:
        """The features of each user, in the order asked. Raises FeatureStoreError if the store does not answer."""
        response = self._store.get().read(user_ids)
        columns = response.to_dict()
        results = dict(zip(response.proto.metadata.feature_names.val, response.proto.results, strict=True))
        lacking = [name for name in self._features if name not in results]
        if lacking:
            raise FeatureStoreError(
                f"Feast's registry does not serve {', '.join(lacking)}; run `dvc repro -s materialize`"
            )
        return [self._user(position, user_id, columns, results) for position, user_id in enumerate(user_ids)]

    def _user(self, position: int, user_id: str, columns: dict[str, Any], results: dict[str, Any]) -> UserFeatures:
        found = [name for name in self._features if results[name].statuses[position] in _FOUND]
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

        super().__init__(lambda: online_feature_store(prepare(root)), service)
        self.ready()
