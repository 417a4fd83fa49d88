"""What an error is answered with: a status and one line, never a traceback; what is a bug is raised."""

import asyncio
import json
from datetime import UTC, datetime

import pytest
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from ray.exceptions import RayError
from ray.serve.exceptions import BackPressureError, RayServeException
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from serve.answers import EXPLAINED, Json, error_response, response_or_error
from serve.contract import BatchRequest, PredictRequest
from serve.no_prediction import FORBIDDEN, NOT_FOUND, UNAVAILABLE, UNUSABLE, NoPrediction
from streamflow.core.errors import FeatureStoreError


def answered(error):
    response = error_response(error)
    return response.status_code, json.loads(response.body)


def invalid(model, text):
    with pytest.raises(ValidationError) as raised:
        model.model_validate_json(text)
    return raised.value


class OfRay(FeatureStoreError):
    """As a Ray handle raises it: a class of its own around the cause, with the remote traceback as its text."""

    cause = FeatureStoreError("the online store does not answer")


@pytest.mark.parametrize(
    ("error", "status", "body"),
    [
        (NoPrediction(404, "ada", {"error": "x", "missing_features": ["a"]}), 404,
         {"error": "x", "missing_features": ["a"]}),
        (FeatureStoreError("the store does not answer"), 503, {"error": "the store does not answer"}),
        (OfRay("Traceback (most recent call last): …"), 503, {"error": "the online store does not answer"}),
        (RayError(), 503, {"error": "a deployment of the graph does not answer: RayError; try again"}),
        (RayServeException("x"), 503, {"error": "a deployment of the graph does not answer: RayServeException; try again"}),
        (BackPressureError(num_queued_requests=1, max_queued_requests=1), 503,
         {"error": "a deployment of the graph does not answer: BackPressureError; try again"}),
        (invalid(PredictRequest, '{"user_id": 7}'), 422, {"error": "user_id: Input should be a valid string"}),
        (invalid(BatchRequest, '{"user_ids": ["a", 7]}'), 422, {"error": "user_ids.1: Input should be a valid string"}),
        (invalid(PredictRequest, "7"), 422, {"error": "body: Input should be an object"}),
        (RequestValidationError([{"loc": ("path", "user_id"), "msg": "too long"}]), 422,
         {"error": "path.user_id: too long"}),
        (HTTPException(415, "send JSON"), 415, {"error": "send JSON"}),
        (ClientDisconnect(), 400, {"error": "the client disconnected before its request was complete"}),
    ],
)  # fmt: skip
def test_every_failure_that_is_no_bug_has_a_status_and_one_line(error, status, body):
    assert answered(error) == (status, body)
    assert isinstance(error, EXPLAINED)


def test_an_http_error_keeps_its_headers():
    assert error_response(HTTPException(405, "no", {"Allow": "GET"})).headers["allow"] == "GET"


def test_a_bug_is_raised_again():
    bug = KeyError("a")
    with pytest.raises(KeyError) as raised:
        error_response(bug)
    assert raised.value is bug
    assert not isinstance(bug, EXPLAINED)


def test_a_response_is_handed_on_and_an_error_becomes_one():
    async def fails():
        raise FeatureStoreError("down")

    async def answers():
        return Json({"status": "ok"})

    assert json.loads(asyncio.run(response_or_error(answers())).body) == {"status": "ok"}
    assert asyncio.run(response_or_error(fails())).status_code == 503


def test_times_are_in_utc_with_a_z():
    response = Json({"at": datetime(2024, 1, 31, tzinfo=UTC)})
    assert response.body == b'{"at":"2024-01-31T00:00:00Z"}'
    assert (response.status_code, response.headers["content-type"]) == (200, "application/json")


def test_no_prediction_is_one_result_of_a_batch_with_all_its_keys():
    assert (NOT_FOUND, UNUSABLE, UNAVAILABLE, FORBIDDEN) == (404, 422, 503, 401)
    refused = NoPrediction(422, "ada", {"error": "stale", "stale_features": ["a"]})
    assert refused.item() == {
        "user_id": "ada",
        "status": 422,
        "error": "stale",
        "missing_features": [],
        "stale_features": ["a"],
    }
    assert refused.args == (422,)
