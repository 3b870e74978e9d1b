"""A search that knows what candidates cost and learns how good they are.

Only the quality is unknown: costs are exact for every candidate of a large pool, so the expected
improvement of the hypervolume needs a belief about the quality alone
(:mod:`nas.expected_improvement`). Nothing of the true front is given; the region whose volume
counts follows from what was seen and is believed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.candidate_pool import CandidatePool, children
from nas.expected_improvement import Box, Sampled, expected_gains, pick_batch, sample_points
from nas.problem import Codes, Floats, Problem
from nas.quality_model import Belief, QualityModel

__all__ = ["CostAwareSearch"]

POOL = 100_000
DRAWN = 8_000
"""Candidates of the pool whose quality is predicted for one proposal, drawn anew each time."""
BRED, GENERATIONS = 3_000, 4
"""Children of the best so far, and how often they breed again."""
LEAST, KEPT = 20, 3_000
"""Candidates that may be on the next front: at least so many, with others of the best quality that
may be, and at most."""
SCREEN_POINTS, POINTS = 512, 1_536
"""Costs that the improvement is summed over: to see which candidates matter, and to choose."""
SCREENED = 2_000
"""Candidates that are chosen from."""
ABOVE = 300
"""Candidates above which costs are sampled."""
SPREAD = 2_000
"""Candidates that the first design is chosen from."""
FEWEST = 2
"""Evaluations that anything is learned from."""
MARGIN = 0.1
"""How far the region that counts reaches beyond the costs of the front, as a share of their range.
"""
OPTIMISM = 1.0
"""Standard deviations by which a quality may be better than believed."""


@dataclass(frozen=True, slots=True)
class _Population:
    """Candidates with what is known and believed of them, in the same order."""

    codes: NDArray[np.int64]
    costs: NDArray[np.float64]
    belief: Belief

    def some(self, rows: NDArray[np.intp]) -> _Population:
        belief = Belief(self.belief.mean[rows], self.belief.spread[rows])
        return _Population(self.codes[rows], self.costs[rows], belief)

    def joined(self, other: _Population) -> _Population:
        belief = Belief(
            np.concatenate([self.belief.mean, other.belief.mean]),
            np.concatenate([self.belief.spread, other.belief.spread]),
        )
        codes = np.concatenate([self.codes, other.codes])
        return _Population(codes, np.concatenate([self.costs, other.costs]), belief)

    @property
    def optimistic(self) -> NDArray[np.float64]:
        return self.belief.mean - OPTIMISM * self.belief.spread

    def __len__(self) -> int:
        return len(self.codes)


class CostAwareSearch:
    """Proposes candidates by the expected improvement of the hypervolume; all are minimised.

    Args:
        problem: The candidates, their costs and features.
        seed: Of every random choice; the same answers give the same proposals.
        initial: Candidates spread over the costs before anything is learned.
        pool: Candidates that are priced at the start.
    """

    def __init__(
        self, problem: Problem, *, seed: int = 0, initial: int = 20, pool: int = POOL
    ) -> None:
        self.problem, self.initial, self.pool = problem, initial, pool
        self._rng = np.random.default_rng(seed)
        self._pool = CandidatePool(problem, pool, self._rng)
        self._model: QualityModel | None = None
        self._typical = np.empty((0, 0))
        self._hopeful = np.empty((0, len(problem.parameters)), dtype=np.int64)
        self._codes: list[NDArray[np.int64]] = []
        self._quality: list[float] = []
        self._errors: list[float] = []
        self._proposed = 0

    def tell(self, codes: Codes, quality: Floats, errors: Floats | None = None) -> None:
        """Takes up evaluations.

        Args:
            codes: What was evaluated: ``[n, parameters]``.
            quality: What was found: ``[n]``.
            errors: The part of its standard error that is known, in the same unit: ``[n]``; none
                when absent. What it explains is not taken for how good the candidate is.

        Raises:
            ValueError: A quality is NaN or infinite; leave failed candidates out. Or ``errors`` are
                not as many, or one of them is not a finite number of at least 0.
        """
        quality = np.asarray(quality, dtype=float)
        if not np.isfinite(quality).all():
            raise ValueError(
                f"`quality` must be finite; got {quality[~np.isfinite(quality)][0]}. "
                "Leave candidates out whose evaluation failed."
            )
        errors = np.zeros(len(quality)) if errors is None else np.asarray(errors, dtype=float)
        if errors.shape != quality.shape:
            raise ValueError(
                f"`errors` must be one for each quality; got {errors.shape} and {quality.shape}."
            )
        wrong = ~(np.isfinite(errors) & (errors >= 0))
        if wrong.any():
            raise ValueError(f"`errors` must be finite and at least 0; got {errors[wrong][0]}.")
        self._pool.take(codes)
        # Of what is no candidate, or over a budget, the costs are not asked for.
        exist = self.problem.exist(codes)
        self._codes += list(np.asarray(codes, dtype=np.int64)[exist])
        self._quality += quality[exist].tolist()
        self._errors += errors[exist].tolist()

    def leave_out(self, codes: Codes) -> None:
        """Never proposes these: they failed, or somebody evaluates them now."""
        self._pool.take(codes)

    @property
    def exhausted(self) -> bool:
        """Whether every candidate, as far as any can be found, was proposed or left out."""
        return not self._pool.refill() and not len(self._bred(1))

    def ask(self, n: int = 1, pending: Codes | None = None) -> NDArray[np.int64]:
        """Candidates to evaluate next: ``[n, parameters]``, or fewer where no more are left.

        Args:
            n: How many, to be evaluated side by side.
            pending: Candidates that are being evaluated: what they probably improve is left out.
        """
        begun = max(self._proposed, len(self._quality))
        if not self._pool.refill():
            codes = self._bred(n)
        elif len(self._quality) < FEWEST or begun < self.initial:
            codes = self._spread(min(n, max(self.initial - begun, 1)))
        else:
            codes = self._improving(n, pending)
        self._pool.take(codes)
        self._proposed += len(codes)
        return codes

    def _bred(self, n: int) -> NDArray[np.int64]:
        """Any candidates that can be bred from those that are known."""
        if not self._codes:
            return np.empty((0, len(self.problem.parameters)), dtype=np.int64)
        bred = children(self.problem, np.array(self._codes), BRED, self._rng)
        return self._pool.new(bred)[:n]

    def _spread(self, n: int) -> NDArray[np.int64]:
        """Candidates far from each other and from those known, in the ranks of their costs."""
        considered = self._pool.draw(SPREAD)
        costs = np.concatenate([self._known_costs(), self._pool.costs[considered]])
        ranks = np.argsort(np.argsort(costs, axis=0), axis=0) / len(costs)
        known = len(costs) - len(considered)
        own, picked = ranks[known:], list[int]()
        distance = np.full(len(own), np.inf)
        for row in ranks[:known]:
            distance = np.minimum(distance, ((own - row) ** 2).sum(axis=1))
        while len(picked) < min(n, len(own)):
            # The first one is any; argmax of equal distances would always be the same.
            best = int(np.argmax(distance)) if np.isfinite(distance).all() else 0
            picked.append(best)
            distance = np.minimum(distance, ((own - own[best]) ** 2).sum(axis=1))
        return self._pool.codes[considered[picked]]

    def _known_costs(self) -> NDArray[np.float64]:
        if not self._codes:
            return np.empty((0, len(self.problem.costs)))
        return self.problem.cost_values(np.array(self._codes))

    def _improving(self, n: int, pending: Codes | None) -> NDArray[np.int64]:
        codes, quality = np.array(self._codes), np.array(self._quality)
        costs, known = self._known_costs(), self.problem.features(codes)
        if self._model is None:
            typical = self._pool.features[self._pool.draw(DRAWN)].astype(float)
            self._model, self._typical = QualityModel(typical, max(self.initial, FEWEST)), typical
        model = self._model.fit(known, quality, np.array(self._errors))
        seen = _Population(codes, costs, Belief(model.known(), np.zeros(len(quality))))
        population = self._population(model)
        worst = float(np.median(model.predict(self._typical).mean))
        box = _box(seen.joined(population), worst)
        population = self._evolved(population, seen, box, model)
        box = _box(seen.joined(population), worst)
        front = np.column_stack([seen.belief.mean, costs])
        front = front[_nondominated(front)]
        above = self._rng.permutation(len(population))[:ABOVE]
        coarse = self._sample(box, population.some(above), front, SCREEN_POINTS)
        gains = expected_gains(population.costs, population.belief, coarse) @ coarse.weights
        population = population.some(np.argsort(-gains)[:SCREENED])
        # Half above the best ones by the coarse sample, which is blind where it has few points.
        above = self._rng.permutation(len(population))[: ABOVE // 2]
        above = np.union1d(np.arange(min(ABOVE // 2, len(population))), above)
        fine = self._sample(box, population.some(above), front, POINTS)
        if pending is not None and len(pending):
            waiting = model.predict(self.problem.features(pending)).mean
            for cost, mean in zip(self.problem.cost_values(pending), waiting, strict=True):
                fine = fine.improved(cost, float(mean))
        features = self.problem.features(population.codes)

        def covariance(row: int) -> NDArray[np.float64]:
            return model.covariance(features, features[row])

        picked = pick_batch(population.costs, population.belief, fine, n, covariance)
        chosen = population.codes[picked]
        self._hopeful = population.codes
        if len(chosen) < n:
            self._pool.take(chosen)
            chosen = np.concatenate([chosen, self._pool.codes[self._pool.draw(n - len(chosen))]])
        return chosen

    def _population(self, model: QualityModel) -> _Population:
        """Candidates of the pool, and what was hopeful the last time."""
        rows = self._pool.draw(DRAWN)
        drawn = _Population(
            self._pool.codes[rows],
            self._pool.costs[rows],
            _believe(model, self._pool.features[rows]),
        )
        return self._distinct(drawn.joined(self._unknown(self._hopeful, model)))

    def _distinct(self, population: _Population) -> _Population:
        first: dict[bytes, int] = {}
        for row, key in enumerate(self.problem.keys(population.codes)):
            first.setdefault(key, row)
        return population.some(np.fromiter(first.values(), dtype=np.intp))

    def _unknown(self, codes: Codes, model: QualityModel) -> _Population:
        """Those of some codes that may be proposed."""
        codes = self._pool.new(codes)
        if not len(codes):
            return _Population(
                codes, np.empty((0, len(self.problem.costs))), Belief(np.empty(0), np.empty(0))
            )
        costs = self.problem.cost_values(codes)
        return _Population(codes, costs, _believe(model, self.problem.features(codes)))

    def _evolved(
        self, population: _Population, seen: _Population, box: Box, model: QualityModel
    ) -> _Population:
        """What may be on the next front, bred for some generations."""
        for _ in range(GENERATIONS):
            population = self._next_front(population, box)
            parents = np.concatenate([population.codes, seen.codes])
            bred = children(self.problem, parents, BRED, self._rng)
            population = self._distinct(population.joined(self._unknown(bred, model)))
        return self._next_front(population, box)

    def _next_front(self, population: _Population, box: Box) -> _Population:
        """Those that may improve anything: on the front of what is believed, or of what may be."""
        within = (population.optimistic < box.worst) & (population.costs < box.reference).all(
            axis=1
        )
        if within.any():
            population = population.some(np.flatnonzero(within))
        likely = np.column_stack([population.belief.mean, population.costs])
        perhaps = np.column_stack([population.optimistic, population.costs])
        rows = np.flatnonzero(_nondominated(likely) | _nondominated(perhaps))
        if len(rows) < LEAST:  # Without costs a front is a single candidate, and batches are more.
            rows = np.union1d(rows, np.argsort(population.optimistic)[:LEAST])
        return population.some(self._rng.permutation(rows)[:KEPT])

    def _sample(
        self, box: Box, above: _Population, front: NDArray[np.float64], points: int
    ) -> Sampled:
        return sample_points(box, above.costs, above.belief, front, points, self._rng)


def _believe(model: QualityModel, features: NDArray[Any]) -> Belief:
    if not len(features):
        return Belief(np.empty(0), np.empty(0))
    return model.predict(features.astype(float))


def _box(population: _Population, worst: float) -> Box:
    """The region that counts: better than half of all candidates, and a bit beyond its front."""
    mean = population.belief.mean
    worst = max(worst, float(mean.min()) + 1e-9)
    points = np.column_stack([mean, population.costs])
    points = points[points[:, 0] <= worst]
    front = points[_nondominated(points)][:, 1:]
    low, high = front.min(axis=0), front.max(axis=0)
    least = 1e-12 * (1 + np.abs(high))
    return Box(low, high + MARGIN * np.maximum(high - low, least), worst)


def _nondominated(points: NDArray[np.float64]) -> NDArray[np.bool_]:
    import moocore

    kept: NDArray[np.bool_] = moocore.is_nondominated(points, keep_weakly=True)
    return kept
