"""How bodies are read, and what /docs says of every endpoint."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from small_graph import Client, Model, Store, http_api

from serve import endpoints
from serve.endpoints import MAX_BODY, build_api


@pytest.fixture
def client(tmp_path):
    return Client(http_api(Store(datetime.now(UTC) - timedelta(days=10)), Model(), tmp_path / "metrics"))


def body(size):
    """A request for one user, as long as wanted."""
    text = json.dumps({"user_id": "known"}).encode()
    return text + b" " * (size - len(text))


@pytest.mark.parametrize(("size", "status"), [(100, 200), (256 * 1024, 200), (256 * 1024 + 1, 413)])
@pytest.mark.parametrize("path", ["/predict", "/predict/batch"])
def test_a_body_may_have_256_kib(client, path, size, status):
    text = body(size) if path == "/predict" else body(size).replace(b'"user_id": "known"', b'"user_ids": ["a"] ')
    answer = client.request("POST", path, content=text)
    assert answer.status_code == status
    if status == 413:
        assert answer.json() == {"error": "the body is over 262144 bytes"}


def test_a_body_without_a_length_is_read_only_up_to_the_limit(client):
    sent = []

    async def chunks():
        for _ in range(100):
            sent.append(1)
            yield b"x" * 10_000

    answer = client.request("POST", "/predict", content=chunks())
    assert (answer.status_code, MAX_BODY) == (413, 262144)
    assert len(sent) <= 28


@pytest.mark.parametrize("length", ["-1", "many", "١٢", "9" * 5000])
def test_a_length_that_is_no_number_or_endless_does_not_break_the_server(client, length):
    headers = [(b"content-length", length.encode())]
    answer = client.request("POST", "/predict", content=body(100), headers=headers)
    assert answer.status_code == (413 if length[0] == "9" else 200)


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        *((None, 200), ("application/json", 200), ("Application/JSON; charset=utf-8", 200), ("", 200), (" ; a=b", 200)),
        *(("application/merge-patch+json", 200), ("text/plain", 415), ("application/xml", 415), ("text/x+json", 415)),
        *(("application/jsonx", 415), ("x" * 500, 415)),
    ],
)
def test_a_body_that_says_to_be_something_else_than_json_is_415(client, kind, status):
    headers = {} if kind is None else {"Content-Type": kind}
    answer = client.request("POST", "/predict", content=body(50), headers=headers)
    assert answer.status_code == status
    if status == 415:
        assert answer.json() == {"error": f"Content-Type is {kind[:128]}; send application/json"}


def test_the_page_is_for_people_and_for_no_frame(client):
    answer = client.get("/")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.text == endpoints.PAGE.read_text(encoding="utf-8")


def test_metrics_are_in_the_text_format_of_prometheus(client):
    assert client.get("/metrics").headers["content-type"].startswith("text/plain; version=0.0.4")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        *(("/predict/", 404), ("/features/a%2Fb", 404), ("/features/known/", 404), ("/features/", 422)),
        *(("/features/a%0Ab", 422), ("/features/known", 200), ("/nonesuch", 404), ("/model/", 404)),
    ],
)
def test_an_id_in_a_path_is_all_of_it_and_no_path_redirects(client, path, status):
    assert client.get(path).status_code == status


STATUSES = {
    ("post", "/predict"): {"200", "404", "408", "413", "415", "422", "503"},
    ("post", "/predict/batch"): {"200", "408", "413", "415", "422", "503"},
    ("get", "/features/{user_id}"): {"200", "404", "422", "503"},
    ("get", "/model"): {"200", "503"},
    ("get", "/health"): {"200"},
    ("get", "/ready"): {"200", "503"},
    ("get", "/metrics"): {"200"},
    ("get", "/"): {"200"},
}
OPEN = {"/health", "/ready", "/"}


@pytest.mark.parametrize("guarded", [False, True])
def test_every_status_of_every_endpoint_is_documented(guarded):
    document = build_api(None, guarded=guarded).openapi()
    assert (document["info"]["title"], document["info"]["version"]) == ("StreamFlow churn", "1")
    found = {
        (method, path): (set(operation["responses"]), "security" in operation)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }
    assert found == {
        (method, path): ({*statuses, *(["401"] if guarded and path not in OPEN else [])}, guarded and path not in OPEN)
        for (method, path), statuses in STATUSES.items()
    }


def test_bodies_and_answers_are_documented_by_their_models():
    paths = build_api(None, guarded=False).openapi()["paths"]

    def asked(path):
        request = paths[path]["post"]["requestBody"]
        assert request["required"] is True
        return request["content"]["application/json"]["schema"]["required"]

    def answered(path, status, method="get"):
        described = paths[path][method]["responses"][status]
        assert described["description"]
        schema = described["content"]["application/json"]["schema"]
        return [each["$ref"].rpartition("/")[2] for each in schema.get("anyOf", [schema])]

    assert (asked("/predict"), asked("/predict/batch")) == (["user_id"], ["user_ids"])
    assert answered("/predict", "200", "post") == ["Prediction"]
    assert answered("/predict", "404", "post") == ["MissingFeatures"]
    assert answered("/predict", "422", "post") == ["MissingFeatures", "StaleFeatures", "ErrorAnswer"]
    assert answered("/predict/batch", "200", "post") == ["BatchAnswer"]
    assert answered("/predict/batch", "422", "post") == ["ErrorAnswer"]
    assert answered("/features/{user_id}", "200") == ["Features"]
    assert answered("/features/{user_id}", "422") == ["ErrorAnswer"]
    assert answered("/model", "200") == ["ModelAnswer"]
    assert answered("/health", "200") == ["Health"]
    assert answered("/ready", "200") == ["Readiness"]
    for path, status in (("/predict", "413"), ("/predict", "415"), ("/predict", "503")):
        assert answered(path, status, "post") == ["ErrorAnswer"]
    assert answered("/ready", "503") == answered("/model", "503") == ["ErrorAnswer"]
    assert "256 KiB" in paths["/predict"]["post"]["responses"]["413"]["description"]
    assert "text/plain" in paths["/metrics"]["get"]["responses"]["200"]["content"]
    assert "text/html" in paths["/"]["get"]["responses"]["200"]["content"]
