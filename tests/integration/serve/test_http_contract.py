"""The HTTP endpoints beside their own openapi.json: what schemathesis and a fuzzer send is answered as documented.

`python -m drills.serving_fuzz` sends the fuzzer's requests at length to a server.
"""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import mkdtemp
from urllib.parse import unquote_to_bytes

import pytest
import schemathesis
from http_fuzz import Documented, Sent, requests
from hypothesis import HealthCheck, Phase, example, given, settings
from schemathesis.config import GenerationConfig, ProjectConfig, ProjectsConfig, SchemathesisConfig
from small_graph import Client, Model, Store, http_api

from serve.endpoints import MAX_BODY, build_api

# The same requests on every run.
DETERMINISTIC = {
    "deadline": None,
    "database": None,
    "derandomize": True,
    "phases": [Phase.explicit, Phase.generate],
    "suppress_health_check": list(HealthCheck),
}
CONFIG = SchemathesisConfig(
    projects=ProjectsConfig(default=ProjectConfig(generation=GenerationConfig(deterministic=True)))
)
# For a user whose features are not whole even a right request is refused; the fuzzer names such users.
KINDS = ("known", "offline", "unknown")


class AnyStore(Store):
    """Every id is a user, of a kind by the length of the id."""

    async def lookup(self, user_ids):
        named = [user if user in self.users else KINDS[len(user) % len(KINDS)] for user in user_ids]
        found = await super().lookup(named)
        return [type(each)(user, each.values, each.timestamps) for user, each in zip(user_ids, found, strict=True)]


class Served:
    """The ASGI app under test: made with the first request, not while tests are collected."""

    def __init__(self):
        self._app = None

    async def __call__(self, scope, receive, send):
        self._app = self._app or http_api(AnyStore(datetime.now(UTC) - timedelta(days=10)), Model(), Path(mkdtemp()))
        await self._app(scope, receive, send)


SERVED = Served()
OPENAPI = build_api(None, guarded=False).openapi()
schema = schemathesis.openapi.from_dict(OPENAPI, config=CONFIG)
schema.app = SERVED


@schema.parametrize()
@settings(max_examples=60, **DETERMINISTIC)
def test_every_check_of_schemathesis_holds(case):
    case.call_and_validate()


@pytest.fixture(scope="module")
def runner():
    with asyncio.Runner() as runner:
        yield runner


async def answer_of(sent, *, chunks=1, extra=()):
    """Status, headers and body of a request as a server hands it to the app, which checks less than a client does."""
    parts = [sent.body[start::chunks] for start in range(chunks)] if chunks > 1 else [sent.body]
    waiting = [
        {"type": "http.request", "body": part, "more_body": number < len(parts)} for number, part in enumerate(parts, 1)
    ]
    said = []

    async def receive():
        return waiting.pop(0) if waiting else {"type": "http.disconnect"}

    async def send(message):
        said.append(message)

    headers = [(name.encode(), value.encode("latin-1")) for name, value in (*sent.headers, *extra)]
    raw = unquote_to_bytes(sent.path)
    await SERVED(
        {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": sent.method,
            "scheme": "http",
            "path": raw.decode("utf-8", "replace"),
            "raw_path": sent.path.encode(),
            "query_string": sent.query[1:].encode(),
            "headers": headers,
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 8000),
        },
        receive,
        send,
    )
    found = {name.decode(): value.decode() for name, value in said[0]["headers"]}
    body = b"".join(message.get("body", b"") for message in said[1:])
    return said[0]["status"], found, b"" if sent.method == "HEAD" else body


@settings(max_examples=600, **DETERMINISTIC)
@given(requests())
@example(Sent("GET", "/features/a%2Fb", "", (), b""))
@example(Sent("GET", "/features/", "", (), b""))
@example(Sent("POST", "/predict/", "", (), b'{"user_id": "known"}'))
@example(Sent("HEAD", "/%0A", "", (), b""))
@example(Sent("GET", "/health%0A", "", (), b""))
@example(Sent("POST", "/predict%0A", "", (), b'{"user_id": "known"}'))
@example(Sent("GET", "/docs%0A", "", (), b""))
def test_whatever_is_sent_is_answered_as_documented(runner, sent):
    answer = runner.run(answer_of(sent))
    assert Documented(OPENAPI).complaint(sent, *answer) is None


@pytest.mark.parametrize("length", ["abc", "-1", "", "9" * 5000, "²", "1e3"])
def test_a_length_that_is_no_number_is_no_500(runner, length):
    sent = Sent("POST", "/predict", "", (("content-length", length),), b'{"user_id": "known"}')
    status, _, _ = runner.run(answer_of(sent))
    assert status == (413 if length.startswith("9") else 200)


def test_a_body_in_pieces_is_read_as_one_and_not_beyond_the_limit(runner):
    sent = Sent("POST", "/predict", "", (), b"x" * (MAX_BODY + 1))
    status, _, body = runner.run(answer_of(sent, chunks=64))
    assert (status, json.loads(body)) == (413, {"error": f"the body is over {MAX_BODY} bytes"})


def test_a_client_that_goes_away_is_no_failure_of_the_server(runner):
    async def gone():
        said = []

        async def receive():
            return {"type": "http.disconnect"}

        async def send(message):
            said.append(message)

        scope = {"type": "http", "method": "POST", "path": "/predict", "query_string": b"", "headers": []}
        await SERVED(scope, receive, send)
        return said[0]["status"]

    assert runner.run(gone()) == 400


@pytest.mark.parametrize("path", ["/predict", "/predict/batch"])
@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("application/json", 200),
        ("Application/JSON; charset=utf-8", 200),
        ("application/vnd.api+json", 200),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("application/jsonx", 415),
    ],
)
def test_only_json_is_read(path, kind, status):
    body = b'{"user_id": "known", "user_ids": ["known"]}'
    answer = Client(SERVED).request("POST", path, content=body, headers={"content-type": kind})
    assert answer.status_code == status
    if status == 415:
        assert answer.json() == {"error": f"Content-Type is {kind}; send application/json"}


def test_a_body_without_a_content_type_is_taken_for_json():
    assert Client(SERVED).request("POST", "/predict", content=b'{"user_id": "known"}').status_code == 200


def test_an_id_may_hold_a_slash():
    answer = Client(SERVED).get("/features/a%2Fb")
    assert (answer.status_code, answer.json()["user_id"]) == (200, "a/b")


def test_a_guarded_deployment_documents_its_token_where_it_asks_for_it():
    paths = build_api(None, guarded=True).openapi()["paths"]
    guarded = {path for path, operations in paths.items() for each in operations.values() if each.get("security")}
    refusing = {
        path for path, operations in paths.items() for each in operations.values() if "401" in each["responses"]
    }
    assert guarded == refusing == set(paths) - {"/", "/health", "/ready"}
