"""The gateway's answers over HTTP, with a lookup and a scorer that are small real classes and no Ray."""

import asyncio
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from counters import counters
from small_graph import MODEL, NAMES, VALUES, Client, Model, Store, http_api

from serve.arguments import Arguments
from serve.contract import BatchAnswer, Features, Prediction
from serve.gateway import gateway_of
from serve.no_prediction import NoPrediction
from streamflow.core.errors import RegistryError


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


def gateway(store, model, folder, **arguments):
    """What the arguments describe, over the parts as they are."""

    async def assess(user_ids):
        return await model.score(await store.lookup(user_ids))

    chosen = Arguments(feature_service="churn_v1", **arguments)
    return gateway_of(chosen, assess, store.lookup, model.about, counters(folder))


def test_a_gateway_is_what_the_arguments_describe(store, model, tmp_path):
    store.moment = datetime.now(UTC) - timedelta(days=3)
    flags = gateway(store, model, tmp_path / "flags", max_age_days=2.5)
    found = asyncio.run(flags.predict("known"))
    assert (found["stale"], found["stale_features"]) == (True, NAMES)
    refuses = gateway(store, model, tmp_path / "refuses", max_age_days=2.5, stale_policy="refuse")
    with pytest.raises(NoPrediction) as refused:
        asyncio.run(refuses.predict("known"))
    assert (refused.value.status, refused.value.user_id) == (422, "known")
    assert refused.value.body["error"].endswith("limit 2.5 days")
    fresh = gateway(store, model, tmp_path / "fresh", max_age_days=3.5)
    assert asyncio.run(fresh.predict("known"))["stale"] is False


def test_ready_asks_for_the_model_and_for_a_user_whom_nobody_is(store, model, tmp_path):
    asked = []

    async def lookup(user_ids):
        asked.append(user_ids)
        return []

    store.lookup = lookup
    ready = asyncio.run(gateway(store, model, tmp_path).ready())
    assert (ready, asked) == ({"status": "ready", "model_version": "7"}, [["readiness probe"]])
    model.absent = True
    with pytest.raises(RegistryError):
        asyncio.run(gateway(store, model, tmp_path / "absent").ready())
    assert len(asked) == 1


def test_a_batch_is_one_call_of_the_graph_and_only_one_runs_at_a_time(store, model, tmp_path):
    running, most, asked = 0, 0, []

    async def assess(user_ids):
        nonlocal running, most
        asked.append(user_ids)
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.01)
        running -= 1
        return await model.score(await store.lookup(user_ids))

    metrics = counters(tmp_path)
    served = gateway_of(Arguments(feature_service="churn_v1"), assess, store.lookup, model.about, metrics)

    async def talk():
        users = ("known", "nobody", "known")
        batches = await asyncio.gather(*(served.predict_batch(users) for _ in range(3)))
        return batches, metrics.scrape().decode().splitlines()

    batches, lines = asyncio.run(talk())
    assert (most, asked) == (1, [["known", "nobody", "known"]] * 3)
    assert [each.get("status") for each in batches[0]["results"]] == [None, 404, None]
    assert "streamflow_batch_size_sum 9.0" in lines
    assert 'streamflow_part_seconds_count{part="graph"} 3.0' in lines
    assert 'streamflow_predictions_total{version="7"} 6.0' in lines


def test_features_name_the_old_ones_and_when_each_was_true(client, store):
    store.old = {"skips_7d": datetime.now(UTC) - timedelta(days=40)}
    body = client.get("/features/known").json()
    assert (body["user_id"], body["stale_features"]) == ("known", ["skips_7d"])
    moments = {name: store.old.get(name, store.moment).isoformat().replace("+00:00", "Z") for name in NAMES}
    assert body["timestamps"] == moments


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
