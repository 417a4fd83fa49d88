"""Features that reveal the label: one that alone ranks the test users too well, and rows with a date after `as_of`."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import numpy as np

from streamflow.core.schema import Column
from streamflow.promotion.challenge import ranking_metrics


@dataclass(frozen=True)
class SingleFeature:
    """How well one feature alone ranks the test users: ROC AUC in the better of both directions, 0.5 to 1."""

    name: str
    roc_auc: float


def strongest_feature(
    features: Iterable[Column],
    train: Mapping[str, Sequence[Any]],
    trained_label: Sequence[bool],
    test: Mapping[str, Sequence[Any]],
    tested_label: Sequence[bool],
) -> SingleFeature:
    """The feature that alone ranks the test users best, the first of equals. `train` and `test` are name to values."""
    found = [
        SingleFeature(
            column.name, _single_auc(column, train[column.name], trained_label, test[column.name], tested_label)
        )
        for column in features
    ]
    return max(found, key=lambda feature: feature.roc_auc)


def rows_after(moments: Iterable[datetime], as_of: str) -> int:
    """Number of rows with a date after `as_of` (ISO text); moments in UTC."""
    day = date.fromisoformat(as_of)
    return sum(moment.date() > day for moment in moments)


def category_rates(values: Iterable[Any], churned: Iterable[bool]) -> dict[Any, float]:
    """Category to its churn rate; NULL is a category."""
    users: dict[Any, int] = {}
    churners: dict[Any, int] = {}
    for value, label in zip(values, churned, strict=True):
        users[value] = users.get(value, 0) + 1
        churners[value] = churners.get(value, 0) + bool(label)
    return {value: churners[value] / count for value, count in users.items()}


def _single_auc(
    column: Column,
    train: Sequence[Any],
    trained_label: Sequence[bool],
    test: Sequence[Any],
    tested_label: Sequence[bool],
) -> float:
    if column.kind in ("text", "boolean"):
        rates = category_rates(train, trained_label)
        overall = float(np.mean(trained_label))
        scores = np.array([rates.get(value, overall) for value in test])
    else:
        # NULL below every number: a column that is NULL for one class only reveals it too.
        scores = np.array([-np.inf if value is None else float(value) for value in test])
    area = ranking_metrics(tested_label, scores)["roc_auc"]
    return max(area, 1 - area)
