"""The decision threshold: the churn probability from which a user is predicted to churn, by a policy."""

from dataclasses import dataclass

import numpy as np

from streamflow.model.sklearn_pipeline import Labels, Probabilities

GRID = np.round(np.arange(0.005, 0.9951, 0.005), 3)


@dataclass(frozen=True)
class ThresholdPolicy:
    """`f1`: the highest F1. `cost`: the least money lost. `top_fraction`: a fixed share of users is called.

    `missed_churner` and `wasted_offer` are prices in one currency: of a churner who was not called, and of an offer to a
    user who would have stayed. `fraction` is above 0 and below 1. What a policy does not use is None.
    """

    policy: str
    missed_churner: float | None = None
    wasted_offer: float | None = None
    fraction: float | None = None

    def describe(self) -> str:
        """The policy in words."""
        if self.policy == "cost":
            prices = f"{self.missed_churner:g} for a missed churner and {self.wasted_offer:g} for a wasted offer"
            return f"the least cost, {prices}"
        return (
            "the best F1" if self.policy == "f1" else f"the {self.fraction:.1%} of users who are most likely to churn"
        )


def choose_threshold(how: ThresholdPolicy, churned: Labels, probabilities: Probabilities) -> float:
    """The threshold that the policy wants for these users; users at it or above are called churners.

    `f1` and `cost` search 0.005, 0.010 … 0.995 and take the lowest of equals; `top_fraction` lies between two users' scores
    and ignores who churned.
    """
    if how.policy == "top_fraction":
        return _between_scores(probabilities, float(how.fraction or 0.0))
    called = probabilities[:, np.newaxis] >= GRID
    caught = (called & churned[:, np.newaxis]).sum(axis=0)
    alarms, churners = called.sum(axis=0), churned.sum()
    if how.policy == "cost":
        cost = float(how.missed_churner or 0.0) * (churners - caught) + float(how.wasted_offer or 0.0) * (
            alarms - caught
        )
        return float(GRID[int(np.argmin(cost))])
    # F1 = 2 TP / (2 TP + FP + FN); without a churner and without an alarm it is 0.
    return float(GRID[int(np.argmax(2 * caught / np.maximum(alarms + churners, 1)))])


def _between_scores(probabilities: Probabilities, fraction: float) -> float:
    highest_first = np.sort(probabilities)[::-1]
    last = max(1, round(fraction * len(probabilities))) - 1
    below = highest_first[last + 1] if last + 1 < len(highest_first) else 0.0
    between = (highest_first[last] + below) / 2
    # Between two neighbouring floats there is none.
    return float(between if between > below else highest_first[last])
