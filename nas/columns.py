"""Columns: what candidates are compared by, as one matrix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas.candidates import Evaluated
from nas.indicators import split_name

__all__ = ["QUALITY", "Columns"]

QUALITY = "quality"
"""Name of the first column; the others are called as their indicators."""

ALIKE = 9
"""Digits after the point in which columns over their largest agree that are multiples."""


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """Quality and every indicator of some candidates.

    The costs of generating text are no part of it where some of the networks generate none, since
    their 0 would win.

    Attributes:
        names: Of the columns; ``"quality"`` is the first.
        values: As stored: ``[candidates, columns]``.
        maximized: Of which columns more is better: ``[columns]``.
        followed: Which columns follow another that is there: ``[columns]``.
    """

    names: tuple[str, ...]
    values: NDArray[np.float64]
    maximized: NDArray[np.bool_]
    followed: NDArray[np.bool_]

    @classmethod
    def of(cls, candidates: Sequence[Evaluated]) -> Columns:
        """Those of at least one candidate, all with the same indicators."""
        first = candidates[0]
        mixed = {
            name
            for name in first.indicators
            if first.indicator(name).of_generation
            and len({candidate.indicators[name].value == 0 for candidate in candidates}) > 1
        }
        costs = [name for name in first.indicators if name not in mixed]
        rows = [
            [candidate.quality.value, *(candidate.indicators[name].value for name in costs)]
            for candidate in candidates
        ]
        maximized = [first.quality.maximize, *(first.indicator(name).maximize for name in costs)]
        followed = [False]
        for name in costs:
            leader = first.indicator(name).follows
            followed.append(bool(leader) and f"{leader}@{split_name(name)[1]}" in costs)
        return cls(
            (QUALITY, *costs),
            np.array(rows, dtype=float),
            np.array(maximized),
            np.array(followed),
        )

    @property
    def ideal(self) -> NDArray[np.float64]:
        """The best value of each column: ``[columns]``."""
        least, most = self.values.min(axis=0), self.values.max(axis=0)
        best: NDArray[np.float64] = np.where(self.maximized, most, least)
        return best

    @property
    def worst(self) -> NDArray[np.float64]:
        """The worst value of each column: ``[columns]``."""
        least, most = self.values.min(axis=0), self.values.max(axis=0)
        last: NDArray[np.float64] = np.where(self.maximized, least, most)
        return last

    @property
    def scaled(self) -> NDArray[np.float64]:
        """Values between 0 for the best of a column and 1 for the worst.

        A column in which all are equal is 0.
        """
        ideal, worst = self.ideal, self.worst
        span = np.where(worst != ideal, worst - ideal, 1.0)
        result: NDArray[np.float64] = (self.values - ideal) / span
        return result

    @property
    def distinct(self) -> NDArray[np.bool_]:
        """Which columns vary, are no multiple of an earlier one and follow none: ``[columns]``."""
        shares = self.values / np.maximum(np.abs(self.values).max(axis=0), 1e-300)
        _, first = np.unique(np.round(shares, ALIKE), axis=1, return_index=True)
        distinct: NDArray[np.bool_] = np.isin(np.arange(len(self.names)), first)
        distinct &= (np.ptp(self.values, axis=0) > 0) & ~self.followed
        return distinct
