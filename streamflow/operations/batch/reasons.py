"""Why a user scores as they do: what each feature changes in the log-odds of churn, from the model's scores alone.

The contribution of a feature is log-odds(user) - log-odds(the same user with the reference's value of it): the prediction
difference of Robnik-Šikonja and Kononenko, "Explaining Classifications For Individual Instances" (IEEE TKDE 20, 2008), with
one reference value where they average over all values. For a linear model it is weight x (value - reference), and the
contributions add up to log-odds(user) - log-odds(reference); for trees, whose features act together, they do not add up.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from streamflow.core.schema import Column
from streamflow.model.scoring import ChurnModel, Inputs

DECIMALS = 6
_NEAREST = 1e-6
"""Nearer to 0 or 1 the odds of a float32 probability mean nothing."""

Contributions = np.ndarray[Any, np.dtype[np.float64]]


def reference_value(values: pa.ChunkedArray, column: Column) -> Any:
    """The lower median of a number, without NULLs; of anything else the most frequent value.

    NULL counts as a value of its own. Among equally frequent ones the smallest is taken, NULL last.
    """
    if column.kind in ("integer", "real"):
        ordered = np.sort(values.drop_null().to_numpy())
        return ordered[(len(ordered) - 1) // 2].item() if len(ordered) else None
    counts = [(each["counts"], each["values"]) for each in pc.value_counts(values).to_pylist()]
    return min(counts, key=lambda pair: (-pair[0], pair[1] is None, pair[1]))[1]


def contributions(
    model: ChurnModel, inputs: Inputs, probabilities: np.ndarray[Any, Any], reference: Inputs
) -> Contributions:
    """Contribution of each feature to each user's log-odds; shape (n_users, n_features), in the model's order.

    `probabilities` are the scores of `inputs`; `reference` is one user, arrays of shape (1,). Rounded to 6 decimals,
    because a float32 score has no more.
    """
    own = _log_odds(probabilities)
    found = np.zeros((len(own), len(model.features)))
    for position, column in enumerate(model.features):
        # A score does not depend on the other users of a call, so equal inputs are not scored again.
        asked = np.flatnonzero(_differs(inputs[column.name], reference[column.name]))
        if len(asked):
            changed = {name: values[asked] for name, values in inputs.items()}
            changed[column.name] = np.repeat(reference[column.name], len(asked))
            found[asked, position] = own[asked] - _log_odds(model.score_arrays(changed)[0])
    return np.round(found, DECIMALS) + 0.0  # no negative zero


def strongest(found: Contributions, names: Sequence[str], count: int) -> list[tuple[pa.Array, pa.Array]]:
    """The `count` strongest features of each user with their contributions, the largest absolute one first.

    Among equals the feature that comes first by name. A feature that contributes nothing is no reason: NULL and NULL.
    """
    by_name = np.argsort(np.array(names))
    ordered = np.argsort(-np.abs(found[:, by_name]), axis=1, kind="stable")[:, :count]
    chosen = by_name[ordered]
    values = np.take_along_axis(found, chosen, axis=1)
    labels = pa.array([*names, None], pa.string())
    return [
        (
            labels.take(pa.array(np.where(values[:, rank] == 0, len(names), chosen[:, rank]))),
            pa.array(values[:, rank], mask=values[:, rank] == 0),
        )
        for rank in range(chosen.shape[1])
    ]


def _log_odds(probabilities: np.ndarray[Any, Any]) -> Contributions:
    clipped = np.clip(probabilities.astype(np.float64), _NEAREST, 1 - _NEAREST)
    return np.asarray(np.log(clipped) - np.log1p(-clipped))


def _differs(values: np.ndarray[Any, Any], reference: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    differing = np.asarray(values != reference)
    if values.dtype == object:
        return differing
    return np.asarray(differing & ~(np.isnan(values) & np.isnan(reference)))
