"""Two samples of one variable: their distance, and how likely chance alone causes it.

Both samples are treated as independent draws. Two months mostly hold the same users, so they are not:
that makes the tests conservative (fewer alarms), never the opposite.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.stats import chi2_contingency, ks_2samp

DECILES = 10
PSEUDO_COUNT = 0.5

Numbers = np.ndarray[Any, np.dtype[np.float64]]


def psi(reference: Sequence[int], current: Sequence[int]) -> float:
    """Population stability index of two histograms over the same bins: the sum of (q - p) ln(q / p) over their shares.

    Bins that are empty in both are skipped; half a user is added to every other bin of both, so that an empty one
    gives a finite value. 0 for equal counts, never negative; two normals whose means lie d standard deviations apart have
    about d squared. Formula: Siddiqi, "Credit Risk Scorecards" (2006); it is Jeffreys' divergence of the shares.
    """
    pairs = [pair for pair in zip(reference, current, strict=True) if any(pair)]
    before, after = (sum(pair[side] for pair in pairs) + PSEUDO_COUNT * len(pairs) for side in (0, 1))
    shares = [((p + PSEUDO_COUNT) / before, (q + PSEUDO_COUNT) / after) for p, q in pairs]
    # An exact sum: the order of the bins, hence the names of categories, must not reach the last bit.
    return math.fsum((q - p) * math.log(q / p) for p, q in shares)


def decile_counts(reference: Numbers, current: Numbers) -> tuple[list[int], list[int]]:
    """Users in each bin between the deciles of the reference, lowest first; the last bin counts NaN, which is NULL.

    Ties merge deciles, so a variable of few values has a bin for each of the frequent ones and a constant has one. What
    lies below a reference whose lowest tenth is one value has a bin of its own; else a falling constant would go unseen.
    """
    edges = _decile_edges(reference[~np.isnan(reference)])
    before, after = (_counted(each, edges) for each in (reference, current))
    return before, after


def kolmogorov_smirnov(reference: Numbers, current: Numbers) -> tuple[float, float]:
    """Largest distance of the two distribution functions and its p-value, NaN (NULL) left out; 0 and 1 if a side is empty.

    The p-value is the asymptotic one, at any size; it assumes a continuous variable. With ties, as counts of events have,
    it is too large: the test is then conservative, and PSI and the number of users have to carry more of the verdict.
    """
    known = [each[~np.isnan(each)] for each in (reference, current)]
    if not all(each.size for each in known):
        return 0.0, 1.0
    found = ks_2samp(*known, method="asymp")
    return float(found.statistic), min(1.0, float(found.pvalue))


def chi_square(reference: Sequence[int], current: Sequence[int]) -> tuple[float, float]:
    """Pearson's statistic of homogeneity of two histograms over the same bins, and its p-value; 0 and 1 if one bin has all.

    Both months are samples, unlike in a test of fit, which takes the reference for the truth and halves the noise. The
    p-value is asymptotic, hence rough for bins with less than five users expected; the domains of the schema have none.
    """
    pairs = [pair for pair in zip(reference, current, strict=True) if any(pair)]
    if len(pairs) < 2 or not all(sum(side) for side in zip(*pairs, strict=True)):
        return 0.0, 1.0
    found = chi2_contingency(np.array(pairs).T, correction=False)
    return float(found.statistic), float(found.pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values adjusted by Holm's method, in the order given: none below alpha means that alpha bounds any false alarm.

    Holm rather than Benjamini-Hochberg: a single alarm calls a person, so the chance of any false one must be
    bounded, whatever else drifts and however the features depend on each other. Benjamini-Hochberg bounds the false share
    of the flags only, so each feature that truly drifts admits more false flags beside it. It finds more in small samples;
    months have thousands of users, and what only it would find there is mostly below the limit of PSI.
    Source: Holm, Scandinavian Journal of Statistics 6 (1979).
    """
    adjusted = [1.0] * len(p_values)
    largest = 0.0
    for rank, position in enumerate(sorted(range(len(p_values)), key=lambda each: p_values[each])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[position]))
        adjusted[position] = largest
    return adjusted


def _decile_edges(known: Numbers) -> Numbers:
    if not known.size:
        return np.empty(0)
    edges = np.unique(np.quantile(known, np.arange(1, DECILES) / DECILES, method="inverted_cdf"))
    return np.insert(edges, 0, np.nextafter(edges[0], -np.inf)) if edges[0] == known.min() else edges


def _counted(values: Numbers, edges: Numbers) -> list[int]:
    # Each bin holds its upper edge.
    bins = np.searchsorted(edges, values[~np.isnan(values)], side="left")
    counts: list[int] = np.bincount(bins, minlength=len(edges) + 1).tolist()
    return [*counts, int(np.isnan(values).sum())]
