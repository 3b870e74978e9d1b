from dataclasses import replace

import numpy as np
import pytest

from nas.comparison import Comparison, Model
from nas.front_scores import SUBSETS, KnownFront
from nas.indicators import Indicator


def comparison(
    scored: list[float], values: list[list[float]], maximized: tuple[bool, ...] = (False,)
) -> Comparison:
    columns = tuple(
        Indicator(f"i{i}", "", "inference", "", f"i{i}", maximize=more)
        for i, more in enumerate(maximized)
    )
    models = tuple(Model(f"m{i}", f"m{i}") for i in range(len(scored)))
    table = np.array(values, dtype=float)
    return Comparison(
        "c",
        "error",
        False,
        columns,
        models,
        table,
        np.array(scored, dtype=float),
        (),
        (),
        1,
        1,
        table,
    )


def line() -> Comparison:
    """A front of three from (0, 4) to (2, 0) of loss and cost, and one beside it that loses."""
    return comparison([0, 1, 2, 2], [[4], [1], [0], [3]])


def test_hypervolume_and_share_by_hand() -> None:
    known = KnownFront(line(), 10)
    assert known.members.tolist() == [0, 1, 2]
    # Scaled to (0, 1), (1/2, 1/4), (1, 0) and (1, 3/4); the box is 1.1 by 1.1.
    one = known.score(np.array([1]), 5, 0)
    assert one.hypervolume == pytest.approx(0.6 * 0.85 / 1.21)
    assert one.dominated == 0
    two = known.score(np.array([1, 3]), 5, 0)
    assert two.hypervolume == pytest.approx(one.hypervolume)
    assert two.dominated == 1 / 2
    every = known.score(np.array([0, 1, 2]), 5, 0)
    assert every.hypervolume == pytest.approx((0.5 * 0.1 + 0.5 * 0.85 + 0.1 * 1.1) / 1.21)
    assert every.igd_plus == 0


def test_igd_plus_by_hand() -> None:
    # Of (1, 3/4) the distances that count to (0, 1), (1/2, 1/4), (1, 0).
    found = KnownFront(line(), 10).score(np.array([3]), 5, 0)
    assert found.igd_plus == pytest.approx((1 + np.hypot(1 / 2, 1 / 2) + 3 / 4) / 3)


def test_a_larger_set_is_scored_by_subsets_of_one_size() -> None:
    known = KnownFront(line(), 10)
    alone = [known.score(np.array([i]), 1, 0).hypervolume for i in range(3)]
    found = known.score(np.array([0, 1, 2]), 1, 7)
    # The mean of so many single members.
    assert min(alone) < found.hypervolume < max(alone)
    shares = [found.hypervolume * SUBSETS]
    counts = [(a, b, SUBSETS - a - b) for a in range(SUBSETS + 1) for b in range(SUBSETS + 1 - a)]
    totals = [sum(n * v for n, v in zip(c, alone, strict=True)) for c in counts]
    assert np.abs(np.array(totals) - shares[0]).min() < 1e-12
    assert known.score(np.array([2, 0, 1]), 1, 7).hypervolume == found.hypervolume


def test_excess_at_equal_quality_by_hand() -> None:
    # Known at a loss of at most t: cost 4 below 1, then 2, from 2 on 1.
    base = comparison([0, 1, 2, 1, 2], [[4], [2], [1], [3], [3]])
    known = KnownFront(base, 10)
    assert known.thresholds.min() >= 0
    assert known.thresholds.max() <= 2
    least = np.select([known.thresholds >= 2, known.thresholds >= 1], [1, 2], 4)
    # One that has 3 from a loss of 1 on reaches half of the thresholds only.
    reached = known.thresholds >= 1
    expected = np.median(np.where(reached, 3 / least - 1, np.inf))
    assert known.score(np.array([3]), 5, 0).excess[0] == expected
    found = known.score(np.array([0, 3]), 5, 0).excess[0]
    assert found == np.median(np.where(reached, 3, 4) / least - 1)
    assert known.score(np.array([0, 1, 2]), 5, 0).excess[0] == 0


def test_excess_of_a_yield_is_what_the_best_has_more() -> None:
    base = comparison([0, 0], [[40], [50]], (True,))
    known = KnownFront(base, 1)
    assert known.score(np.array([0]), 5, 0).excess[0] == pytest.approx(0.25)
    assert known.score(np.array([1]), 5, 0).excess[0] == 0


def test_what_has_no_ratio_has_no_excess() -> None:
    base = comparison([0, 1], [[-1, 2], [1, 1]], (False, False))
    found = KnownFront(base, 10).score(np.array([1]), 5, 0).excess
    assert np.isnan(found[0])
    assert not np.isnan(found[1])
    nothing = KnownFront(base, -1)
    assert len(nothing.thresholds) == 0
    assert np.isnan(nothing.score(np.array([1]), 5, 0).excess).all()


def test_what_is_not_scored_neither_counts_nor_dominates() -> None:
    base = line()
    scored = base.scored.copy()
    scored[1] = np.nan
    known = KnownFront(replace(base, scored=scored), 10)
    assert known.members.tolist() == [0, 2]
    assert known.score(np.array([1, 3]), 5, 0).dominated == 1
    assert np.isnan(known.score(np.array([1]), 5, 0).igd_plus)


def test_columns_that_repeat_another_add_nothing() -> None:
    rng = np.random.default_rng(0)
    loss, cost = rng.random(12), rng.random((12, 2)) + 1
    once = KnownFront(comparison(loss.tolist(), cost.tolist(), (False,) * 2), 10)
    twice = np.column_stack([cost, 3 * cost[:, 0]])
    again = KnownFront(comparison(loss.tolist(), twice.tolist(), (False,) * 3), 10)
    models = np.arange(4)
    assert once.score(models, 9, 0).hypervolume == pytest.approx(
        again.score(models, 9, 0).hypervolume
    )
