"""How much of a front's hypervolume a search has found, after each evaluation.

The reference point is the median quality of all architectures and, of each cost, the nadir of the
front within that quality plus a tenth of its range there: with the nadir of the whole front, large
architectures fill the box whatever is searched. Up to :data:`EXACT` objectives the hypervolume is
exact (moocore). Above, the share is estimated from random points that the front dominates, and its
standard error is printed; what a search finds beyond the front is not credited. Where the front
dominates little of the box, points are drawn in the boxes of its members, each weighted by one over
the number of boxes that hold it (Karp, Luby & Madras, J. Algorithms 1989). No sampler is told the
reference point.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import moocore
import numpy as np
from numpy.typing import NDArray

__all__ = ["SHARES", "Front", "Summary", "evaluations_to", "reference_front", "summarise"]

SHARES = (0.9, 0.95, 0.99)
EXACT = 6
SAMPLES, DRAWS = 20_000, 400_000
PART = 0.02
"""Of the box between ideal and reference point, from which drawing in all of it is better."""
MARGIN = 0.1
CHUNK = 256

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Front:
    """A front and its reference point, all objectives minimised.

    Attributes:
        points: Members that are better than the reference point in everything: ``[n, objectives]``.
        reference: The reference point: ``[objectives]``.
    """

    points: Floats
    reference: Floats

    def __post_init__(self) -> None:
        if not len(self.points) or not (self.points < self.reference).all():
            raise ValueError("`points` must be some, each better than `reference` in everything.")

    @property
    def exact(self) -> bool:
        """Whether shares are exact."""
        return self.points.shape[1] <= EXACT

    @cached_property
    def ideal(self) -> Floats:
        """The best of each objective."""
        best: Floats = self.points.min(axis=0)
        return best

    def shares(self, found: Floats) -> Floats:
        """The share of the hypervolume after each evaluation.

        Args:
            found: What was evaluated, in order: ``[evaluations, objectives]``.
        """
        if not len(found):
            return np.zeros(0)
        return self._exact_shares(found) if self.exact else self._sampled_shares(found)

    def share(self, found: Floats) -> float:
        """The share of the hypervolume of all that was found."""
        if not len(found):
            return 0.0
        if not self.exact:
            return float(self._sampled_shares(found)[-1])
        return self._volume(found) / self._volume(self.points)

    def standard_error(self, share: float) -> float:
        """One standard deviation of an estimated share; 0 where it is exact."""
        if self.exact:
            return 0.0
        weights = self._sample[1]
        # Of a ratio of weighted sums, whose terms are in the set with the probability `share`.
        return math.sqrt(share * (1 - share) * float((weights**2).sum())) / float(weights.sum())

    def _volume(self, points: Floats) -> float:
        """Hypervolume in a box scaled to 1, so that no product of ranges is lost."""
        scaled = (points - self.ideal) / (self.reference - self.ideal)
        return float(moocore.hypervolume(scaled, ref=np.ones(len(self.reference))))

    def _exact_shares(self, found: Floats) -> Floats:
        """Only those that are not dominated by earlier ones can add to it."""
        result, archive, whole, last = (
            np.zeros(len(found)),
            found[:0],
            self._volume(self.points),
            0.0,
        )
        for position, point in enumerate(found):
            inside = (point < self.reference).all()
            if inside and not (archive <= point).all(axis=1).any():
                archive = np.vstack([archive[~(point <= archive).all(axis=1)], point])
                last = self._volume(archive) / whole
            result[position] = last
        return result

    @cached_property
    def _sample(self) -> tuple[Floats, Floats]:
        """Points in the union of the boxes ``[samples, objectives]``, and their weights.

        The whole box is drawn from where the union is a good part of it, since equal weights tell
        most; else the boxes are.
        """
        rng = np.random.default_rng(0)
        sides = (self.reference - self.points) / (self.reference - self.ideal)
        volumes = sides.prod(axis=1)
        drawn = rng.choice(len(volumes), size=SAMPLES, p=volumes / volumes.sum())
        within = 1 - rng.random((SAMPLES, sides.shape[1])) * sides[drawn]
        # The box that a point was drawn from holds it, whatever rounding made of its edge.
        weights = 1 / np.maximum(self._holding(within), 1)
        if volumes.sum() * weights.mean() > PART:
            within = rng.random((DRAWS, sides.shape[1]))
            within = within[self._holding(within) > 0]
            weights = np.ones(len(within))
        return self.ideal + within * (self.reference - self.ideal), weights

    def _holding(self, scaled: Floats) -> NDArray[np.int64]:
        """How many boxes hold each point, 0 being the ideal and 1 the reference: ``[n]``."""
        corners = (self.points - self.ideal) / (self.reference - self.ideal)
        result = np.zeros(len(scaled), dtype=np.int64)
        for start in range(0, len(scaled), CHUNK):
            part = scaled[start : start + CHUNK]
            inside = np.ones((len(part), len(corners)), dtype=bool)
            for column in range(corners.shape[1]):
                inside &= corners[:, column] <= part[:, [column]]
            result[start : start + CHUNK] = inside.sum(axis=1)
        return result

    def _sampled_shares(self, found: Floats) -> Floats:
        sample, weights = self._sample
        left, left_weights = sample, weights
        result, total = np.zeros(len(found)), weights.sum()
        for position, point in enumerate(found):
            if (point < self.reference).all():
                covered = (point <= left).all(axis=1)
                if covered.any():
                    left, left_weights = left[~covered], left_weights[~covered]
            result[position] = 1 - left_weights.sum() / total
        return result


def reference_front(front: Floats, quality_limit: float) -> Front:
    """The part of a front within a quality, and the reference point that goes with it.

    Args:
        front: Points ``[n, objectives]``, the quality first; those dominated by others are dropped.
        quality_limit: The median quality of all architectures.

    >>> front = np.array([[0.1, 9.0], [0.2, 5.0], [0.3, 4.0], [0.9, 1.0]])
    >>> reference_front(front, 0.5).reference  # The costs go from 4 to 9 there.
    array([0.5, 9.5])
    """
    within = front[front[:, 0] < quality_limit]
    within = within[moocore.is_nondominated(within)]
    nadir, span = within.max(axis=0), np.ptp(within, axis=0)
    # A cost that is the same everywhere on the front decides nothing, with any margin.
    margin = np.where(span > 0, MARGIN * span, np.maximum(np.abs(nadir), 1.0))
    reference = nadir + margin
    reference[0] = quality_limit
    return Front(within, reference)


def evaluations_to(shares: Floats, share: float) -> float:
    """How many evaluations it took to reach a share; infinite if it was not reached.

    >>> evaluations_to(np.array([0.5, 0.8, 0.95]), 0.9)
    3.0
    """
    reached = np.flatnonzero(shares >= share)
    return float(reached[0] + 1) if len(reached) else math.inf


@dataclass(frozen=True, slots=True)
class Summary:
    """What several seeds took to reach a share.

    Attributes:
        median: Median evaluations; infinite where half of the seeds did not reach it.
        low: Lower end of an interval of the median.
        high: Upper end.
        reached: Seeds that reached it.
        seeds: Seeds.
    """

    median: float
    low: float
    high: float
    reached: int
    seeds: int

    def __str__(self) -> str:
        if math.isinf(self.median):
            return f"- ({self.reached}/{self.seeds})"
        high = "-" if math.isinf(self.high) else f"{self.high:.0f}"
        return f"{self.median:.0f} ({self.low:.0f} to {high})"


def summarise(evaluations: Sequence[float]) -> Summary:
    """Median and its interval by order statistics: at least 95 % where there are 6 seeds or more.

    With fewer it is the range.

    >>> summarise([3, 1, 2, 5, 4, math.inf])
    Summary(median=3.5, low=1.0, high=inf, reached=5, seeds=6)
    """
    ordered, n = sorted(map(float, evaluations)), len(evaluations)
    below, rank = 0.5**n, 0
    # The chance that the median lies outside of the order statistics at `rank` from either end.
    while True:
        wider = below + math.comb(n, rank + 1) * 0.5**n
        if 2 * wider > 0.05 or rank + 1 >= n / 2:
            break
        below, rank = wider, rank + 1
    middle = ordered[(n - 1) // 2], ordered[n // 2]
    median = sum(middle) / 2
    reached = sum(map(math.isfinite, ordered))
    return Summary(median, ordered[rank], ordered[n - 1 - rank], reached, n)
