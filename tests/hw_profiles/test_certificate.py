"""Figures of a certificate against hand calculation and SciPy's own tests."""

from itertools import combinations

import numpy as np
import pytest
from scipy.stats import binomtest

from hw_profiles import Certificate, Measured
from hw_profiles.certificate import kendall_tau, score

# Errors 0, +4 %, -8 %, +25 %; repeats +0, +4, -8 and +20 %.
BY_HAND = (
    Measured("a", "vit", 1.0, (1.0, 1.0)),
    Measured("b", "vit", 1.04 * 2.04, (2.0, 2.08)),
    Measured("c", "mbconv", 0.92 * 2.88, (3.0, 2.76)),
    Measured("d", "mbconv", 1.25 * 1.1, (1.0, 1.2)),
)


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
    network = Measured("a", "vit", 3.0, (1.5, 2.5))
    assert network.error == pytest.approx(0.5)
    assert network.repeat_error == pytest.approx(1 / 1.5)


def test_families_are_scored_apart_and_together() -> None:
    certificate = Certificate("2026-01-03", "seed", BY_HAND)
    families = certificate.families
    assert families == {
        "vit": score(BY_HAND[:2]),
        "mbconv": score(BY_HAND[2:]),
        "all": score(BY_HAND),
    }
    assert certificate.half_width("vit") == pytest.approx(0.95 * 0.04)
    assert certificate.half_width("another") == families["all"].quantile_95


def test_certificate_is_read_back() -> None:
    certificate = Certificate("2026-01-03", "seed", BY_HAND)
    data = certificate.to_json()
    assert data["families"]["vit"]["n"] == 2
    assert Certificate.from_json(data) == certificate
    del data["families"]
    assert Certificate.from_json(data).families == certificate.families


@pytest.mark.parametrize(("within", "n"), [(0, 5), (1, 1), (1, 20), (19, 20), (40, 40)])
def test_lower_bound_is_that_of_the_exact_test(within: int, n: int) -> None:
    predicted = [1.0] * within + [2.0] * (n - within)
    figures = score([Measured("a", "vit", p, (1.0, 1.0)) for p in predicted])
    interval = binomtest(within, n, alternative="greater").proportion_ci(0.95, method="exact")
    assert figures.within_10_low == pytest.approx(interval.low)


def test_kendall_is_concordant_less_discordant_pairs() -> None:
    a, b = np.random.default_rng(0).permuted(np.tile(np.arange(12.0), (2, 1)), axis=1)
    pairs = [(a[i] - a[j]) * (b[i] - b[j]) for i, j in combinations(range(12), 2)]
    assert kendall_tau(list(a), list(b)) == pytest.approx(np.sign(pairs).sum() / 66)


def test_kendall_of_nothing_to_rank_is_zero() -> None:
    assert kendall_tau([], []) == 0
    assert kendall_tau([1.0], [2.0]) == 0
    assert kendall_tau([1.0, 1.0], [1.0, 2.0]) == 0
