"""Candidates that a search chooses from, with costs and features, and never seen before."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.lazy_rows import LazyRows
from nas.listing import every_code
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
        costs: ``[n, costs]``, worked out for the rows that are asked for.
        features: ``[n, features]``, likewise, in single precision.
        free: Which of them nobody took: ``[n]``.

    Args:
        problem: Where they are from.
        size: How many to draw at random; fewer where there are no more.
        rng: Of the draws.
    """

    def __init__(self, problem: Problem, size: int, rng: np.random.Generator) -> None:
        self.problem, self._size, self._rng = problem, size, rng
        self._listed = every_code(problem)
        self._taken: set[bytes] = set()
        self._fill()

    def __len__(self) -> int:
        """How many are free."""
        return int(self.free.sum())

    def _fill(self) -> None:
        """Puts others in the place of all that were taken, as far as there are any."""
        row_of: dict[bytes, int] = {}
        parts = [np.empty((0, len(self.problem.parameters)), dtype=np.int64)]
        if self._listed is not None:
            parts.append(self._add_new(row_of, self._rng.permutation(self._listed)))
        stale = 0
        while self._listed is None and len(row_of) < self._size and stale < STALE:
            wanted = min(CHUNK, self._size)
            parts.append(self._add_new(row_of, self.problem.random_codes(wanted, self._rng)))
            stale = stale + 1 if len(parts[-1]) < LITTLE * wanted else 0
        self.codes = codes = np.concatenate(parts)[: self._size]
        self.costs = LazyRows(len(codes), partial(_costs, self.problem, codes))
        self.features = LazyRows(len(codes), partial(_features, self.problem, codes))
        self.free = np.ones(len(codes), dtype=bool)
        self._row_of = {key: row for key, row in row_of.items() if row < len(codes)}

    def _add_new(self, row_of: dict[bytes, int], codes: Codes) -> NDArray[np.int64]:
        """Those that exist, nobody took and have no row; they get the next ones."""
        codes = codes[self.problem.exist(codes)]
        added = []
        for position, key in enumerate(self.problem.keys(codes)):
            if key not in self._taken and key not in row_of:
                row_of[key] = len(row_of)
                added.append(position)
        return codes[added].astype(np.int64, copy=False)

    def refill(self) -> bool:
        """Draws others once all are taken; whether any is free then."""
        if not self.free.any():
            self._fill()
        return bool(self.free.any())

    def draw(self, n: int) -> NDArray[np.intp]:
        """At most so many rows that are free, at random."""
        free = np.flatnonzero(self.free)
        if len(free) <= n:
            return self._rng.permutation(free)
        return self._rng.choice(free, size=n, replace=False)

    def new(self, codes: Codes) -> NDArray[np.int64]:
        """Of codes ``[n, parameters]`` those that exist and nobody took, each candidate once."""
        return self._add_new({}, np.unique(np.asarray(codes, dtype=np.int64), axis=0))

    def take(self, codes: Codes) -> None:
        """Never gives out these again, whether they are in it or not."""
        for key in self.problem.keys(codes):
            self._taken.add(key)
            if key in self._row_of:
                self.free[self._row_of[key]] = False


def children(
    problem: Problem, parents: Codes, n: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Mutations and crossovers of candidates: ``[n, parameters]``.

    Half have some parameters changed, half take each parameter from one of two parents and have
    one changed in half of the cases. Half of the changes of a number go to the next smaller or
    larger choice.
    """
    sizes = np.array([len(choices) for choices in problem.parameters.values()])
    ordered = np.array(
        [not any(isinstance(c, str | bool) for c in own) for own in problem.parameters.values()]
    )
    first = parents[rng.integers(len(parents), size=n)].astype(np.int64)
    second = parents[rng.integers(len(parents), size=n)]
    crossed = np.arange(n) % 2 == 1
    swap = (rng.random(first.shape) < 0.5) & crossed[:, None]
    first[swap] = second[swap]
    rate = np.where(crossed, 0.5, MUTATED) / len(sizes)
    change = rng.random(first.shape) < rate[:, None]
    drawn = rng.integers(0, sizes, size=first.shape)
    step = np.clip(first + rng.choice([-1, 1], size=first.shape), 0, sizes - 1)
    near = ordered & (rng.random(first.shape) < 0.5)
    return np.where(change, np.where(near, step, drawn), first)


def _costs(problem: Problem, codes: Codes, rows: NDArray[np.intp]) -> NDArray[Any]:
    return problem.cost_values(codes[rows])


def _features(problem: Problem, codes: Codes, rows: NDArray[np.intp]) -> NDArray[Any]:
    return problem.features(codes[rows]).astype(np.float32)
