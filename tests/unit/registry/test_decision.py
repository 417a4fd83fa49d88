"""The record of a decision, as the registry keeps it."""

import json

from compared_models import compared, rule

from streamflow.promotion.decisions import FIRST, judge, record_after_gates
from streamflow.registry.decision import DecisionRecord, Gate


def test_a_record_of_a_decision_survives_json_and_says_what_the_run_shows():
    judged = judge(rule(), compared((0.02, 0.01, 0.03)))
    opened = DecisionRecord(True, judged.reason, rule(), "1", compared((0.02, 0.01, 0.03)), (Gate("leakage"),))
    record = record_after_gates(opened, iter([Gate("code"), Gate("re-fit", "another model"), Gate("never asked")]))
    assert (record.promote, record.reason) == (False, "gate re-fit: another model")
    content = json.loads(json.dumps(record.to_json()))
    assert DecisionRecord.from_json(content) == record
    assert content["gates"] == [
        {"name": "leakage", "state": "open", "detail": ""},
        {"name": "code", "state": "open", "detail": ""},
        {"name": "re-fit", "state": "shut", "detail": "another model"},
    ]
    assert record.gate("re-fit") == Gate("re-fit", "another model")
    assert record.gate("source drift") is None
    assert record.run_metrics() == {
        "champion_roc_auc": 0.8, "delta_roc_auc": 0.02, "delta_roc_auc_low": 0.01, "delta_roc_auc_high": 0.03,
        "share_better_roc_auc": 0.5,
        "champion_average_precision": 0.8, "delta_average_precision": 0.0, "delta_average_precision_low": -0.01,
        "delta_average_precision_high": 0.01, "share_better_average_precision": 0.5,
    }  # fmt: skip
    first = DecisionRecord(True, FIRST.reason, rule(), None, None)
    assert first.run_metrics() == {}
    assert DecisionRecord.from_json(first.to_json()) == first
