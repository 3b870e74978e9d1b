"""Listing of all candidates of a problem, where they are few enough."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from nas.problem import Problem

__all__ = ["LISTED", "Listed", "every_code", "grid"]

LISTED = 100_000
"""Codes up to which all are listed."""


@runtime_checkable
class Listed(Protocol):
    """A problem that says by itself which candidates it has."""

    @property
    def members(self) -> NDArray[np.int64] | None:
        """Codes ``[n, parameters]`` of every candidate at least once; ``None`` of too many."""


def grid(sizes: Sequence[int]) -> NDArray[np.int64]:
    """All codes of parameters with so many choices: ``[n, parameters]``.

    >>> grid([2, 1, 2]).tolist()
    [[0, 0, 0], [0, 0, 1], [1, 0, 0], [1, 0, 1]]
    """
    return np.indices(sizes, dtype=np.int64).reshape(len(sizes), -1).T.copy()


def every_code(problem: Problem) -> NDArray[np.int64] | None:
    """Codes ``[n, parameters]`` of every candidate that exists; ``None`` where there are too many.

    One candidate may have several codes.
    """
    sizes = [len(choices) for choices in problem.parameters.values()]
    if isinstance(problem, Listed):
        codes = problem.members
    else:
        codes = grid(sizes) if math.prod(sizes) <= LISTED else None
    return None if codes is None else codes[problem.exist(codes)]
