"""Stacks of layers of which only as many count as the depth says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.errors import ExperimentError
from search_spaces import Choice

__all__ = ["LayerStack"]


@dataclass(frozen=True)
class LayerStack:
    """Parameters with a value for each layer; those of layers that are not there say nothing.

    Attributes:
        depth: The parameter that says how many layers there are.
        layers: Of each quantity its parameters, the first layer's first.

    Raises:
        ExperimentError: No quantity, or one without a layer, is given.
    """

    depth: str
    layers: Mapping[str, tuple[str, ...]]

    def __post_init__(self) -> None:
        if not self.layers or not all(self.layers.values()):
            raise ExperimentError(
                "`layers` must give of each quantity the parameters of its layers; got "
                f"{dict(self.layers)}."
            )

    @property
    def columns(self) -> tuple[str, ...]:
        """The parameters of the layers and the depth."""
        return (self.depth, *(name for names in self.layers.values() for name in names))

    def canonical(
        self, codes: NDArray[np.int64], parameters: Mapping[str, tuple[Choice, ...]]
    ) -> NDArray[np.int64]:
        """Codes ``[n, parameters]`` in which every layer that is not there has its first choice."""
        order = list(parameters)
        depth = np.array(parameters[self.depth], dtype=float)[codes[:, order.index(self.depth)]]
        codes = codes.copy()
        for names in self.layers.values():
            for position, name in enumerate(names):
                codes[depth <= position, order.index(name)] = 0
        return codes

    def keys(self, values: Mapping[str, NDArray[Any]]) -> list[bytes]:
        """Equal for stacks whose layers that are there are equal.

        Args:
            values: Of each parameter the values ``[n]``.
        """
        depth = np.asarray(values[self.depth], dtype=float)
        columns = [np.unique(depth, return_inverse=True)[1]]
        for names in self.layers.values():
            for position, name in enumerate(names):
                places = np.unique(np.asarray(values[name]), return_inverse=True)[1]
                columns.append(np.where(depth > position, places, -1))
        table = np.ascontiguousarray(np.stack(columns, axis=1).astype(np.int64))
        return [row.tobytes() for row in table]

    def features(self, values: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
        """What the layers that are there come to: ``[n, features]``.

        The depth and its logarithm; of each quantity in numbers the sum, the mean, the spread, and
        the means of the first and of the second half; of each in words how many layers have each of
        its choices.

        Args:
            values: Of each parameter the values ``[n]``.
        """
        depth = np.asarray(values[self.depth], dtype=float)
        columns = [depth, np.log(np.maximum(depth, 1.0))]
        for names in self.layers.values():
            table = np.stack([np.asarray(values[name]) for name in names], axis=1)
            there = np.arange(len(names)) < depth[:, None]
            if table.dtype.kind in "iuf":
                columns += _numeric(table.astype(float), there)
            else:
                columns += [((table == c) & there).sum(1) for c in np.unique(table).tolist()]
        return np.stack(columns, axis=1).astype(np.float64)


def _numeric(table: NDArray[np.float64], there: NDArray[np.bool_]) -> Sequence[NDArray[Any]]:
    first = np.arange(table.shape[1]) < there.sum(axis=1, keepdims=True) / 2
    mean = _mean(table, there)
    variance = _mean((table - mean[:, None]) ** 2, there)
    return [
        (table * there).sum(axis=1),
        mean,
        np.sqrt(variance),
        _mean(table, there & first),
        _mean(table, there & ~first),
    ]


def _mean(table: NDArray[np.float64], chosen: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Of each row the mean of what is chosen; 0 where nothing is."""
    mean: NDArray[np.float64] = (table * chosen).sum(axis=1) / np.maximum(chosen.sum(axis=1), 1)
    return mean
