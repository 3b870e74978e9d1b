"""Dominance against brute force, and probabilities against the normal distribution."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.dominance import membership, nondominated, representatives

small = st.integers(0, 6).map(float)
clouds = st.lists(st.tuples(small, small, small), min_size=1, max_size=15).map(np.array)
checked = settings(max_examples=80, deadline=None, derandomize=True)


@checked
@given(points=clouds, maximized=st.tuples(st.booleans(), st.booleans(), st.booleans()))
def test_those_that_no_other_dominates(
    points: np.ndarray, maximized: tuple[bool, bool, bool]
) -> None:
    turned = np.where(maximized, -points, points)
    expected = [
        not any((other <= own).all() and (other < own).any() for other in turned) for own in turned
    ]
    assert nondominated(points, np.array(maximized)).tolist() == expected


def test_no_points_have_no_front() -> None:
    assert nondominated(np.zeros((0, 3))).tolist() == []


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="NaN or infinite"):
        nondominated(np.array([[1.0, bad]]))


@checked
@given(points=clouds, unit=st.sampled_from([0.5, 1.0, 3.0, 100.0]))
def test_every_point_has_a_representative_that_is_worse_by_at_most_one(
    points: np.ndarray, unit: float
) -> None:
    coordinates = points / unit
    chosen = representatives(coordinates)
    assert chosen.tolist() == sorted(set(chosen.tolist()))
    for own in coordinates:
        assert any((coordinates[i] <= own + 1).all() for i in chosen)


def test_one_representative_where_no_difference_counts_and_all_where_each_does() -> None:
    points = np.array([[0.0, 3.0], [1.0, 2.0], [2.0, 1.0], [3.0, 0.0]])
    assert len(representatives(points / 10)) == 1
    assert representatives(points * 10).tolist() == [0, 1, 2, 3]


def test_the_point_that_stands_for_most_is_taken_first() -> None:
    # Steps of 1 along a line: the second stands for the first three, the fifth for the last three.
    points = np.array([[float(i), float(5 - i)] for i in range(6)])
    assert representatives(points).tolist() == [1, 4]


def test_infinite_coordinates_are_compared() -> None:
    points = np.array([[-math.inf, 5.0], [-math.inf, 4.5], [0.0, 0.0]])
    assert representatives(points).tolist() == [0, 2]


def test_without_errors_members_are_certain() -> None:
    points = np.array([[1.0, 3.0], [2.0, 2.0], [3.0, 3.0]])
    flags = np.zeros(2, dtype=bool)
    assert membership(points, flags, np.zeros((3, 2)), flags).tolist() == [1.0, 1.0, 0.0]


@pytest.mark.parametrize("maximize", [False, True])
def test_the_probability_of_two_normal_values(maximize: bool) -> None:
    # The difference of 1 has a standard error of sqrt(0.6^2 + 0.8^2) = 1, so the better one is
    # better still with probability Phi(1) = 0.8413. 4,000 draws: standard error below 0.006.
    points = np.array([[2.0], [1.0]]) if maximize else np.array([[1.0], [2.0]])
    shares = membership(
        points,
        np.array([maximize]),
        np.array([[0.6], [0.8]]),
        np.array([False]),
        draws=4_000,
    )
    assert shares[0] == pytest.approx(0.8413, abs=0.02)
    assert shares.sum() == pytest.approx(1.0)


def test_a_relative_error_is_of_the_logarithm() -> None:
    # log(e) - log(1) = 1 with the same standard error as above.
    points = np.array([[1.0], [math.e]])
    shares = membership(
        points, np.array([False]), np.array([[0.6], [0.8]]), np.array([True]), draws=4_000
    )
    assert shares[0] == pytest.approx(0.8413, abs=0.02)


def test_a_seed_repeats_the_probabilities() -> None:
    points, flags = np.array([[1.0], [1.1]]), np.array([False])
    first, again, other = (
        membership(points, flags, np.ones((2, 1)), flags, seed=seed).tolist() for seed in (1, 1, 2)
    )
    assert first == again != other
