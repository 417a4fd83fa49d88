"""The columns of two months compared one by one, p-values adjusted for their number."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from streamflow.core.schema import ENTITY_KEY, EVENT_TIMESTAMP
from streamflow.model.scoring import ChurnModel
from streamflow.operations.drift.two_sample import Numbers, chi_square, decile_counts, holm, kolmogorov_smirnov, psi
from streamflow.operations.drift.verdict import BETWEEN, Histogram, Shift

NULL = "NULL"
BARS = 20


def compare(reference: pa.Table, current: pa.Table) -> tuple[Shift, ...]:
    """Every column but key and date of two months, in the order of the reference, adjusted for their number.

    Both have the same columns; their users and the order of rows don't matter.
    """
    names = [name for name in reference.column_names if name not in (ENTITY_KEY, EVENT_TIMESTAMP)]
    shifts = [_shift(name, reference[name], current[name]) for name in names]
    adjusted = holm([each.p_value for each in shifts])
    return tuple(replace(each, adjusted_p=p) for each, p in zip(shifts, adjusted, strict=True))


def churn_rate(labels: pa.ChunkedArray) -> float:
    """Share of churners among the users whose label is known; 0 if none is."""
    return float(pc.mean(labels).as_py() or 0.0)


def churn_scores(model: ChurnModel, rows: pa.Table) -> pa.Array:
    """The churn probability of every user of a month, in the order of the rows."""
    return pa.array(model.score({column.name: rows[column.name].to_pylist() for column in model.features})[0])


def _shift(name: str, reference: pa.ChunkedArray, current: pa.ChunkedArray) -> Shift:
    if pa.types.is_integer(reference.type) or pa.types.is_floating(reference.type):
        return _number_shift(name, _numbers(reference), _numbers(current))
    bars, before, after = _category_counts(reference, current)
    statistic, p_value = chi_square(before, after)
    nulls = (reference.null_count / max(1, len(reference)), current.null_count / max(1, len(current)))
    histogram = Histogram(bars, _shares(before), _shares(after))
    return Shift(name, "chi-square", statistic, p_value, 1.0, psi(before, after), nulls, histogram)


def _number_shift(name: str, reference: Numbers, current: Numbers) -> Shift:
    before, after = (int(np.isnan(each).sum()) for each in (reference, current))
    statistic, p_value = kolmogorov_smirnov(reference, current)
    if before or after:
        # Two questions, what is known and what is NULL: Bonferroni over both.
        _, of_nulls = chi_square([before, reference.size - before], [after, current.size - after])
        p_value = min(1.0, 2 * min(p_value, of_nulls))
    effect = psi(*decile_counts(reference, current))
    nulls = (before / max(1, reference.size), after / max(1, current.size))
    return Shift(name, "KS", statistic, p_value, 1.0, effect, nulls, _number_histogram(reference, current))


def _numbers(values: pa.ChunkedArray) -> Numbers:
    numbers: Numbers = np.asarray(values.cast(pa.float64()).to_numpy(), dtype=np.float64)
    return numbers


def _category_counts(
    reference: pa.ChunkedArray, current: pa.ChunkedArray
) -> tuple[tuple[str, ...], list[int], list[int]]:
    """The categories that occur, NULL last, and the users of each month in each."""
    before, after = (
        {entry["values"]: entry["counts"] for entry in pc.value_counts(each).to_pylist()}
        for each in (reference, current)
    )
    found = sorted(before.keys() | after.keys(), key=lambda value: (value is None, str(value)))
    bars = tuple(NULL if value is None else str(value) for value in found)
    return bars, [before.get(value, 0) for value in found], [after.get(value, 0) for value in found]


def _number_histogram(reference: Numbers, current: Numbers) -> Histogram:
    both = np.concatenate([reference, current])
    distinct = np.unique(both[~np.isnan(both)])
    if distinct.size <= BARS:
        bars = [f"{value:g}" for value in distinct]
        counts = [[int((each == value).sum()) for value in distinct] for each in (reference, current)]
    else:
        edges = np.linspace(distinct[0], distinct[-1], BARS + 1)
        bars = [f"{low:.4g}{BETWEEN}{high:.4g}" for low, high in pairwise(edges)]
        counts = [np.histogram(each[~np.isnan(each)], edges)[0].tolist() for each in (reference, current)]
    if np.isnan(both).any():
        bars.append(NULL)
        for side, each in zip(counts, (reference, current), strict=True):
            side.append(int(np.isnan(each).sum()))
    return Histogram(tuple(bars), _shares(counts[0]), _shares(counts[1]))


def _shares(counts: Sequence[int]) -> tuple[float, ...]:
    return tuple(count / max(1, sum(counts)) for count in counts)
