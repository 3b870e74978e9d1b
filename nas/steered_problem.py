"""A problem of which a search sees only some costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from nas.listing import every_code
from nas.problem import Codes, Problem
from search_spaces import Choice, UnknownNameError

__all__ = ["SteeredProblem"]


class SteeredProblem:
    """The candidates and features of another :class:`nas.problem.Problem` with some of its costs.

    Args:
        problem: The other one.
        costs: Which of its costs; there may be none.

    Raises:
        UnknownNameError: One of them is no cost.
    """

    def __init__(self, problem: Problem, costs: Sequence[str]) -> None:
        for name in costs:
            if name not in problem.costs:
                raise UnknownNameError("cost", name, problem.costs)
        self._problem, self._costs = problem, tuple(costs)
        self._columns = [problem.costs.index(name) for name in costs]

    @property
    def parameters(self) -> Mapping[str, tuple[Choice, ...]]:
        """Choices of each parameter of the problem."""
        return self._problem.parameters

    @property
    def costs(self) -> tuple[str, ...]:
        """Names of the costs that are seen."""
        return self._costs

    @property
    def members(self) -> NDArray[np.int64] | None:
        """Codes ``[n, parameters]`` of every candidate at least once; ``None`` of too many."""
        return every_code(self._problem)

    def random_codes(self, n: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """As of the problem."""
        return self._problem.random_codes(n, rng)

    def exist(self, codes: Codes) -> NDArray[np.bool_]:
        """As of the problem."""
        return self._problem.exist(codes)

    def keys(self, codes: Codes) -> list[bytes]:
        """As of the problem."""
        return self._problem.keys(codes)

    def cost_values(self, codes: Codes) -> NDArray[np.float64]:
        """Those costs that are seen: ``[n, costs]``."""
        return self._problem.cost_values(codes)[:, self._columns]

    def features(self, codes: Codes) -> NDArray[np.float64]:
        """As of the problem."""
        return self._problem.features(codes)
