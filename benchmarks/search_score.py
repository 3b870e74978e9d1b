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

from nas.errors import ExperimentError

__all__ = ["SHARES", "Front", "Score", "Summary", "evaluations_to", "reference_front", "summarise"]

SHARES = (0.9, 0.95, 0.99)
EXACT = 6
MOST_POINTS = 1_000
"""On a front of so many objectives; the time that exact volumes take grows steeply there."""
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
        return self.points.shape[1] < EXACT or (
            self.points.shape[1] == EXACT and len(self.points) <= MOST_POINTS
        )

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
        return np.array(Score(self).add(found), dtype=float)

    def share(self, found: Floats) -> float:
        """The share of the hypervolume of all that was found."""
        return float(self.shares(found)[-1]) if len(found) else 0.0

    def standard_error(self, share: float) -> float:
        """One standard deviation of an estimated share; 0 where it is exact."""
        if self.exact:
            return 0.0
        weights = self.sample[1]
        # Of a ratio of weighted sums, whose terms are in the set with the probability `share`.
        return math.sqrt(share * (1 - share) * float((weights**2).sum())) / float(weights.sum())

    def volume(self, points: Floats) -> float:
        """Hypervolume in a box scaled to 1, so that no product of ranges is lost."""
        points = points[moocore.is_nondominated(points)] if len(points) else points
        if not len(points):
            return 0.0
        scaled = (points - self.ideal) / (self.reference - self.ideal)
        return float(moocore.hypervolume(scaled, ref=np.ones(len(self.reference))))

    @cached_property
    def sample(self) -> tuple[Floats, Floats]:
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


class Score:
    """The share of a front's hypervolume that a search has found, as it goes on.

    Args:
        front: The front.
    """

    def __init__(self, front: Front) -> None:
        self.front, self.share = front, 0.0
        self._archive = front.points[:0]
        if front.exact:
            self._whole = front.volume(front.points)
        else:
            self._left, self._weights = front.sample
            self._whole = float(self._weights.sum())

    def add(self, points: Floats) -> list[float]:
        """Takes up points ``[n, objectives]``; returns the share after each."""
        return [self._after(point) for point in points]

    def _after(self, point: Floats) -> float:
        if (point < self.front.reference).all():
            if self.front.exact:
                self._add_exactly(point)
            else:
                self._add_to_sample(point)
        return self.share

    def _add_exactly(self, point: Floats) -> None:
        """Only those that are not dominated by earlier ones can add to it."""
        if not (self._archive <= point).all(axis=1).any():
            # What it adds is its box less what of it the others dominate.
            own = self.front.volume(point[None, :])
            both = self.front.volume(np.maximum(self._archive, point))
            self.share += (own - both) / self._whole
            kept = self._archive[~(point <= self._archive).all(axis=1)]
            self._archive = np.vstack([kept, point])

    def _add_to_sample(self, point: Floats) -> None:
        covered = (point <= self._left).all(axis=1)
        if covered.any():
            self._left, self._weights = self._left[~covered], self._weights[~covered]
            self.share = 1 - float(self._weights.sum()) / self._whole


def reference_front(front: Floats, quality_limit: float) -> Front:
    """The part of a front within a quality, and the reference point that goes with it.

    Args:
        front: Points ``[n, objectives]``, the quality first; those dominated by others are dropped.
        quality_limit: The median quality of all architectures.

    Raises:
        ExperimentError: No point is better than that.

    >>> front = np.array([[0.1, 9.0], [0.2, 5.0], [0.3, 4.0], [0.9, 1.0]])
    >>> reference_front(front, 0.5).reference  # The costs go from 4 to 9 there.
    array([0.5, 9.5])
    """
    within = front[front[:, 0] < quality_limit]
    if not len(within):
        raise ExperimentError(
            f"No candidate is better than the median quality, {quality_limit:g}; half of them or "
            "more are the best there are, so nothing is left to search for."
        )
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

    def within(self, evaluations: int) -> str:
        """The same of searches that ended after so many evaluations at most."""
        if math.isinf(self.median):
            return f"over {evaluations} ({self.reached}/{self.seeds})"
        return str(self).replace("to -", f"to over {evaluations}")


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
