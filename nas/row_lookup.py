"""Where rows of integer codes stand among known ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["RowLookup"]


class RowLookup:
    """Finds rows of codes among distinct ones.

    Columns are joined to one number as long as it fits 63 bits; then the numbers that occur are
    numbered anew, so that any count of columns can be joined.

    >>> RowLookup(np.array([[1, 0], [0, 2], [1, 0]]), [2, 3]).find(np.array([[1, 0], [1, 1]]))
    array([ 1, -1])

    Attributes:
        rows: The distinct rows ``[m, columns]``, sorted.

    Args:
        codes: ``[n, columns]``.
        sizes: Of each column the number above its codes.
    """

    def __init__(self, codes: NDArray[np.int64], sizes: Sequence[int]) -> None:
        self.rows = np.unique(codes, axis=0)
        self._steps: list[tuple[list[tuple[int, int]], NDArray[np.int64]]] = []
        ids, bound = np.zeros(len(self.rows), dtype=np.int64), 1
        pending: list[tuple[int, int]] = []
        for column, size in enumerate(sizes):
            if bound > 2**62 // size:
                known, ids = np.unique(ids, return_inverse=True)
                self._steps.append((pending, known))
                bound, pending = len(known), []
            ids = ids * size + self.rows[:, column]
            bound *= size
            pending.append((column, size))
        self._steps.append((pending, np.unique(ids)))

    def find(self, codes: NDArray[np.int64]) -> NDArray[np.int64]:
        """Position of each row of codes ``[n, columns]``; -1 of those that are not there."""
        ids, there = np.zeros(len(codes), dtype=np.int64), np.ones(len(codes), dtype=bool)
        for joined, known in self._steps:
            for column, size in joined:
                there &= (codes[:, column] >= 0) & (codes[:, column] < size)
                ids = ids * size + codes[:, column]
            places = np.minimum(np.searchsorted(known, ids), len(known) - 1)
            there &= known[places] == ids
            ids = np.where(there, places, 0)
        # Rows are sorted by their columns in order, which is the order of the joined numbers.
        return np.where(there, ids, -1)
