"""Problems from a function that prices configurations, for any Optuna study."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from nas.errors import ExperimentError
from nas.problem import Codes
from search_spaces import Choice

__all__ = ["FunctionProblem"]

Price = Callable[[Mapping[str, Choice]], Mapping[str, float]]


class FunctionProblem:
    """Configurations of parameters, each priced by a function.

    Args:
        parameters: Choices of each parameter.
        price: Costs of a configuration by name, all to be minimised; the same names each time.
        budgets: The most of a cost that a candidate may have.

    Raises:
        ExperimentError: A parameter has no choices, or a budget is on no cost.

    >>> problem = FunctionProblem(
    ...     {"depth": [1, 2], "width": [8, 16]},
    ...     lambda config: {"macs": config["depth"] * config["width"] ** 2},
    ...     budgets={"macs": 256},
    ... )
    >>> codes = np.array([[0, 1], [1, 1]])
    >>> problem.exist(codes), problem.cost_values(codes[:1])
    (array([ True, False]), array([[256.]]))
    """

    def __init__(
        self,
        parameters: Mapping[str, Sequence[Choice]],
        price: Price,
        budgets: Mapping[str, float] | None = None,
    ) -> None:
        self.parameters: dict[str, tuple[Choice, ...]] = {
            name: tuple(choices) for name, choices in parameters.items()
        }
        for name, choices in self.parameters.items():
            if not choices:
                raise ExperimentError(f"`{name}` must have a choice; got none.")
        self._price, self._budgets = price, dict(budgets or {})
        self._known: dict[bytes, NDArray[np.float64]] = {}
        first = price({name: choices[0] for name, choices in self.parameters.items()})
        self.costs = tuple(first)
        for name in self._budgets:
            if name not in first:
                known = ", ".join(self.costs)
                raise ExperimentError(f"`budgets`: {name!r} is no cost; known: {known}.")

    @property
    def size(self) -> int:
        """How many configurations there are."""
        return math.prod(map(len, self.parameters.values()))

    def random_codes(self, n: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Random configurations; all of them where there are no more than ``n``."""
        sizes = [len(choices) for choices in self.parameters.values()]
        if self.size <= n:
            grid = np.stack(np.unravel_index(np.arange(self.size), sizes), axis=1)
            return rng.permutation(grid.astype(np.int64))
        return rng.integers(0, sizes, size=(n, len(sizes)), dtype=np.int64)

    def exist(self, codes: Codes) -> NDArray[np.bool_]:
        """Which are within the budgets."""
        limits = [self._budgets.get(name, np.inf) for name in self.costs]
        return np.asarray((self.cost_values(codes) <= limits).all(axis=1))

    def keys(self, codes: Codes) -> list[bytes]:
        """The codes themselves."""
        return [row.tobytes() for row in np.asarray(codes, dtype=np.int64)]

    def cost_values(self, codes: Codes) -> NDArray[np.float64]:
        """Costs by the function, which is asked once for each configuration."""
        rows = []
        for key, row in zip(self.keys(codes), codes, strict=True):
            if key not in self._known:
                pairs = zip(self.parameters.items(), row, strict=True)
                priced = self._price({name: choices[int(i)] for (name, choices), i in pairs})
                self._known[key] = np.array([priced[name] for name in self.costs], dtype=float)
            rows.append(self._known[key])
        return np.array(rows).reshape(len(codes), len(self.costs))

    def features(self, codes: Codes) -> NDArray[np.float64]:
        """Numbers as they are and by their logarithm, names one by one, and log costs."""
        columns: list[NDArray[np.float64]] = []
        for position, choices in enumerate(self.parameters.values()):
            own = codes[:, position]
            if all(type(choice) in (int, float) for choice in choices):
                numbers = np.array(choices, dtype=float)
                columns.append(numbers[own])
                if numbers.min() > 0 and len(choices) > 2:
                    columns.append(np.log(numbers)[own])
            else:
                columns += [(own == i).astype(float) for i in range(len(choices))]
        for cost in self.cost_values(codes).T:
            columns.append(np.sign(cost) * np.log1p(np.abs(cost)))
        return np.stack(columns, axis=1)
