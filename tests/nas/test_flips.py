"""Pairs of models that two indicators order differently, and the most telling ones."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from nas.flips import Flips, count_flips
from nas.model_table import ModelTable
from nas.telling_pairs import (
    INDICATORS_MOST,
    MODEL_MOST,
    MOST,
    TellingPair,
    comparable_quality,
    telling_pairs,
)
from nas.tolerance import Tolerance

NAN = float("nan")
# Params M, GFLOPs and images a second of four models whose accuracy is about the same, and of one
# that is far off. By params and GFLOPs the deep one is cheaper than the wide one, and slower.
PAPER = ModelTable(
    ("deep", "wide", "small", "middle", "bad"),
    "accuracy",
    np.array([80.0, 80.1, 79.9, 80.0, 20.0]),
    ("params", "gflops", "rate"),
    np.array([[93, 4.43, 400], [102, 4.44, 1000], [10, 1, 1100], [50, 3, 990], [1, 900, 1.0]]),
    frozenset({"accuracy", "rate"}),
    tolerances={"rate": Tolerance(0.05)},
)


def brute(table: ModelTable, i: int, j: int) -> tuple[int, int, int]:
    """Pairs, ties and flips, one pair after the other."""
    pairs = tied = flipped = 0
    for a, b in combinations(range(len(table)), 2):
        if np.isnan(table.values[[a, b]][:, [i, j]]).any():
            continue
        pairs += 1
        signs = []
        for column in (i, j):
            x, y = table.costs[a, column], table.costs[b, column]
            tolerance = table.tolerance(table.indicators[column])
            size = tolerance.value * (min(abs(x), abs(y)) if tolerance.relative else 1)
            signs.append(0 if abs(x - y) <= size else np.sign(x - y))
        tied += 0 in signs
        flipped += signs[0] * signs[1] < 0
    return pairs, tied, flipped


def test_flips_by_hand() -> None:
    params_gflops, params_rate, gflops_rate = count_flips(PAPER, {})
    # Only the bad model is ordered differently by params and GFLOPs: it is smallest and dearest.
    assert params_gflops == Flips(("params", "gflops"), 10, 0, 4)
    # The rates of wide and middle differ by 1 %: a tie. By params deep is cheaper than wide alone,
    # and slower, and bad is the smallest and slowest of all.
    assert params_rate == Flips(("params", "rate"), 10, 1, 5)
    assert params_rate.share == pytest.approx(5 / 9)
    assert gflops_rate.flipped == 1


@pytest.mark.parametrize("seed", range(6))
def test_as_counted_one_by_one(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.integers(1, 12, (25, 3)).astype(float)
    values[rng.random(values.shape) < 0.1] = NAN
    table = ModelTable(
        tuple(map(str, range(25))), "q", rng.random(25), ("a", "b", "c"), values,
        frozenset({"b"}),
        tolerances={"a": Tolerance(0.2), "b": Tolerance(0.1), "c": Tolerance(1.5, relative=False)},
    )  # fmt: skip
    for found, (i, j) in zip(count_flips(table, {}), combinations(range(3), 2), strict=True):
        assert (found.pairs, found.tied, found.flipped) == brute(table, i, j)


def test_differences_within_the_error_are_no_flips() -> None:
    values = np.array([[1.0, 1.04], [2.0, 1.0]])
    table = ModelTable(("a", "b"), "q", np.zeros(2), ("macs", "latency"), values)
    assert count_flips(table, {})[0].flipped == 1
    noisy = ModelTable(
        ("a", "b"), "q", np.zeros(2), ("macs", "latency"), values,
        tolerances={"latency": Tolerance(0.05)},
    )  # fmt: skip
    assert count_flips(noisy, {})[0] == Flips(("macs", "latency"), 1, 1, 0)
    assert telling_pairs(noisy) == ((), {})


def test_the_most_telling_pair_by_hand() -> None:
    telling, each = telling_pairs(PAPER)
    # 102 / 93 of the params, 1000 / 400 of the time: the deep one is cheaper by params.
    assert telling == (each["params", "rate"],)
    (pair,) = telling
    assert (pair.first, pair.second) == ("deep", "wide")
    assert pair.indicators == ("params", "rate")
    assert pair.ratios == pytest.approx((102 / 93, 2.5))
    assert pair.scores == (80.0, 80.1)
    # By GFLOPs the pair flips too, but 0.2 % more of them is nothing to choose about.
    assert count_flips(PAPER, each)[2].flipped == 1
    assert list(each) == [("params", "rate")]


def test_the_smaller_ratio_decides_what_tells_most() -> None:
    # Against b, a has 100 times the params and a tenth less MACs; c 3 times the params and half.
    values = np.array([[100.0, 1 / 1.1], [1, 1], [3, 0.5]])
    table = ModelTable(("a", "b", "c"), "q", np.zeros(3), ("params", "macs"), values)
    telling, each = telling_pairs(table)
    assert [(pair.first, pair.second) for pair in telling] == [("b", "c"), ("b", "a")]
    assert [pair.least for pair in telling] == pytest.approx([2, 1.1])
    assert telling[1].ratios == pytest.approx((100, 1.1))
    assert each["params", "macs"] == telling[0]
    nearer = replace(table, values=np.array([[100.0, 1 / 1.04], [1, 1], [3, 0.5]]))
    assert [(pair.first, pair.second) for pair in telling_pairs(nearer)[0]] == [("b", "c")]


def test_quality_far_apart_is_not_compared() -> None:
    # The bad model flips with all others, by factors of hundreds, and is in no pair.
    telling, each = telling_pairs(PAPER)
    assert all("bad" not in (pair.first, pair.second) for pair in (*telling, *each.values()))


def test_about_the_same_quality_is_a_share_of_the_spread_or_its_error() -> None:
    scores = np.arange(101.0)
    table = ModelTable(tuple(map(str, range(101))), "q", scores, ("a",), np.ones((101, 1)))
    assert comparable_quality(table) == pytest.approx(0.05 * 80)
    wide = ModelTable(
        table.names, "q", scores, ("a",), table.values,
        tolerances={"q": Tolerance(7, relative=False)},
    )  # fmt: skip
    assert comparable_quality(wide) == 7


def random_table(n: int = 60, scored: bool = True) -> ModelTable:
    rng = np.random.default_rng(0)
    values = np.exp(rng.normal(size=(n, 4)))
    scores = rng.random(n) if scored else np.full(n, NAN)
    names = tuple(f"m{i}" for i in range(n))
    return ModelTable(names, "q", scores, ("a", "b", "c", "d"), values, frozenset({"c"}))


def every_pair(table: ModelTable) -> list[TellingPair]:
    """All flips between models of about the same quality."""
    found = []
    for a, b in combinations(range(len(table)), 2):
        if abs(table.scores[a] - table.scores[b]) > comparable_quality(table):
            continue
        logs = table.log_costs[a] - table.log_costs[b]
        for i, j in combinations(range(logs.size), 2):
            if logs[i] * logs[j] < 0:
                first, second = (a, b) if logs[i] < 0 else (b, a)
                found.append(
                    TellingPair(
                        table.names[first],
                        table.names[second],
                        (table.indicators[i], table.indicators[j]),
                        (float(np.exp(abs(logs[i]))), float(np.exp(abs(logs[j])))),
                        (float(table.scores[first]), float(table.scores[second])),
                    )
                )
    return found


def test_the_most_telling_are_those_of_all_pairs_taken_one_after_the_other() -> None:
    table = random_table()
    left = every_pair(table)
    telling, each = telling_pairs(table)
    for kind, pair in each.items():
        of = [other for other in left if other.indicators == kind]
        assert pair.least == pytest.approx(max(other.least for other in of))
    named: list[str] = []
    kinds: list[tuple[str, str]] = []
    for pair in telling:
        best = max(left, key=lambda other: other.least)
        assert (pair.first, pair.second, pair.indicators) == (
            best.first, best.second, best.indicators,
        )  # fmt: skip
        assert pair.ratios == pytest.approx(best.ratios)
        named += [pair.first, pair.second]
        kinds.append(pair.indicators)
        left = [
            other
            for other in left
            if {other.first, other.second} != {pair.first, pair.second}
            and max(named.count(other.first), named.count(other.second)) < MODEL_MOST
            and kinds.count(other.indicators) < INDICATORS_MOST
        ]
    assert len(telling) == MOST


def test_no_two_indicators_fill_the_list() -> None:
    table = random_table()
    two = replace(table, indicators=("a", "b"), values=table.values[:, :2], maximized=frozenset())
    assert len(every_pair(two)) > INDICATORS_MOST
    assert len(telling_pairs(two)[0]) == INDICATORS_MOST


def test_the_order_of_the_rows_changes_no_pair() -> None:
    table = random_table()
    shuffled = table.take(np.random.default_rng(1).permutation(len(table)))
    told = {(pair.first, pair.second, pair.indicators) for pair in telling_pairs(table)[0]}
    again = {(pair.first, pair.second, pair.indicators) for pair in telling_pairs(shuffled)[0]}
    assert told == again


def test_without_a_quality_all_models_are_compared() -> None:
    table = random_table(8, scored=False)
    logs = table.log_costs
    most = max(  # How far the logarithms lie on both sides of 0.
        float(min(np.max(logs[a] - logs[b]), np.max(logs[b] - logs[a])))
        for a, b in combinations(range(8), 2)
    )
    telling, _ = telling_pairs(table)
    assert np.log(telling[0].least) == pytest.approx(most)
    assert telling[0].to_json()["quality"] == [None, None]


def test_what_has_no_ratio_is_in_no_pair() -> None:
    values = np.array([[0.0, 2.0], [1.0, 1.0], [NAN, 0.5]])
    table = ModelTable(("a", "b", "c"), "q", np.zeros(3), ("x", "y"), values)
    assert count_flips(table, {})[0].flipped == 1
    assert telling_pairs(table) == ((), {})


def test_a_table_without_models_has_no_pairs() -> None:
    empty = random_table().take(np.zeros(60, dtype=bool))
    assert telling_pairs(empty) == ((), {})
    assert count_flips(empty, {})[0].pairs == 0
