"""Expected improvement of the hypervolume where the costs are known exactly.

The improvement by a candidate x is the volume of the points u that it dominates and nothing
evaluated does. With costs exact and only the quality uncertain,

    E[improvement(x)] = integral over u of [costs(x) <= costs(u)] * P(quality(x) <= quality(u)),

which needs no decomposition of the dominated region, whatever the number of costs (for uncertain
objectives: Emmerich et al. 2006). The integral is taken over sampled points, some of them uniform
and some above promising candidates, weighted by how likely they were to be drawn: with eight costs
hardly any uniform point lies above any candidate.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas.quality_model import Belief

__all__ = ["Box", "Sampled", "expected_gains", "pick_batch", "sample_points"]

Array = NDArray[np.float64]

CHUNK = 4096


@dataclass(frozen=True, slots=True)
class Box:
    """The region whose volume counts.

    Attributes:
        ideal: Least costs: ``[costs]``.
        reference: Most costs: ``[costs]``.
        best: Least quality.
        worst: Most quality.
    """

    ideal: Array
    reference: Array
    best: float
    worst: float


@dataclass(frozen=True, slots=True)
class Sampled:
    """Points that nothing evaluated dominates.

    Attributes:
        costs: ``[points, costs]``.
        quality: ``[points]``.
        weights: Volume that each stands for: ``[points]``.
    """

    costs: Array
    quality: Array
    weights: Array


def sample_points(
    box: Box, above: Array, front: Array, points: int, rng: np.random.Generator
) -> Sampled:
    """Samples points of a box that no evaluated candidate dominates.

    Args:
        box: Where from.
        above: Costs of promising candidates, above each of which some points are drawn:
            ``[n, costs]``.
        front: Quality, in the box's unit, and costs of what was evaluated: ``[m, 1 + costs]``.
        points: How many to draw; those that are dominated are left out.
        rng: Of every draw.
    """
    low, high = box.ideal, box.reference
    span = np.maximum(high - low, 1e-300)
    above = above[(above < high).all(axis=1)] if len(above) else above
    uniform = rng.random((points, len(low)))
    if len(above):
        origin = np.clip((above - low) / span, 0.0, 1.0)
        own = origin[rng.integers(len(origin), size=points // 2)]
        uniform[: len(own)] = own + (1 - own) * uniform[: len(own)]
    # Density of the mixture; the half that is uniform bounds the weights.
    density = np.ones(points)
    if len(above):
        volumes = np.prod(np.maximum(1 - origin, 1e-9), axis=1)
        for start in range(0, points, CHUNK):
            part = uniform[start : start + CHUNK]
            inside = (origin[None] <= part[:, None]).all(axis=2)
            drawn = (inside / volumes).mean(axis=1)
            density[start : start + CHUNK] = 0.5 + 0.5 * drawn
    costs = low + span * uniform
    quality = box.best + (box.worst - box.best) * rng.random(points)
    free = np.ones(points, dtype=bool)
    for member in front:
        free &= ~((member[0] <= quality) & (member[1:] <= costs).all(axis=1))
    return Sampled(costs[free], quality[free], 1 / (density[free] * points))


def expected_gains(costs: Array, belief: Belief, sampled: Sampled) -> NDArray[np.float32]:
    """Probability that each candidate dominates each point: ``[n, points]``.

    Args:
        costs: Of the candidates: ``[n, costs]``.
        belief: Of their quality, in the unit of the points'.
        sampled: The points.
    """
    from scipy.special import ndtr

    gains = np.zeros((len(costs), len(sampled.quality)), dtype=np.float32)
    for start in range(0, len(costs), CHUNK):
        own = costs[start : start + CHUNK]
        below = np.ones((len(own), len(sampled.quality)), dtype=bool)
        for column in range(costs.shape[1]):
            below &= own[:, column, None] <= sampled.costs[None, :, column]
        rows, points = np.nonzero(below)
        at = start + rows
        sure = (sampled.quality[points] - belief.mean[at]) / belief.spread[at]
        gains[at, points] = ndtr(sure)
    return gains


def pick_batch(gains: NDArray[np.float32], weights: Array, n: int) -> list[int]:
    """Candidates whose expected improvement together is large, one after the other.

    After each, a point counts by how likely it is still free.

    Args:
        gains: See :func:`expected_gains`.
        weights: Of the points: ``[points]``.
        n: How many at most; fewer where no other one improves anything.
    """
    left = weights.astype(np.float32)
    picked: list[int] = []
    while len(picked) < min(n, len(gains)):
        improvement = gains @ left
        improvement[picked] = -1.0
        best = int(np.argmax(improvement))
        if improvement[best] <= 0:
            break
        picked.append(best)
        left = left * (1 - gains[best])
    return picked
