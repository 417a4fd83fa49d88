"""How the model scores parts of the population: by contract, by kind of internet access, by tenure."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sklearn.metrics import roc_auc_score

from streamflow.core.errors import ModelError
from streamflow.core.schema import ENTITY_KEY, SUBSCRIPTIONS
from streamflow.evaluation.metrics import DIGITS

TENURE = "tenure"
TENURE_BANDS = ((0, 6), (7, 12), (13, 24), (25, 48), (49, None))
"""Completed months of `months_active`, both ends inclusive; the last band is open."""
SEGMENT_COLUMNS = ("contract_type", "net_service", "months_active")
"""Columns of the table `subscriptions` that the segments are made of."""
SCORE_BINS = 20
_QUANTILES = {"score_5": 0.05, "score_25": 0.25, "score_50": 0.5, "score_75": 0.75, "score_95": 0.95}

Row = dict[str, Any]


@dataclass(frozen=True)
class Segment:
    """The users who share one value; `roc_auc` is None where all of them, or none, churned.

    `quantiles` are those of the churn probability, `histogram` counts users in `SCORE_BINS` equal bins from 0 to 1.
    """

    segment: str
    value: str
    users: int
    churners: int
    churn_rate: float
    mean_score: float
    roc_auc: float | None
    quantiles: Mapping[str, float]
    histogram: tuple[int, ...]

    def row(self) -> Row:
        """Flat, for a CSV file, named by `group`; without the histogram, which has rows of its own."""
        row = asdict(self)
        del row["histogram"]
        return {"group": f"{self.segment}: {self.value}", **row, **row.pop("quantiles")}


def segment_values(subscriptions: pa.Table, user_ids: Sequence[str]) -> dict[str, list[str]]:
    """The value of each segment for `user_ids`, which are sorted; `subscriptions` are the frozen rows of their date. A
    column that the source does not deliver makes no segment.

    Raises ModelError if a user is not among them.
    """
    rows = subscriptions.filter(pc.is_in(subscriptions[ENTITY_KEY], value_set=pa.array(user_ids))).sort_by(ENTITY_KEY)
    if rows[ENTITY_KEY].to_pylist() != list(user_ids):
        raise ModelError(
            f"{SUBSCRIPTIONS.name} of the snapshot has {rows.num_rows} of {len(user_ids)} users of the training set;"
            " `dvc repro --force --single-item dataset` joins them again"
        )
    found = {name: rows[name].to_pylist() for name in SEGMENT_COLUMNS if name in rows.column_names}
    if "months_active" in found:
        found[TENURE] = [tenure_band(months) for months in found.pop("months_active")]
    return found


def tenure_band(months_active: int) -> str:
    """The band of `TENURE_BANDS` in words."""
    first, last = next(band for band in TENURE_BANDS if band[1] is None or months_active <= band[1])
    return f"{first} months or more" if last is None else f"{first} to {last} months"


def segments(values: Mapping[str, Sequence[str]], churned: Sequence[bool], scores: Sequence[float]) -> list[Segment]:
    """Each value of each segment that has users, in the order of the schema; the arguments have one item for each user."""
    truth, probabilities = np.asarray(churned, bool), np.round(np.asarray(scores, float), DIGITS)
    found = []
    for name, of_users in values.items():
        users = np.asarray(of_users, object)
        for value in _ordered(name, set(of_users)):
            inside = users == value
            found.append(_segment(name, value, truth[inside], probabilities[inside]))
    return found


def score_rows(churned: Sequence[bool], scores: Sequence[float]) -> list[Row]:
    """Users who stayed and who churned in `SCORE_BINS` equal bins of the churn probability, lowest bin first."""
    truth, probabilities = np.asarray(churned, bool), np.round(np.asarray(scores, float), DIGITS)
    stayed, left = score_counts(probabilities[~truth]), score_counts(probabilities[truth])
    return [
        {"score_from": position / SCORE_BINS, "score_to": (position + 1) / SCORE_BINS, "stayed": s, "churned": c}
        for position, (s, c) in enumerate(zip(stayed, left, strict=True))
    ]


def segment_score_rows(found: Sequence[Segment]) -> list[Row]:
    """The histogram of each segment, a row for each bin, as share of the segment's users."""
    return [
        {
            "segment": each.segment,
            "value": each.value,
            "score_from": position / SCORE_BINS,
            "share": round(count / each.users, DIGITS),
        }
        for each in found
        for position, count in enumerate(each.histogram)
    ]


def score_counts(probabilities: Any) -> tuple[int, ...]:
    """Users in each of `SCORE_BINS` equal bins; the last bin includes 1."""
    bins = np.minimum((np.asarray(probabilities, float) * SCORE_BINS).astype(int), SCORE_BINS - 1)
    return tuple(np.bincount(bins, minlength=SCORE_BINS).tolist())


def _segment(name: str, value: str, truth: Any, probabilities: Any) -> Segment:
    both = len(set(truth.tolist())) == 2
    return Segment(
        segment=name,
        value=value,
        users=len(truth),
        churners=int(truth.sum()),
        churn_rate=round(float(truth.mean()), DIGITS),
        mean_score=round(float(probabilities.mean()), DIGITS),
        roc_auc=round(float(roc_auc_score(truth, probabilities)), DIGITS) if both else None,
        quantiles={key: round(float(np.quantile(probabilities, share)), DIGITS) for key, share in _QUANTILES.items()},
        histogram=score_counts(probabilities),
    )


def _ordered(name: str, values: set[str]) -> list[str]:
    bands = tuple(tenure_band(first) for first, _ in TENURE_BANDS)
    known = bands if name == TENURE else SUBSCRIPTIONS.column(name).allowed
    return [*(value for value in known if value in values), *sorted(values.difference(known))]
