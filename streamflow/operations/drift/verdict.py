"""Data drift: how features, label and score of one month differ from those of another, and whether to train a new model.

Not source drift (`streamflow.warehouse.differences`): that is one month whose recorded rows were changed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from streamflow.core.schema import LABEL

NO_ACTION, RETRAIN = "NO_ACTION", "RETRAIN"
SCORE = "churn_probability"
BETWEEN = " to "
_SIGNIFICANT = 6

Level = Literal["", "drifted", "MAJOR"]
STABLE: Level = ""
DRIFTED: Level = "drifted"
MAJOR: Level = "MAJOR"


@dataclass(frozen=True)
class Policy:
    """When a difference counts as drift, and when to train a new model.

    `alpha` bounds the chance of any false alarm in one comparison; `psi` is the smallest PSI that is drift, `psi_major` that
    of major drift; `label_rate` is a difference of churn rates, `share` one of features, both between 0 and 1.
    """

    alpha: float
    psi: float
    psi_major: float
    label_rate: float
    share: float


@dataclass(frozen=True)
class Histogram:
    """Shares of users by bar of a chart: a value, or `low to high`; the last bar is NULL if there is any."""

    bars: tuple[str, ...]
    reference: tuple[float, ...]
    current: tuple[float, ...]


@dataclass(frozen=True)
class Shift:
    """One column in two months. `p_value` is of its own test, `adjusted_p` of all tests of the comparison together."""

    name: str
    test: str
    statistic: float
    p_value: float
    adjusted_p: float
    psi: float
    nulls: tuple[float, float]
    histogram: Histogram


@dataclass(frozen=True)
class Month:
    """A frozen month: its date, its users, and the MD5 of its files in dvc.lock."""

    as_of: str
    users: int
    md5: str


@dataclass(frozen=True)
class ScoreMeans:
    """The model version whose score is compared, and the mean churn probability that it gives in each month."""

    version: str
    service: str
    means: tuple[float, float]


@dataclass(frozen=True)
class DriftRule:
    """One reason to train again, whether it applies, and its numbers in words."""

    name: str
    holds: bool
    words: str


@dataclass(frozen=True)
class DataDrift:
    """Two months compared; `score` is a text with the reason if there is no score."""

    reference: Month
    current: Month
    shifts: tuple[Shift, ...]
    label_rates: tuple[float, float]
    score: ScoreMeans | str
    policy: Policy

    @property
    def features(self) -> tuple[Shift, ...]:
        """The columns that a model may take, in schema order."""
        return tuple(each for each in self.shifts if each.name not in (LABEL, SCORE))

    @property
    def drifted(self) -> tuple[Shift, ...]:
        """The features that drifted, the largest PSI first."""
        found = [each for each in self.features if self.level(each) != STABLE]
        return tuple(sorted(found, key=lambda each: (-each.psi, each.name)))

    def shift(self, name: str) -> Shift | None:
        """The comparison of one column; None if it was left out."""
        return next((each for each in self.shifts if each.name == name), None)

    def level(self, shift: Shift) -> Level:
        """The level of a column's drift: significant at `alpha`, and its PSI reaches the limit."""
        if shift.adjusted_p >= self.policy.alpha:
            return STABLE
        if shift.name == LABEL:
            before, after = self.label_rates
            return DRIFTED if abs(after - before) >= self.policy.label_rate else STABLE
        return MAJOR if shift.psi >= self.policy.psi_major else DRIFTED if shift.psi >= self.policy.psi else STABLE

    @property
    def rules(self) -> tuple[DriftRule, ...]:
        """The rules of the verdict; one that applies is enough."""
        return tuple(rule for rule in (self._score_rule(), self._share_rule(), self._label_rule()) if rule)

    @property
    def verdict(self) -> str:
        """RETRAIN or NO_ACTION."""
        return RETRAIN if any(rule.holds for rule in self.rules) else NO_ACTION

    @property
    def reasons(self) -> tuple[str, ...]:
        """In words: the rules that apply, or, if none does, why not."""
        return tuple(rule.words for rule in self.rules if rule.holds or self.verdict == NO_ACTION)

    def to_json(self) -> dict[str, Any]:
        """The comparison as JSON; numbers to six significant digits, the same on every CPU."""
        return {
            "verdict": self.verdict,
            "reasons": list(self.reasons),
            "reference": _month_json(self.reference),
            "current": _month_json(self.current),
            "label": {
                "reference_rate": _rounded(self.label_rates[0]),
                "current_rate": _rounded(self.label_rates[1]),
                "difference": _rounded(self.label_rates[1] - self.label_rates[0]),
            },
            "score": self._score_json(),
            "features": {
                "compared": len(self.features),
                "drifted": [each.name for each in self.drifted],
                "major": [each.name for each in self.drifted if self.level(each) == MAJOR],
            },
            "columns": [self._shift_json(each) for each in self.shifts],
            "policy": {name: getattr(self.policy, name) for name in self.policy.__dataclass_fields__},
        }

    def _score_rule(self) -> DriftRule | None:
        shift = self.shift(SCORE)
        if shift is None:
            return None
        holds, limit = self.level(shift) == MAJOR, self.policy.psi_major
        return DriftRule("score", holds, f"score PSI {shift.psi:.4f}, {'at or above' if holds else 'below'} {limit:g}")

    def _share_rule(self) -> DriftRule:
        major = [each.name for each in self.drifted if self.level(each) == MAJOR]
        share, limit = len(major) / max(1, len(self.features)), self.policy.share
        named = f" ({', '.join(major)})" if major else ""
        words = f"{len(major)} of {len(self.features)} features with major drift{named}"
        holds = share >= limit
        return DriftRule("features", holds, f"{words}, {'at least' if holds else 'fewer than'} {100 * limit:g} %")

    def _label_rule(self) -> DriftRule:
        before, after = self.label_rates
        shift = self.shift(LABEL)
        moved = f"churn rate {percent(before)} to {percent(after)}, {points(after - before)}"
        limit = f"{100 * self.policy.label_rate:g} points"
        if abs(after - before) < self.policy.label_rate:
            return DriftRule("label", False, f"{moved}, less than {limit}")
        if shift is None or self.level(shift) == STABLE:
            return DriftRule("label", False, f"{moved}: at least {limit}, but chance can do that with so few users")
        return DriftRule("label", True, f"{moved}, at least {limit}")

    def _score_json(self) -> dict[str, Any]:
        if isinstance(self.score, str):
            return {"left_out": self.score}
        before, after = (_rounded(mean) for mean in self.score.means)
        return {
            "version": self.score.version,
            "feature_service": self.score.service,
            "reference_mean": before,
            "current_mean": after,
        }

    def _shift_json(self, shift: Shift) -> dict[str, Any]:
        return {
            "name": shift.name,
            "drift": self.level(shift).lower() or "none",
            "psi": _rounded(shift.psi),
            "test": shift.test,
            "statistic": _rounded(shift.statistic),
            "p_value": _rounded(shift.p_value),
            "adjusted_p_value": _rounded(shift.adjusted_p),
            "reference_nulls": _rounded(shift.nulls[0]),
            "current_nulls": _rounded(shift.nulls[1]),
        }


def percent(share: float) -> str:
    """A share as a percentage."""
    return f"{100 * share:.2f} %"


def points(difference: float) -> str:
    """A difference of two shares in percentage points with its sign."""
    return f"{100 * difference:+.2f} points"


def _month_json(month: Month) -> Mapping[str, Any]:
    return {"as_of": month.as_of, "users": month.users, "snapshot_md5": month.md5}


def _rounded(value: float) -> float:
    return float(f"{value:.{_SIGNIFICANT}g}")
