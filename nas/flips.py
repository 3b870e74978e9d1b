"""Flips: pairs of models of which one indicator prefers the one, and another the other.

Two values within their measurement error are a tie, which neither agrees nor flips.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from nas.model_table import ModelTable
from nas.pair_counts import count_below
from nas.telling_pairs import TellingPair

__all__ = ["Flips", "count_flips"]


@dataclass(frozen=True, slots=True)
class Flips:
    """How often two indicators order pairs of models differently.

    Attributes:
        indicators: The two.
        pairs: Pairs of models that have both.
        tied: Of these, those that one of the two does not tell apart.
        flipped: Of these, those ordered differently.
        telling: The most telling of these between models of about the same quality.
    """

    indicators: tuple[str, str]
    pairs: int
    tied: int
    flipped: int
    telling: TellingPair | None = None

    @property
    def share(self) -> float:
        """Of the pairs that both indicators tell apart; 0 where there are none."""
        return self.flipped / max(1, self.pairs - self.tied)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "indicators": list(self.indicators),
            "pairs": self.pairs,
            "tied": self.tied,
            "flipped": self.flipped,
            "share": self.share,
            "telling": None if self.telling is None else self.telling.to_json(),
        }


def count_flips(
    table: ModelTable, telling: Mapping[tuple[str, str], TellingPair]
) -> tuple[Flips, ...]:
    """The flips of every two costs of a table, with the most telling of each where there is one."""
    found = []
    for (i, a), (j, b) in combinations(enumerate(table.indicators), 2):
        x, y = table.costs[:, i], table.costs[:, j]
        both = ~(np.isnan(x) | np.isnan(y))
        x, y = x[both], y[both]
        # Of each model those that are surely cheaper by both, and by the first but dearer by the
        # second: each pair is met from one of its ends.
        below_x, below_y = table.tolerance(a).below(x), table.tolerance(b).below(y)
        alike = int(count_below(x, y, below_x, below_y).sum())
        flipped = int(count_below(x, -below_y, below_x, -y).sum())
        pairs = math.comb(len(x), 2)
        found.append(Flips((a, b), pairs, pairs - alike - flipped, flipped, telling.get((a, b))))
    return tuple(found)
