"""The attestation of a rerun, key by key."""

from dataclasses import replace

from this_result import ALL, RESULT

from streamflow.rerun.attestation import statement
from streamflow.rerun.verdict import DIVERGED, IDENTICAL, Divergence, Rederivation, compare_outputs

SHA = RESULT.model_sha256
FOUND = Rederivation(
    "exp/a", "c" * 40, IDENTICAL, None, compare_outputs(RESULT, ALL), SHA, SHA, {"kind": "fresh"}, 12.34
)
BUILDER = {"id": "streamflow rerun"}
AT = "2024-01-31T00:00:00+00:00"


def test_the_attestation_is_an_in_toto_statement_over_model_and_outputs():
    made = statement(FOUND, RESULT, BUILDER, AT)
    assert set(made) == {"_type", "subject", "predicateType", "predicate"}
    assert made["_type"] == "https://in-toto.io/Statement/v1"
    assert made["predicateType"] == "https://streamflow.example/attestations/rederivation/v1"
    model, *outs = made["subject"]
    assert model == {"name": "artifacts/model/model.onnx", "digest": {"sha256": SHA}}
    assert outs == [{"name": path, "digest": {"md5": md5.removesuffix(".dir")}} for path, md5 in ALL.items()]
    assert len(outs) == 19


def test_the_predicate_holds_what_went_in_who_ran_it_and_what_came_out():
    predicate = statement(FOUND, RESULT, BUILDER, AT)["predicate"]
    assert predicate["materials"] == [
        {"uri": "git:commit", "digest": {"gitCommit": "c" * 40}},
        {"uri": "dvc.lock#derivation", "digest": {"sha256": RESULT.dvc_lock_sha256}},
        {"uri": "requirements.lock", "digest": {"sha256": RESULT.requirements_lock_sha256}},
        *(
            {"uri": f"data/snapshots/{month}", "digest": {"md5": RESULT.snapshots[month].removesuffix(".dir")}}
            for month in ("2024-01-31", "2024-02-29")
        ),
    ]
    rest = {key: value for key, value in predicate.items() if key not in ("materials", "outs")}
    assert rest == {
        "builder": BUILDER,
        "verdict": IDENTICAL,
        "firstDivergence": None,
        "modelSha256": {"expected": SHA, "actual": SHA},
        "environment": {"kind": "fresh"},
        "finishedOn": AT,
        "seconds": 12.3,
    }
    first = RESULT.outs["artifacts/config.json"]
    assert predicate["outs"][0] == {
        "path": "artifacts/config.json",
        "stage": "config",
        "expected": first[1],
        "actual": first[1],
    }


def test_what_was_not_made_is_no_subject_and_a_divergence_is_told():
    diverged = Divergence("train", "code", "x")
    lost = compare_outputs(RESULT, {"data/dataset": "00.dir"})
    made = statement(
        replace(FOUND, verdict=DIVERGED, first_divergence=diverged, outs=lost, model_actual=""), RESULT, BUILDER, AT
    )
    assert made["subject"] == [{"name": "data/dataset", "digest": {"md5": "00"}}]
    assert made["predicate"]["firstDivergence"] == {"stage": "train", "cause": "code", "detail": "x"}
    assert made["predicate"]["outs"][0]["actual"] == ""
