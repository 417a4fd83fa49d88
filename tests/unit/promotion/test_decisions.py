"""Metrics, promotion, provenance and differences: pure decisions on plain values."""

import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from streamflow.evaluation.metrics import (
    calibration_points,
    classification_metrics,
    confusion_counts,
    precision_recall_points,
    roc_points,
)
from streamflow.pipeline.environment import environment_differences, installed_packages, locked_packages
from streamflow.pipeline.lock import LockedStage
from streamflow.promotion.decisions import FIRST, Decision, apply_gates, decide, in_short, judge, record_after_gates
from streamflow.provenance.record import Provenance, input_fingerprint
from streamflow.registry.decision import Comparison, DecisionRecord, Gate, PairedDifference, PromotionRule
from streamflow.warehouse.differences import describe_differences

CHURNED = [True, True, False, False, False]
SCORES = [0.9, 0.4, 0.6, 0.2, 0.1]
PREDICTIONS = [1, 0, 1, 0, 0]


def test_metrics_of_a_worked_example():
    metrics = classification_metrics(CHURNED, SCORES, PREDICTIONS)
    assert metrics["roc_auc"] == pytest.approx(5 / 6, abs=1e-6)
    assert metrics["f1"] == 0.5
    assert metrics["precision"] == 0.5
    assert metrics["recall"] == 0.5
    assert metrics["accuracy"] == 0.6
    assert metrics["baseline_accuracy"] == 0.6
    assert metrics["churn_rate"] == 0.4
    assert metrics["brier"] == pytest.approx((0.01 + 0.36 + 0.36 + 0.04 + 0.01) / 5)
    assert metrics["log_loss"] == pytest.approx(-np.mean(np.log([0.9, 0.4, 0.4, 0.8, 0.9])), abs=1e-6)


def test_curves_of_a_worked_example():
    assert roc_points(CHURNED, SCORES)[-1] == {"false_positive_rate": 1.0, "true_positive_rate": 1.0}
    assert precision_recall_points(CHURNED, SCORES)[0]["recall"] == 0.0
    assert confusion_counts(CHURNED, PREDICTIONS) == {
        "true_negative": 2,
        "false_positive": 1,
        "false_negative": 1,
        "true_positive": 1,
    }
    points = calibration_points([True, False] * 50, np.linspace(0, 1, 100))
    assert len(points) == 10
    assert sum(point["users"] for point in points) == 100
    assert all(point["observed"] == 0.5 for point in points)


def rule(**values):
    settled = {"policy": "auto", "metric": "roc_auc", "delta": 0.0, "confidence": 0.95, "resamples": 2000}
    return PromotionRule(**{**settled, "leak_auc": 0.95, "seed": 42, **values})


def compared(auc, precision=(0.0, -0.01, 0.01)):
    """A comparison whose differences are (delta, low, high)."""
    metrics = {
        name: PairedDifference(0.8, round(0.8 + delta, 6), delta, low, high, 0.5)
        for name, (delta, low, high) in (("roc_auc", auc), ("average_precision", precision))
    }
    return Comparison("1", 1797, 505, metrics)


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
    assert decide(rule(), better) == better
    assert decide(rule(), FIRST) == FIRST
    manual = decide(rule(policy="manual"), better)
    assert manual == Decision(False, f"promotion.policy is manual, `streamflow promote vN` decides; {better.reason}")
    assert decide(rule(policy="never"), better) == Decision(False, "promotion.policy is never")


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


LOCK = {
    "dataset": LockedStage(
        "dataset",
        "python -m stages.dataset",
        {"data/snapshots/2024-01-31": "s1.dir", "streamflow/features/dataset.py": "c1"},
        {"data/dataset": "d1.dir"},
        {"params.yaml": {"as_of": "2024-01-31"}},
    ),
    "train": LockedStage(
        "train",
        "python -m stages.train",
        {"data/dataset": "d1.dir", "streamflow/model/sklearn_pipeline.py": "c2"},
        {"artifacts/model": "m1.dir"},
        {"params.yaml": {"model.max_depth": 3}},
    ),
}


def changed(stage, **parts):
    return {**LOCK, stage: replace(LOCK[stage], **parts)}


def test_the_fingerprint_covers_data_code_configuration_and_packages():
    known = input_fingerprint(LOCK, "lock")
    others = [
        input_fingerprint(LOCK, "another lock"),
        input_fingerprint(changed("dataset", deps={**LOCK["dataset"].deps, "data/snapshots/2024-01-31": "s2"}), "lock"),
        input_fingerprint(
            changed("train", deps={**LOCK["train"].deps, "streamflow/model/sklearn_pipeline.py": "c3"}), "lock"
        ),
        input_fingerprint(changed("train", params={"params.yaml": {"model.max_depth": 4}}), "lock"),
    ]
    assert len({known, *others}) == 5
    assert input_fingerprint(changed("train", outs={}), "lock") == known
    reordered = changed("train", deps=dict(reversed(LOCK["train"].deps.items())))
    assert input_fingerprint(reordered, "lock") == known


def test_every_fact_of_the_provenance_is_a_tag_of_text():
    facts = Provenance(
        git_commit="c", git_tag="", git_dirty=False, changes_sha256="", dvc_lock_sha256="l", requirements_lock_sha256="r",
        environment_matches_lock=True, environment_differences="",
        params_sha256="p", dataset_md5="d", snapshots={"2024-01-31": "s"},
        model_sha256="m", input_fingerprint="f", as_of="2024-01-31", known_at=None, label_horizon_months=0,
        feature_service="churn_v1", seed=42, python="3.11", platform="Linux", cpu="cpu", blas_kernel="Haswell",
        threads=1, outs={"data/dataset": "d"}, artifacts={"dvc.lock": "l"},
    )  # fmt: skip
    tags = facts.tags()
    assert len(tags) == 23
    assert all(isinstance(value, str) for value in tags.values())
    assert tags["streamflow.git_dirty"] == "false"
    assert tags["streamflow.known_at"] == ""
    assert tags["streamflow.snapshots"] == '{"2024-01-31": "s"}'


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


def test_differences_name_columns_and_keys():
    before = pa.table({"user_id": ["a", "b", "c"], "fee": [1.0, 2.0, 3.0], "plan": [None, True, False]})
    after = pa.table({"user_id": ["a", "b", "d"], "fee": [1.5, 2.0, 3.0], "plan": [True, True, False]})
    assert describe_differences(before, after) == ("1 row changed in fee, plan (a); 1 row missing (c); 1 row added (d)")
    assert describe_differences(before, before) == "no row differs"
    many = pa.table({"user_id": [f"u{n}" for n in range(9)], "fee": [float(n) for n in range(9)]})
    none = many.slice(0, 0)
    assert describe_differences(many, none) == "9 rows missing (u0, u1, u2, u3, u4, …)"


def test_this_environment_is_compared_with_a_lock_by_name_and_version():
    installed = installed_packages()
    lock = "".join(f"{name}=={version} \\\n    --hash=sha256:00\n" for name, version in installed.items())
    assert environment_differences(lock) == []
    assert locked_packages("A_b.C==1.2 \\\n    # via x==3\n") == {"a-b-c": "1.2"}
    version = installed["numpy"]
    other = lock.replace(f"numpy=={version} ", "numpy==0.0.1 ")
    assert environment_differences(other) == [f"numpy {version} (locked 0.0.1)"]
    assert environment_differences(lock + "absent-package==1.0 \\\n") == ["absent-package missing (locked 1.0)"]
