"""Clients that begin a request and never end it: everybody else is answered meanwhile, and they are sent away in time."""

import contextlib
import selectors
import socket
import time

import httpx
import pytest
from http_server import serving

MANY = 300
WITHIN, LONG = 10, 25  # seconds until the server closes the connection, as docs/operations.md says
HEADER = b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
BEGUN = {
    "half a header": (HEADER, WITHIN),
    "half a body": (HEADER + b'Content-Length: 27\r\n\r\n{"user_id"', WITHIN),
    "half a chunk": (HEADER + b'Transfer-Encoding: chunked\r\n\r\n1b\r\n{"user_id"', WITHIN),
    # More than the front keeps: it goes on to the replica, which waits for the rest.
    "half a long body": (HEADER + b"Content-Length: 200000\r\n\r\n" + b"x" * 40_000, LONG),
}
COMPLAINT = f"the request was not complete within {WITHIN} s"


@pytest.fixture(scope="module", params=["split", "fused"])
def client(request, project, tmp_path_factory):
    with serving(project, tmp_path_factory.mktemp("serve") / "log", f"graph={request.param}") as client:
        yield client


@contextlib.contextmanager
def held(port, begun, count):
    """Connections that have sent this and are left open."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(_begin(port, begun)) for _ in range(count)]


def _begin(port, begun):
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    connection.sendall(begun)
    return connection


def ended_by(connections, deadline):
    """What each connection was told before the server closed it; None for one that is open at the deadline."""
    said, open_still = [b""] * len(connections), len(connections)
    with selectors.DefaultSelector() as ready:
        for number, each in enumerate(connections):
            ready.register(each, selectors.EVENT_READ, number)
        while open_still and (left := deadline - time.monotonic()) > 0:
            for key, _ in ready.select(left):
                try:
                    more = key.fileobj.recv(4096)
                except ConnectionResetError:
                    more = b""
                said[key.data] += more
                if not more:
                    ready.unregister(key.fileobj)
                    open_still -= 1
        for key in ready.get_map().values():
            said[key.data] = None
    return said


def answered(client, user, seconds):
    """The slowest of some predictions for another client, each on a connection of its own."""
    slowest = 0.0
    for _ in range(5):
        started = time.monotonic()
        answer = httpx.post(f"{client.base_url}/predict", json={"user_id": user}, timeout=seconds)
        assert answer.status_code == 200
        slowest = max(slowest, time.monotonic() - started)
    return slowest


@pytest.mark.parametrize("begun", list(BEGUN))
def test_everybody_else_is_answered_and_the_unfinished_are_sent_away(client, begun):
    sent, within = BEGUN[begun]
    started = time.monotonic()
    with held(client.base_url.port, sent, MANY) as connections:
        assert answered(client, "7590-VHVEG", 2) < 2
        said = ended_by(connections, started + within + 5)
    assert said.count(None) == 0
    assert {each.split()[1] for each in said} == {b"408"}
    if begun != "half a header":  # HAProxy's own page
        assert {each.rpartition(b"\r\n\r\n")[2].decode() for each in said} == {f'{{"error":"{COMPLAINT}"}}'}
    assert answered(client, "7590-VHVEG", 2) < 2
