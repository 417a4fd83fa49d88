"""The models of requests and answers: their limits, and examples that are what they document."""

import pytest
from pydantic import TypeAdapter, ValidationError

from serve import contract
from serve.contract import BatchAnswer, BatchRequest, Features, ModelAnswer, Prediction, PredictRequest, Refused

EXAMPLE = Prediction.model_config["json_schema_extra"]["examples"][0]


@pytest.mark.parametrize("user_id", ["7590-VHVEG", "x" * 64, "näher dran", "a/b", "\x80"])
def test_an_id_is_any_text_that_postgres_can_hold(user_id):
    assert PredictRequest(user_id=user_id).user_id == user_id


@pytest.mark.parametrize("user_id", ["", "x" * 65, "a\0b", "a\nb", "a\x1fb", "\x7f", 7, None, "a\n"])
def test_an_id_that_is_empty_too_long_or_holds_a_control_character_is_refused(user_id):
    with pytest.raises(ValidationError):
        PredictRequest.model_validate({"user_id": user_id})


def test_a_batch_has_one_to_a_thousand_users():
    assert contract.MAX_BATCH == 1000
    assert len(BatchRequest(user_ids=["u"] * 1000).user_ids) == 1000
    for count in (0, 1001):
        with pytest.raises(ValidationError):
            BatchRequest(user_ids=["u"] * count)


def test_examples_are_of_the_form_that_they_document():
    example = Prediction.model_validate(EXAMPLE)
    assert example.model_dump(mode="json") == EXAMPLE
    for model in (PredictRequest, BatchRequest):
        for each in model.model_config["json_schema_extra"]["examples"]:
            model.model_validate(each)


@pytest.mark.parametrize(
    ("change", "valid"),
    [
        *(({"prediction": 0}, True), ({"prediction": 2}, False), ({"prediction": -1}, False)),
        *(({"probability": 0}, True), ({"probability": 1}, True), ({"probability": 1.01}, False)),
        ({"probability": -0.01}, False),
    ],
)
def test_a_prediction_is_0_or_1_and_a_probability_between(change, valid):
    if valid:
        Prediction.model_validate({**EXAMPLE, **change})
    else:
        with pytest.raises(ValidationError):
            Prediction.model_validate({**EXAMPLE, **change})


def test_the_result_of_a_batch_is_a_prediction_or_a_refusal():
    refused = {"user_id": "nobody", "status": 404, "error": "x"}
    results = BatchAnswer.model_validate({"results": [EXAMPLE, refused]}).results
    assert [type(each) for each in results] == [Prediction, Refused]
    assert (results[1].missing_features, results[1].stale_features) == ([], [])


FIELDS = {
    "ModelReference": ["name", "version", "model_sha256", "git_commit", "as_of"],
    "MissingFeatures": ["error", "missing_features"],
    "StaleFeatures": ["error", "stale_features"],
    "ErrorAnswer": ["error"],
    "Features": ["user_id", "features", "timestamps", "stale_features"],
    "NotServed": ["version", "reason", "since"],
    "Health": ["status"],
    "Readiness": ["status", "model_version"],
}


@pytest.mark.parametrize("name", list(FIELDS))
def test_an_answer_has_the_documented_fields_and_all_are_required(name):
    schema = TypeAdapter(getattr(contract, name)).json_schema()
    assert list(schema["properties"]) == schema["required"] == FIELDS[name]


def test_what_is_said_of_a_model_is_its_reference_and_its_provenance():
    schema = ModelAnswer.model_json_schema()
    more = ["run_id", "loaded_at", "from_local_copy", "not_served", "signed_by", "unsigned"]
    more += ["threshold", "features", "provenance"]
    assert list(schema["properties"]) == [*FIELDS["ModelReference"], *more]
    threshold = schema["properties"]["threshold"]
    assert (threshold["minimum"], threshold["maximum"]) == (0, 1)
    assert "timestamps" in Features.model_json_schema()["properties"]
