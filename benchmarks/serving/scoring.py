"""Scoring alone, one user at a time: the ONNX model that serving loads beside the same forest in scikit-learn.

No HTTP, no Ray, no feature store. Both cycle over the users of the test part, since the same row again and again would
find its path through the trees in the cache; scikit-learn gets its data frame ready-made, ONNX Runtime makes its inputs.

    python -m benchmarks.serving.scoring [ROUNDS]      three rounds, interleaved
"""

import json
import sys
import time
from collections.abc import Callable
from itertools import cycle
from statistics import median
from typing import TypeVar

import numpy as np

from benchmarks.serving.forest import fitted_forest, held_out_users
from streamflow.core.errors import ModelError
from streamflow.model.card import schema_features
from streamflow.model.export import PARITY_TOLERANCE
from streamflow.model.scoring import ChurnModel
from streamflow.pipeline.layout import MODEL
from streamflow.pipeline.reporting import one_line_errors

AT_LEAST = 100
CALLS = {"ONNX Runtime": 5000, "scikit-learn": 200}
_Row = TypeVar("_Row")


def p50(score: Callable[[_Row], object], rows: list[_Row], calls: int) -> float:
    """Median duration of a call in milliseconds."""
    durations = []
    for row, _ in zip(cycle(rows), range(calls), strict=False):
        started = time.perf_counter()
        score(row)
        durations.append(time.perf_counter() - started)
    return median(durations) * 1000


def main() -> None:
    """Measure both in each round, and print the medians and their ratio."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    with one_line_errors("benchmark"):
        schema = json.loads((MODEL / "feature_schema.json").read_text(encoding="utf-8"))
        model = ChurnModel((MODEL / "model.onnx").read_bytes(), schema_features(schema))
        forest = fitted_forest()
        table, frame = held_out_users()
        rows = [{c.name: [row[c.name]] for c in model.features} for row in table.to_pylist()]
        frames = [frame.iloc[[at]] for at in range(len(frame))]
        worst = np.max(np.abs(forest.predict_proba(frame)[:, 1] - [model.score(row)[0][0] for row in rows]))
        if not worst <= PARITY_TOLERANCE:
            raise ModelError(f"the forest differs from artifacts/model by {worst:.1e}; `streamflow repro`, then again")

        found: dict[str, list[float]] = {name: [] for name in CALLS}
        for number in range(1, rounds + 1):
            found["ONNX Runtime"].append(p50(model.score, rows, CALLS["ONNX Runtime"]))
            found["scikit-learn"].append(p50(forest.predict_proba, frames, CALLS["scikit-learn"]))
            print(f"round {number}  " + "  ".join(f"{name} {times[-1]:.4f} ms" for name, times in found.items()))
        onnx, sklearn = median(found["ONNX Runtime"]), median(found["scikit-learn"])
        verdict = "held" if sklearn / onnx >= AT_LEAST else "MISSED"
        print(f"one row, p50: ONNX Runtime {onnx:.4f} ms, scikit-learn {sklearn:.2f} ms with one thread")
        print(f"ratio {sklearn / onnx:.0f}, wanted at least {AT_LEAST}: {verdict}")


if __name__ == "__main__":
    main()
