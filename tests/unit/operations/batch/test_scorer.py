"""What a row of scores holds, from a model whose score is known."""

from datetime import date

import numpy as np
import pyarrow as pa
import pytest

from streamflow.core.schema import Column
from streamflow.operations.batch.scorer import PREDICTION, REFERENCE, BatchScorer

FEATURES = (Column("fee", "real", ""), Column("plan", "text", ""), Column("tv", "boolean", "", nullable=True))
PLAIN = ["user_id", "as_of", "churn_probability", "prediction", "model_version", "model_sha256"]
DAY = date(2024, 1, 31)


class ByFee:
    """Scores a tenth of the fee; nothing else matters."""

    features = FEATURES

    def score_arrays(self, inputs):
        probabilities = (inputs["fee"] / 10).astype(np.float32)
        return probabilities, (probabilities > 0.5).astype(np.int64)


def rows(*fees):
    moment = pa.array([DAY] * len(fees)).cast(pa.timestamp("us", tz="UTC"))
    columns = {
        "user_id": [f"u{at}" for at in range(len(fees))],
        "as_of": moment,
        "fee": list(fees),
        "plan": ["näher"] * len(fees),
        "tv": pa.array([None] * len(fees), pa.bool_()),
    }
    return pa.RecordBatch.from_pydict(columns)


def test_a_row_is_user_date_score_and_model():
    scorer = BatchScorer(ByFee(), "7", "ab")
    found = scorer.score(rows(2.0, 8.0))
    assert found.schema.equals(scorer.schema())
    assert found.to_pydict() == {
        "user_id": ["u0", "u1"],
        "as_of": [DAY, DAY],
        "churn_probability": [pytest.approx(0.2), pytest.approx(0.8)],
        "prediction": [0, 1],
        "model_version": ["7", "7"],
        "model_sha256": ["ab", "ab"],
    }
    assert scorer.score(rows()).num_rows == 0


def test_no_column_but_a_reason_may_be_null():
    plain = BatchScorer(ByFee(), "7", "ab").schema()
    assert plain.names == PLAIN
    assert [str(kind) for kind in plain.types] == ["string", "date32[day]", "float", "int8", "string", "string"]
    assert not any(field.nullable for field in plain)
    assert plain.metadata is None
    assert PREDICTION == "prediction"


def test_with_reasons_each_has_a_name_and_a_contribution_and_the_file_tells_the_reference():
    reference = {"fee": 2.0, "plan": "näher", "tv": None}
    scorer = BatchScorer(ByFee(), "7", "ab", reasons=2, reference=reference)
    schema = scorer.schema()
    assert schema.names == [*PLAIN, "reason_1", "contribution_1", "reason_2", "contribution_2"]
    assert [str(kind) for kind in schema.types[6:]] == ["string", "double"] * 2
    assert [field.nullable for field in schema] == [False] * 6 + [True] * 4
    assert REFERENCE == "streamflow.reference"
    assert schema.metadata == {b"streamflow.reference": '{"fee": 2.0, "plan": "näher", "tv": null}'.encode()}
    found = scorer.score(rows(2.0, 8.0))
    assert found.schema.equals(schema, check_metadata=True)
    assert found["reason_1"].to_pylist() == [None, "fee"]
    assert found["contribution_1"].to_pylist() == [None, pytest.approx(np.log(4) - np.log(0.25), abs=1e-5)]
    assert found["reason_2"].to_pylist() == [None, None]
