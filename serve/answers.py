"""HTTP responses: JSON, and the responses for errors."""

from collections.abc import Awaitable
from typing import Any

import orjson
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import ValidationError
from ray.exceptions import RayError
from ray.serve.exceptions import RayServeException
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from serve.no_prediction import UNAVAILABLE, UNUSABLE, NoPrediction
from streamflow.core.errors import StreamFlowError

JSON = "application/json"
EXPLAINED = (
    NoPrediction,
    StreamFlowError,
    RayError,
    RayServeException,
    ValidationError,
    RequestValidationError,
    HTTPException,
    ClientDisconnect,
)


class Json(Response):
    """A JSON answer by orjson; datetimes in UTC with a Z."""

    media_type = JSON

    def render(self, content: Any) -> bytes:
        """The bytes of the response."""
        return orjson.dumps(content, option=orjson.OPT_UTC_Z)


async def response_or_error(response: Awaitable[Response]) -> Response:
    """The response, or an error response with the reason."""
    try:
        return await response
    except Exception as error:
        return error_response(error)


def error_response(error: Exception) -> Response:
    """The response for a failure: never a number, never a traceback. Raises bugs again."""
    match error:
        case NoPrediction():
            return Json(error.body, error.status)
        case StreamFlowError():
            # A Ray handle raises a class of its own around the cause; its text is a whole remote traceback.
            return Json({"error": str(getattr(error, "cause", error))}, UNAVAILABLE)
        case RayError() | RayServeException():
            what = f"a deployment of the graph does not answer: {type(error).__name__}; try again"
            return Json({"error": what}, UNAVAILABLE)
        case ValidationError() | RequestValidationError():
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "body"
            return Json({"error": f"{where}: {first['msg']}"}, UNUSABLE)
        case HTTPException():
            return Json({"error": error.detail}, error.status_code, error.headers)
        case ClientDisconnect():
            # For the counters only: nobody reads it.
            return Json({"error": "the client disconnected before its request was complete"}, 400)
    raise error
