"""The record of a run: its fingerprint covers all inputs, and every fact is a tag."""

import hashlib
import json
from dataclasses import replace

from streamflow.pipeline.lock import LockedStage
from streamflow.provenance.record import Provenance, input_fingerprint

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


def test_the_fingerprint_is_pinned_because_registered_versions_hold_it():
    inputs = {name: {"deps": dict(LOCK[name].deps), "params": dict(LOCK[name].params)} for name in ("dataset", "train")}
    text = json.dumps({"requirements_lock": "r", "stages": inputs}, sort_keys=True, separators=(",", ":"))
    assert input_fingerprint(LOCK, "r") == hashlib.sha256(text.encode()).hexdigest()
    more = {**LOCK, "evaluate": replace(LOCK["train"], name="evaluate", deps={"x": "y"})}
    assert input_fingerprint(more, "r") == input_fingerprint(LOCK, "r"), "what follows does not make the model"


def test_every_fact_of_the_provenance_is_a_tag_of_text():
    facts = Provenance(
        git_commit="c", git_tag="", git_dirty=False, changes_sha256="", dvc_lock_sha256="l", requirements_lock_sha256="r",
        environment_matches_lock=True, environment_differences="",
        params_sha256="p", dataset_md5="d", snapshots={"2024-01-31": "s"},
        model_sha256="m", input_fingerprint="f", source="csv", as_of="2024-01-31", known_at=None, label_horizon_months=0,
        feature_service="churn_v1", seed=42, python="3.11", platform="Linux", cpu="cpu",
        glibc="glibc-2.36", cpu_features="X86_V3", blas_kernel="Haswell",
        threads=1, outs={"data/dataset": "d"}, artifacts={"dvc.lock": "l"},
    )  # fmt: skip
    tags = facts.tags()
    assert len(tags) == 26
    assert all(isinstance(value, str) for value in tags.values())
    assert tags["streamflow.git_dirty"] == "false"
    assert tags["streamflow.known_at"] == ""
    assert tags["streamflow.source"] == "csv"
    assert tags["streamflow.snapshots"] == '{"2024-01-31": "s"}'
    assert (tags["streamflow.seed"], tags["streamflow.environment_matches_lock"]) == ("42", "true")
    assert not {"streamflow.outs", "streamflow.artifacts"} & set(tags), "too long for a tag"
