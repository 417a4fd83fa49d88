"""The gateway's answers over HTTP, with a lookup and a scorer that are small real classes and no Ray."""

import asyncio
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from small_graph import MODEL, NAMES, VALUES, Client, Model, Store, http_api

from serve.contract import BatchAnswer, Features, Prediction
from serve.endpoints import MAX_BODY


@pytest.fixture
def store():
    return Store(datetime.now(UTC) - timedelta(days=10))


@pytest.fixture
def model():
    return Model()


@pytest.fixture
def serving(store, model, tmp_path):
    """A client of a gateway over the store and the model, with options."""

    def start(token=None, **options):
        return Client(http_api(store, model, tmp_path / "metrics", token, **options))

    return start


@pytest.fixture
def client(serving):
    return serving()


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
        "null_by_design": [],
        "feature_timestamp": store.moment.isoformat().replace("+00:00", "Z"),
        "stale": False,
        "stale_features": [],
        "model": MODEL,
    }
    Prediction.model_validate(body)
    assert list(body["features_used"]) == NAMES


def test_null_by_design_is_a_value(client):
    status, body = predict(client, "offline")
    assert status == 200
    assert body["probability"] == 0.5
    assert body["features_used"]["plan_stream_tv"] is None
    assert body["null_by_design"] == ["plan_stream_tv", "plan_stream_movies"]


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


def test_old_features_are_flagged_by_name(client, store):
    store.moment = datetime.now(UTC) - timedelta(days=32)
    status, body = predict(client, "known")
    assert (status, body["stale"], body["stale_features"]) == (200, True, NAMES)


def test_old_features_are_refused_where_the_policy_says_so(serving, store):
    client = serving(stale_policy="refuse")
    assert predict(client, "known")[0] == 200
    store.moment = datetime.now(UTC) - timedelta(days=32)
    newest = f"{store.moment:%Y-%m-%d}"
    assert predict(client, "known") == (
        422,
        {
            "error": f"Stale features for user_id=known: newest of {newest}, limit 31 days",
            "stale_features": NAMES,
        },
    )


def test_a_prediction_is_stale_by_its_newest_feature_and_each_old_one_is_named(client, store):
    store.old = {"skips_7d": datetime.now(UTC) - timedelta(days=40)}
    status, body = predict(client, "known")
    assert (status, body["stale"], body["stale_features"]) == (200, False, ["skips_7d"])


def test_a_batch_has_an_answer_for_each_user_in_order(client):
    users = ["known", "nobody", "holed", "known"]
    answer = client.post("/predict/batch", json={"user_ids": users})
    assert answer.status_code == 200
    BatchAnswer.model_validate(answer.json())
    first, unknown, holed, again = answer.json()["results"]
    assert first == again == predict(client, "known")[1]
    assert unknown == {
        "user_id": "nobody",
        "status": 404,
        "error": "Missing features for user_id=nobody",
        "missing_features": NAMES,
        "stale_features": [],
    }
    assert (holed["status"], holed["missing_features"]) == (422, ["monthly_fee", "skips_7d"])


@pytest.mark.parametrize("users", [[], ["u"] * 1001, ["u", ""], ["u", 7], "u"])
def test_a_batch_out_of_bounds_is_422(client, users):
    assert client.post("/predict/batch", json={"user_ids": users}).status_code == 422


def test_a_body_that_is_too_long_is_not_read(client):
    assert client.request("POST", "/predict", content=b"x" * (MAX_BODY + 1)).status_code == 413


def test_a_token_guards_all_but_the_probes(serving):
    client = serving(token="a long secret")
    for path in ("/", "/health", "/ready"):
        assert client.get(path).status_code == 200
    for path in ("/model", "/metrics", "/docs", "/features/known"):
        assert client.get(path).status_code == 401
    assert client.post("/predict", {"user_id": "known"}).status_code == 401
    wrong = {"Authorization": "Bearer another secret"}
    assert client.post("/predict", {"user_id": "known"}, headers=wrong).status_code == 401
    right = {"Authorization": "Bearer a long secret"}
    assert client.post("/predict", {"user_id": "known"}, headers=right).status_code == 200


def test_the_counters_tell_what_was_answered_and_what_was_missing(client, store):
    store.moment = datetime.now(UTC) - timedelta(days=32)

    async def talk():
        async with httpx.AsyncClient(transport=client._transport, base_url="http://gateway") as session:
            for user in ("known", "known", "nobody", "holed"):
                await session.post("/predict", json={"user_id": user})
            await session.get("/features/known")
            return (await session.get("/metrics")).text.splitlines()

    lines = asyncio.run(talk())
    for line in (
        'streamflow_requests_total{endpoint="/predict",status="200"} 2.0',
        'streamflow_requests_total{endpoint="/predict",status="404"} 1.0',
        'streamflow_requests_total{endpoint="/predict",status="422"} 1.0',
        'streamflow_requests_total{endpoint="/features/{user_id}",status="200"} 1.0',
        'streamflow_request_seconds_count{endpoint="/predict"} 4.0',
        'streamflow_predictions_total{version="7"} 2.0',
        'streamflow_missing_features_total{feature="skips_7d",kind="null"} 1.0',
        'streamflow_missing_features_total{feature="skips_7d",kind="absent"} 1.0',
        'streamflow_stale_features_total{feature="skips_7d"} 2.0',
        "streamflow_batch_size_count 4.0",
    ):
        assert line in lines, line


def test_each_path_that_is_served_is_counted_by_itself_and_all_others_together(client):
    for path in ("/health", "/openapi.json", "/nowhere", "/nowhere/else"):
        client.get(path)
    lines = client.get("/metrics").text.splitlines()
    for line in (
        'streamflow_requests_total{endpoint="/health",status="200"} 1.0',
        'streamflow_requests_total{endpoint="/openapi.json",status="200"} 1.0',
        'streamflow_requests_total{endpoint="other",status="404"} 2.0',
    ):
        assert line in lines, line


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
    body = client.get("/features/known").json()
    Features.model_validate(body)
    assert body["features"] == VALUES
    assert set(body["timestamps"]) == set(NAMES)


def test_features_of_an_unknown_user(client):
    answer = client.get("/features/nobody")
    assert (answer.status_code, answer.json()["missing_features"]) == (404, NAMES)


@pytest.mark.parametrize(
    "body", [{}, {"user_id": ""}, {"user_id": "x" * 65}, {"user_id": 7}, {"user_id": "a\0b"}, [], "text"]
)
def test_bad_input_is_422_with_one_line(client, body):
    answer = client.post("/predict", json=body)
    assert answer.status_code == 422
    assert list(answer.json()) == ["error"]


def test_the_model_and_the_documentation_answer(client):
    assert client.get("/model").json()["version"] == "7"
    assert client.get("/ready").json() == {"status": "ready", "model_version": "7"}
    assert set(client.get("/openapi.json").json()["paths"]) == {
        "/",
        "/predict",
        "/predict/batch",
        "/features/{user_id}",
        "/model",
        "/health",
        "/ready",
        "/metrics",
    }
