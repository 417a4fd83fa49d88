"""The ASGI application of a gateway: FastAPI's endpoints, behind counters and the token."""

import hmac
import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any

from fastapi import Request
from starlette.routing import Route

from serve.answers import Json, response_or_error
from serve.endpoints import build_api, predict
from serve.no_prediction import FORBIDDEN, NOT_FOUND

if TYPE_CHECKING:
    from serve.gateway import Gateway

LOG = logging.getLogger("ray.serve")
# The page holds no data; it asks for the token.
_OPEN = ("/", "/health", "/ready")
_FEATURES = "/features/"
_NOWHERE = Json({"error": "Not Found"}, NOT_FOUND)
_UNKNOWN = Json({"error": "Authorization: Bearer TOKEN is missing or wrong"}, FORBIDDEN, {"WWW-Authenticate": "Bearer"})

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class HttpApi:
    """The ASGI application of a gateway: the token, counters, a line for each failure; behind it FastAPI.

    POST /predict bypasses FastAPI's routing, which takes as long as lookup and score; the response is the same.
    """

    def __init__(self, gateway: "Gateway", token: str | None = None) -> None:
        self.api = build_api(gateway, guarded=token is not None)
        self._gateway, self._metrics = gateway, gateway.metrics
        self._token = f"Bearer {token}".encode() if token else None
        # A series of its own in /metrics for each path that is served; a path with an id, or another one, gets none.
        self._counted = {route.path for route in self.api.routes if isinstance(route, Route) and "{" not in route.path}
        self._counters: dict[tuple[str, int], Any] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] != "http":
            await self.api(scope, receive, send)
            return
        started, status, path = time.perf_counter(), 500, scope["path"]

        async def send_counted(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        if self._token is not None and path not in _OPEN and not self._knows_token(scope):
            await _UNKNOWN(scope, receive, send_counted)
        elif path == "/predict" and scope["method"] == "POST":
            response = await response_or_error(predict(self._gateway, Request(scope, receive)))
            await response(scope, receive, send_counted)
        elif path.endswith("\n") and not path.startswith(_FEATURES):
            # Starlette's patterns end with `$`, which matches before a line feed: /health%0A would be /health.
            await _NOWHERE(scope, receive, send_counted)
        else:
            await self.api(scope, receive, send_counted)
        self._count(path, status, time.perf_counter() - started)
        if status >= 500:
            LOG.warning("streamflow: %s %s %d request_id=%s", scope["method"], path, status, _request_id(scope))

    def _knows_token(self, scope: Scope) -> bool:
        return hmac.compare_digest(dict(scope["headers"]).get(b"authorization", b""), self._token)

    def _count(self, path: str, status: int, seconds: float) -> None:
        endpoint = path if path in self._counted else "/features/{user_id}" if path.startswith(_FEATURES) else "other"
        counters = self._counters.get((endpoint, status))
        if counters is None:
            counters = self._metrics.requests.labels(endpoint, status), self._metrics.request_seconds.labels(endpoint)
            self._counters[endpoint, status] = counters
        counters[0].inc()
        counters[1].observe(seconds)


def _request_id(scope: Scope) -> str:
    # Ray gives every request one, if the client did not, and sends it back; but the log line must be short.
    return str(dict(scope["headers"]).get(b"x-request-id", b"none").decode("latin-1")[:128])
