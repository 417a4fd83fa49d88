"""The HTTP endpoints of a gateway, as /docs describes them."""

import asyncio
from pathlib import Path as File
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Depends, FastAPI, Path, Request
from fastapi.responses import HTMLResponse, PlainTextResponse, Response
from fastapi.security import HTTPBearer
from pydantic import BaseModel
from starlette.convertors import Convertor, register_url_convertor
from starlette.exceptions import HTTPException

from serve.answers import EXPLAINED, JSON, Json, error_response
from serve.contract import (
    BatchAnswer,
    BatchRequest,
    ErrorAnswer,
    Features,
    Health,
    MissingFeatures,
    ModelAnswer,
    Prediction,
    PredictRequest,
    Readiness,
    StaleFeatures,
    UserId,
)
from serve.metrics import CONTENT_TYPE
from serve.no_prediction import FORBIDDEN, NOT_FOUND, REQUEST_TIMEOUT, UNAVAILABLE, UNUSABLE

if TYPE_CHECKING:
    from serve.gateway import Gateway

PAGE = File(__file__).with_name("page.html")
MAX_BODY = 256 * 1024
BODY_SECONDS = 10
"""Within so many seconds a body must be read; serve/haproxy gives header and start of the body as many before that."""


class _Id(Convertor[str]):
    """An id in a path: it may contain a slash, or a line break, which UserId rejects."""

    regex = "(?s:.*)"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("id", _Id())


async def predict(gateway: "Gateway", request: Request) -> Response:
    """Answer POST /predict. Raises what `response_or_error` translates."""
    asked = PredictRequest.model_validate_json(await _read(request))
    return Json(await gateway.predict(asked.user_id))


def build_api(gateway: "Gateway", *, guarded: bool) -> FastAPI:
    """The endpoints and their documentation at /docs. Bodies are read and written by hand, which is twice as fast."""
    api = FastAPI(
        title="StreamFlow churn",
        version="1",
        description="Churn predictions of the Production model. Every response has an X-Request-ID.",
        # A path with an extra slash is 404, not an undocumented redirect.
        redirect_slashes=False,
    )
    missing = {NOT_FOUND: _documented(MissingFeatures, "unknown user: all features are missing")}
    unavailable = {UNAVAILABLE: _documented(ErrorAnswer, "no model, the feature store does not answer, or overloaded")}
    malformed = {
        REQUEST_TIMEOUT: _documented(ErrorAnswer, f"the body was not complete within {BODY_SECONDS} s"),
        413: _documented(ErrorAnswer, "the body is over 256 KiB"),
        415: _documented(ErrorAnswer, "Content-Type is not JSON (a body without Content-Type is read as JSON)"),
        UNUSABLE: _documented(ErrorAnswer, "bad input"),
    }
    unusable = {
        **malformed,
        UNUSABLE: _documented(
            MissingFeatures | StaleFeatures | ErrorAnswer,
            "a feature is null and must not be, or is too old; or bad input",
        ),
    }

    # The token is checked around FastAPI; here it is only documented.
    token: dict[str, Any] = {
        "dependencies": [Depends(HTTPBearer(auto_error=False, description="the token of this deployment"))],
    }
    refused = {FORBIDDEN: _documented(ErrorAnswer, "no or wrong token")}
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
        responses={**missing, UNUSABLE: _documented(ErrorAnswer, "bad input"), **unavailable, **refused},
        **token,
    )
    async def features(user_id: Annotated[UserId, Path()]) -> Response:
        """Show one user's online features and the age of each."""
        return Json(await gateway.features(user_id))

    @api.get("/model", response_model=ModelAnswer, responses={**unavailable, **refused}, **token)
    async def model() -> Response:
        """Show the served model, its provenance, since when it is served, and the version that is not served, if any."""
        return Json(await gateway.model())

    @api.get("/health", response_model=Health)
    async def health() -> Response:
        """Return 200 if the process is up."""
        return Json({"status": "ok"})

    @api.get("/ready", response_model=Readiness, responses=unavailable)
    async def ready() -> Response:
        """Return 200 if model and feature store are ready, else 503 with the reason."""
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
        return error_response(error)

    for kind in EXPLAINED:
        api.add_exception_handler(kind, explain)
    return api


async def _read(request: Request) -> bytes:
    headers = request.headers
    kind = headers.get("content-type", JSON)
    # A shortcut for the usual header.
    if kind != JSON and not _is_json(kind):
        raise HTTPException(415, f"Content-Type is {kind[:128]}; send {JSON}")
    length = headers.get("content-length", "")
    if length.isdecimal() and int(length[:20]) > MAX_BODY:
        raise HTTPException(413, f"the body is over {MAX_BODY} bytes")
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await _body_of(request)
    except TimeoutError:
        error = f"the request was not complete within {BODY_SECONDS} s"
        raise HTTPException(REQUEST_TIMEOUT, error, {"Connection": "close"}) from None


async def _body_of(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            raise HTTPException(413, f"the body is over {MAX_BODY} bytes")
    return bytes(body)


def _is_json(kind: str) -> bool:
    name = kind.partition(";")[0].strip().lower()
    return name in ("", JSON) or (name.startswith("application/") and name.endswith("+json"))


def _documented(model: Any, description: str) -> dict[str, Any]:
    return {"model": model, "description": description}


def _body(model: type[BaseModel]) -> dict[str, Any]:
    content = {JSON: {"schema": model.model_json_schema()}}
    return {"requestBody": {"required": True, "content": content}}
