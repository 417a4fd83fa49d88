"""Scores of many users at once, one row for each."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from streamflow.core.schema import ENTITY_KEY, EVENT_TIMESTAMP
from streamflow.model.scoring import PROBABILITY_OUTPUT, ChurnModel, arrow_inputs, model_inputs
from streamflow.operations.batch.reasons import contributions, strongest

PREDICTION = "prediction"
REFERENCE = "streamflow.reference"
"""Key of a Parquet file's metadata: the reference user of the reasons, as JSON."""


@dataclass(frozen=True)
class BatchScorer:
    """A verified model version; `reasons` for each score compare with the feature values of `reference`."""

    model: ChurnModel
    version: str
    model_sha256: str
    reasons: int = 0
    reference: Mapping[str, Any] = field(default_factory=dict)

    def schema(self) -> pa.Schema:
        """Columns of `score`; with reasons, each reason and its contribution to the log-odds (NULL: there is none)."""
        plain = [
            pa.field(ENTITY_KEY, pa.string(), nullable=False),
            pa.field(EVENT_TIMESTAMP, pa.date32(), nullable=False),
            pa.field(PROBABILITY_OUTPUT, pa.float32(), nullable=False),
            pa.field(PREDICTION, pa.int8(), nullable=False),
            pa.field("model_version", pa.string(), nullable=False),
            pa.field("model_sha256", pa.string(), nullable=False),
        ]
        if not self.reasons:
            return pa.schema(plain)
        told = [
            pa.field(f"{name}_{rank}", kind)
            for rank in range(1, self.reasons + 1)
            for name, kind in (("reason", pa.string()), ("contribution", pa.float64()))
        ]
        return pa.schema([*plain, *told], {REFERENCE: json.dumps(dict(self.reference), ensure_ascii=False)})

    def score(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """The score of each row (user_id, as_of, features), in order; the probability is the float32 that ONNX gave."""
        features = self.model.features
        inputs = arrow_inputs(rows, features)
        probabilities, predictions = self.model.score_arrays(inputs)
        columns = [
            rows[ENTITY_KEY],
            rows[EVENT_TIMESTAMP].cast(pa.date32()),
            pa.array(probabilities),
            pa.array(predictions.astype("int8")),
            pa.repeat(self.version, rows.num_rows),
            pa.repeat(self.model_sha256, rows.num_rows),
        ]
        if self.reasons:
            reference = model_inputs({c.name: [self.reference[c.name]] for c in features}, features)
            found = contributions(self.model, inputs, probabilities, reference)
            for pair in strongest(found, [column.name for column in features], self.reasons):
                columns += pair
        return pa.RecordBatch.from_arrays(columns, schema=self.schema())
