"""Dominance between points: which none beats, which few stand for all, and how sure that is.

Points are ``[n, columns]``. A point dominates another if it is nowhere worse and somewhere better,
so equal points do not dominate each other.

Representatives are an approximate Pareto set (Papadimitriou & Yannakakis, "On the Approximability
of Trade-offs and Optimal Access of Web Sources", 2000), chosen as Koltun & Papadimitriou propose
("Approximately Dominating Representatives", 2007): greedily, the point that stands for the most.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["membership", "nondominated", "representatives"]

DRAWS = 1_000
WORK = 500_000
"""Points times draws at most, but for a hundred draws."""
FEWEST = 100


def nondominated(
    points: NDArray[np.float64], maximized: NDArray[np.bool_] | None = None
) -> NDArray[np.bool_]:
    """Which points no other one dominates: ``[n]``; equal ones all or none.

    Args:
        points: ``[n, columns]``.
        maximized: Of which columns more is better: ``[columns]``; of none when absent.

    Raises:
        ValueError: A value is NaN or infinite.

    >>> nondominated(np.array([[1.0, 3.0], [2.0, 2.0], [3.0, 2.0]])).tolist()
    [True, True, False]
    """
    import moocore

    if not np.isfinite(points).all():
        raise ValueError("`points` hold a NaN or infinite value; leave failed ones out.")
    if not len(points):
        return np.zeros(0, dtype=bool)
    maximise = False if maximized is None else maximized.tolist()
    kept: NDArray[np.bool_] = moocore.is_nondominated(points, maximise=maximise, keep_weakly=True)
    return kept


def representatives(coordinates: NDArray[np.float64]) -> NDArray[np.int64]:
    """Few points such that each point is worse by at most 1 than it in every column than one.

    Greedy, so about as few as possible; of points that stand for as many the first is taken.

    Args:
        coordinates: ``[n, columns]``, smaller is better, each column in units of what difference
            counts in it. Infinities are compared, NaN is not allowed.

    Returns:
        Positions, ascending: ``[k]``.

    >>> representatives(np.array([[0.0, 3.0], [0.5, 2.5], [4.0, 0.0]])).tolist()
    [0, 2]
    """
    n = len(coordinates)
    stands_for = np.ones((n, n), dtype=bool)
    for column in coordinates.T:
        stands_for &= column[:, None] <= column[None, :] + 1
    counts = stands_for.sum(axis=1)
    chosen = []
    while counts.any():
        best = int(np.argmax(counts))
        chosen.append(best)
        newly = stands_for[best].copy()
        counts = counts - stands_for[:, newly].sum(axis=1)
        stands_for[:, newly] = False
    return np.array(sorted(chosen), dtype=np.int64)


def membership(
    points: NDArray[np.float64],
    maximized: NDArray[np.bool_],
    errors: NDArray[np.float64],
    relative: NDArray[np.bool_],
    *,
    seed: int = 0,
    draws: int = DRAWS,
) -> NDArray[np.float64]:
    """Probability that each point is one that no other dominates, where values are uncertain.

    By Monte Carlo. A value's error is normal around it, or lognormal where it is relative, and
    independent of every other's. Errors that networks share, such as a table that is low
    everywhere, change no order, so real sets are if anything surer than this says.

    Args:
        points: ``[n, columns]``; above 0 where the error is relative and not 0.
        maximized: Of which columns more is better: ``[columns]``.
        errors: Standard error of each value; of its logarithm where relative: ``[n, columns]``.
        relative: Of which columns errors are relative: ``[columns]``.
        seed: Of the draws.
        draws: How many; fewer where there are very many points.

    Returns:
        Shares of the draws: ``[n]``.

    >>> points, exact = np.array([[1.0], [2.0]]), np.zeros((2, 1))
    >>> membership(points, np.array([False]), exact, np.array([False])).tolist()
    [1.0, 0.0]
    """
    rng = np.random.default_rng(seed)
    draws = min(draws, max(FEWEST, WORK // max(1, len(points))))
    inside = np.zeros(len(points))
    for _ in range(draws):
        noise = errors * rng.standard_normal(points.shape)
        drawn = np.where(relative, points * np.exp(np.where(relative, noise, 0)), points + noise)
        inside += nondominated(drawn, maximized)
    return inside / draws
