"""Figures of a certificate against hand calculation and SciPy's own tests."""

from itertools import combinations

import numpy as np
import pytest
from scipy.stats import binomtest

from hw_profiles import Certificate, Measured
from hw_profiles.certificate import kendall_tau, score


def measured(
    name: str,
    family: str,
    predicted: float,
    pair: tuple[float, float],
    tail: tuple[float, float, float] = (1.0, 1.0, 1.0),
) -> Measured:
    return Measured(name, family, predicted, pair, tail, 24)


# Errors 0, +4 %, -8 %, +25 %; repeats +0, +4, -8 and +20 %.
BY_HAND = (
    measured("a", "vit", 1.0, (1.0, 1.0)),
    measured("b", "vit", 1.04 * 2.04, (2.0, 2.08)),
    measured("c", "mbconv", 0.92 * 2.88, (3.0, 2.76)),
    measured("d", "mbconv", 1.25 * 1.1, (1.0, 1.2)),
)


def certificate(*networks: Measured) -> Certificate:
    return Certificate("2026-01-03", "seed", networks)


def test_figures_by_hand() -> None:
    figures = score(BY_HAND)
    assert figures.n == 4
    assert figures.bias == pytest.approx((0 + 0.04 - 0.08 + 0.25) / 4)
    assert figures.mape == pytest.approx((0 + 0.04 + 0.08 + 0.25) / 4)
    assert figures.within_5 == 2 / 4
    assert figures.within_10 == 3 / 4
    assert figures.aa_within_5 == 2 / 4
    assert figures.aa_within_10 == 3 / 4
    # Position 0.95 * 3 = 2.85 of the sorted errors 0, 4, 8, 25 %.
    assert figures.quantile_95 == pytest.approx(0.08 + 0.85 * (0.25 - 0.08))
    # Predicted 1, 2.12, 2.65, 1.375 and measured 1, 2.04, 2.88, 1.1: the same order.
    assert figures.tau == 1
    # First 1, 2, 3, 1 and second 1, 2.08, 2.76, 1.2: one tie of six pairs on the left.
    assert figures.aa_tau == pytest.approx(5 / (5 * 6) ** 0.5)


def test_errors_of_one_network() -> None:
    network = measured("a", "vit", 3.0, (1.5, 2.5))
    assert network.error == pytest.approx(0.5)
    assert network.repeat_error == pytest.approx(1 / 1.5)


def test_families_are_scored_apart_and_together() -> None:
    families = certificate(*BY_HAND).families
    assert families == {
        "vit": score(BY_HAND[:2]),
        "mbconv": score(BY_HAND[2:]),
        "all": score(BY_HAND),
    }
    assert certificate(*BY_HAND).half_width("vit") == pytest.approx(0.95 * 0.04)
    assert certificate(*BY_HAND).half_width("another") == families["all"].quantile_95


def test_networks_of_a_family_are_all_of_them_where_there_are_none() -> None:
    made = certificate(*BY_HAND)
    assert made.of_family("vit") == BY_HAND[:2]
    assert made.of_family("another") == BY_HAND


def test_certificate_is_read_back() -> None:
    made = certificate(*BY_HAND)
    data = made.to_json()
    assert data["families"]["vit"]["n"] == 2
    assert Certificate.from_json(data) == made
    del data["families"]
    assert Certificate.from_json(data).families == made.families


@pytest.mark.parametrize(("within", "n"), [(0, 5), (1, 1), (1, 20), (19, 20), (40, 40)])
def test_lower_bounds_are_those_of_the_exact_test(within: int, n: int) -> None:
    interval = binomtest(within, n, alternative="greater").proportion_ci(0.95, method="exact")
    far = [2.0] * (n - within)
    figures = score([measured("a", "vit", p, (1.0, 1.0)) for p in [1.0] * within + far])
    assert figures.within_10_low == figures.within_5_low == pytest.approx(interval.low)
    # At 7 % off they are within one of the two.
    figures = score([measured("a", "vit", p, (1.0, 1.0)) for p in [1.07] * within + far])
    assert figures.within_10_low == pytest.approx(interval.low)
    assert figures.within_5_low == 0


def test_forty_of_forty_shows_what_it_shows() -> None:
    figures = score([measured("a", "vit", 1.0, (1.0, 1.0))] * 40)
    assert (
        figures.within_10_low == pytest.approx(0.05 ** (1 / 40)) == pytest.approx(0.928, abs=5e-4)
    )


def test_kendall_is_concordant_less_discordant_pairs() -> None:
    a, b = np.random.default_rng(0).permuted(np.tile(np.arange(12.0), (2, 1)), axis=1)
    pairs = [(a[i] - a[j]) * (b[i] - b[j]) for i, j in combinations(range(12), 2)]
    assert kendall_tau(list(a), list(b)) == pytest.approx(np.sign(pairs).sum() / 66)


def test_kendall_of_nothing_to_rank_is_zero() -> None:
    assert kendall_tau([], []) == 0
    assert kendall_tau([1.0], [2.0]) == 0
    assert kendall_tau([1.0, 1.0], [1.0, 2.0]) == 0


def test_probability_within_a_limit_by_hand() -> None:
    # Of a network predicted to take 1, these errors say 1.25, 1, 0.8 and 0.5.
    errors = (-0.2, 0.0, 0.25, 1.0)
    made = certificate(*(measured("a", "vit", 1 + e, (1.0, 1.0)) for e in errors))
    for limit, kept in ((0.4, 0), (0.5, 1), (0.79, 1), (0.9, 2), (1.1, 3), (1.24, 3), (1.3, 4)):
        expected = (kept + 0.5) / 5
        assert made.probability_within(1.0, limit, "vit") == pytest.approx(expected)
        # Only the ratio of the two matters.
        assert made.probability_within(3e-3, 3e-3 * limit, "vit") == pytest.approx(expected)


def test_probability_is_that_of_the_family() -> None:
    made = certificate(
        *(measured("a", "vit", 2.0, (1.0, 1.0)) for _ in range(3)),
        *(measured("b", "mbconv", 0.5, (1.0, 1.0)) for _ in range(4)),
    )
    # ViTs take half of what is predicted, MBConv networks twice.
    assert made.probability_within(1.0, 1.0, "vit") == 3.5 / 4
    assert made.probability_within(1.0, 1.0, "mbconv") == 0.5 / 5
    assert made.probability_within(1.0, 1.0, "another") == 3.5 / 8


def test_probability_grows_with_the_limit_and_is_never_sure() -> None:
    rng = np.random.default_rng(0)
    made = certificate(
        *(measured("a", "vit", float(p), (1.0, 1.0)) for p in rng.normal(1, 0.05, 50))
    )
    chances = [made.probability_within(1.0, limit, "vit") for limit in np.linspace(0.5, 1.5, 40)]
    assert chances == sorted(chances)
    assert chances[0] == pytest.approx(0.5 / 51)
    assert chances[-1] == pytest.approx(50.5 / 51)


def test_tail_factors_by_hand() -> None:
    # Median, 90 % and 99 % quantile over what was predicted: 1, 2 and 3 times k.
    networks = [
        measured(str(k), "vit", 2.0, (1.0, 1.0), (2.0 * k, 4.0 * k, 6.0 * k)) for k in range(1, 6)
    ]
    other = measured("other", "mbconv", 1.0, (1.0, 1.0), (7.0, 8.0, 9.0))
    made = certificate(*networks, other)
    for position in range(3):
        middle, low, high = made.tail_factor(position, "vit")
        times = position + 1
        # Of five, the quantile q stands at position 4 q: 0.1 and 3.9.
        assert middle == pytest.approx(3 * times)
        assert low == pytest.approx(1.1 * times)
        assert high == pytest.approx(4.9 * times)
    assert made.tail_factor(2, "mbconv") == (9.0, 9.0, 9.0)
