"""Candidates that a search chooses from: priced, with features, and never seen before."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nas.problem import Codes, Problem

__all__ = ["CandidatePool", "children"]

CHUNK = 20_000
STALE = 3
"""Draws in a row that bring little new before the candidates are taken to be all there are."""
LITTLE = 0.02
MUTATED = 2.0
"""Parameters that a mutation changes on average."""


class CandidatePool:
    """Distinct candidates of a problem that exist, with what they cost and their features.

    Attributes:
        codes: ``[n, parameters]``.
        costs: ``[n, costs]``.
        features: ``[n, features]``, in single precision.

    Args:
        problem: Where they are from.
        size: How many to draw at random; fewer where there are no more.
        rng: Of the draws.
    """

    def __init__(self, problem: Problem, size: int, rng: np.random.Generator) -> None:
        self.problem = problem
        self._known: set[bytes] = set()
        width = len(problem.parameters)
        self.codes = np.empty((0, width), dtype=np.int64)
        self.costs = np.empty((0, len(problem.costs)))
        self.features: NDArray[np.float32] | None = None
        stale = 0
        while len(self.codes) < size and stale < STALE:
            wanted = min(CHUNK, size)
            added = self.add(problem.random_codes(wanted, rng))
            stale = stale + 1 if added < LITTLE * wanted else 0
        self._drop_over(size)

    def __len__(self) -> int:
        return len(self.codes)

    def add(self, codes: Codes) -> int:
        """Adds those that exist and are new; returns how many."""
        codes = np.unique(np.asarray(codes, dtype=np.int64), axis=0)
        codes = codes[self.problem.exist(codes)]
        fresh = []
        for row, key in enumerate(self.problem.keys(codes)):
            if key not in self._known:
                self._known.add(key)
                fresh.append(row)
        codes = codes[fresh]
        if not len(codes):
            return 0
        features = self.problem.features(codes).astype(np.float32)
        self.codes = np.concatenate([self.codes, codes])
        self.costs = np.concatenate([self.costs, self.problem.cost_values(codes)])
        known = self.features
        self.features = features if known is None else np.concatenate([known, features])
        return len(codes)

    def keep(self, chosen: NDArray[np.bool_]) -> None:
        """Forgets all others, which may come back."""
        assert self.features is not None
        for key in self.problem.keys(self.codes[~chosen]):
            self._known.discard(key)
        self.codes, self.costs = self.codes[chosen], self.costs[chosen]
        self.features = self.features[chosen]

    def remove(self, rows: NDArray[np.intp]) -> None:
        """Takes out candidates for good: they are not added again."""
        assert self.features is not None
        left = np.ones(len(self.codes), dtype=bool)
        left[rows] = False
        self.codes, self.costs = self.codes[left], self.costs[left]
        self.features = self.features[left]

    def exclude(self, codes: Codes) -> None:
        """Takes out candidates by their codes for good, whether they are in it or not."""
        keys = set(self.problem.keys(codes))
        if len(self.codes) and keys & self._known:
            own = self.problem.keys(self.codes)
            self.remove(np.flatnonzero([key in keys for key in own]))
        self._known |= keys

    def _drop_over(self, size: int) -> None:
        if len(self.codes) > size:
            self.keep(np.arange(len(self.codes)) < size)


def children(
    problem: Problem, parents: Codes, n: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Mutations and crossovers of candidates: ``[n, parameters]``.

    Half have some parameters changed, half take each parameter from one of two parents and have
    one changed in half of the cases.
    """
    sizes = np.array([len(choices) for choices in problem.parameters.values()])
    first = parents[rng.integers(len(parents), size=n)].astype(np.int64)
    second = parents[rng.integers(len(parents), size=n)]
    crossed = np.arange(n) % 2 == 1
    swap = (rng.random(first.shape) < 0.5) & crossed[:, None]
    first[swap] = second[swap]
    rate = np.where(crossed, 0.5, MUTATED) / len(sizes)
    change = rng.random(first.shape) < rate[:, None]
    drawn = rng.integers(0, sizes, size=first.shape)
    first[change] = drawn[change]
    return first
