"""Counts of pairs: how many points lie below others in two coordinates at once.

In ``n log n`` operations, all of them on whole arrays: points are sorted by the first coordinate
and parted by the bits of their rank in the second, as in a wavelet tree (Grossi, Gupta & Vitter,
"High-order entropy-compressed text indexes", 2003).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["count_below"]


def count_below(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    below_x: NDArray[np.float64],
    below_y: NDArray[np.float64],
) -> NDArray[np.int64]:
    """Of each query the points that are below it in both coordinates, and equal in none.

    Args:
        x: First coordinate of the points, without NaN: ``[points]``.
        y: Second coordinate, likewise.
        below_x: First coordinate of the queries: ``[queries]``.
        below_y: Second coordinate, likewise.

    >>> points = np.array([1.0, 2.0, 2.0, 3.0])
    >>> count_below(points, points, points, points).tolist()
    [0, 1, 1, 3]
    """
    points, queries = len(x), len(below_x)
    asks = np.repeat([False, True], [points, queries])
    firsts, seconds = np.concatenate([x, below_x]), np.concatenate([y, below_y])
    # Before what is equal stand the queries, so that only what is below them precedes them.
    order = np.lexsort((~asks, firsts))
    ranks = np.unique(seconds, return_inverse=True)[1].astype(np.int64)[order]
    asks, which = asks[order], order
    found = np.zeros(points + queries, dtype=np.int64)
    for bit in reversed(range(int(ranks.max(initial=0)).bit_length())):
        # Here all stand by the higher bits of their rank, and within these as at first.
        group, high = ranks >> (bit + 1), (ranks >> bit & 1).astype(bool)
        low_points = np.concatenate([[0], np.cumsum(~high & ~asks)])
        starts = np.searchsorted(group, group)
        before = low_points[:-1] - low_points[starts]
        found[which[high & asks]] += before[high & asks]
        move = np.argsort(ranks >> bit, kind="stable")
        ranks, asks, which = ranks[move], asks[move], which[move]
    return found[points:]
