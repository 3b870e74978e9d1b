"""Whether a certificate still holds, told from made-up measurements."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from scipy.stats import binom, binomtest, ttest_ind

from hw_profiles import Certificate, Measured
from hw_profiles.certificate import score
from hw_profiles.validity import MAX_BIAS_MOVE, Finding, compare, upper_bound


def certificate(
    errors: Sequence[float], family: str = "vit", repeat: float = 0.0, first: int = 0
) -> Certificate:
    """Networks of 1 s that were predicted with these errors, measured twice so far apart."""
    pair = (1 - repeat / 2, 1 + repeat / 2)
    return Certificate(
        "2026-01-02T03:04:05+00:00",
        "seed",
        tuple(
            Measured(f"{family}{i}", family, 1 + error, pair, (1.0, 1.0, 1.0), 20)
            for i, error in enumerate(errors, start=first)
        ),
    )


def finding(old: Certificate, new: Certificate) -> Finding:
    (found,) = compare(old, new).values()
    return found


@pytest.mark.parametrize(("successes", "n"), [(0, 1), (0, 20), (7, 30), (29, 30), (30, 30)])
def test_upper_bound_is_clopper_and_pearsons(successes: int, n: int) -> None:
    interval = binomtest(successes, n, alternative="less").proportion_ci(0.95, "exact")
    assert upper_bound(successes, n) == pytest.approx(interval.high)


@pytest.mark.parametrize("n", [10, 30, 100])
@pytest.mark.parametrize("certified", [20, 100, 300])
def test_an_unchanged_share_is_doubted_in_under_2_percent_of_cases(certified: int, n: int) -> None:
    pair = ((1.0, 1.0),) * 2
    low = [
        score(
            [
                Measured("", "", 1.0 if i < k else 2.0, pair[0], (1.0, 1.0, 1.0), 1)
                for i in range(certified)
            ]
        ).within_10_low
        for k in range(certified + 1)
    ]
    doubted = np.array([[upper_bound(j, n) < bound for j in range(n + 1)] for bound in low])
    for share in (0.3, 0.45, 0.6, 0.8, 0.9, 0.97, 0.99):
        before, now = (binom.pmf(range(m + 1), m, share) for m in (certified, n))
        assert before @ doubted @ now < 0.02


def test_a_share_that_fell_is_found() -> None:
    fallen = finding(certificate([0.01] * 100), certificate([0.01] * 20 + [0.12, -0.12] * 5))
    # 100 of 100 claims 0.05^(1/100) at least.
    assert fallen.certified.within_10_low == pytest.approx(0.05**0.01)
    assert fallen.within_10_high == upper_bound(20, 30) < 0.81
    assert not fallen.holds
    (reason,) = fallen.reasons
    assert "67% of 30 networks" in reason
    assert "at least 97.0%" in reason


def test_a_share_that_may_be_the_same_holds() -> None:
    held = finding(certificate([0.01] * 97 + [0.2, -0.2, 0.2]), certificate([0.01] * 29 + [0.2]))
    assert held.found.within_10 < held.certified.within_10
    assert held.holds
    assert held.reasons == ()


def test_the_move_of_the_bias_has_welchs_interval() -> None:
    rng = np.random.default_rng(3)
    old, new = rng.normal(0.01, 0.02, 40), rng.normal(0.03, 0.05, 25)
    found = finding(certificate(list(old)), certificate(list(new)))
    interval = ttest_ind(new, old, equal_var=False).confidence_interval(0.99)
    assert found.bias_move - found.bias_half == pytest.approx(interval.low)
    assert found.bias_move + found.bias_half == pytest.approx(interval.high)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_bias_that_moved_is_found(sign: int) -> None:
    spread = [-0.001, 0.001] * 20
    certified = certificate(spread)
    for move, holds in ((MAX_BIAS_MOVE - 0.003, True), (MAX_BIAS_MOVE + 0.003, False)):
        found = finding(certified, certificate([error + sign * move for error in spread]))
        assert found.bias_move == pytest.approx(sign * move)
        assert found.holds is holds
    assert "the bias moved" in found.reasons[0]


def test_errors_of_one_kind_are_doubted_in_under_3_percent_of_cases() -> None:
    rng = np.random.default_rng(1)
    pairs = [(rng.normal(0, 0.08, 20), rng.normal(0, 0.08, 8)) for _ in range(300)]
    doubted = [not finding(certificate(a), certificate(b)).holds for a, b in pairs]
    assert sum(doubted) < 0.03 * 300


def test_a_wide_spread_proves_no_move() -> None:
    old, new = certificate([-0.09, 0.09] * 10), certificate([-0.045, 0.095] * 5)
    found = finding(old, new)
    assert found.bias_move == pytest.approx(0.025)
    assert found.holds


def test_a_busy_machine_is_named_as_a_reason() -> None:
    found = finding(certificate([0.0] * 100), certificate([0.2] * 30, repeat=0.3))
    assert found.repeat_90 == pytest.approx(1.15 / 0.85 - 1)
    assert found.noisy
    assert "too busy" in found.reasons[-1]
    quiet = finding(certificate([0.0] * 100), certificate([0.2] * 30))
    assert not quiet.noisy
    assert not any("too busy" in reason for reason in quiet.reasons)


def test_a_busy_machine_alone_is_no_reason() -> None:
    found = finding(certificate([0.0] * 100), certificate([0.0] * 30, repeat=0.3))
    assert found.noisy
    assert found.holds


def test_one_network_says_nothing_of_the_bias() -> None:
    found = finding(certificate([0.0] * 100), certificate([0.09]))
    assert found.bias_half == math.inf
    assert found.holds


def test_only_families_that_both_have_are_compared() -> None:
    two = [certificate([0.0] * 5, family) for family in ("vit", "mbconv")]
    both = Certificate("", "", two[0].measured + two[1].measured)
    assert list(compare(both, certificate([0.0] * 5, "mbconv"))) == ["mbconv"]
    assert list(compare(both, both)) == ["mbconv", "vit"]
    assert compare(two[0], two[1]) == {}
