"""The proof of a version: every way in which its files may not be the registered ones."""

import json
from dataclasses import replace

import pytest
from small_models import trained
from small_month import joined_month

from streamflow.core.digest import bytes_sha256
from streamflow.core.errors import ModelError
from streamflow.core.schema import service_features
from streamflow.model.card import feature_schema, golden_rows
from streamflow.model.export import export_onnx
from streamflow.model.scoring import ChurnModel
from streamflow.registry.loading import ModelFiles, prove


@pytest.fixture(scope="module")
def files():
    rows = joined_month(200)
    pipeline, features, _ = trained("logistic_regression", rows)
    onnx = export_onnx(pipeline, features, 0.4)
    tags = {"streamflow.model_sha256": bytes_sha256(onnx), "streamflow.feature_service": "churn_v1", "more": "x"}
    golden = golden_rows(ChurnModel(onnx, features), rows)
    return ModelFiles("7", "run", tags, contents(onnx, feature_schema("churn_v1", 0.4), golden))


def contents(onnx, schema, golden):
    return {
        "model.onnx": onnx,
        "feature_schema.json": json.dumps(schema).encode(),
        "golden.json": json.dumps(golden).encode(),
    }


def changed(files, **changes):
    """The files with another onnx, schema or golden."""
    now = {"onnx": files.contents["model.onnx"], "schema": schema_of(files), "golden": golden_of(files), **changes}
    return replace(files, contents=contents(**now))


def schema_of(files):
    return json.loads(files.contents["feature_schema.json"])


def golden_of(files):
    return json.loads(files.contents["golden.json"])


def test_a_version_that_is_whole_is_proven(files):
    loaded = prove(files)
    assert (loaded.version, loaded.run_id, loaded.threshold, loaded.tags) == ("7", "run", 0.4, files.tags)
    assert loaded.model_sha256 == bytes_sha256(files.contents["model.onnx"])
    assert loaded.model.features == service_features("churn_v1")


def test_other_bytes_are_refused_with_both_digests(files):
    digest = bytes_sha256(b"other")
    with pytest.raises(ModelError, match="streamflow_churn version 7: ") as refused:
        prove(changed(files, onnx=b"other"))
    assert f"SHA-256 {digest[:12]}, registered was {files.tags['streamflow.model_sha256'][:12]}" in str(refused.value)
    assert digest[:13] not in str(refused.value)
    with pytest.raises(ModelError, match="registered was None"):
        prove(replace(files, tags={}))


@pytest.mark.parametrize(
    "change",
    [
        {"schema": {}},
        {"schema": []},
        {"schema": {"feature_service": "churn_v1", "threshold": 0.4}},
        {"golden": {}},
        {"golden": {"rows": [{"user_id": "a"}]}},
        {"golden": {"rows": [5]}},
    ],
)
def test_what_is_malformed_is_named_with_the_version(files, change):
    with pytest.raises(ModelError, match=r"version 7: feature_schema\.json or golden\.json is malformed"):
        prove(changed(files, **change))


def test_a_threshold_that_is_no_number_is_malformed(files):
    with pytest.raises(ModelError, match="malformed"):
        prove(changed(files, schema={**schema_of(files), "threshold": "high"}))


def test_golden_rows_that_score_otherwise_are_refused(files):
    row = {**golden_of(files)["rows"][0], "churn_probability": 0.123}
    with pytest.raises(ModelError, match="golden row"):
        prove(changed(files, golden={"rows": [row]}))


def test_a_tag_that_names_another_service_is_refused(files):
    with pytest.raises(ModelError, match=r"version 7: its tag names feature service churn_v2, .* churn_v1"):
        prove(replace(files, tags={**files.tags, "streamflow.feature_service": "churn_v2"}))
