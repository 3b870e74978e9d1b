"""Candidates of a problem that nobody proposed yet."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nas.candidate_pool import children
from nas.listing import every_code
from nas.problem import Codes, Problem

__all__ = ["Unseen"]

CHANGES = 20
"""Parameters up to which a candidate is changed in search of one that is new."""
CHILDREN = 100
DRAWS = (100, 1_000, 10_000, 20_000)
"""Random candidates that are drawn, time after time, before all are taken to be seen."""


class Unseen:
    """What is left of a problem's candidates.

    Where they can be listed, it is known exactly; otherwise as far as random draws and mutations
    find any.

    Args:
        problem: Whose candidates they are.
        rng: Of what is drawn.
    """

    def __init__(self, problem: Problem, rng: np.random.Generator) -> None:
        self.problem, self.rng = problem, rng
        choices = list(problem.parameters.values())
        self._sizes = np.array([len(each) for each in choices])
        self._ordered = np.array([not isinstance(each[0], str | bool) for each in choices])
        self._seen: dict[bytes, NDArray[np.int64]] = {}
        self._next: NDArray[np.int64] | None = None
        self._codes = every_code(problem)
        self._numbers: dict[bytes, int] = {}
        if self._codes is not None:
            keys = problem.keys(self._codes)
            numbers = [self._numbers.setdefault(key, len(self._numbers)) for key in keys]
            self._candidate_of = np.array(numbers, dtype=np.int64)
            self._left = np.ones(len(self._numbers), dtype=bool)

    def leave_out(self, codes: Codes) -> None:
        """Notes candidates ``[n, parameters]`` as seen."""
        rows = np.asarray(codes, dtype=np.int64)
        for key, row in zip(self.problem.keys(rows), rows, strict=True):
            self._seen[key] = row
            if key in self._numbers:
                self._left[self._numbers[key]] = False

    def are_new(self, codes: Codes) -> NDArray[np.bool_]:
        """Which codes ``[n, parameters]`` are candidates that were not seen: ``[n]``."""
        fresh = np.array([key not in self._seen for key in self.problem.keys(codes)], dtype=bool)
        new: NDArray[np.bool_] = self.problem.exist(codes) & fresh
        return new

    def any_left(self) -> bool:
        """Whether a candidate is left that was not seen."""
        if self._codes is not None:
            return bool(self._left.any())
        if self._next is None or not self.are_new(self._next[None, :])[0]:
            self._next = self._drawn()
        return self._next is not None

    def near(self, row: NDArray[np.int64]) -> NDArray[np.int64] | None:
        """The candidate ``[parameters]`` itself if it is new, else one near it that is.

        ``None`` where nothing is left.
        """
        if self.are_new(row[None, :])[0]:
            return row
        if self._codes is not None:
            return self._nearest(row)
        for changes in range(1, CHANGES):
            mutants = np.repeat(row[None, :], CHILDREN, axis=0)
            for _ in range(changes):
                column = self.rng.integers(len(self._sizes), size=CHILDREN)
                mutants[np.arange(CHILDREN), column] = self.rng.integers(self._sizes[column])
            fresh = np.flatnonzero(self.are_new(mutants))
            if len(fresh):
                return np.asarray(mutants[fresh[0]])
        return self.random()

    def random(self) -> NDArray[np.int64] | None:
        """A random candidate ``[parameters]`` that is new; ``None`` where nothing is left."""
        if self._codes is None:
            return self._next if self.any_left() else None
        left = np.flatnonzero(self._left[self._candidate_of])
        return np.asarray(self._codes[self.rng.choice(left)]) if len(left) else None

    def _nearest(self, row: NDArray[np.int64]) -> NDArray[np.int64] | None:
        """Of the listed ones: the fewest words changed, and numbers by the fewest steps."""
        assert self._codes is not None
        left = self._codes[self._left[self._candidate_of]]
        if not len(left):
            return None
        steps = np.abs(left - row) / np.maximum(self._sizes - 1, 1)
        distance = np.where(self._ordered, steps, left != row).sum(axis=1)
        nearest = np.flatnonzero(distance <= distance.min() + 1e-9)
        return np.asarray(left[self.rng.choice(nearest)])

    def _drawn(self) -> NDArray[np.int64] | None:
        for n in DRAWS:
            drawn = self.problem.random_codes(n, self.rng)
            fresh = np.flatnonzero(self.are_new(drawn))
            if len(fresh):
                return np.asarray(drawn[fresh[0]])
        if self._seen:
            seen = np.stack(list(self._seen.values()))
            mutants = children(self.problem, seen, DRAWS[-1], self.rng)
            fresh = np.flatnonzero(self.are_new(mutants))
            if len(fresh):
                return np.asarray(mutants[fresh[0]])
        return None
