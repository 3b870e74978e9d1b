"""Rows of a table that are worked out when they are first asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["LazyRows"]


class LazyRows:
    """A table ``[n, columns]`` of which a row is worked out once, when it is first asked for.

    Of a hundred thousand candidates a short search looks at some thousands.

    >>> squares = LazyRows(1_000_000, lambda rows: np.stack([rows, rows**2], axis=1))
    >>> squares[[3, 5, 3]].tolist()
    [[3, 9], [5, 25], [3, 9]]

    Args:
        n: How many rows there are.
        make: Returns rows ``[k, columns]`` of their positions ``[k]``: the same of a position
            whatever it is asked with.
    """

    def __init__(self, n: int, make: Callable[[NDArray[np.intp]], NDArray[Any]]) -> None:
        self._make = make
        self._positions = np.arange(n)
        self._made: NDArray[np.bool_] = np.zeros(n, dtype=bool)
        self._table: NDArray[Any] = np.empty((n, 0))

    def __len__(self) -> int:
        """How many rows there are, worked out or not."""
        return len(self._positions)

    def __getitem__(self, key: Any) -> NDArray[Any]:
        """Rows ``[k, columns]`` by whatever picks positions of an array ``[n]``."""
        rows = self._positions[key]
        missing = np.unique(rows[~self._made[rows]])
        if len(missing):
            values = self._make(missing)
            if not self._made.any():
                self._table = np.empty((len(self), values.shape[1]), dtype=values.dtype)
            self._table[missing] = values
            self._made[missing] = True
        picked: NDArray[Any] = self._table[rows]
        return picked
