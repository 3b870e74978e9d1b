"""How much of a front's hypervolume a search has found."""

import math

import moocore
import numpy as np
import pytest

from benchmarks.search_score import (
    EXACT,
    Front,
    Score,
    evaluations_to,
    reference_front,
    summarise,
)
from nas.errors import ExperimentError


def test_the_reference_point_is_that_of_the_front_within_the_median() -> None:
    # (0.3, 7) is dominated; (0.8, 1) is beyond the median: neither moves the costs' nadir.
    points = np.array([[0.1, 9.0], [0.2, 5.0], [0.3, 7.0], [0.3, 4.0], [0.8, 1.0]])
    front = reference_front(points, 0.5)
    assert sorted(front.points[:, 1].tolist()) == [4, 5, 9]
    assert front.reference.tolist() == [0.5, 9 + 0.1 * (9 - 4)]


def test_a_cost_that_does_not_vary_decides_nothing() -> None:
    points = np.array([[0.1, 9.0], [0.2, 5.0]])
    same = np.column_stack([points, [7.0, 7.0]])
    found = points[1:]
    plain, wider = reference_front(points, 0.5), reference_front(same, 0.5)
    assert wider.share(same[1:]) == pytest.approx(plain.share(found))


def test_shares_by_hand() -> None:
    # To (4, 4): 3 x 1, 2 x 2 and 1 x 3 overlap to a staircase of 6.
    front = Front(np.array([[1.0, 3.0], [2.0, 2.0], [3.0, 1.0]]), np.array([4.0, 4.0]))
    found = np.array([[5.0, 0.0], [3.0, 3.0], [2.0, 2.0], [2.0, 3.0], [1.0, 3.0], [3.0, 1.0]])
    assert front.shares(found) == pytest.approx(np.array([0, 1, 4, 4, 5, 6]) / 6)
    assert front.share(found) == pytest.approx(1)
    assert front.standard_error(0.5) == 0
    assert front.share(found[:0]) == 0


@pytest.mark.parametrize("spread", [0.1, 0.9])
def test_sampled_shares_are_within_their_error(spread: float) -> None:
    rng = np.random.default_rng(0)
    # Two boxes that do not meet have the sum of their volumes, and one more adds its own.
    columns = EXACT + 1
    first, second = np.full(columns, 0.5), np.full(columns, 0.5)
    first[0], second[1] = spread / 2, spread / 2
    front = Front(np.stack([first, second]), np.ones(columns))
    assert not front.exact
    both = 0.5**columns * 2 * ((1 - spread / 2) / 0.5) - 0.5**columns
    alone = 0.5 ** (columns - 1) * (1 - spread / 2)
    share, error = front.share(first[None, :]), front.standard_error(alone / both)
    assert 0 < error < 0.01
    assert share == pytest.approx(alone / both, abs=4 * error)
    found = np.concatenate([rng.random((20, columns)), [first, second]])
    shares = front.shares(found)
    assert (np.diff(shares) >= 0).all()
    assert shares[-1] == pytest.approx(1)


def test_evaluations_are_counted_from_one() -> None:
    shares = np.array([0.2, 0.9, 0.9, 1.0])
    assert [evaluations_to(shares, share) for share in (0.1, 0.9, 0.95)] == [1, 2, 4]
    assert evaluations_to(shares, 1.1) == math.inf


def test_the_interval_of_a_median_holds_95_percent() -> None:
    # Of 10, the 2nd and the 9th: outside lies 2 (1 + 10) / 1024 = 2.1 %; the 3rd would be 10.9 %.
    ten = summarise(range(1, 11))
    assert (ten.median, ten.low, ten.high, ten.reached) == (5.5, 2, 9, 10)
    assert (summarise([4, 2, 9]).low, summarise([4, 2, 9]).high) == (2, 9)
    half = summarise([1, 2, math.inf, math.inf])
    assert (half.median, half.reached) == (math.inf, 2)
    assert str(half) == "- (2/4)"
    assert half.within(30) == "over 30 (2/4)"
    # Of 4 the interval is the range, whose upper end was not reached.
    assert summarise([1, 2, 3, math.inf]).within(30) == "2 (1 to over 30)"


@pytest.mark.parametrize("objectives", [2, 3, 5])
def test_shares_are_those_of_all_that_was_found(objectives: int) -> None:
    """Exact shares are added up point by point; moocore says the same of each prefix at once."""
    rng = np.random.default_rng(objectives)
    found = np.round(rng.random((60, objectives)), 1)  # With ties and repeats.
    front = reference_front(found, 0.9)
    whole = moocore.hypervolume(found, ref=front.reference)
    expected = [moocore.hypervolume(found[: n + 1], ref=front.reference) for n in range(60)]
    assert front.shares(found) == pytest.approx(np.array(expected) / whole)
    score = Score(front)
    for start in range(0, 60, 7):
        score.add(found[start : start + 7])
    assert score.share == pytest.approx(1)


def test_where_nothing_is_better_than_the_median_there_is_no_score() -> None:
    with pytest.raises(ExperimentError, match="better than the median quality, 2"):
        reference_front(np.array([[2.0, 1.0], [2.0, 3.0], [2.0, 2.0], [5.0, 1.0]]), 2.0)
