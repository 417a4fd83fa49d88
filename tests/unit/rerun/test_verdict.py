"""The verdict on a result that was derived again, and what differed first."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from this_result import ALL, RESULT

from streamflow.provenance.record import DIVERGED, EQUIVALENT, IDENTICAL
from streamflow.rerun.verdict import (
    Circumstances,
    Divergence,
    Rederivation,
    compare_outputs,
    verdict,
)

SHA = RESULT.model_sha256


def judged(changed=(), golden=False, model=SHA, **circumstances):
    outs = compare_outputs(RESULT, {path: "0" * 32 if path in changed else md5 for path, md5 in ALL.items()}, {})
    return verdict(RESULT, outs, SHA, model, golden, Circumstances(**circumstances))


def test_identical_is_every_byte_and_every_input():
    assert judged() == (IDENTICAL, None)
    assert judged(code=["streamflow/model"])[0] == DIVERGED
    assert judged(lock=["train read data/dataset as 00, dataset wrote 11"])[0] == DIVERGED
    assert judged(model="0" * 64) == (
        DIVERGED,
        Divergence("train", "lock", f"the registered model is {SHA[:12]}, dvc.lock and this rerun say 000000000000"),
    )


@given(st.sets(st.sampled_from(sorted(ALL)), min_size=1))
def test_any_other_byte_is_not_identical_and_names_the_first_stage(changed):
    outcome, first = judged(changed)
    assert outcome == DIVERGED
    order = list(RESULT.stages)
    assert first.stage == min((RESULT.outs[path][0] for path in changed), key=order.index)


def test_equivalent_is_the_same_training_set_and_the_same_golden_predictions():
    model = {"artifacts/model", "artifacts/sha256/train.json"}
    assert judged(model, golden=True, model="0" * 64)[0] == EQUIVALENT
    assert judged(model, golden=False, model="0" * 64)[0] == DIVERGED
    assert judged({*model, "data/dataset"}, golden=True, model="0" * 64)[0] == DIVERGED
    assert judged({"artifacts/evaluation/report.html"}, golden=True)[0] == EQUIVALENT
    assert judged(model, golden=True, model="0" * 64, code=["streamflow/model"])[0] == DIVERGED


@pytest.mark.parametrize(
    ("changed", "circumstances", "stage", "cause", "words"),
    [
        ("data/snapshots/2024-01-31", {"source": {"2024-01-31": "1 row changed in monthly_fee"}},
         "snapshot@2024-01-31", "data", "1 row changed in monthly_fee"),
        ("data/dataset", {"lock": ["train read data/dataset as 00, dataset wrote 11"]}, "dataset", "lock", "wrote 11"),
        ("artifacts/model", {"code": ["streamflow/model"]}, "train", "code", "streamflow/model"),
        ("artifacts/config.json", {"code": ["conf"]}, "config", "config", "conf"),
        ("artifacts/model", {"code": ["streamflow/report"]}, "train", "unexplained", "not deterministic"),
        ("artifacts/model", {"packages": ["numpy 1 (locked 2)"]}, "train", "environment", "numpy 1 (locked 2)"),
        ("artifacts/model", {"recorded": {"python": "3.11.7"}, "now": {"python": "3.11.9"}},
         "train", "environment", "python 3.11.9, at training 3.11.7"),
        ("artifacts/model", {"recorded": {"blas_kernel": "Haswell"}, "now": {"blas_kernel": "Nehalem"}},
         "train", "CPU kernel", "blas_kernel Nehalem, at training Haswell"),
        ("artifacts/model", {}, "train", "unexplained", "same data, code, configuration and packages"),
    ],
)  # fmt: skip
def test_the_first_divergence_says_what_differed(changed, circumstances, stage, cause, words):
    _, first = judged({changed}, **circumstances)
    assert (first.stage, first.cause) == (stage, cause)
    assert words in first.detail


def test_the_json_has_the_documented_keys():
    outs, first = compare_outputs(RESULT, {}, {}), Divergence("train", "code", "x")
    found = Rederivation("exp/a", "c" * 40, DIVERGED, first, outs, SHA, "", {"kind": "fresh"}, 12.34)
    assert found.to_json() == {
        "ref": "exp/a",
        "commit": "c" * 40,
        "verdict": "diverged",
        "first_divergence": {"stage": "train", "cause": "code", "detail": "x"},
        "outs": [{"path": path, "expected": md5, "actual": ""} for path, md5 in ALL.items()],
        "model_sha256": {"expected": SHA, "actual": ""},
        "environment": {"kind": "fresh"},
        "seconds": 12.3,
    }
    same = Rederivation("exp/a", "c" * 40, IDENTICAL, None, (), SHA, SHA, {}, 1.0)
    assert same.to_json()["first_divergence"] is None


def test_code_that_only_the_lock_knows_is_named_with_the_stage_that_reads_it():
    outcome, first = judged(code=["conf", "streamflow/model"])
    assert (outcome, first.stage, first.cause) == (DIVERGED, "config", "config")
    assert "conf in the commit differs from what the run read" in first.detail
    outcome, first = judged(code=["params.yaml", "conf"], changed={"artifacts/config.json"})
    assert (first.stage, first.cause) == ("config", "config")
    _, first = judged(lock=["train read data/dataset as 00, dataset wrote 11"])
    assert (first.stage, first.cause) == ("train", "lock")


def test_what_the_history_says_otherwise_explains_only_the_stages_that_read_it():
    source = {"2024-01-31": "1 row changed"}
    for path, cause in (("data/snapshots/2024-02-29", "unexplained"), ("data/dataset", "unexplained")):
        assert judged({path}, source=source)[1].cause == cause
    assert judged({"data/snapshots/2024-01-31"}, source=source, lock=["x y"])[1].cause == "data"


@pytest.mark.parametrize("recorded", [{}, {"python": ""}, {"python": "3.11.9", "cpu": "a"}])
def test_a_fact_of_the_machine_that_nobody_recorded_explains_nothing(recorded):
    now = {"python": "3.11.9", "cpu": "a", "blas_kernel": "Haswell"}
    assert judged({"artifacts/model"}, recorded=recorded, now=now)[1].cause == "unexplained"
    other = judged({"artifacts/model"}, recorded={"cpu": "b"}, now=now)[1]
    assert (other.cause, other.detail) == ("CPU kernel", "cpu a, at training b")
