import itertools
import math

import numpy as np
import pytest
from scipy.stats import wilcoxon

from nas.paired_tests import (
    corrected,
    holm,
    least_p,
    median_estimate,
    paired_test,
    signed_rank_p,
)


@pytest.mark.parametrize("n", [1, 4, 6, 11, 20])
def test_without_ties_p_is_scipys(n: int) -> None:
    rng = np.random.default_rng(n)
    for shift in (0.0, 0.5, 2.0):
        values = rng.normal(shift, 1, n)
        assert signed_rank_p(values) == pytest.approx(wilcoxon(values, method="exact").pvalue)


def by_all_signs(values: np.ndarray) -> float:
    """p by trying every sign; ranks by counting how many are smaller or equal."""
    sizes = np.abs(values)
    ranks = [(sizes < s).sum() + ((sizes == s).sum() + 1) / 2 for s in sizes]
    moving = [r for r, v in zip(ranks, values, strict=True) if v != 0]
    found = sum(r for r, v in zip(ranks, values, strict=True) if v > 0)
    sums = [
        sum(r for r, up in zip(moving, ups, strict=True) if up)
        for ups in itertools.product((False, True), repeat=len(moving))
    ]
    below = sum(s <= found for s in sums) / len(sums)
    above = sum(s >= found for s in sums) / len(sums)
    return min(1.0, 2 * min(below, above))


def test_with_ties_and_zeros_p_is_that_of_all_signs() -> None:
    rng = np.random.default_rng(0)
    for _ in range(40):
        values = rng.integers(-2, 4, size=rng.integers(1, 10)).astype(float)
        assert signed_rank_p(values) == pytest.approx(by_all_signs(values))


def test_equal_differences_that_rounding_tells_apart_share_a_rank() -> None:
    assert signed_rank_p([0.1 + 0.2, -0.3, 1.0]) == signed_rank_p([0.3, -0.3, 1.0])


def test_no_difference_is_never_significant() -> None:
    test = paired_test([0.0] * 20, "a", "b", "regret")
    assert test.p == 1
    assert not test.significant
    assert (test.difference.value, test.difference.low, test.difference.high) == (0, 0, 0)


def test_five_seeds_cannot_be_significant_and_six_can() -> None:
    assert least_p(5) == 0.0625 == signed_rank_p([1, 2, 3, 4, 5])
    assert not paired_test([1, 2, 3, 4, 5], "a", "b", "regret").significant
    assert paired_test([1, 2, 3, 4, 5, 6], "a", "b", "regret").significant


def test_hodges_lehmann_by_hand() -> None:
    # Pairwise means of 1, 2, 6 with themselves: 1, 1.5, 2, 3.5, 4, 6.
    found = paired_test([6.0, 1.0, 2.0], "a", "b", "regret").difference
    assert (found.value, found.low, found.high) == (2.75, 1.0, 6.0)
    assert found.coverage == pytest.approx(1 - 2 / 8)


def test_the_interval_is_what_the_test_does_not_reject() -> None:
    values = np.random.default_rng(3).normal(1, 2, 12)
    found = paired_test(values, "a", "b", "regret").difference
    for end, outwards in ((found.low, -1e-6), (found.high, 1e-6)):
        assert signed_rank_p(values - (end - outwards)) > 0.05
        assert signed_rank_p(values - (end + outwards)) <= 0.05


@pytest.mark.parametrize("n", [3, 6, 10, 20])
def test_intervals_of_differences_cover_as_often_as_they_say(n: int) -> None:
    rng, draws = np.random.default_rng(n), 1_500
    covered = 0
    for _ in range(draws):
        found = paired_test(rng.standard_t(3, n) + 1, "a", "b", "regret").difference
        covered += found.low <= 1 <= found.high
    error = math.sqrt(found.coverage * (1 - found.coverage) / draws)
    assert covered / draws == pytest.approx(found.coverage, abs=4 * error)
    assert (found.coverage >= 0.95) == (n >= 6)


@pytest.mark.parametrize("n", [3, 6, 10, 20])
def test_intervals_of_medians_cover_as_often_as_they_say(n: int) -> None:
    rng, draws = np.random.default_rng(n), 4_000
    samples = rng.exponential(1, (draws, n))
    found = [median_estimate(sample) for sample in samples]
    covered = np.mean([item.low <= math.log(2) <= item.high for item in found])
    coverage = found[0].coverage
    error = math.sqrt(coverage * (1 - coverage) / draws)
    assert covered == pytest.approx(coverage, abs=4 * error)
    assert (coverage >= 0.95) == (n >= 6)


def test_the_interval_of_a_median_is_of_order_statistics() -> None:
    # Of 20 values, at most 5 lie below the median with 2.07 %, at most 6 with 5.77 %.
    found = median_estimate(np.arange(20.0))
    assert (found.value, found.low, found.high) == (9.5, 5, 14)
    assert found.coverage == pytest.approx(1 - 2 * 0.0206947)
    assert median_estimate([1.0, 2.0, math.inf]).high == math.inf
    assert math.isnan(median_estimate([1.0, math.nan]).value)
    assert median_estimate([1.0, math.inf]).to_json()["high"] is None


def test_holm_by_hand_and_in_any_order() -> None:
    assert holm([0.04, 0.01, 0.02, 0.5]) == pytest.approx([0.08, 0.04, 0.06, 0.5])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_the_correction_decides_what_is_significant() -> None:
    tests = [paired_test(np.arange(1, 8), "a", "b", name) for name in "xyzw"]
    assert [test.significant for test in tests] == [True] * 4
    assert [test.significant for test in corrected(tests)] == [False] * 4
    assert [test.adjusted_p for test in corrected(tests)] == [4 / 64] * 4


@pytest.mark.parametrize("values", [[], [1.0, math.nan], [math.inf]])
def test_differences_that_are_none_or_not_finite_are_refused(values: list[float]) -> None:
    with pytest.raises(ValueError, match="must be finite"):
        paired_test(values, "a", "b", "regret")
