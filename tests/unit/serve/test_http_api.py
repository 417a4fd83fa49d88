"""Around FastAPI: the token, a counter for each endpoint, a line in the log for each failure."""

import asyncio
import logging
import re
from datetime import UTC, datetime, timedelta

import pytest
from small_graph import Client, Model, Store, http_api

TOKEN = "a long secret"
RIGHT = {"Authorization": f"Bearer {TOKEN}"}


class Serving:
    """An HTTP API over a store and a model that are told what to do."""

    def __init__(self, folder, token=None):
        self.store, self.model = Store(datetime.now(UTC) - timedelta(days=10)), Model()
        self.api = http_api(self.store, self.model, folder, token)
        self.client = Client(self.api)

    def counted(self):
        """Endpoint and status to the number of requests answered."""
        text = self.api._metrics.scrape().decode()
        found = re.findall(r'streamflow_requests_total\{endpoint="(.*)",status="(\d+)"\} (.*)', text)
        return {(endpoint, int(status)): float(count) for endpoint, status, count in found}


@pytest.fixture
def serving(tmp_path):
    return Serving(tmp_path / "metrics")


@pytest.fixture
def guarded(tmp_path):
    return Serving(tmp_path / "metrics", TOKEN)


def predict(serving, user="known", headers=None):
    return serving.client.post("/predict", {"user_id": user}, headers=headers)


def test_every_endpoint_has_a_series_of_its_own_and_what_nobody_serves_shares_one(serving):
    for path in ("/", "/health", "/ready", "/model", "/metrics", "/docs", "/openapi.json", "/nonesuch", "/a/b"):
        serving.client.get(path)
    serving.client.get("/features/known")
    serving.client.get("/features/nobody")
    serving.client.get("/health?x=1")
    predict(serving)
    predict(serving, "nobody")
    serving.client.post("/predict/batch", {"user_ids": ["known"]})
    serving.client.get("/predict")
    expected = {
        **{("/health", 200): 2, ("/features/{user_id}", 200): 1, ("/features/{user_id}", 404): 1, ("other", 404): 2},
        **{(path, 200): 1 for path in ("/", "/ready", "/model", "/metrics", "/docs", "/openapi.json")},
        **{("/predict", 200): 1, ("/predict", 404): 1, ("/predict/batch", 200): 1, ("/predict", 405): 1},
    }
    assert serving.counted() == expected


def test_the_time_of_every_request_is_counted_by_endpoint(serving):
    predict(serving)
    predict(serving, "nobody")
    lines = serving.api._metrics.scrape().decode().splitlines()
    assert 'streamflow_request_seconds_count{endpoint="/predict"} 2.0' in lines
    (total,) = (line for line in lines if line.startswith('streamflow_request_seconds_sum{endpoint="/predict"}'))
    assert 0 < float(total.split()[-1]) < 10


def test_a_request_without_the_token_is_401_and_says_which_token_is_wanted(guarded):
    for headers in ({}, {"Authorization": "Bearer another secret"}, {"Authorization": TOKEN}):
        answer = predict(guarded, headers=headers)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.json() == {"error": "Authorization: Bearer TOKEN is missing or wrong"}
    assert predict(guarded, headers=RIGHT).status_code == 200
    assert guarded.counted() == {("/predict", 401): 3, ("/predict", 200): 1}


@pytest.mark.parametrize("path", ["/", "/health", "/ready"])
def test_the_page_and_the_probes_are_open(guarded, path):
    assert guarded.client.get(path).status_code == 200


@pytest.mark.parametrize("path", ["/model", "/metrics", "/docs", "/openapi.json", "/features/known", "/nonesuch"])
def test_all_else_is_guarded(guarded, path):
    assert guarded.client.get(path).status_code == 401
    assert guarded.client.get(path, headers=RIGHT).status_code in (200, 404)


def test_the_documentation_of_a_guarded_deployment_names_the_token_and_of_an_open_one_does_not(serving, guarded):
    assert "HTTPBearer" in guarded.client.get("/openapi.json", headers=RIGHT).text
    assert "HTTPBearer" not in serving.client.get("/openapi.json").text


def failures(caplog):
    return [record.getMessage() for record in caplog.records if record.name == "ray.serve"]


def test_a_failure_is_one_line_in_the_log_with_the_id_of_the_request(serving, caplog):
    serving.store.down = True
    with caplog.at_level(logging.WARNING, "ray.serve"):
        predict(serving, headers={"X-Request-ID": "abc-123"})
        predict(serving, "näher", headers={"X-Request-ID": "x" * 500})
        serving.client.get("/features/known")
    assert failures(caplog) == [
        "streamflow: POST /predict 503 request_id=abc-123",
        f"streamflow: POST /predict 503 request_id={'x' * 128}",
        "streamflow: GET /features/known 503 request_id=none",
    ]


def test_what_is_no_failure_is_not_logged(serving, caplog):
    with caplog.at_level(logging.DEBUG, "ray.serve"):
        predict(serving)
        predict(serving, "nobody")
        serving.client.get("/nonesuch")
    assert failures(caplog) == []


@pytest.mark.parametrize("path", ["/health%0A", "/predict%0A", "/%0A"])
def test_a_path_that_ends_in_a_line_feed_is_nobodys(serving, path):
    answer = serving.client.request("GET", path)
    assert (answer.status_code, answer.json()) == (404, {"error": "Not Found"})
    assert serving.client.get("/features/known%0A").status_code == 422


def test_what_is_not_http_is_fastapis(serving):
    said = []

    async def talk():
        messages = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])

        async def receive():
            return next(messages)

        async def send(message):
            said.append(message["type"])

        await serving.api({"type": "lifespan", "asgi": {"version": "3.0"}}, receive, send)

    asyncio.run(talk())
    assert said == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert serving.counted() == {}
