"""Online against offline: every user of Production's snapshot, read as serving and as Feast read, and scored."""

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from streamflow.core.arrow import ARROW_TYPES
from streamflow.core.errors import EnvironmentFault, FeatureStoreError, HistoryError, ModelError, first_line
from streamflow.core.schema import ENTITY_KEY, FEATURE_SERVICES, USERS, service_features, views_of
from streamflow.features.dataset import entity_rows
from streamflow.features.point_in_time import point_in_time_rows, quiet
from streamflow.online.publication import online_feature_store
from streamflow.online.rows import OnlineRows
from streamflow.online.tables import online_table
from streamflow.online.values import UserFeatures, is_complete
from streamflow.operations.skew.compare import Skew, Users, compare_features, compare_probabilities
from streamflow.pipeline.dvc_hash import content_of
from streamflow.pipeline.layout import SNAPSHOTS
from streamflow.postgres.connection import transaction
from streamflow.provenance.record import PREFIX
from streamflow.registry.loading import LoadedModel
from streamflow.registry.registry import PRODUCTION, open_registry
from streamflow.registry.served import RegistrySource

if TYPE_CHECKING:
    from feast import FeatureStore

SERVING, FEAST, SERVER = "serving", "feast", "server"
_AT_ONCE = 1000
_SECONDS = 30.0


@dataclass(frozen=True)
class _Answers:
    """The answers of a server: its version, and features and probability of each user; neither for a user with an error."""

    version: str
    features: Users
    probabilities: Mapping[str, float]


def skew(url: str, server: str | None = None, token: str | None = None) -> Skew:
    """Compare online and offline for the Production version of the database at `url`; by way of a server, if one is named.

    Raises StreamFlowError if that is not possible.
    """
    model = _production(url)
    service, as_of = (model.tags[f"{PREFIX}{name}"] for name in ("feature_service", "as_of"))
    offline = _offline(service, as_of)
    users = sorted(set(offline) | _online_users(url, service))
    found = asyncio.run(_read(url, service, users))
    online: dict[str, Users] = {
        SERVING: {each.user_id: each.values for each in found},
        FEAST: _by_feast(online_feature_store(url), service, users),
    }
    reader, probabilities, served = SERVING, _scored_alone(model, found), None
    if server is not None:
        answers = _ask(server, token, sorted(offline))
        reader, probabilities, served = SERVER, dict(answers.probabilities), answers.version
        online[SERVER] = answers.features

    there = {each.user_id for each in found if each.values}
    both = {user: values for user, values in offline.items() if user in there}
    scores, largest = compare_probabilities(reader, probabilities, _scores(model, both))
    return Skew(
        version=model.version,
        service=service,
        as_of=as_of,
        online_as_of=tuple(sorted({f"{moment:%Y-%m-%d}" for each in found for moment in each.timestamps.values()})),
        served=served,
        users=len(both),
        only_online=tuple(sorted(there - offline.keys())),
        only_offline=tuple(sorted(offline.keys() - there)),
        features=compare_features(online, both),
        probabilities=scores,
        largest_difference=largest,
        is_of_these_files=_snapshot_of(model, as_of) == _md5(as_of),
    )


def _production(url: str) -> LoadedModel:
    """The Production version, verified as serving does."""
    registry = open_registry(url)
    service = registry.version(PRODUCTION).tags.get(f"{PREFIX}feature_service", "")
    source = RegistrySource(lambda: registry, PRODUCTION, service)
    return source.load(source.wanted().version)


def _offline(service: str, as_of: str) -> Users:
    """The features of every user of the frozen snapshot, by Feast's point-in-time join, as stage `dataset` has it."""
    path = SNAPSHOTS / as_of / f"{USERS.name}.parquet"
    try:
        users = entity_rows(pq.read_table(path))
    except FileNotFoundError:
        raise HistoryError(f"{path} is missing, so there is nothing to compare with; `dvc checkout`") from None
    columns = service_features(service)
    schema = pa.schema([(ENTITY_KEY, pa.string()), *((column.name, ARROW_TYPES[column.kind]) for column in columns)])
    rows = point_in_time_rows(service, users, as_of).select(schema.names).cast(schema)
    return {row.pop(ENTITY_KEY): row for row in rows.to_pylist()}


def _online_users(url: str, service: str) -> set[str]:
    tables = [online_table(view) for view in views_of(service)]
    asyncio.run(_read(url, service, [""]))  # says which tables and columns are missing, if any are
    with transaction(url) as cursor:
        cursor.execute(" UNION ".join(f"SELECT {table.key} FROM {table.qualified}" for table in tables))
        return {user for (user,) in cursor.fetchall()}


async def _read(url: str, service: str, users: Sequence[str]) -> list[UserFeatures]:
    rows = OnlineRows(url, service, timeout=_SECONDS)
    try:
        return [each for some in _chunks(users) for each in await rows.read(some)]
    finally:
        await rows.close()


def _by_feast(store: "FeatureStore", service: str, users: Sequence[str]) -> Users:
    """The features by Feast's own get_online_features."""
    from feast.protos.feast.serving.ServingService_pb2 import FieldStatus
    from feast.type_map import feast_value_type_to_python_type

    found: dict[str, dict[str, Any]] = {user: {} for user in users}
    try:
        with quiet():
            wanted = _asked(store, service)
            for some in _chunks(users):
                answer = store.get_online_features(wanted, [{ENTITY_KEY: user} for user in some]).proto
                for name, column in zip(answer.metadata.feature_names.val, answer.results, strict=True):
                    for user, value, status in zip(some, column.values, column.statuses, strict=True):
                        if name != ENTITY_KEY and status == FieldStatus.PRESENT:
                            found[user][name] = feast_value_type_to_python_type(value)
    except Exception as error:  # Feast lets SQLAlchemy, psycopg, pydantic and its own errors through
        reason = first_line(error)
        raise FeatureStoreError(f"Feast does not read {service}: {reason}; `dvc repro -s materialize`") from error
    return found


def _asked(store: "FeatureStore", service: str) -> Any:
    """The feature service, or the features of one without what a source lacks, which the store does not define."""
    if service in FEATURE_SERVICES:
        return store.get_feature_service(service)
    return [f"{view}:{name}" for view, names in views_of(service).items() for name in names]


def _scored_alone(model: LoadedModel, users: Sequence[UserFeatures]) -> dict[str, float]:
    """Probabilities of the users who have all features, each scored alone, as POST /predict does when it is idle."""
    complete = [user for user in users if is_complete(user, model.model.features)]
    return {user.user_id: _scores(model, {user.user_id: user.values})[user.user_id] for user in complete}


def _scores(model: LoadedModel, users: Users) -> dict[str, float]:
    if not users:
        return {}
    columns = {column.name: [values[column.name] for values in users.values()] for column in model.model.features}
    return dict(zip(users, model.model.score(columns)[0], strict=True))


def _ask(server: str, token: str | None, users: Sequence[str]) -> _Answers:
    """The answers of the server's /model and /predict/batch. Raises EnvironmentFault."""
    post = _poster(server, token)
    version = str(_field(server, post("/model", None), "version"))
    features: dict[str, Mapping[str, Any]] = {}
    probabilities: dict[str, float] = {}
    for some in _chunks(users):
        results = _field(server, post("/predict/batch", {"user_ids": list(some)}), "results")
        for user, result in zip(some, results, strict=True):
            if "probability" in result:
                features[user], probabilities[user] = result["features_used"], result["probability"]
            elif result["status"] == 404:
                features[user] = {}
    return _Answers(version, features, probabilities)


def _poster(server: str, token: str | None) -> Callable[[str, Any], Any]:
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}

    def post(path: str, body: Any) -> Any:
        address = f"{server.rstrip('/')}{path}"
        content = None if body is None else json.dumps(body).encode()
        try:
            request = urllib.request.Request(address, content, headers)
            with urllib.request.urlopen(request, timeout=_SECONDS) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            detail = error.read(500).decode("utf-8", "replace").strip()
            raise EnvironmentFault(f"{address} answers {error.code}: {detail or error.reason}") from error
        except (OSError, ValueError) as error:
            raise EnvironmentFault(f"{address} does not answer: {getattr(error, 'reason', error)}") from error

    return post


def _field(server: str, answer: Any, name: str) -> Any:
    if not isinstance(answer, dict) or name not in answer:
        raise EnvironmentFault(f"{server} is no server of this project: its answer has no {name}")
    return answer[name]


def _snapshot_of(model: LoadedModel, as_of: str) -> str | None:
    """MD5 of the snapshot that the version was trained on."""
    try:
        found: str | None = json.loads(model.tags[f"{PREFIX}snapshots"]).get(as_of)
    except (KeyError, ValueError) as error:
        raise ModelError(f"version {model.version} has no usable tag snapshots: {error!r}") from error
    return found


def _md5(as_of: str) -> str | None:
    content = content_of(SNAPSHOTS / as_of)
    return content.md5 if content else None


def _chunks(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    return (items[start : start + _AT_ONCE] for start in range(0, len(items), _AT_ONCE))
