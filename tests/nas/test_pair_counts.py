"""Counts of points below others in two coordinates."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nas.pair_counts import count_below

POINTS = st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), max_size=20)


@given(points=POINTS, queries=POINTS)
def test_as_counted_one_by_one(
    points: list[tuple[int, int]], queries: list[tuple[int, int]]
) -> None:
    x, y = np.array(points, dtype=float).reshape(-1, 2).T
    a, b = np.array(queries, dtype=float).reshape(-1, 2).T
    expected = [sum(p < u and q < v for p, q in points) for u, v in queries]
    assert count_below(x, y, a, b).tolist() == expected


def test_infinities_are_ordered() -> None:
    x = np.array([-np.inf, 0.0, np.inf])
    assert count_below(x, x, x, x).tolist() == [0, 1, 2]
