"""Verdicts, attestations, tag messages and comparisons: pure decisions on plain values."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from project import ROOT

from streamflow.core.errors import ConfigError, ModelError
from streamflow.operations.lineage.tag_message import tag_message, tagged_facts
from streamflow.operations.rerun.attestation import PREDICATE, STATEMENT, statement
from streamflow.operations.rerun.verdict import (
    DIVERGED,
    EQUIVALENT,
    IDENTICAL,
    Circumstances,
    Divergence,
    Rederivation,
    compare_outputs,
    verdict,
)
from streamflow.pipeline.layout import ONNX
from streamflow.provenance.comparison import differing, flat, snapshot_differences
from streamflow.provenance.result import read_result


def committed(path):
    return (ROOT / path).read_bytes() if (ROOT / path).is_file() else None


RESULT = read_result(committed, "this commit")
ALL = {path: md5 for path, (_, md5) in RESULT.outs.items()}
SHA = RESULT.model_sha256


def judged(changed=(), golden=False, model=SHA, **circumstances):
    outs = compare_outputs(RESULT, {path: "0" * 32 if path in changed else md5 for path, md5 in ALL.items()})
    return verdict(RESULT, outs, SHA, model, golden, Circumstances(**circumstances))


def test_the_result_of_this_commit_names_all_its_digests():
    assert len(SHA) == len(RESULT.dvc_lock_sha256) == len(RESULT.input_fingerprint) == 64
    assert set(RESULT.snapshots) == {"2024-01-31", "2024-02-29"}
    assert RESULT.dataset_md5.endswith(".dir")
    assert RESULT.receipts[str(ONNX)] == SHA
    assert len(RESULT.outs) == 19


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


def found(**parts):
    outs = compare_outputs(RESULT, ALL)
    whole = Rederivation("exp/a", "c" * 40, IDENTICAL, None, outs, SHA, SHA, {"kind": "fresh"}, 12.34)
    return replace(whole, **parts)


def test_the_json_has_the_documented_keys():
    document = found(first_divergence=Divergence("train", "code", "x")).to_json()
    assert document["first_divergence"] == {"stage": "train", "cause": "code", "detail": "x"}
    assert document["outs"][0] == {
        "path": "artifacts/config.json",
        "expected": ALL["artifacts/config.json"],
        "actual": ALL["artifacts/config.json"],
    }
    assert document["model_sha256"] == {"expected": SHA, "actual": SHA}
    assert document["seconds"] == 12.3


def test_the_attestation_is_an_in_toto_statement_over_model_and_outputs():
    made = statement(found(), RESULT, {"id": "streamflow rerun"}, "2024-01-31T00:00:00+00:00")
    assert (made["_type"], made["predicateType"]) == (STATEMENT, PREDICATE)
    assert made["subject"][0] == {"name": str(ONNX), "digest": {"sha256": SHA}}
    assert len(made["subject"]) == 20
    assert all(not digest.endswith(".dir") for each in made["subject"] for digest in each["digest"].values())
    materials = {each["uri"]: each["digest"] for each in made["predicate"]["materials"]}
    assert materials["git:commit"] == {"gitCommit": "c" * 40}
    assert set(materials) == {
        "git:commit", "dvc.lock#derivation", "requirements.lock",
        "data/snapshots/2024-01-31", "data/snapshots/2024-02-29",
    }  # fmt: skip
    assert made["predicate"]["builder"] == {"id": "streamflow rerun"}
    assert made["predicate"]["verdict"] == IDENTICAL


def test_a_tags_message_can_be_read_again():
    message = tag_message("spring", RESULT)
    assert message.splitlines()[0] == "spring: random_forest on churn_v1 as of 2024-01-31"
    facts = tagged_facts(message)
    assert facts["model_sha256"] == SHA
    assert facts["dvc_lock_sha256"] == RESULT.dvc_lock_sha256
    assert float(facts["roc_auc"]) == pytest.approx(RESULT.metrics["roc_auc"], abs=1e-6)
    assert tagged_facts("just words\n") == {}


@pytest.mark.parametrize(
    ("path", "content", "error"),
    [
        ("params.yaml", None, ConfigError),
        ("dvc.lock", None, ConfigError),
        ("params.yaml", b"\xff\xfe", ConfigError),
        ("dvc.lock", b"stages: {}", ModelError),
        ("dvc.lock", b"stages: [", ModelError),
    ],
)
def test_a_commit_without_a_result_is_named(path, content, error):
    with pytest.raises(error, match=r"here|dvc\.lock"):
        read_result(lambda name: content if name == path else committed(name), "here")


def test_differences_of_results():
    assert [each.to_json() for each in differing({"a": 1, "b": 2}, {"b": 3, "c": 4})] == [
        {"name": "a", "before": 1, "after": None},
        {"name": "b", "before": 2, "after": 3},
        {"name": "c", "before": None, "after": 4},
    ]
    assert flat({"a": {"b": 1, "c": {"d": 2}}, "e": 3}) == {"a.b": 1, "a.c.d": 2, "e": 3}
    lock = RESULT.lock_text.replace(RESULT.snapshots["2024-01-31"], "0" * 32 + ".dir")
    receipts = {**RESULT.receipts, "data/snapshots/2024-01-31/labels.parquet": "0"}
    files = {"dvc.lock": lock.encode()}
    other = replace(read_result(lambda name: files.get(name, committed(name)), "other"), receipts=receipts)
    rows = {"2024-01-31": {"labels": 7043}}, {"2024-01-31": {"labels": 7042}}
    assert snapshot_differences(RESULT, other, *rows) == [
        {
            "month": "2024-01-31",
            "before": RESULT.snapshots["2024-01-31"],
            "after": "0" * 32 + ".dir",
            "tables": [{"table": "labels", "rows_before": 7043, "rows_after": 7042}],
        }
    ]
