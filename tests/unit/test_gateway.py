"""The gateway's answers over HTTP, with a lookup and a scorer that are small real classes and no Ray."""

import asyncio
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from serve.gateway import Gateway, http_api
from streamflow.errors import FeatureStoreError, RegistryError
from streamflow.schema import FEATURE_SERVICES
from streamflow.serving import Score, UserFeatures

NAMES = list(FEATURE_SERVICES["churn_v1"])
VALUES = {name: "DSL" if name == "net_service" else 1 for name in NAMES}
MODEL = {"name": "streamflow_churn", "version": "7", "model_sha256": "ab", "git_commit": "cd", "as_of": "2024-01-31"}


class Store:
    """Users in a dict; down when told so."""

    def __init__(self, moment):
        self.users = {
            "known": VALUES,
            "offline": {**VALUES, "plan_stream_tv": None, "plan_stream_movies": None, "net_service": "No"},
            "holed": {**VALUES, "monthly_fee": None, "skips_7d": None},
            "partial": {name: value for name, value in VALUES.items() if name != "failed_payments_90d"},
        }
        self.moment = moment
        self.down = False

    async def lookup(self, user_ids):
        if self.down:
            raise FeatureStoreError("the online store does not answer: connection refused")
        found = [self.users.get(user, {}) for user in user_ids]
        return [
            UserFeatures(user, values, dict.fromkeys(values, self.moment))
            for user, values in zip(user_ids, found, strict=True)
        ]


class Model:
    """Scores by the number of NULLs; absent when told so."""

    def __init__(self):
        self.absent = False

    async def score(self, rows):
        await self.about()
        return [Score(0.25 * sum(v is None for v in row.values()), int(None in row.values()), MODEL) for row in rows]

    async def about(self):
        if self.absent:
            raise RegistryError("no version of streamflow_churn has the alias Production; run `make repro`")
        return {**MODEL, "features": NAMES}


class Client:
    """Requests to an ASGI app without a server."""

    def __init__(self, app):
        self._transport = httpx.ASGITransport(app)

    def request(self, method, path, **body):
        async def send():
            async with httpx.AsyncClient(transport=self._transport, base_url="http://gateway") as client:
                return await client.request(method, path, **body)

        return asyncio.run(send())

    def get(self, path):
        return self.request("GET", path)

    def post(self, path, json):
        return self.request("POST", path, json=json)


@pytest.fixture
def store():
    return Store(datetime.now(UTC) - timedelta(days=10))


@pytest.fixture
def model():
    return Model()


@pytest.fixture
def client(store, model):
    gateway = Gateway("churn_v1", store.lookup, model.score, model.about, timedelta(days=31))
    return Client(http_api(gateway))


def predict(client, user):
    answer = client.post("/predict", json={"user_id": user})
    return answer.status_code, answer.json()


def test_a_known_user_gets_a_prediction_with_all_that_stands_behind_it(client, store):
    status, body = predict(client, "known")
    assert status == 200
    assert body == {
        "user_id": "known",
        "prediction": 0,
        "probability": 0.0,
        "features_used": VALUES,
        "feature_timestamp": store.moment.isoformat().replace("+00:00", "Z"),
        "stale": False,
        "model": MODEL,
    }
    assert list(body["features_used"]) == NAMES


def test_null_by_design_is_a_value(client):
    status, body = predict(client, "offline")
    assert status == 200
    assert body["probability"] == 0.5
    assert body["features_used"]["plan_stream_tv"] is None


def test_an_unknown_user_misses_all_features(client):
    assert predict(client, "nobody") == (
        404,
        {"error": "Missing features for user_id=nobody", "missing_features": NAMES},
    )


def test_a_null_that_must_not_be_is_named(client):
    assert predict(client, "holed") == (
        422,
        {"error": "Missing features for user_id=holed", "missing_features": ["monthly_fee", "skips_7d"]},
    )


def test_a_view_without_the_user_is_named(client):
    assert predict(client, "partial")[1]["missing_features"] == ["failed_payments_90d"]


def test_old_features_are_flagged(client, store):
    store.moment = datetime.now(UTC) - timedelta(days=32)
    assert predict(client, "known")[1]["stale"] is True


def test_a_store_that_is_down_is_503_with_the_reason(client, store):
    store.down = True
    assert predict(client, "known") == (503, {"error": "the online store does not answer: connection refused"})
    assert client.get("/ready").status_code == 503
    assert client.get("/health").json() == {"status": "ok"}


def test_no_model_is_503_and_features_still_answer(client, model):
    model.absent = True
    status, body = predict(client, "known")
    assert status == 503
    assert "run `make repro`" in body["error"]
    assert client.get("/model").status_code == 503
    assert client.get("/features/known").json() == {"user_id": "known", "features": VALUES}


def test_features_of_an_unknown_user(client):
    answer = client.get("/features/nobody")
    assert (answer.status_code, answer.json()["missing_features"]) == (404, NAMES)


@pytest.mark.parametrize("body", [{}, {"user_id": ""}, {"user_id": "x" * 65}, {"user_id": 7}, [], "text"])
def test_bad_input_is_422_with_one_line(client, body):
    answer = client.post("/predict", json=body)
    assert answer.status_code == 422
    assert list(answer.json()) == ["error"]


def test_the_model_and_the_documentation_answer(client):
    assert client.get("/model").json()["version"] == "7"
    assert client.get("/ready").json() == {"status": "ready", "model_version": "7"}
    assert set(client.get("/openapi.json").json()["paths"]) == {
        "/predict",
        "/features/{user_id}",
        "/model",
        "/health",
        "/ready",
    }
