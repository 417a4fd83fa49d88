"""What becomes of a comparison: the judgement, the policy, the gates, and the decision in short."""

from dataclasses import replace

import pytest
from compared_models import compared, rule

from streamflow.promotion.decisions import (
    DATA_GATES,
    FIRST,
    Decision,
    apply_gates,
    decide,
    gate_reason,
    in_short,
    judge,
    record_after_gates,
)
from streamflow.registry.decision import DecisionRecord, Gate


@pytest.mark.parametrize(
    ("settings", "auc", "precision", "promotes", "words"),
    [
        (
            {},
            (0.02, 0.01, 0.03),
            (0.0, -0.01, 0.01),
            True,
            ": better by 0.0200, with 95 % confidence by at least 0.0100",
        ),
        (
            {},
            (0.02, 0.0, 0.04),
            (0.0, -0.01, 0.01),
            False,
            ": +0.0200, between +0.0000 and +0.0400, not better with 95 %",
        ),
        ({}, (0.01, -0.01, 0.03), (0.1, 0.05, 0.2), False, ": +0.0100, between -0.0100 and +0.0300, not better"),
        (
            {},
            (-0.02, -0.03, -0.01),
            (0.1, 0.05, 0.2),
            False,
            ": worse by 0.0200, with 95 % confidence by at least 0.0100",
        ),
        (
            {},
            (0.0, 0.0, 0.0),
            (0.0, 0.0, 0.0),
            False,
            "equal: it ranks the users like the champion, version 1, on the same 1797 test",
        ),
        ({"delta": 0.01}, (0.02, 0.01, 0.03), (0.0, -0.01, 0.01), True, ": better by 0.0200"),
        ({"delta": 0.015}, (0.02, 0.01, 0.03), (0.0, -0.01, 0.01), False, "0.0100, less than promotion.delta=0.015"),
        (
            {},
            (0.02, 0.01, 0.03),
            (-0.02, -0.03, -0.01),
            False,
            "; but average_precision is worse by 0.0200, by at least 0.01",
        ),
        (
            {"metric": "average_precision"},
            (0.0, -0.01, 0.01),
            (0.02, 0.01, 0.03),
            True,
            "average_precision 0.8200 against",
        ),
        ({"metric": "average_precision"}, (-0.02, -0.03, -0.01), (0.02, 0.01, 0.03), False, "but roc_auc is worse"),
    ],
)
def test_a_challenger_takes_over_if_it_is_surely_better_and_in_nothing_surely_worse(
    settings, auc, precision, promotes, words
):
    decided = judge(rule(**settings), compared(auc, precision))
    assert decided.promote is promotes
    assert words in decided.reason


def test_the_policy_follows_the_judgement_or_leaves_it_to_a_person_or_to_nobody():
    better = judge(rule(), compared((0.02, 0.01, 0.03)))
    assert better.promote
    assert decide(rule(), better) == better
    assert decide(rule(), Decision(False, "worse")) == Decision(False, "worse")
    assert decide(rule(), FIRST) == Decision(True, "there was no Production version")
    assert decide(rule(policy="manual"), FIRST).promote is False
    manual = decide(rule(policy="manual"), better)
    assert manual == Decision(False, f"promotion.policy is manual, `streamflow promote vN` decides; {better.reason}")
    assert decide(rule(policy="never"), better) == Decision(False, "promotion.policy is never")


def test_gates_that_only_a_promotion_needs_are_added_to_those_that_were_asked():
    opened = DecisionRecord(True, "better", rule(), "1", compared((0.02, 0.01, 0.03)), (Gate("leakage"),))
    shut = record_after_gates(opened, iter([Gate("code"), Gate("re-fit", "another model"), Gate("never asked")]))
    assert (shut.promote, shut.reason) == (False, "gate re-fit: another model")
    assert [gate.name for gate in shut.gates] == ["leakage", "code", "re-fit"]
    assert (shut.rule, shut.champion_version, shut.comparison) == (opened.rule, "1", opened.comparison)
    assert record_after_gates(opened, [Gate("code")]) == replace(opened, gates=(Gate("leakage"), Gate("code")))
    refused = replace(opened, promote=False, reason="worse")
    assert record_after_gates(refused, [Gate("code")]) == refused


def test_gates_of_the_data_are_those_two():
    assert DATA_GATES == ("leakage", "overlap")
    assert gate_reason(Gate("leakage", "skips_7d alone")) == "gate leakage: skips_7d alone"


@pytest.mark.parametrize(
    ("decision", "short"),
    [
        ("promoted: roc_auc 0.82 against the champion's 0.80", "promoted, roc_auc +0.0200"),
        ("promoted: forced by me: a trial", "promoted by force, roc_auc +0.0200"),
        ("gate leakage: skips_7d alone", "gate leakage, roc_auc +0.0200"),
        ("promotion.policy is manual, `streamflow promote vN` decides; x", "manual, roc_auc +0.0200"),
        ("roc_auc 0.79 against the champion's 0.80", "refused, roc_auc +0.0200"),
    ],
)
def test_a_decision_in_short(decision, short):
    record = DecisionRecord(False, decision, rule(), "1", compared((0.02, 0.01, 0.03)))
    assert in_short(decision, record) == short
    assert in_short(decision, None) == short.split(",")[0]
    assert in_short("", None) == ""
    assert in_short("promotion.policy is never", None) == "never"


def test_a_decision_to_promote_passes_every_gate_or_names_the_first_that_is_shut():
    promote = Decision(True, "better")
    asked = []

    def gates(*details):
        for number, detail in enumerate(details):
            asked.append(number)
            yield Gate(f"g{number}", detail)

    assert apply_gates(promote, gates("", "")) == (promote, (Gate("g0"), Gate("g1")))
    assert apply_gates(promote, gates("", "broken; fix it", "broken as well")) == (
        Decision(False, "gate g1: broken; fix it"),
        (Gate("g0"), Gate("g1", "broken; fix it")),
    )
    assert asked == [0, 1, 0, 1]
    assert apply_gates(Decision(False, "worse"), gates("broken")) == (Decision(False, "worse"), ())
    assert asked == [0, 1, 0, 1]
