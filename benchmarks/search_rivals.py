"""The samplers that are compared: each proposes candidates of a problem and is told their quality.

All see the same: the problem with its exact costs, and the quality of what they proposed. Those of
others turn a proposal that was seen before, or that is no candidate, into the nearest that is new
(:class:`nas.unseen.Unseen`), so that none of them loses evaluations to repeats.

Here are the protocol, and two rivals that are not from a library.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from nas.problem import Problem
from nas.unseen import Unseen

__all__ = [
    "BATCH",
    "INITIAL",
    "Archive",
    "Lemonade",
    "LocalSearch",
    "Search",
    "mutants",
    "population",
    "random_batch",
    "sizes",
]

INITIAL = 20
"""Candidates of the first design."""
BATCH = 5
"""Candidates that are evaluated side by side, by samplers that propose several at once."""
LARGE, MANY = 50, 3
"""Members of a population where there are more objectives than that. Of 20 and 50, the one did
better on NAS-Bench-201 with 3 objectives, the other on the large space with 8."""
CHILDREN = 100

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class Search(Protocol):
    """Proposes candidates and learns from their quality."""

    def ask(self) -> Ints:
        """New candidates ``[n, parameters]``; none when it has seen all that it can find."""

    def tell(self, codes: Ints, quality: Floats, error: float = 0.0) -> None:
        """Takes up the quality of what was asked for.

        Args:
            codes: What was asked for.
            quality: Its quality, minimised: ``[n]``.
            error: The known standard deviation of what noise adds to that, for those that can use
                it.
        """


def random_batch(unseen: Unseen) -> Ints:
    """Random candidates that are new, and seen from now on: at most a batch ``[n, parameters]``."""
    rows: list[Ints] = []
    while len(rows) < BATCH and (row := unseen.random()) is not None:
        unseen.leave_out(row[None, :])
        rows.append(row)
    return np.stack(rows) if rows else np.empty((0, len(unseen.problem.parameters)), dtype=np.int64)


def sizes(problem: Problem) -> Ints:
    """How many choices each parameter has: ``[parameters]``."""
    return np.array([len(choices) for choices in problem.parameters.values()])


def population(problem: Problem) -> int:
    """How many members evolutionary samplers have."""
    return INITIAL if 1 + len(problem.costs) <= MANY else LARGE


class Archive:
    """What a search of this module was told, as objectives."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.codes = np.empty((0, len(problem.parameters)), dtype=np.int64)
        self.values = np.empty((0, 1 + len(problem.costs)))

    def add(self, codes: Ints, quality: Floats) -> None:
        values = np.column_stack([quality, self.problem.cost_values(codes)])
        self.codes = np.concatenate([self.codes, codes])
        self.values = np.concatenate([self.values, values])

    @property
    def front(self) -> Ints:
        """Positions of those that are not dominated."""
        import moocore

        return np.flatnonzero(moocore.is_nondominated(self.values, keep_weakly=True))


class LocalSearch:
    """Evaluates random neighbours of random members of the front, one parameter changed."""

    def __init__(self, problem: Problem, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.unseen, self.archive = Unseen(problem, self.rng), Archive(problem)
        self.sizes = sizes(problem)

    def ask(self) -> Ints:
        row = self._child() if len(self.archive.codes) >= INITIAL else self.unseen.random()
        if row is None:
            return self.archive.codes[:0]
        self.unseen.leave_out(row[None, :])
        return row[None, :]

    def tell(self, codes: Ints, quality: Floats, error: float = 0.0) -> None:
        self.archive.add(codes, quality)

    def _child(self) -> Ints | None:
        parents = self.archive.codes[self.archive.front]
        return self.unseen.near(mutants(parents, 1, self.sizes, self.rng)[0])


class Lemonade:
    """Evolution of the front that spreads over the cheap costs (Elsken et al., ICLR 2019).

    Parents are drawn where the front is sparse in the costs, as a kernel density says, and so are
    those of their many children that are evaluated.
    """

    def __init__(self, problem: Problem, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.problem = problem
        self.unseen, self.archive = Unseen(problem, self.rng), Archive(problem)
        self.sizes = sizes(problem)

    def ask(self) -> Ints:
        rows: list[Ints] = []
        chosen = self._chosen() if len(self.archive.codes) >= INITIAL else None
        for position in range(BATCH):
            row = self.unseen.random() if chosen is None else self.unseen.near(chosen[position])
            if row is None:
                break
            self.unseen.leave_out(row[None, :])
            rows.append(row)
        return np.stack(rows) if rows else self.archive.codes[:0]

    def tell(self, codes: Ints, quality: Floats, error: float = 0.0) -> None:
        self.archive.add(codes, quality)

    def _chosen(self) -> Ints:
        front = self.archive.front
        costs = self.archive.values[front, 1:]
        center, spread = costs.mean(axis=0), costs.std(axis=0)
        points = (costs - center) / np.where(spread > 0, spread, 1.0)
        parents = self.archive.codes[front[self._sparse(points, points, CHILDREN)]]
        children = mutants(parents, CHILDREN, self.sizes, self.rng, each=True)
        fresh = children[self.unseen.are_new(children)]
        if len(fresh) < BATCH:
            return children[self.rng.integers(len(children), size=BATCH)]
        priced = (self.problem.cost_values(fresh) - center) / np.where(spread > 0, spread, 1.0)
        return fresh[self._sparse(priced, points, BATCH, replace=False)]

    def _sparse(self, points: Floats, data: Floats, n: int, replace: bool = True) -> Ints:
        """Positions of points, drawn by one over the density of the data there."""
        width = max(len(data), 2) ** (-1 / (data.shape[1] + 4))  # Scott's rule.
        distance = ((points[:, None, :] - data[None, :, :]) ** 2).sum(axis=2)
        density = np.exp(-0.5 * distance / width**2).mean(axis=1)
        weights = 1 / np.maximum(density, 1e-6)
        return self.rng.choice(len(points), size=n, replace=replace, p=weights / weights.sum())


def mutants(
    parents: Ints, n: int, sizes: Ints, rng: np.random.Generator, each: bool = False
) -> Ints:
    """``n`` children ``[n, parameters]`` with one parameter changed, of random parents or each."""
    children = (parents if each else parents[rng.integers(len(parents), size=n)]).copy()
    free = np.flatnonzero(sizes > 1)
    column = rng.choice(free, size=n)
    rows = np.arange(n)
    step = rng.integers(1, sizes[column])
    children[rows, column] = (children[rows, column] + step) % sizes[column]
    return children
