"""Paired tests and intervals over seeds that hold at few seeds: no normal distribution is assumed.

Differences are tested by the signed ranks of Wilcoxon ("Individual Comparisons by Ranking Methods",
1945), exactly: given the sizes of the differences, each sign is as likely as the other where
nothing is different. Differences of 0 take part in the ranking and then count for neither side
(Pratt, "Remarks on Zeros and Ties in the Wilcoxon Signed Rank Procedures", 1959); equal sizes share
their ranks. The estimate is the median of the pairwise means and its interval is what the test does
not reject (Hodges & Lehmann, "Estimates of Location Based on Rank Tests", 1963): both take
differences to be symmetric about it. Holm ("A Simple Sequentially Rejective Multiple Test
Procedure", 1979) corrects for many tests.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "LEVEL",
    "Estimate",
    "PairedTest",
    "corrected",
    "holm",
    "least_p",
    "median_estimate",
    "paired_test",
    "signed_rank_p",
]

LEVEL = 0.95
"""What the coverage of an interval is to be at least."""
ROUNDING = 1e-12
"""Sizes of differences that are nearer than this share of the largest are equal."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with an interval.

    Attributes:
        value: The estimate.
        low: Lower end of the interval.
        high: Upper end.
        coverage: How often such an interval holds the true value, at the least: below
            :data:`LEVEL` where there are too few seeds for one that holds it as often.
    """

    value: float
    low: float
    high: float
    coverage: float

    def to_json(self) -> dict[str, float | None]:
        """Plain JSON values; what is not finite is ``null``."""
        ends = {"value": self.value, "low": self.low, "high": self.high}
        finite = {name: value if math.isfinite(value) else None for name, value in ends.items()}
        return {**finite, "coverage": self.coverage}


@dataclass(frozen=True, slots=True)
class PairedTest:
    """One arm against another in one score, seed by seed.

    Attributes:
        arm: The arm.
        against: The arm that its scores are the differences to.
        score: Which score; less of it is better.
        difference: By how much the arm's score is larger: the Hodges-Lehmann estimate.
        p: Two-sided and exact.
        adjusted_p: After Holm's correction over the family of tests that it belongs to.
        seeds: How many pairs there are.
    """

    arm: str
    against: str
    score: str
    difference: Estimate
    p: float
    adjusted_p: float
    seeds: int

    @property
    def significant(self) -> bool:
        """Whether the difference may be claimed: at 5 %, after the correction."""
        return self.adjusted_p <= 1 - LEVEL

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        said = {"difference": self.difference.to_json(), "significant": self.significant}
        return asdict(self) | said


def signed_rank_p(differences: Sequence[float] | Floats) -> float:
    """Exact two-sided p of no difference; 1 where all differences are 0.

    Args:
        differences: Finite: ``[n]``.

    Raises:
        ValueError: There is none, or one is not finite.

    >>> signed_rank_p([1.0, 2.0, 3.0, 4.0, 5.0])
    0.0625
    """
    from scipy.stats import rankdata

    values = _finite(differences)
    sizes = np.abs(values)
    # Differences of sums that are equal in exact arithmetic may differ in their last digits.
    step = ROUNDING * float(sizes.max())
    steps = np.round(sizes / step) if step else sizes
    ranks = np.rint(2 * rankdata(steps)).astype(np.int64)
    moved = steps > 0
    chances = _chances(ranks[moved])
    statistic = int(ranks[moved & (values > 0)].sum())
    below, above = chances[: statistic + 1].sum(), chances[statistic:].sum()
    return min(1.0, 2 * float(min(below, above)))


def least_p(n: int) -> float:
    """The smallest two-sided p that so many pairs can give.

    >>> least_p(5)
    0.0625
    """
    return min(1.0, 2.0 ** (1 - n))


def paired_test(
    differences: Sequence[float] | Floats, arm: str, against: str, score: str
) -> PairedTest:
    """The test of some differences; its correction is that of a family of one.

    The interval is from the k-th smallest to the k-th largest pairwise mean, with the largest k
    that covers :data:`LEVEL`; with fewer than 6 pairs none does, and it is the widest.

    Args:
        differences: Scores of the arm less those of the other, by seed: ``[n]``.
        arm: See :class:`PairedTest`, also for the others.
        against: The other.
        score: The score.
    """
    values = _finite(differences)
    n, p = len(values), signed_rank_p(values)
    first, second = np.triu_indices(n)
    means = np.sort((values[first] + values[second]) / 2)
    rank, coverage = _ranks_out(np.cumsum(_chances(2 * np.arange(1, n + 1))[::2]))
    ends = float(means[rank - 1]), float(means[-rank])
    estimate = Estimate(float(np.median(means)), *ends, coverage)
    return PairedTest(arm, against, score, estimate, p, p, n)


def median_estimate(values: Sequence[float] | Floats) -> Estimate:
    """The median with an interval of order statistics, whose coverage is binomial.

    It holds whatever the distribution is; infinite values are allowed, NaN gives NaN.

    Args:
        values: One for each seed: ``[n]``, at least one.

    >>> median_estimate([3.0, 1.0, 2.0, 5.0, 4.0, 6.0])
    Estimate(value=3.5, low=1.0, high=6.0, coverage=0.96875)
    """
    from scipy.stats import binom

    ordered = np.sort(np.asarray(values, dtype=float))
    if not len(ordered):
        raise ValueError("`values` are none; give those of at least one seed.")
    if np.isnan(ordered).any():
        return Estimate(math.nan, math.nan, math.nan, 0.0)
    rank, coverage = _ranks_out(binom.cdf(np.arange(len(ordered)), len(ordered), 0.5))
    low, high = float(ordered[rank - 1]), float(ordered[-rank])
    return Estimate(float(np.median(ordered)), low, high, coverage)


def holm(probabilities: Sequence[float]) -> list[float]:
    """Each p after Holm's correction for all of them, in their order.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    adjusted, largest = [1.0] * len(probabilities), 0.0
    for done, place in enumerate(sorted(range(len(adjusted)), key=probabilities.__getitem__)):
        largest = max(largest, min(1.0, (len(adjusted) - done) * probabilities[place]))
        adjusted[place] = largest
    return adjusted


def corrected(tests: Sequence[PairedTest]) -> tuple[PairedTest, ...]:
    """A family of tests, each with its p after Holm's correction."""
    adjusted = holm([test.p for test in tests])
    return tuple(replace(test, adjusted_p=p) for test, p in zip(tests, adjusted, strict=True))


def _finite(differences: Sequence[float] | Floats) -> Floats:
    values = np.asarray(differences, dtype=float)
    if not len(values) or not np.isfinite(values).all():
        raise ValueError(f"`differences` must be finite, at least one; got {values.tolist()}.")
    return values


def _chances(ranks: NDArray[np.int64]) -> Floats:
    """Of each sum of some of the ranks, the probability that signs by chance give it."""
    chances = np.zeros(int(ranks.sum()) + 1)
    chances[0] = 1.0
    for rank in ranks:
        chances[rank:] = (chances[rank:] + chances[:-rank]) / 2
        chances[:rank] /= 2
    return chances


def _ranks_out(below: Floats) -> tuple[int, float]:
    """How far from the ends an interval's ends may lie, and its coverage.

    Args:
        below: The probability that at most so many of the ordered values lie below the truth.
    """
    rank = max(1, int((below <= (1 - LEVEL) / 2).sum()))
    return rank, max(0.0, 1 - 2 * float(below[rank - 1]))
