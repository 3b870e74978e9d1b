"""A search that knows what candidates cost and learns how good they are.

Only the quality is unknown: costs are exact for every candidate of a large pool, so the expected
improvement of the hypervolume needs a belief about the quality alone
(:mod:`nas.expected_improvement`). Nothing of the true front is given; the region whose volume
counts follows from what was seen and is believed.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nas.candidate_pool import CandidatePool, children
from nas.expected_improvement import Box, Sampled, expected_gains, pick_batch, sample_points
from nas.problem import Codes, Problem
from nas.quality_model import Belief, QualityModel

__all__ = ["CostAwareSearch"]

POOL = 100_000
CONSIDERED = 10_000
"""Candidates of the pool whose quality is predicted for one proposal, drawn anew each time."""
SCREENED, SCREEN_POINTS = 3_000, 512
"""Of them, how many the improvement is worked out for in full, by a coarse sample of points."""
POINTS = 1_536
BRED, GENERATIONS, PARENTS = 1_500, 3, 60
"""Children of the best so far, how often they breed again, and how many parents there are."""
ABOVE = 200
"""Candidates above which points are drawn."""
ROOM = 40_000
"""Candidates by which the pool may grow."""
BOUNDED = 2_000
"""Candidates from which the region that counts is estimated."""
MARGIN = 0.1
"""How far the region reaches beyond the costs of the front, as a share of their range."""
OPTIMISM = 1.0
"""Standard deviations below the mean down to which the region reaches in quality."""


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
        self._codes: list[NDArray[np.int64]] = []
        self._quality: list[float] = []
        self._proposed = 0

    def tell(self, codes: Codes, quality: NDArray[np.float64]) -> None:
        """Takes up evaluations: codes ``[n, parameters]`` and qualities ``[n]``.

        Raises:
            ValueError: A quality is NaN or infinite; leave failed candidates out.
        """
        quality = np.asarray(quality, dtype=float)
        if not np.isfinite(quality).all():
            raise ValueError(
                f"`quality` must be finite; got {quality[~np.isfinite(quality)][0]}. "
                "Leave candidates out whose evaluation failed."
            )
        self._pool.exclude(codes)
        # Of what is no candidate, or over a budget, the costs are not asked for.
        exist = self.problem.exist(codes)
        self._codes += list(np.asarray(codes, dtype=np.int64)[exist])
        self._quality += quality[exist].tolist()

    def leave_out(self, codes: Codes) -> None:
        """Never proposes these: they failed, or somebody evaluates them now."""
        self._pool.exclude(codes)

    def ask(self, n: int = 1, pending: Codes | None = None) -> NDArray[np.int64]:
        """Candidates to evaluate next: ``[n, parameters]``, or fewer where no more are left.

        Args:
            n: How many, to be evaluated side by side.
            pending: Candidates that are being evaluated: what they probably improve is left out.
        """
        if not len(self._pool):
            self._breed(np.array(self._codes))
        if not len(self._pool):
            return np.empty((0, len(self.problem.parameters)), dtype=np.int64)
        begun = max(self._proposed, len(self._quality))
        if len(self._quality) < 2 or begun < self.initial:
            rows = self._spread(min(n, max(self.initial - begun, 1)))
        else:
            rows = self._improving(n, pending)
        codes: NDArray[np.int64] = self._pool.codes[rows]
        self._pool.remove(rows)
        if len(self._pool) > self.pool + ROOM:
            # The newest were bred from the best, and stay.
            last = np.arange(len(self._pool)) >= len(self._pool) - ROOM // 2
            chosen = self._rng.permutation(len(self._pool)) < self.pool
            self._pool.keep(last | chosen)
        self._proposed += len(codes)
        return codes

    def _spread(self, n: int) -> NDArray[np.intp]:
        """Candidates far from each other and from those known, in the ranks of their costs."""
        considered = self._draw(CONSIDERED // 5)
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
        return considered[picked]

    def _draw(self, n: int) -> NDArray[np.intp]:
        """Rows of the pool, at random."""
        if len(self._pool) <= n:
            return self._rng.permutation(len(self._pool))
        return self._rng.choice(len(self._pool), size=n, replace=False)

    def _known_costs(self) -> NDArray[np.float64]:
        if not self._codes:
            return np.empty((0, len(self.problem.costs)))
        return self.problem.cost_values(np.array(self._codes))

    def _breed(self, parents: Codes) -> int:
        return self._pool.add(children(self.problem, parents, BRED, self._rng))

    def _improving(self, n: int, pending: Codes | None) -> NDArray[np.intp]:
        codes, quality = np.array(self._codes), np.array(self._quality)
        costs, features = self._known_costs(), self.problem.features(codes)
        rows = self._draw(CONSIDERED)
        if self._model is None:
            assert self._pool.features is not None
            self._model = QualityModel(self._pool.features[rows].astype(float))
        model = self._model.fit(features, quality)
        belief = self._believe(rows, model)
        box = _box(model, quality, costs, belief, self._pool.costs[rows])
        front = np.column_stack([quality, costs])
        members = _nondominated(front)
        front, parents = front[members], codes[members]
        coarse = self._sample(box, rows, belief, front, SCREEN_POINTS, model)
        scores = self._scores(rows, belief, coarse)
        for _ in range(GENERATIONS):
            best = rows[np.argsort(-scores)[:PARENTS]]
            known = len(self._pool)
            self._breed(np.concatenate([parents, self._pool.codes[best]]))
            bred = np.arange(known, len(self._pool))
            theirs = self._believe(bred, model)
            rows, belief = np.concatenate([rows, bred]), _joined(belief, theirs)
            scores = np.concatenate([scores, self._scores(bred, theirs, coarse)])
        order = np.argsort(-scores)[:SCREENED]
        rows, belief = rows[order], Belief(belief.mean[order], belief.spread[order])
        fine = self._sample(box, rows, belief, front, POINTS, model)
        weights = fine.weights
        if pending is not None and len(pending):
            theirs = model.predict(self.problem.features(pending))
            waiting = expected_gains(self.problem.cost_values(pending), theirs, fine)
            weights = weights * np.prod(1 - waiting, axis=0)
        gains = expected_gains(self._pool.costs[rows], belief, fine)
        chosen = rows[pick_batch(gains, weights, n)]
        if len(chosen) < n:
            others = np.setdiff1d(self._draw(CONSIDERED), chosen)
            chosen = np.concatenate([chosen, others[: n - len(chosen)]])
        return chosen

    def _believe(self, rows: NDArray[np.intp], model: QualityModel) -> Belief:
        assert self._pool.features is not None
        if not len(rows):
            return Belief(np.empty(0), np.empty(0))
        return model.predict(self._pool.features[rows].astype(float))

    def _sample(
        self,
        box: Box,
        rows: NDArray[np.intp],
        belief: Belief,
        front: NDArray[np.float64],
        points: int,
        model: QualityModel,
    ) -> Sampled:
        """Points of the box, some of them above candidates that may be in the next front."""
        hopeful = np.argsort(belief.mean - OPTIMISM * belief.spread)[:ABOVE]
        above = self._pool.costs[rows[hopeful]]
        sampled = sample_points(box, above, front, points, self._rng)
        return Sampled(sampled.costs, model.scaled(sampled.quality), sampled.weights)

    def _scores(
        self, rows: NDArray[np.intp], belief: Belief, sampled: Sampled
    ) -> NDArray[np.float64]:
        gains = expected_gains(self._pool.costs[rows], belief, sampled)
        return np.asarray(gains @ sampled.weights, dtype=float)


def _box(
    model: QualityModel,
    quality: NDArray[np.float64],
    costs: NDArray[np.float64],
    belief: Belief,
    pool_costs: NDArray[np.float64],
) -> Box:
    """The region that counts: better than half of the candidates, and a bit beyond its front."""
    few = slice(BOUNDED)
    seen = model.scaled(quality)
    believed = np.concatenate([seen, belief.mean[few]])
    worst = float(np.median(belief.mean))
    points = np.column_stack([believed, np.concatenate([costs, pool_costs[few]])])
    points = points[points[:, 0] <= max(worst, float(believed.min()))]
    front = points[_nondominated(points)][:, 1:]
    low, high = front.min(axis=0), front.max(axis=0)
    best = min(float((belief.mean - OPTIMISM * belief.spread).min()), float(seen.min()))
    return Box(
        ideal=low,
        reference=high + MARGIN * np.maximum(high - low, 1e-12 * (1 + np.abs(high))),
        best=float(model.unscaled(np.array(best))),
        worst=float(model.unscaled(np.array(max(worst, best + 1e-9)))),
    )


def _joined(first: Belief, second: Belief) -> Belief:
    return Belief(
        np.concatenate([first.mean, second.mean]), np.concatenate([first.spread, second.spread])
    )


def _nondominated(points: NDArray[np.float64]) -> NDArray[np.bool_]:
    import moocore

    kept: NDArray[np.bool_] = moocore.is_nondominated(points, keep_weakly=True)
    return kept
