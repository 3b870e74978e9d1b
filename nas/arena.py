"""Where the searches of a comparison meet: candidates, their costs, and who tells their quality."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from nas.comparison import Model
from nas.indicators import Indicator
from nas.problem import Codes, Problem
from nas.redundancy import RedundantGroup

__all__ = ["Answers", "Arena", "stored_values"]


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """What evaluations gave.

    Attributes:
        told: The quality of each as measured; NaN where it could not be had: ``[n]``.
        seconds: What each took when it was first made: ``[n]``.
        errors: The known part of the standard error of what is told; 0 where none is: ``[n]``.
    """

    told: NDArray[np.float64]
    seconds: NDArray[np.float64]
    errors: NDArray[np.float64]


class Arena(Protocol):
    """The same for every arm of a comparison."""

    @property
    def problem(self) -> Problem:
        """The candidates within the budgets, with every compared indicator as a cost."""

    @property
    def indicators(self) -> tuple[Indicator, ...]:
        """The compared indicators, by the names of the problem's costs."""

    @property
    def redundant(self) -> tuple[RedundantGroup, ...]:
        """Indicators that order the space alike."""

    @property
    def quality(self) -> str:
        """Name of what is searched."""

    @property
    def maximize(self) -> bool:
        """Whether more of it is better."""

    @property
    def conditions(self) -> Mapping[str, str]:
        """What all of it holds for, in words."""

    def evaluate(self, codes: Codes, seed: int) -> Answers:
        """The quality that a search is told of candidates ``[n, parameters]``."""

    def score(self, codes: Codes, seed: int) -> NDArray[np.float64]:
        """Their quality on data that steers nothing, from a training seed: ``[n]``, or NaN."""

    def models(self, codes: Codes) -> list[Model]:
        """What a person knows them by."""


def stored_values(arena: Arena, codes: Codes) -> NDArray[np.float64]:
    """Every indicator of candidates as stored, not negated: ``[n, indicators]``."""
    signs = np.where([indicator.maximize for indicator in arena.indicators], -1.0, 1.0)
    values: NDArray[np.float64] = arena.problem.cost_values(codes) * signs
    return values
