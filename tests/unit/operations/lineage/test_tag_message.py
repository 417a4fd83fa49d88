"""The message of a tag can be read again."""

from dataclasses import replace

import pytest
from this_result import RESULT

from streamflow.operations.lineage.tag_message import tag_message, tagged_facts


def test_a_tags_message_is_a_title_and_trailers_that_can_be_read_again():
    metrics = {"roc_auc": 0.8121, "average_precision": 0.6, "f1": 0.5, "accuracy": 2 / 3, "brier": 0.1}
    message = tag_message("spring", replace(RESULT, metrics=metrics))
    digests = [
        f"Dataset-md5: {RESULT.dataset_md5}",
        f"Model-sha256: {RESULT.model_sha256}",
        f"Dvc-lock-sha256: {RESULT.dvc_lock_sha256}",
        f"Requirements-lock-sha256: {RESULT.requirements_lock_sha256}",
        f"Input-fingerprint: {RESULT.input_fingerprint}",
    ]
    assert message.splitlines() == [
        "spring: random_forest on churn_v1 as of 2024-01-31",
        "",
        "As-of: 2024-01-31",
        "Feature-service: churn_v1",
        "Model: random_forest",
        *("Roc-auc: 0.812100", "Average-precision: 0.600000", "F1: 0.500000", "Accuracy: 0.666667"),
        *digests,
    ]
    facts = tagged_facts(message)
    assert list(facts) == [
        *("as_of", "feature_service", "model", "roc_auc", "average_precision", "f1", "accuracy"),
        *("dataset_md5", "model_sha256", "dvc_lock_sha256", "requirements_lock_sha256", "input_fingerprint"),
    ]
    assert (facts["as_of"], facts["accuracy"]) == ("2024-01-31", "0.666667")
    assert facts["model_sha256"] == RESULT.model_sha256


def test_a_result_without_a_metric_has_no_line_for_it():
    assert "f1" not in tagged_facts(tag_message("spring", replace(RESULT, metrics={"roc_auc": 0.8})))


@pytest.mark.parametrize(
    ("message", "facts"),
    [
        ("just words", {}),
        ("title: of a tag\n\nwords", {}),
        ("title\nA-b: c", {"a_b": "c"}),
        ("title\n\nSigned-Off-By: ada: of london", {"signed_off_by": "ada: of london"}),
    ],
)
def test_another_message_has_the_trailers_that_it_has(message, facts):
    assert tagged_facts(message) == facts
