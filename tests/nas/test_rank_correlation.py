"""Kendall's tau-b and its intervals."""

import math

import numpy as np
import pytest
from scipy.stats import kendalltau

from nas.rank_correlation import RankCorrelation, rank_correlations


def test_tau_by_hand() -> None:
    # Of 10 pairs one is ordered the other way: (9 - 1) / 10.
    found = rank_correlations(np.array([[1, 2], [2, 1], [3, 3], [4, 4], [5, 5.0]]))
    assert found[0][1].tau == pytest.approx(0.8)
    assert found[0][1] is found[1][0]
    assert found[0][1].n == 5


def test_ties_by_hand() -> None:
    # Of 3 pairs x orders 2 and y all 3; both alike: 2 / sqrt(2 * 3).
    found = rank_correlations(np.array([[1, 1], [1, 2], [2, 3.0]]))
    assert found[0][1].tau == pytest.approx(2 / math.sqrt(6))


@pytest.mark.parametrize("seed", range(5))
def test_as_scipy_says_with_many_ties(seed: int) -> None:
    columns = np.random.default_rng(seed).integers(0, 6, (60, 3)).astype(float)
    found = rank_correlations(columns)
    for a in range(3):
        for b in range(3):
            expected = kendalltau(columns[:, a], columns[:, b]).statistic
            assert found[a][b].tau == pytest.approx(expected, abs=1e-12)


def test_monotone_functions_change_nothing_and_falling_ones_turn_the_sign() -> None:
    x, y = np.random.default_rng(0).random((2, 40))
    whole = rank_correlations(np.column_stack([x, y, np.exp(x), -y]))
    assert whole[2][1] == whole[0][1]
    turned = whole[0][3]
    assert turned.tau == pytest.approx(-whole[0][1].tau)
    assert (turned.low, turned.high) == pytest.approx((-whole[0][1].high, -whole[0][1].low))


def test_a_missing_value_takes_its_model_out_of_its_own_columns_only() -> None:
    columns = np.random.default_rng(1).random((30, 3))
    gap = columns.copy()
    gap[4, 0] = np.nan
    whole, found = rank_correlations(columns), rank_correlations(gap)
    assert found[1][2] == whole[1][2]
    assert found[0][1].n == 29
    assert found[0][1] == rank_correlations(np.delete(columns, 4, axis=0))[0][1]


def test_what_orders_nothing_has_no_correlation() -> None:
    found = rank_correlations(np.array([[1, 1], [1, 2], [1, 3.0]]))[0][1]
    assert math.isnan(found.tau)
    assert found.to_json() == {"tau": None, "low": None, "high": None, "n": 3}
    assert str(found) == "undefined"
    assert math.isnan(rank_correlations(np.zeros((0, 2)))[0][1].tau)


def test_two_models_tell_nothing_about_others() -> None:
    found = rank_correlations(np.array([[1, 1], [2, 2.0]]))[0][1]
    assert found == RankCorrelation(1.0, -1.0, 1.0, 2)


def test_full_agreement_is_bounded_by_pairs_without_overlap() -> None:
    # Ten models are five pairs without overlap, none of which failed: Clopper & Pearson's upper
    # bound of the share p that does is 1 - 0.025 ** (1 / 5), and tau is 1 - 2 p.
    x = np.arange(10.0)
    up, down = rank_correlations(np.column_stack([x, x**2, -x]))[0][1:]
    low = 1 - 2 * (1 - 0.025 ** (1 / 5))
    assert (up.tau, up.high, down.tau, down.low) == (1, 1, -1, -1)
    assert up.low == pytest.approx(low)
    assert down.high == pytest.approx(-low)


def test_the_error_is_that_of_leaving_each_model_out_once() -> None:
    columns = np.random.default_rng(2).integers(0, 9, (15, 2)).astype(float)
    found = rank_correlations(columns)[0][1]
    without = np.array([kendalltau(*np.delete(columns, i, axis=0).T).statistic for i in range(15)])
    error = math.sqrt(14 / 15 * ((without - without.mean()) ** 2).sum())
    half = (math.atanh(found.high) - math.atanh(found.low)) / 2
    assert half == pytest.approx(2.1447867 * error / (1 - found.tau**2))


@pytest.mark.parametrize(("n", "rho"), [(10, 0.0), (20, 0.5), (20, 0.9), (60, 0.9), (150, 0.5)])
def test_intervals_hold_the_true_tau_as_often_as_they_say(n: int, rho: float) -> None:
    # Of a bivariate normal distribution tau is 2 / pi * asin(rho) (Greiner 1909).
    rng, trials, true = np.random.default_rng(3), 400, 2 / math.pi * math.asin(rho)
    held, widths = 0, []
    for _ in range(trials):
        x, noise = rng.standard_normal((2, n))
        y = rho * x + math.sqrt(1 - rho**2) * noise
        found = rank_correlations(np.column_stack([x, y]))[0][1]
        held += found.low <= true <= found.high
        widths.append(found.high - found.low)
    # 95 % of 400, three standard errors below; more at few models, and no emptier than that.
    assert held / trials > 0.95 - 3 * math.sqrt(0.95 * 0.05 / trials)
    assert np.mean(widths) < 4 / math.sqrt(n)


def test_within_groups_only_their_pairs_count() -> None:
    # In each group y falls with x, and between the groups it rises.
    columns = np.array([[0, 1], [1, 0], [10, 11], [11, 10.0]])
    assert rank_correlations(columns)[0][1].tau == pytest.approx(2 / 6)
    assert rank_correlations(columns, ["a", "a", "b", "b"])[0][1].tau == -1
    alone = rank_correlations(columns, ["a", "b", "c", "d"])[0][1]
    assert math.isnan(alone.tau)


def test_one_group_is_none() -> None:
    columns = np.random.default_rng(4).random((20, 2))
    assert rank_correlations(columns, ["x"] * 20) == rank_correlations(columns)
