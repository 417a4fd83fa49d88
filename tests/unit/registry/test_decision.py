"""The record of a decision, as the registry keeps it."""

import json
from types import SimpleNamespace

import pytest
from compared_models import compared, rule

from streamflow.promotion.decisions import FIRST, judge, record_after_gates
from streamflow.registry.decision import (
    COMPARISON_TAG,
    DECISION_TAG,
    Comparison,
    DecisionRecord,
    Gate,
    PairedDifference,
    decision_of,
)

OPENED = DecisionRecord(
    True, judge(rule(), compared((0.02, 0.01, 0.03))).reason, rule(), "1", compared((0.02, 0.01, 0.03)),
    (Gate("leakage"),),
)  # fmt: skip
RECORD = record_after_gates(OPENED, iter([Gate("code"), Gate("re-fit", "another model"), Gate("never asked")]))


def test_a_record_says_what_was_decided_and_why():
    assert (RECORD.promote, RECORD.reason) == (False, "gate re-fit: another model")
    assert RECORD.gate("re-fit") == Gate("re-fit", "another model")
    assert RECORD.gate("source drift") is None
    assert (Gate("a").passed, Gate("a", "b").passed) == (True, False)


def test_a_record_survives_json_with_the_documented_keys():
    content = json.loads(json.dumps(RECORD.to_json()))
    assert DecisionRecord.from_json(content) == RECORD
    assert list(content) == ["promote", "reason", "rule", "champion_version", "comparison", "gates"]
    assert content["gates"] == [
        {"name": "leakage", "state": "open", "detail": ""},
        {"name": "code", "state": "open", "detail": ""},
        {"name": "re-fit", "state": "shut", "detail": "another model"},
    ]
    assert content["comparison"]["metrics"]["roc_auc"]["share_better"] == 0.5
    first = DecisionRecord(True, FIRST.reason, rule(), None, None)
    assert DecisionRecord.from_json(first.to_json()) == first
    bare = DecisionRecord(False, "promotion.policy is never")
    assert DecisionRecord.from_json(bare.to_json()) == bare


def test_a_run_shows_the_numbers_of_the_comparison():
    assert RECORD.run_metrics() == {
        "champion_roc_auc": 0.8, "delta_roc_auc": 0.02, "delta_roc_auc_low": 0.01, "delta_roc_auc_high": 0.03,
        "share_better_roc_auc": 0.5,
        "champion_average_precision": 0.8, "delta_average_precision": 0.0, "delta_average_precision_low": -0.01,
        "delta_average_precision_high": 0.01, "share_better_average_precision": 0.5,
    }  # fmt: skip
    assert DecisionRecord(True, "x").run_metrics() == {}


def test_a_comparison_in_one_line():
    found = compared((0.02, 0.01, 0.03)).in_short
    assert found == (
        "roc_auc +0.0200 (+0.0100 to +0.0300), average_precision +0.0000 (-0.0100 to +0.0100) on 1797 test users"
    )


@pytest.mark.parametrize(
    ("delta", "low", "high", "equal"), [(0, 0, 0, True), (1, 0, 0, False), (0, -1, 0, False), (0, 0, 1, False)]
)
def test_two_models_are_equal_if_no_resample_differs(delta, low, high, equal):
    same, other = PairedDifference(0.8, 0.8, 0.0, 0.0, 0.0, 0.0), PairedDifference(0.8, 0.8, delta, low, high, 0.0)
    assert Comparison("1", 10, 5, {"a": same, "b": other}).is_equal is equal


def version(**tags):
    return SimpleNamespace(tags=tags)


def test_the_decision_on_a_version_is_read_from_its_tag():
    assert (DECISION_TAG, COMPARISON_TAG) == ("streamflow.decision", "streamflow.comparison")
    kept = {COMPARISON_TAG: json.dumps(RECORD.to_json())}
    assert decision_of(version(**kept)) == RECORD


@pytest.mark.parametrize("text", [None, "no json", "{}", "[]", '{"promote": true}', json.dumps({"comparison": 5})])
def test_a_version_without_a_decision_that_this_code_reads_has_none(text):
    assert decision_of(version(**({} if text is None else {COMPARISON_TAG: text}))) is None
