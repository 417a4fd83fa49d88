"""The proof of a version: every way in which its files may not be the registered ones."""

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
    return ModelFiles("7", "run", tags, onnx, feature_schema("churn_v1", 0.4), golden)


def test_a_version_that_is_whole_is_proven(files):
    loaded = prove(files)
    assert (loaded.version, loaded.run_id, loaded.threshold, loaded.tags) == ("7", "run", 0.4, files.tags)
    assert loaded.model_sha256 == bytes_sha256(files.onnx_bytes)
    assert loaded.model.features == service_features("churn_v1")


def test_other_bytes_are_refused_with_both_digests(files):
    digest = bytes_sha256(b"other")
    with pytest.raises(ModelError, match="streamflow_churn version 7: ") as refused:
        prove(replace(files, onnx_bytes=b"other"))
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
        prove(replace(files, **change))


def test_a_threshold_that_is_no_number_is_malformed(files):
    with pytest.raises(ModelError, match="malformed"):
        prove(replace(files, schema={**files.schema, "threshold": "high"}))


def test_golden_rows_that_score_otherwise_are_refused(files):
    row = {**files.golden["rows"][0], "churn_probability": 0.123}
    with pytest.raises(ModelError, match="golden row"):
        prove(replace(files, golden={"rows": [row]}))


def test_a_tag_that_names_another_service_is_refused(files):
    with pytest.raises(ModelError, match=r"version 7: its tag names feature service churn_v2, .* churn_v1"):
        prove(replace(files, tags={**files.tags, "streamflow.feature_service": "churn_v2"}))
