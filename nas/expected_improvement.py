"""Expected improvement of the hypervolume where the costs are known exactly.

The improvement by a candidate x is the volume that it dominates and nothing evaluated does. Let
t(u) be the best quality evaluated at costs of at most u (less its known error), or the worst that
counts. With costs exact
and only the quality uncertain,

    E[improvement(x)] = integral over costs u of [costs(x) <= u] * E[max(0, t(u) - quality(x))],

whose inner expectation is the usual expected improvement of one objective (Jones et al. 1998). It
needs no decomposition of the dominated region, whatever the number of costs. The outer integral is
taken over sampled costs. With eight costs hardly any uniform ones lie above any candidate, and
where much is found hardly any leave something to improve, so they are drawn above promising
candidates and thinned by what those would improve there, each weighted by how likely it was to
stay.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from nas.quality_model import Belief

__all__ = ["Box", "Sampled", "expected_gains", "improvement", "pick_batch", "sample_points"]

Array = NDArray[np.float64]

CHUNK = 4096
DRAWN = 6
"""Costs that are drawn for each one that stays."""
FAR = 5.0
"""Standard deviations of improvement that are not to be expected: below 6e-8 of one."""
UNIFORM = 0.25
"""Share of the costs that are drawn in the whole box."""
SURE, NOTABLY = 0.05, 0.97
"""Share of a standard deviation that is left at least, and above which the change is ignored."""
DEFENSIVE = 0.1
"""Share of what a cost is kept by that does not depend on what the candidates promise there."""


@dataclass(frozen=True, slots=True)
class Box:
    """The region whose volume counts.

    Attributes:
        ideal: Least costs: ``[costs]``.
        reference: Most costs: ``[costs]``.
        worst: The quality that anything must be better than.
    """

    ideal: Array
    reference: Array
    worst: float


@dataclass(frozen=True, slots=True)
class Sampled:
    """Costs that the integral is taken over.

    Attributes:
        costs: ``[points, costs]``.
        threshold: The quality to be better than there: ``[points]``.
        weights: Volume that each stands for: ``[points]``.
    """

    costs: Array
    threshold: Array
    weights: Array

    def some(self, chosen: NDArray[np.bool_]) -> Sampled:
        """Only some of the points."""
        return Sampled(self.costs[chosen], self.threshold[chosen], self.weights[chosen])

    def improved(self, costs: Array, quality: float) -> Sampled:
        """The same once a candidate is known."""
        above = (costs <= self.costs).all(axis=1)
        return replace(
            self, threshold=np.where(above, np.minimum(self.threshold, quality), self.threshold)
        )


def sample_points(
    box: Box,
    candidates: Array,
    belief: Belief,
    front: Array,
    points: int,
    rng: np.random.Generator,
) -> Sampled:
    """Samples costs at which promising candidates would improve on what was evaluated.

    Args:
        box: Where from.
        candidates: Costs of promising candidates: ``[n, costs]``.
        belief: Of their quality.
        front: Quality and costs of what was evaluated: ``[m, 1 + costs]``.
        points: How many to keep.
        rng: Of every draw.
    """
    low, span = box.ideal, np.maximum(box.reference - box.ideal, 1e-300)
    inside = (candidates < box.reference).all(axis=1)
    candidates, belief = candidates[inside], Belief(belief.mean[inside], belief.spread[inside])
    origin = np.clip((candidates - low) / span, 0.0, 1.0)
    drawn = rng.random((DRAWN * points, len(low)))
    density = np.ones(len(drawn))
    if len(origin):
        above = int((1 - UNIFORM) * len(drawn))
        own = origin[rng.integers(len(origin), size=above)]
        drawn[:above] = own + (1 - own) * drawn[:above]
        volumes = np.prod(np.maximum(1 - origin, 1e-9), axis=1)
        density = UNIFORM + (1 - UNIFORM) * (_below(origin, drawn) / volumes[:, None]).mean(axis=0)
    costs = low + span * drawn
    threshold = np.full(len(costs), box.worst)
    for member in front[np.argsort(-front[:, 0])]:
        threshold[(member[1:] <= costs).all(axis=1)] = min(member[0], box.worst)
    sampled = Sampled(costs, threshold, 1 / (density * len(drawn)))
    promise = expected_gains(candidates, belief, sampled).max(axis=0, initial=0.0) * sampled.weights
    if not promise.sum() > 0:
        return Sampled(costs[:points], threshold[:points], sampled.weights[:points] * DRAWN)
    kept = (1 - DEFENSIVE) * promise / promise.sum() + DEFENSIVE / len(promise)
    chosen = rng.choice(len(kept), size=points, p=kept)
    weights = sampled.weights[chosen] / (kept[chosen] * points)
    return Sampled(costs[chosen], threshold[chosen], weights)


def expected_gains(costs: Array, belief: Belief, sampled: Sampled) -> NDArray[np.float32]:
    """Expected improvement of each candidate at each sampled cost: ``[n, points]``.

    Args:
        costs: Of the candidates: ``[n, costs]``.
        belief: Of their quality, in the unit of the thresholds.
        sampled: The costs.
    """
    gains = np.zeros((len(costs), len(sampled.threshold)), dtype=np.float32)
    for start in range(0, len(costs), CHUNK):
        part = slice(start, start + CHUNK)
        hopeful = sampled.threshold > (belief.mean - FAR * belief.spread)[part, None]
        rows, points = np.nonzero(hopeful & _below(costs[part], sampled.costs))
        at = start + rows
        gains[at, points] = improvement(
            sampled.threshold[points] - belief.mean[at], belief.spread[at]
        )
    return gains


def improvement(by: Array, spread: Array) -> Array:
    """Expected improvement where the mean is better by so much, with a standard deviation."""
    from scipy.special import ndtr

    z = by / spread
    expected: Array = spread * (z * ndtr(z) + np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi))
    return np.maximum(expected, 0.0)


def _below(costs: Array, points: Array) -> NDArray[np.bool_]:
    """Which candidates cost at most so much in everything: ``[n, points]``."""
    below = np.ones((len(costs), len(points)), dtype=bool)
    for column in range(costs.shape[1]):
        below &= costs[:, column, None] <= points[None, :, column]
    return below


def pick_batch(
    costs: Array,
    belief: Belief,
    sampled: Sampled,
    n: int,
    covariance: Callable[[int], Array],
) -> list[int]:
    """Candidates whose expected improvement together is large, one after the other.

    After each the next ones are chosen as if its quality had come out as believed (Ginsbourger et
    al. 2010), which leaves less to learn of those that are like it.

    Args:
        costs: Of the candidates: ``[n, costs]``.
        belief: Of their quality.
        sampled: The costs that count.
        n: How many at most; fewer where no other one improves anything.
        covariance: Of the beliefs of all with that of one: ``[n]``.
    """
    gains = expected_gains(costs, belief, sampled)
    picked: list[int] = []
    while len(picked) < min(n, len(gains)):
        total = gains @ sampled.weights.astype(np.float32)
        total[picked] = -1.0
        best = int(np.argmax(total))
        if total[best] <= 0:
            break
        picked.append(best)
        if len(picked) == n:
            break
        explained = covariance(best) ** 2 / belief.spread[best] ** 2
        spread = np.sqrt(np.maximum(belief.spread**2 - explained, (SURE * belief.spread) ** 2))
        alike = spread < NOTABLY * belief.spread
        belief = Belief(belief.mean, np.where(alike, spread, belief.spread))
        known = sampled.improved(costs[best], float(belief.mean[best]))
        changed = known.threshold < sampled.threshold
        sampled = known
        gains[:, changed] = expected_gains(costs, belief, sampled.some(changed))
        gains[alike] = expected_gains(
            costs[alike], Belief(belief.mean[alike], belief.spread[alike]), sampled
        )
    return picked
