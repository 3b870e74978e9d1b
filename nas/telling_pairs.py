"""Telling pairs: models of about the same quality of which two indicators prefer each another one.

The first costs ``r`` times as much by one indicator, the second ``s`` times as much by another, and
the smaller of the two says how much the pair tells: a model of 100 times the params that takes 1 %
more MACs than another is no contradiction that anybody has to choose about. What is within
measurement error is a tie, and tells nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations, permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.model_table import ModelTable

__all__ = ["TellingPair", "comparable_quality", "telling_pairs"]

BLOCK = 2_000_000
"""Pairs times indicators that are held at once."""
LEAST = 1.05
"""Times as costly that the dearer model is by each of the two indicators, at the least."""
SHARE = 0.05
"""Of the range from the 10 to the 90 % quantile, in which models are of about the same quality."""
MOST = 10
"""Telling pairs that are named."""
MODEL_MOST, INDICATORS_MOST = 2, 3
"""How often a model, and a pair of indicators, may be named."""


@dataclass(frozen=True, slots=True)
class TellingPair:
    """Two models of which each is cheaper than the other by one indicator.

    Attributes:
        first: It is cheaper by the first indicator.
        second: It is cheaper by the second.
        indicators: The two.
        ratios: How many times as costly the dearer one is by each of them, above 1.
        scores: Quality of the two models; NaN where none is known.
    """

    first: str
    second: str
    indicators: tuple[str, str]
    ratios: tuple[float, float]
    scores: tuple[float, float]

    @property
    def least(self) -> float:
        """The smaller of the ratios."""
        return min(self.ratios)

    @property
    def turned(self) -> TellingPair:
        """The same with the other indicator first."""
        return TellingPair(
            self.second, self.first, self.indicators[::-1], self.ratios[::-1], self.scores[::-1]
        )

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; NaN is ``null``."""
        return {
            "first": self.first,
            "second": self.second,
            "indicators": list(self.indicators),
            "ratios": list(self.ratios),
            "quality": [None if score != score else score for score in self.scores],
        }


def comparable_quality(table: ModelTable) -> float:
    """The difference up to which two models are of about the same quality."""
    known = table.scores[~np.isnan(table.scores)]
    if not len(known):
        return 0.0
    low, high = np.quantile(known, [0.1, 0.9])
    tolerance = table.tolerance(table.quality)
    error = tolerance.value * (float(np.median(np.abs(known))) if tolerance.relative else 1)
    return max(SHARE * float(high - low), error)


def telling_pairs(
    table: ModelTable,
) -> tuple[tuple[TellingPair, ...], dict[tuple[str, str], TellingPair]]:
    """The most telling flips of all, and the one of each two costs that flip.

    Of all they are chosen one after the other, each the most telling of what is left, so that no
    model is named more than twice and no two costs more than thrice. Where no quality is known
    every two models are compared.
    """
    if not len(table):
        return (), {}
    pairs = _Pairs(table)
    most = pairs.most()
    k = len(table.indicators)
    each = {}
    for i, j in combinations(range(k), 2):
        # Which of the two models is cheaper by the first cost, or by the second.
        one, other = (i, j) if most[i, j].max() >= most[j, i].max() else (j, i)
        row = int(most[one, other].argmax())
        if most[one, other, row] > 0:
            found = pairs.told(row, pairs.best(row, one, other)[0], one, other)
            each[table.indicators[i], table.indicators[j]] = found if one == i else found.turned
    return _diverse(pairs, most), each


def _diverse(pairs: _Pairs, most: NDArray[np.float64]) -> tuple[TellingPair, ...]:
    """The most telling of all; what is known to be left of each model replaces ``most``."""
    chosen: list[TellingPair] = []
    told: set[tuple[int, int]] = set()
    named = np.zeros(most.shape[2], dtype=np.int64)
    kinds = np.zeros(most.shape[:2], dtype=np.int64)
    while len(chosen) < MOST and most.max(initial=0) > 0:
        one, other, row = map(int, np.unravel_index(most.argmax(), most.shape))
        gone = np.flatnonzero(named >= MODEL_MOST)
        gone = np.concatenate([gone, [b for a, b in told if a == row]]).astype(np.int64)
        partner, left = pairs.best(row, one, other, gone)
        if left < most[one, other, row]:
            most[one, other, row] = left
            continue
        found = pairs.told(row, partner, one, other)
        chosen.append(found if one < other else found.turned)
        told.add((row, partner))
        named[[row, partner]] += 1
        kinds[[one, other], [other, one]] += 1
        most[kinds >= INDICATORS_MOST] = -np.inf
        most[:, :, named >= MODEL_MOST] = -np.inf
    return tuple(chosen)


class _Pairs:
    """Pairs of models of about the same quality: each model, and those that follow it in quality.

    Models are numbered in the order of their quality here.
    """

    def __init__(self, table: ModelTable) -> None:
        scores = table.scores
        self.order = np.flatnonzero(~np.isnan(scores))
        if len(self.order):
            self.order = self.order[np.argsort(scores[self.order], kind="stable")]
            sorted_scores = scores[self.order]
            reach = sorted_scores + comparable_quality(table) * (1 + 1e-9)
            self.ends = np.searchsorted(sorted_scores, reach, side="right")
        else:
            self.order = np.arange(len(table))
            self.ends = np.full(len(table), len(table))
        self.table = table
        self.logs = np.ascontiguousarray(table.log_costs[self.order].T)
        self.costs = np.ascontiguousarray(table.costs[self.order].T)

    def ratios(self, first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.float64]:
        """Logarithm of how many times as costly the first are, 0 of ties: ``[costs, pairs]``."""
        logs = self.logs[:, first] - self.logs[:, second]
        for i, name in enumerate(self.table.indicators):
            if name in self.table.tolerances:
                costs = self.costs[i]
                logs[i, self.table.tolerances[name].same(costs[first], costs[second])] = 0
        return np.where(np.isnan(logs), 0, logs)

    def most(self) -> NDArray[np.float64]:
        """How telling the best pair of each model is, as a logarithm: ``[costs, costs, models]``.

        By the first cost the model is cheaper, by the second its partner; minus infinity where
        there is no such pair.
        """
        n, k = len(self.order), len(self.logs)
        most = np.full((k, k, n), -np.inf)
        counts = self.ends - np.arange(n) - 1
        total, start = np.cumsum(counts), 0
        while start < n:
            done = total[start] - counts[start]
            stop = max(start + 1, int(np.searchsorted(total, done + BLOCK // k, side="right")))
            rows = np.arange(start, stop)[counts[start:stop] > 0]
            start = stop
            if not len(rows):
                continue
            starts = np.cumsum(counts[rows]) - counts[rows]
            first = np.repeat(rows, counts[rows])
            second = first + 1 + np.arange(len(first)) - np.repeat(starts, counts[rows])
            ratios = self.ratios(first, second)
            for one, other in permutations(range(k), 2):
                apart = _apart(-ratios[one], ratios[other])
                most[one, other, rows] = np.maximum.reduceat(apart, starts)
        return most

    def best(
        self, row: int, one: int, other: int, gone: NDArray[np.int64] | None = None
    ) -> tuple[int, float]:
        """The most telling partner of a model that is cheaper by one cost, without some models."""
        partners = np.arange(row + 1, self.ends[row])
        ratios = self.ratios(np.full(len(partners), row), partners)[[one, other]]
        apart = _apart(-ratios[0], ratios[1])
        if gone is not None:
            apart[np.isin(partners, gone)] = -np.inf
        place = int(apart.argmax())
        return int(partners[place]), float(apart[place])

    def told(self, row: int, partner: int, one: int, other: int) -> TellingPair:
        """A pair of models of which the first is cheaper by one cost."""
        a, b = int(self.order[row]), int(self.order[partner])
        ratios = np.exp(np.abs(self.logs[[one, other], row] - self.logs[[one, other], partner]))
        names, indicators = self.table.names, self.table.indicators
        return TellingPair(
            names[a],
            names[b],
            (indicators[one], indicators[other]),
            (float(ratios[0]), float(ratios[1])),
            (float(self.table.scores[a]), float(self.table.scores[b])),
        )


def _apart(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """How much pairs tell, of the logarithms of their two ratios: ``[pairs]``."""
    least = np.minimum(first, second)
    return np.where(least >= math.log(LEAST), least, -np.inf)
