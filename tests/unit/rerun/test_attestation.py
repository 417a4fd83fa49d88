"""The statement of a rerun, key by key."""

from dataclasses import replace

import pytest
from this_result import ALL, RESULT

from streamflow.core.errors import ModelError
from streamflow.registry.references import Target
from streamflow.rerun import attestation
from streamflow.rerun.attestation import keep_verdict, statement
from streamflow.rerun.verdict import DIVERGED, IDENTICAL, Divergence, Rederivation, compare_outputs

SHA = RESULT.model_sha256
DIGESTS = {path: f"{number:064x}" for number, path in enumerate(ALL)}
FOUND = Rederivation(
    "exp/a", "c" * 40, IDENTICAL, None, compare_outputs(RESULT, ALL, DIGESTS), SHA, SHA, {"kind": "fresh"}, 12.34
)
AT = "2024-01-31T00:00:00Z"


@pytest.fixture(autouse=True)
def tree(monkeypatch):
    monkeypatch.setattr(attestation, "digest_set", lambda commit: {"gitCommit": commit, "gitTree": "7" * 40})


def test_the_verdict_is_a_simple_verification_result_over_the_files_that_serving_uses():
    made = statement(FOUND, RESULT, AT)
    assert (made["_type"], made["predicateType"]) == (
        "https://in-toto.io/Statement/v1",
        "https://in-toto.io/attestation/svr/v0.1",
    )
    assert made["subject"] == [
        {"name": f"artifacts/model/{name}", "digest": {"sha256": RESULT.receipts[f"artifacts/model/{name}"]}}
        for name in ("model.onnx", "feature_schema.json", "golden.json")
    ]
    assert made["subject"][0]["digest"]["sha256"] == SHA
    predicate = made["predicate"]
    assert predicate["verifier"] == {"id": "https://streamflow.example/rerun/v1"}
    assert (predicate["timeCreated"], predicate["properties"]) == (AT, ["STREAMFLOW_RERUN_IDENTICAL"])


def test_the_details_name_the_commit_and_each_output_by_a_digest_that_a_stranger_can_compute():
    details = statement(FOUND, RESULT, AT)["predicate"]["streamflow_rerun"]
    assert details["commit"] == {"gitCommit": "c" * 40, "gitTree": "7" * 40}
    assert (details["verdict"], details["first_divergence"]) == (IDENTICAL, None)
    assert details["environment"] == {"kind": "fresh"}
    outs = {out["path"]: out for out in details["outs"]}
    assert list(outs) == list(ALL)
    assert len(outs) == 18
    assert outs["data/dataset"]["digest"] == {"dirHash": DIGESTS["data/dataset"]}
    assert outs["artifacts/config.json"]["digest"] == {"sha256": DIGESTS["artifacts/config.json"]}
    assert outs["data/dataset"]["stage"] == "dataset"
    assert len(outs["data/dataset"]["expected"]) == 64


def test_another_verdict_has_no_property_and_says_what_differed_first():
    diverged = Divergence("train", "code", "x")
    made = statement(replace(FOUND, verdict=DIVERGED, first_divergence=diverged), RESULT, AT)
    assert made["predicate"]["properties"] == []
    assert made["predicate"]["streamflow_rerun"]["first_divergence"] == {
        "stage": "train",
        "cause": "code",
        "detail": "x",
    }


def test_a_commit_without_receipts_gets_no_statement():
    with pytest.raises(ModelError, match=r"no receipt names artifacts/model/model\.onnx; `streamflow repro`"):
        statement(FOUND, replace(RESULT, receipts={}), AT)


def test_a_version_whose_tag_names_the_commit_of_another_model_gives_no_verdict_on_that_commit(monkeypatch):
    """Else the registry could let a rebuilder refute Production: by the commit of Production in another version's tag."""

    def noted(commit, envelopes):
        raise AssertionError(f"a verdict on {commit} was kept")

    monkeypatch.setattr("streamflow.rerun.attestation.add_notes", noted)
    other = replace(FOUND, verdict=DIVERGED, model_expected="f" * 64)
    target = Target("v3", "c" * 40, b"", None, "f" * 64, {})
    kept = keep_verdict(other, RESULT, target, None, with_provenance=True)
    assert kept.startswith("not signed: v3 holds model ffffffffffff, the receipt of commit cccccccccccc names")
