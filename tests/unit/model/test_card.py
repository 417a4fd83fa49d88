"""What travels with a model: its features, and rows whose scores any loader must get."""

import pytest
from small_models import trained
from small_month import joined_month

from streamflow.core.errors import ModelError
from streamflow.core.schema import service_features
from streamflow.model.card import check_golden, feature_schema, golden_rows, schema_features
from streamflow.model.export import export_onnx
from streamflow.model.scoring import ChurnModel


@pytest.fixture(scope="module")
def rows():
    return joined_month(600)


def test_golden_rows_hold_nulls_and_catch_another_model(rows):
    pipeline, features, _ = trained("logistic_regression", rows)
    model = ChurnModel(export_onnx(pipeline, features, 0.5), features)
    golden = golden_rows(model, rows)
    assert len(golden["rows"]) == 16
    assert sum(row["features"]["plan_stream_tv"] is None for row in golden["rows"]) >= 4
    check_golden(model, golden)
    other = ChurnModel(export_onnx(trained("random_forest", rows)[0], features, 0.5), features)
    with pytest.raises(ModelError, match="golden row"):
        check_golden(other, golden)


def test_a_feature_schema_that_this_code_does_not_define_is_refused():
    schema = feature_schema("churn_v1", 0.5)
    assert schema_features(schema) == service_features("churn_v1")
    with pytest.raises(ModelError, match="does not define"):
        schema_features({**schema, "feature_service": "churn_v9"})
    fewer = {**schema, "features": schema["features"][1:]}
    with pytest.raises(ModelError, match="months_active"):
        schema_features(fewer)
