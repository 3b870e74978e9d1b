"""Rank correlation of indicators: Kendall's tau-b over pairs of models, with intervals.

Tau-b (Kendall, "The treatment of ties in ranking problems", 1945) is what pairs that two columns
order alike are more than those that they order differently, over the geometric mean of the pairs
that each column orders. Its standard error is the jackknife's: each model is left out once, which
is exact in the same number of operations, as a model's own pairs are known. That is Sen's estimate
for U-statistics ("On some convergence properties of U-statistics", 1960), and needs no assumption
about how the columns are distributed, but takes the models as drawn independently.

Intervals are those of the inverse hyperbolic tangent of tau with Student's t, so they stay within
-1 and 1. Where all pairs agree, the models that can be paired off without overlap are independent
trials of which none failed: the interval is the one by Clopper & Pearson ("The use of confidence or
fiducial limits illustrated in the case of the binomial", 1934).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.pair_counts import count_below

__all__ = ["RankCorrelation", "rank_correlations"]

CLOSE = 1e-12
"""What a correlation of 1 may be rounded by."""
LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class RankCorrelation:
    """Kendall's tau-b of two columns.

    Attributes:
        tau: Between -1 and 1; NaN where a column orders no two models.
        low: Lower end of the 95 % interval, NaN likewise.
        high: Upper end.
        n: Models that have both.
    """

    tau: float
    low: float
    high: float
    n: int

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; NaN is ``null``."""
        ends = (self.tau, self.low, self.high)
        tau, low, high = (None if math.isnan(value) else value for value in ends)
        return {"tau": tau, "low": low, "high": high, "n": self.n}

    def __str__(self) -> str:
        if math.isnan(self.tau):
            return "undefined"
        return f"{self.tau:.2f} ({self.low:.2f} to {self.high:.2f})"


def rank_correlations(
    columns: NDArray[np.float64], groups: Sequence[Any] | None = None
) -> list[list[RankCorrelation]]:
    """Tau-b of every two columns: ``[columns][columns]``.

    Args:
        columns: ``[models, columns]``, NaN where a value is missing: of two columns the models
            count that have both.
        groups: A label of each model: only pairs within one group count. All are one when absent.

    >>> found = rank_correlations(np.array([[1, 1], [2, 2], [3, 3], [4, 5], [5, 4.0]]))
    >>> round(found[0][1].tau, 3)
    0.8
    """
    labels = np.zeros(len(columns), dtype=np.int64)
    if groups is not None and len(columns):
        labels = np.unique([str(group) for group in groups], return_inverse=True)[1]
    found: list[list[RankCorrelation]] = []
    for a, first in enumerate(columns.T):
        found.append([found[b][a] for b in range(a)])
        for second in columns.T[a:]:
            both = ~(np.isnan(first) | np.isnan(second))
            found[a].append(_correlation(first[both], second[both], labels[both]))
    return found


def _correlation(
    x: NDArray[np.float64], y: NDArray[np.float64], labels: NDArray[np.int64]
) -> RankCorrelation:
    """Of two columns, each ``[models]`` without gaps; pairs within one label count."""
    n = len(x)
    alike, first, second = (np.zeros(n, dtype=np.int64) for _ in range(3))
    for label in np.unique(labels).tolist():
        rows = np.flatnonzero(labels == label)
        alike[rows], first[rows], second[rows] = _own_pairs(x[rows], y[rows])
    total, orders = int(alike.sum()), (int(first.sum()), int(second.sum()))
    if min(orders) <= 0:
        return RankCorrelation(math.nan, math.nan, math.nan, n)
    tau = max(-1.0, min(1.0, total / math.sqrt(orders[0] * orders[1])))
    # A pair counts for both of its models, so one that is gone takes each of its pairs twice.
    left = [order - 2 * own for order, own in zip(orders, (first, second), strict=True)]
    if min(part.min() for part in left) <= 0:
        return RankCorrelation(tau, -1.0, 1.0, n)
    if abs(tau) > 1 - CLOSE:
        least = 1 - 2 * _most_failures(int((np.bincount(labels) // 2).sum()))
        low, high = (least, 1.0) if tau > 0 else (-1.0, -least)
        return RankCorrelation(math.copysign(1.0, tau), low, high, n)
    without = (total - 2 * alike) / np.sqrt(left[0].astype(float) * left[1])
    error = math.sqrt((n - 1) / n * float(((without - without.mean()) ** 2).sum()))
    # Further from 0 tau is known better, which the transformation takes out.
    half = _student(n - 1) * error / (1 - tau**2)
    low, high = math.tanh(math.atanh(tau) - half), math.tanh(math.atanh(tau) + half)
    return RankCorrelation(tau, low, high, n)


def _own_pairs(
    x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Of each model the pairs with others, each ``[models]``.

    Those that both columns order alike less those that they order differently, those that the
    first orders, and those that the second does.
    """
    n = len(x)
    # At most a value is below the next number there is.
    most_x, most_y = np.nextafter(x, np.inf), np.nextafter(y, np.inf)
    below = count_below(
        x, y, np.concatenate([x, x, most_x, most_x]), np.concatenate([y, most_y, y, most_y])
    )
    less, less_x, less_y, least = below.reshape(4, n)
    sorted_x, sorted_y = np.sort(x), np.sort(y)
    under_x, under_y = (np.searchsorted(s, v) for s, v in ((sorted_x, x), (sorted_y, y)))
    upto_x, upto_y = (np.searchsorted(s, v, "right") for s, v in ((sorted_x, x), (sorted_y, y)))
    agree = less + (n - upto_x - upto_y + least)
    differ = (under_x - less_x) + (under_y - less_y)
    return agree - differ, n - (upto_x - under_x), n - (upto_y - under_y)


def _most_failures(trials: int) -> float:
    """The largest probability of failure at which no failure in some trials is not surprising."""
    return 1.0 - math.pow((1 - LEVEL) / 2, 1 / trials)


def _student(degrees: int) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(degrees, (1 + LEVEL) / 2))
