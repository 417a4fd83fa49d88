"""A promotion rule and a comparison with chosen numbers, for tests of decisions."""

from streamflow.registry.decision import Comparison, PairedDifference, PromotionRule


def rule(**values):
    settled = {"policy": "auto", "metric": "roc_auc", "delta": 0.0, "confidence": 0.95, "resamples": 2000}
    return PromotionRule(**{**settled, "leak_auc": 0.95, "seed": 42, **values})


def compared(auc, precision=(0.0, -0.01, 0.01)):
    """A comparison whose differences are (delta, low, high)."""
    metrics = {
        name: PairedDifference(0.8, round(0.8 + delta, 6), delta, low, high, 0.5)
        for name, (delta, low, high) in (("roc_auc", auc), ("average_precision", precision))
    }
    return Comparison("1", 1797, 505, metrics)
