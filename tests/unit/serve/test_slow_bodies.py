"""A body that does not end: the reader's deadline."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest
from small_graph import Model, Store, http_api

from serve import endpoints


async def sent_slowly(api, path, pieces, pause):
    """Status, headers and body of the response to a request whose body comes in pieces, or never ends."""
    said, waiting = [], list(pieces)

    async def receive():
        await asyncio.sleep(pause)
        body = waiting.pop(0) if waiting else b""
        return {"type": "http.request", "body": body, "more_body": True}

    async def send(message):
        said.append(message)

    scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": []}
    await api(scope, receive, send)
    return said[0]["status"], dict(said[0]["headers"]), json.loads(b"".join(each.get("body", b"") for each in said[1:]))


@pytest.mark.parametrize("path", ["/predict", "/predict/batch"])
@pytest.mark.parametrize("pause", [0.02, 60])
def test_a_body_that_trickles_or_stops_is_408_and_the_connection_ends(tmp_path, monkeypatch, path, pause):
    monkeypatch.setattr(endpoints, "BODY_SECONDS", 0.2)
    api = http_api(Store(datetime.now(UTC) - timedelta(days=10)), Model(), tmp_path)
    status, headers, body = asyncio.run(sent_slowly(api, path, [b"{", b'"user_id"'], pause))
    assert (status, headers[b"connection"]) == (408, b"close")
    assert body == {"error": "the request was not complete within 0.2 s"}


def test_the_deadline_of_a_body_is_ten_seconds():
    assert endpoints.BODY_SECONDS == 10


@pytest.mark.parametrize("path", ["/predict", "/predict/batch"])
def test_the_documentation_names_it(path):
    responses = endpoints.build_api(None, guarded=False).openapi()["paths"][path]["post"]["responses"]
    assert responses["408"]["description"] == "the body was not complete within 10 s"
