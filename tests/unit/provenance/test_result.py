"""A result as its tracked files describe it, or the file that is missing or damaged."""

import json

import pytest
from this_result import RESULT, committed

from streamflow.core.digest import bytes_sha256
from streamflow.core.errors import ConfigError, ModelError
from streamflow.pipeline.layout import ONNX
from streamflow.pipeline.lock import derivation_sha256
from streamflow.provenance.record import input_fingerprint
from streamflow.provenance.result import read_result

SHA = RESULT.model_sha256


def test_the_result_of_this_commit_names_all_its_digests():
    assert len(SHA) == len(RESULT.dvc_lock_sha256) == len(RESULT.input_fingerprint) == 64
    assert set(RESULT.snapshots) == {"2024-01-31", "2024-02-29"}
    assert RESULT.dataset_md5.endswith(".dir")
    assert RESULT.receipts[str(ONNX)] == SHA
    assert len(RESULT.outs) == 18


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


def test_digests_of_a_result_are_those_of_its_files():
    assert RESULT.requirements_lock_sha256 == bytes_sha256(committed("requirements.lock"))
    assert RESULT.dvc_lock_sha256 == derivation_sha256(committed("dvc.lock").decode(), RESULT.params["months"])
    assert RESULT.input_fingerprint == input_fingerprint(RESULT.stages, RESULT.requirements_lock_sha256)
    assert RESULT.dataset_md5 == RESULT.outs["data/dataset"][1]
    assert RESULT.snapshots["2024-01-31"] == RESULT.outs["data/snapshots/2024-01-31"][1]
    assert RESULT.metrics == json.loads(committed("artifacts/evaluation/metrics.json"))
    assert RESULT.outs["artifacts/model"][0] == "train"


def result(**files):
    """This tree's result with other files; None: not there."""
    other = {name.replace("__", "/").replace("_json", ".json"): content for name, content in files.items()}
    return read_result(lambda name: other[name] if name in other else committed(name), "here")


def test_what_is_optional_may_be_missing():
    bare = read_result(lambda name: None if name.startswith("artifacts/") else committed(name), "here")
    assert (bare.receipts, bare.metrics, bare.model_sha256) == ({}, {}, "")
    assert bare.dataset_md5 == RESULT.dataset_md5


def test_parameters_without_months_leave_the_stages_of_no_month():
    bare = result(**{"params.yaml": b"seed: 1"})
    assert {"dataset", "train"} <= set(bare.stages)
    assert not any("@" in name for name in bare.stages)


def test_receipts_of_all_stages_are_one():
    receipt = json.loads(committed("artifacts/sha256/train.json"))["files"]
    assert receipt.items() <= RESULT.receipts.items()
    assert len(RESULT.receipts) > len(receipt)
    found = result(artifacts__sha256__train_json=b'{"files": {"artifacts/model/model.onnx": 7}}')
    assert found.model_sha256 == "7"
    assert result(artifacts__sha256__train_json=b"{}").model_sha256 == ""
    with pytest.raises(ConfigError, match=r"here: artifacts/sha256/train\.json is damaged"):
        result(artifacts__sha256__train_json=b"[]")


def test_a_lock_without_a_trained_model_is_refused():
    lock = committed("dvc.lock").decode()
    untrained = lock[: lock.index("  train:\n")]
    with pytest.raises(ModelError, match=r"here: dvc\.lock has no trained model"):
        read_result(lambda name: untrained.encode() if name == "dvc.lock" else committed(name), "here")


def test_a_missing_file_is_named_with_the_place():
    for name in ("params.yaml", "dvc.lock", "requirements.lock"):
        with pytest.raises(ConfigError, match=f"here has no {name}"):
            read_result(lambda path, gone=name: None if path == gone else committed(path), "here")
