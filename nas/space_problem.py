"""Problems over a search space: candidates are its codes, costs are what the pricer says.

The features follow from the space alone: its parameters where they have an effect, what alike
parameters of several layers come to, the logarithms of the exact counts, and how many blocks of
each type there are.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.candidates import excess
from nas.errors import ExperimentError
from nas.feasibility import feasible_neighbours, feasible_pool
from nas.indicators import indicator
from nas.listing import LISTED, grid
from nas.pricer import COUNTED, Pricer
from nas.problem import Codes
from search_spaces import Choice, SearchSpace, UnionSpace, UnknownNameError

__all__ = ["SpaceProblem"]

SAMPLE = 4_000
"""Random architectures by which features are scaled."""
ALIKE = 0.9999
"""A correlation above which two logarithms of counts say the same."""
RARE = 0.02
"""A share of feasible architectures below which they are no longer drawn at random."""
SEED = 0
"""Of what scales the features and of the first feasible architectures: not the search's."""


class SpaceProblem:
    """A :class:`nas.problem.Problem` over the architectures of a space.

    Args:
        space: A family, or a union of several.
        pricer: What they cost.
        costs: Names of the indicators that are its costs.
        budgets: The most, or of what is maximised the least, of an indicator that a candidate may
            have; others do not exist.

    Raises:
        ExperimentError: There is no cost, a cost is named twice or cannot be priced, or a budget is
            no finite number above 0.
        UnknownNameError: A cost or a budget is no indicator, or none that is priced here.
        NothingFeasibleError: No architecture is found that meets the budgets.
    """

    def __init__(
        self,
        space: SearchSpace,
        pricer: Pricer,
        costs: Sequence[str],
        budgets: Mapping[str, float] | None = None,
    ) -> None:
        self.space, self.pricer, self.budgets = space, pricer, dict(budgets or {})
        self._costs = tuple(costs)
        self._check()
        self._maximized = np.array([indicator(name).maximize for name in self._costs])
        self._priced: tuple[NDArray[np.int64], dict[str, NDArray[Any]]] | None = None
        self._feasible: NDArray[np.int64] | None = None
        if self.budgets:
            pool = feasible_pool(space, pricer, self.budgets, SEED)
            self._feasible = pool.codes if pool.share < RARE else None
        self._encoding = _Encoding(space)
        sample = space.random_codes(SAMPLE, np.random.default_rng(SEED))
        counts = self._counts(sample)
        self._counted = _distinct(counts)
        table = self._unscaled(sample)
        self._mean, deviation = table.mean(axis=0), table.std(axis=0)
        self._varies = deviation > 1e-9 * np.maximum(np.abs(table).max(axis=0), 1e-9)
        self._deviation = np.where(self._varies, deviation, 1.0)
        weights = [self._encoding.weights, np.ones(table.shape[1] - len(self._encoding.weights))]
        self._weights = np.concatenate(weights)

    def _check(self) -> None:
        if not self._costs:
            raise ExperimentError("`costs` is empty; name at least one indicator.")
        for name in [*self._costs, *self.budgets]:
            indicator(name)
            if name not in self.pricer.names:
                raise UnknownNameError("indicator", name, self.pricer.names)
        for name in self._costs:
            if self._costs.count(name) > 1:
                raise ExperimentError(f"`costs` names {name} {self._costs.count(name)} times.")
        for name, limit in self.budgets.items():
            if not (math.isfinite(limit) and limit > 0):
                raise ExperimentError(
                    f"The budget of {name} must be a finite number above 0; got {limit}."
                )
        self.pricer.require([*self._costs, *self.budgets])

    @property
    def parameters(self) -> Mapping[str, tuple[Choice, ...]]:
        """Choices of each parameter of the space."""
        return self.space.parameters

    @property
    def costs(self) -> tuple[str, ...]:
        """Names of the indicators that are its costs."""
        return self._costs

    @property
    def size(self) -> int:
        """How many networks the space has, whatever the budgets."""
        return self.space.size

    @cached_property
    def members(self) -> NDArray[np.int64] | None:
        """Codes ``[n, parameters]`` of every network at least once; ``None`` of too many.

        In a union only what the member's own parameters say tells its networks apart.
        """
        spaces = list(self.space.members.values()) if isinstance(self.space, UnionSpace) else []
        widths = [len(space.parameters) for space in spaces]
        sizes = [
            [len(choices) for choices in space.parameters.values()]
            for space in spaces or [self.space]
        ]
        if sum(map(math.prod, sizes)) > LISTED:
            return None
        if not spaces:
            return grid(sizes[0])
        parts = []
        for position, own in enumerate(sizes):
            codes = np.zeros((math.prod(own), len(self.parameters)), dtype=np.int64)
            start = 1 + sum(widths[:position])  # The first parameter says which member it is.
            codes[:, 0], codes[:, start : start + len(own)] = position, grid(own)
            parts.append(codes)
        return np.concatenate(parts)

    def random_codes(self, n: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Random candidates ``[n, parameters]`` within the budgets.

        Where hardly any random architecture meets the budgets, they are mutations of ones that do.
        """
        if not self.budgets:
            return self.space.random_codes(n, rng)
        if self._feasible is not None:
            if len(self._feasible) < n:
                seed = int(rng.integers(2**31))
                self._feasible = feasible_neighbours(
                    self.space, self.pricer, self.budgets, self._feasible, seed
                )
            return self._feasible[rng.integers(len(self._feasible), size=n)]
        found = np.empty((0, len(self.parameters)), dtype=np.int64)
        while len(found) < n:
            drawn = self.space.random_codes(max(2 * n, 256), rng)
            found = np.concatenate([found, drawn[self.exist(drawn)]])
        return found[:n]

    def exist(self, codes: Codes) -> NDArray[np.bool_]:
        """Which architectures meet every budget: ``[n]``."""
        meets = np.ones(len(codes), dtype=bool)
        if self.budgets:
            values = self._values(codes)
            for name, limit in self.budgets.items():
                meets &= excess(name, values[name], limit) <= 0
        return meets

    def keys(self, codes: Codes) -> list[bytes]:
        """What tells one network of the space from another without building it."""
        placed = np.ascontiguousarray(self.space.placement_indices(np.asarray(codes)))
        width, raw = placed.itemsize * placed.shape[1], placed.tobytes()
        return [raw[start : start + width] for start in range(0, len(raw), width)]

    def cost_values(self, codes: Codes) -> NDArray[np.float64]:
        """Costs ``[n, costs]``, those that are maximised negated."""
        values = self._values(codes)
        table = np.stack([values[name] for name in self._costs], axis=1).astype(np.float64)
        signed: NDArray[np.float64] = np.where(self._maximized, -table, table)
        return signed

    def features(self, codes: Codes) -> NDArray[np.float64]:
        """What the space says of the architectures: ``[n, features]``.

        Columns are scaled by random architectures of the space. Those of parameters that belong to
        one layer each weigh as much together as a parameter that stands alone.
        """
        table = (self._unscaled(np.asarray(codes)) - self._mean) / self._deviation
        weighted: NDArray[np.float64] = (table * self._weights)[:, self._varies]
        return weighted

    def _unscaled(self, codes: NDArray[Any]) -> NDArray[np.float64]:
        counts = self._counts(codes)
        logs = [_log(counts[name]) for name in self._counted]
        return np.concatenate([self._encoding(codes), np.stack(logs, axis=1)], axis=1)

    def _counts(self, codes: NDArray[Any]) -> dict[str, NDArray[Any]]:
        values = self._values(codes)
        names = dict.fromkeys([*COUNTED, *self._costs])
        return {name: values[name] for name in names}

    def _values(self, codes: Codes) -> dict[str, NDArray[Any]]:
        """Every indicator that is needed; those of the codes that were asked for last are kept."""
        rows: NDArray[np.int64] = np.asarray(codes).astype(np.int64, copy=False)
        if self._priced is not None and np.array_equal(self._priced[0], rows):
            return self._priced[1]
        names = {*COUNTED, *self._costs, *self.budgets}
        values = self.pricer.price_codes(self.space, rows, names)
        self._priced = (rows.copy(), values)
        return values


def _log(column: NDArray[Any]) -> NDArray[np.float64]:
    """Logarithms of counts, which are 0 for what a network does not do."""
    values = column.astype(np.float64)
    return np.where(values > 0, np.log(np.where(values > 0, values, 1.0)), 0.0)


def _distinct(counts: Mapping[str, NDArray[Any]]) -> list[str]:
    """Names of the counts that vary and whose logarithms say something of their own."""
    kept: dict[str, NDArray[np.float64]] = {}
    for name, column in counts.items():
        logs = _log(column)
        if np.ptp(logs) <= 1e-9:
            continue
        if all(abs(np.corrcoef(logs, other)[0, 1]) < ALIKE for other in kept.values()):
            kept[name] = logs
    return list(kept) or list(counts)[:1]


class _Encoding:
    """Parameters that have an effect, what alike ones come to, and blocks by type, as numbers."""

    def __init__(self, space: SearchSpace) -> None:
        self.space = space
        self.sizes = [len(choices) for choices in space.parameters.values()]
        self.effects = _effects(space)
        groups: dict[tuple[str, tuple[Choice, ...]], list[int]] = {}
        for column, (name, choices) in enumerate(space.parameters.items()):
            if len(choices) > 1:
                groups.setdefault((re.sub(r"\d+", "#", name), choices), []).append(column)
        self.groups = [
            (columns, choices, _numbers(choices)) for (_, choices), columns in groups.items()
        ]
        types = list(dict.fromkeys(type(block) for block in space.blocks))
        of = [types.index(type(block)) for block in space.blocks]
        # The last entry is that of the empty slot.
        self.type_of = np.array([*of, len(types)], dtype=np.int16)
        self.types = len(types)
        self.weights = np.array(
            [
                weight
                for columns, choices, numbers in self.groups
                for weight in self._group_weights(len(columns), len(choices), numbers is not None)
            ]
            + [1.0] * (self.types + 1)
        )

    def __call__(self, codes: NDArray[Any]) -> NDArray[np.float64]:
        codes = np.asarray(codes, dtype=np.int64)
        effective = self._effective(codes)
        parts: list[NDArray[Any]] = []
        for columns, choices, numbers in self.groups:
            there, chosen = effective[:, columns], codes[:, columns]
            if numbers is not None:
                table = np.where(there, numbers[chosen], 0.0)
                parts.append(table)
                if len(columns) > 1:
                    total, n = table.sum(axis=1), there.sum(axis=1)
                    parts.append(np.stack([total, total / np.maximum(n, 1), n], axis=1))
            else:
                hot = [(chosen == place) & there for place in range(len(choices))]
                parts += hot
                if len(columns) > 1:
                    parts.append(np.stack([column.sum(axis=1) for column in hot], axis=1))
        return np.concatenate([*parts, self._blocks(codes)], axis=1).astype(np.float64)

    @staticmethod
    def _group_weights(columns: int, choices: int, numeric: bool) -> list[float]:
        each = 1 / math.sqrt(columns)
        if numeric:
            return [each] * columns + [1.0] * (3 if columns > 1 else 0)
        return [each] * (columns * choices) + [1.0] * (choices if columns > 1 else 0)

    def _blocks(self, codes: NDArray[np.int64]) -> NDArray[np.int64]:
        """Blocks of each type, and of all: ``[n, types + 1]``."""
        of = self.type_of[self.space.block_indices(codes)]
        kinds = range(self.types)
        counts = np.stack([np.count_nonzero(of == kind, axis=1) for kind in kinds], axis=1)
        return np.concatenate([counts, counts.sum(axis=1, keepdims=True)], axis=1)

    def _effective(self, codes: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which parameters decide what stands in a slot: ``[n, parameters]``."""
        by_parameter = np.ascontiguousarray(codes.T)
        result = np.zeros(by_parameter.shape, dtype=bool)
        for columns, strides, effect in self.effects:
            result[columns] |= effect[:, strides @ by_parameter[columns]]
        return np.ascontiguousarray(result.T)


def _numbers(choices: tuple[Choice, ...]) -> NDArray[np.float64] | None:
    """Choices as numbers in units of their deviation, logarithms if all are positive."""
    if any(isinstance(choice, bool | str) for choice in choices):
        return None
    numbers: NDArray[np.float64] = np.array(choices, dtype=np.float64)
    if numbers.min() > 0:
        numbers = np.log(numbers)
    numbers = numbers - numbers.mean()
    spread = float(numbers.std())
    return numbers / spread if spread > 0 else numbers


def _effects(
    space: SearchSpace,
) -> list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]]:
    """Of slots that read the same parameters: their columns, the stride of each, and for each, by
    position, whether another choice of that one parameter puts something else there."""
    names = list(space.parameters)
    readers: dict[tuple[int, ...], list[int]] = {}
    for position, slot in enumerate(space.slots):
        readers.setdefault(tuple(names.index(name) for name in slot.reads), []).append(position)
    result = []
    for columns, slots in readers.items():
        sizes = [len(space.parameters[names[column]]) for column in columns]
        grid = np.indices(sizes).reshape(len(sizes), -1).T
        codes = np.zeros((len(grid), len(names)), dtype=np.int64)
        codes[:, list(columns)] = grid
        placed = space.placement_indices(codes)[:, slots].reshape(*sizes, len(slots))
        effect = np.zeros((*sizes, len(sizes)), dtype=bool)
        for axis in range(len(sizes)):
            differ = placed.min(axis=axis, keepdims=True) != placed.max(axis=axis, keepdims=True)
            effect[..., axis] = np.broadcast_to(differ.any(axis=-1), sizes)
        strides = [math.prod(sizes[axis + 1 :]) for axis in range(len(sizes))]
        result.append(
            (
                np.array(columns, dtype=np.int64),
                np.array(strides, dtype=np.int64),
                np.ascontiguousarray(effect.reshape(-1, len(sizes)).T),
            )
        )
    return result
