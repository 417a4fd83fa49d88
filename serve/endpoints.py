"""The HTTP endpoints of a gateway: FastAPI describes them, a thin ASGI layer around it counts and guards."""

import hmac
import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path as File
from typing import TYPE_CHECKING, Annotated, Any

import orjson
from fastapi import Depends, FastAPI, Path, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, PlainTextResponse, Response
from fastapi.security import HTTPBearer
from pydantic import BaseModel, ValidationError
from ray.exceptions import RayError
from ray.serve.exceptions import RayServeException
from starlette.convertors import Convertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from serve.contract import (
    BatchAnswer,
    BatchRequest,
    Features,
    Health,
    MissingFeatures,
    ModelAnswer,
    Prediction,
    PredictRequest,
    Problem,
    Readiness,
    StaleFeatures,
    UserId,
)
from serve.metrics import CONTENT_TYPE
from serve.refusal import FORBIDDEN, NOT_FOUND, UNAVAILABLE, UNUSABLE, Refusal
from streamflow.errors import StreamFlowError

if TYPE_CHECKING:
    from serve.gateway import Gateway

LOG = logging.getLogger("ray.serve")
PAGE = File(__file__).with_name("page.html")
MAX_BODY = 256 * 1024
_JSON = "application/json"
# The page holds no data; it asks for the token.
_OPEN = ("/", "/health", "/ready")
# Endpoints that get a series of their own in /metrics; a path with an id, or one that nobody serves, must not.
_COUNTED = ("/predict", "/predict/batch", "/model", "/health", "/ready", "/metrics", "/docs", "/openapi.json", "/")

_EXPLAINED = (
    Refusal,
    StreamFlowError,
    RayError,
    RayServeException,
    ValidationError,
    RequestValidationError,
    HTTPException,
    ClientDisconnect,
)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Json(Response):
    """A JSON answer by orjson; datetimes in UTC with a Z."""

    media_type = _JSON

    def render(self, content: Any) -> bytes:
        """The bytes of the answer."""
        return orjson.dumps(content, option=orjson.OPT_UTC_Z)


_UNKNOWN = Json({"error": "Authorization: Bearer TOKEN is missing or wrong"}, FORBIDDEN, {"WWW-Authenticate": "Bearer"})


class _Id(Convertor[str]):
    """An id in a path: a slash is part of it, and so is a line break, which UserId then refuses."""

    regex = "(?s:.*)"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("id", _Id())


class HttpApi:
    """The ASGI application of a gateway: the token, counters, a line for each failure; behind it FastAPI.

    POST /predict goes past FastAPI's routing, which takes as long as looking up and scoring; it answers the same.
    """

    def __init__(self, gateway: "Gateway", token: str | None = None) -> None:
        self.api = documented_api(gateway, guarded=token is not None)
        self._gateway, self._metrics = gateway, gateway.metrics
        self._token = f"Bearer {token}".encode() if token else None
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
            response = await answered(predict(self._gateway, Request(scope, receive)))
            await response(scope, receive, send_counted)
        else:
            await self.api(scope, receive, send_counted)
        self._count(path, status, time.perf_counter() - started)
        if status >= 500:
            LOG.warning("streamflow: %s %s %d request_id=%s", scope["method"], path, status, _request_id(scope))

    def _knows_token(self, scope: Scope) -> bool:
        return hmac.compare_digest(dict(scope["headers"]).get(b"authorization", b""), self._token)

    def _count(self, path: str, status: int, seconds: float) -> None:
        endpoint = path if path in _COUNTED else "/features/{user_id}" if path.startswith("/features/") else "other"
        counters = self._counters.get((endpoint, status))
        if counters is None:
            counters = self._metrics.requests.labels(endpoint, status), self._metrics.request_seconds.labels(endpoint)
            self._counters[endpoint, status] = counters
        counters[0].inc()
        counters[1].observe(seconds)


async def predict(gateway: "Gateway", request: Request) -> Response:
    """Answer POST /predict. Raises what `answered` translates."""
    asked = PredictRequest.model_validate_json(await _read(request))
    return Json(await gateway.predict(asked.user_id))


async def answered(response: Awaitable[Response]) -> Response:
    """The response, or the one that says why there is none."""
    try:
        return await response
    except Exception as error:
        return said(error)


def said(error: Exception) -> Response:
    """The answer for a failure: never a number, never a traceback. Raises again what is a bug."""
    match error:
        case Refusal():
            return Json(error.body, error.status)
        case StreamFlowError():
            # A Ray handle raises a class of its own around the cause; its text is a whole remote traceback.
            return Json({"error": str(getattr(error, "cause", error))}, UNAVAILABLE)
        case RayError() | RayServeException():
            what = f"a part of the graph does not answer: {type(error).__name__}; try again"
            return Json({"error": what}, UNAVAILABLE)
        case ValidationError() | RequestValidationError():
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "body"
            return Json({"error": f"{where}: {first['msg']}"}, UNUSABLE)
        case HTTPException():
            return Json({"error": error.detail}, error.status_code, error.headers)
        case ClientDisconnect():
            # Nobody reads it; the counters do.
            return Json({"error": "the client went away before its request was whole"}, 400)
    raise error


def documented_api(gateway: "Gateway", *, guarded: bool) -> FastAPI:
    """The endpoints and their documentation at /docs. Bodies are read and written by hand, which halves the time of one."""
    api = FastAPI(
        title="StreamFlow churn",
        version="1",
        description="Churn predictions of the Production model. Every answer carries X-Request-ID, given or made.",
        # A path with a slash too many is nobody's, rather than a redirect that no page tells of.
        redirect_slashes=False,
    )
    missing = {NOT_FOUND: _said(MissingFeatures, "unknown user: all features are missing")}
    unavailable = {UNAVAILABLE: _said(Problem, "no model, the feature store does not answer, or overload")}
    malformed = {
        413: _said(Problem, "the body is over 256 KiB"),
        415: _said(Problem, "Content-Type names something else than JSON; without one the body is taken for JSON"),
        UNUSABLE: _said(Problem, "bad input"),
    }
    unusable = {
        **malformed,
        UNUSABLE: _said(
            MissingFeatures | StaleFeatures | Problem, "a feature is null that must not be, or too old; or bad input"
        ),
    }

    # The token is checked around FastAPI; here it is only documented.
    token: dict[str, Any] = {
        "dependencies": [Depends(HTTPBearer(auto_error=False, description="the token that this deployment was given"))],
    }
    refused = {FORBIDDEN: _said(Problem, "no or wrong token")}
    if not guarded:
        token, refused = {}, {}

    @api.post(
        "/predict",
        response_model=Prediction,
        responses={**missing, **unusable, **unavailable, **refused},
        openapi_extra=_body(PredictRequest),
        **token,
    )
    async def predict_one(request: Request) -> Response:
        """Predict one user's churn."""
        return await predict(gateway, request)

    @api.post(
        "/predict/batch",
        response_model=BatchAnswer,
        responses={**malformed, **unavailable, **refused},
        openapi_extra=_body(BatchRequest),
        **token,
    )
    async def predict_batch(request: Request) -> Response:
        """Predict the churn of up to 1,000 users: a prediction or an error for each, in order."""
        asked = BatchRequest.model_validate_json(await _read(request))
        return Json(await gateway.predict_batch(asked.user_ids))

    @api.get(
        "/features/{user_id:id}",
        response_model=Features,
        responses={**missing, UNUSABLE: _said(Problem, "bad input"), **unavailable, **refused},
        **token,
    )
    async def features(user_id: Annotated[UserId, Path()]) -> Response:
        """Show one user's online features and the age of each."""
        return Json(await gateway.features(user_id))

    @api.get("/model", response_model=ModelAnswer, responses={**unavailable, **refused}, **token)
    async def model() -> Response:
        """Show where the model that answers came from, since when it answers, and what is refused if anything is."""
        return Json(await gateway.model())

    @api.get("/health", response_model=Health)
    async def health() -> Response:
        """Say that the process is up."""
        return Json({"status": "ok"})

    @api.get("/ready", response_model=Readiness, responses=unavailable)
    async def ready() -> Response:
        """Say whether model and feature store are usable."""
        return Json(await gateway.ready())

    @api.get("/metrics", response_class=PlainTextResponse, responses=refused, **token)
    async def metrics() -> Response:
        """Show the counters of all replicas in Prometheus' text format."""
        return Response(gateway.metrics.scrape(), media_type=CONTENT_TYPE)

    @api.get("/", response_class=HTMLResponse)
    async def page() -> Response:
        """Show a page for people."""
        return HTMLResponse(PAGE.read_text(encoding="utf-8"), headers={"X-Frame-Options": "DENY"})

    async def explain(_: Request, error: Exception) -> Response:
        return said(error)

    for kind in _EXPLAINED:
        api.add_exception_handler(kind, explain)
    return api


def _request_id(scope: Scope) -> str:
    # Ray gives every request one, if the client did not, and sends it back; what is logged must not be endless.
    return str(dict(scope["headers"]).get(b"x-request-id", b"none").decode("latin-1")[:128])


async def _read(request: Request) -> bytes:
    headers = request.headers
    kind = headers.get("content-type", _JSON)
    # Spared for those who say just that, which is everybody in a hurry.
    if kind != _JSON and not _is_json(kind):
        raise HTTPException(415, f"Content-Type is {kind[:128]}; send {_JSON}")
    length = headers.get("content-length", "")
    if length.isdecimal() and int(length[:20]) > MAX_BODY:
        raise HTTPException(413, f"the body is over {MAX_BODY} bytes")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            raise HTTPException(413, f"the body is over {MAX_BODY} bytes")
    return bytes(body)


def _is_json(kind: str) -> bool:
    name = kind.partition(";")[0].strip().lower()
    return name in ("", _JSON) or (name.startswith("application/") and name.endswith("+json"))


def _said(model: Any, description: str) -> dict[str, Any]:
    return {"model": model, "description": description}


def _body(model: type[BaseModel]) -> dict[str, Any]:
    content = {_JSON: {"schema": model.model_json_schema()}}
    return {"requestBody": {"required": True, "content": content}}
