"""Gaussian processes, held against scikit-learn and against leaving points out one by one."""

import json
import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import multivariate_normal, norm, t

from predictors.gaussian_process import GaussianProcess, Kernel, Prior, fit_kernel

KERNEL = Kernel(offset=0.3, linear=0.2, amplitude=1.5, lengths=(0.7, 2.0, 1.1), noise=0.05)
SURE = Kernel(offset=0.3, linear=0.2, amplitude=0.5, lengths=(2.0, 2.0, 2.0), noise=1e-3)
"""A kernel that takes :func:`process` for smoother than it is."""

PRIOR = Prior(linear=(0.1, 1.0), amplitude=(1.0, 1.0), length=(1.0, 1.0), noise=(0.01, 1.0))


def points(n: int, seed: int = 0) -> NDArray[np.float64]:
    """Random inputs: ``[n, 3]``."""
    return np.random.default_rng(seed).standard_normal((n, 3))


def process(n: int = 30, kernel: Kernel = KERNEL, known: float = 0.05) -> GaussianProcess:
    """A process through noisy values, each with a known noise of up to so much."""
    rng = np.random.default_rng(1)
    inputs = points(n)
    targets = np.sin(inputs[:, 0]) + 0.5 * inputs[:, 1] + 0.1 * rng.standard_normal(n)
    return GaussianProcess(kernel, inputs, targets, rng.uniform(0, known, n))


def without(process: GaussianProcess, gone: Any) -> GaussianProcess:
    """The process that has not seen some points."""
    kept = np.delete(np.arange(len(process.targets)), gone)
    return GaussianProcess(
        process.kernel, process.inputs[kept], process.targets[kept], process.noise[kept]
    )


def sklearn_kernel(kernel: Kernel) -> Any:
    """The same covariance in scikit-learn, noise included."""
    from sklearn.gaussian_process.kernels import ConstantKernel, DotProduct, Matern, WhiteKernel

    return (
        ConstantKernel(kernel.offset)
        + ConstantKernel(kernel.amplitude) * Matern(kernel.lengths, nu=2.5)
        + ConstantKernel(kernel.linear) * DotProduct(0.0, "fixed")
        + WhiteKernel(kernel.noise)
    )


def test_covariance_is_that_of_scikit_learn() -> None:
    a, b = points(20), points(15, seed=2)
    expected = sklearn_kernel(KERNEL)
    np.testing.assert_allclose(KERNEL(a, b), expected(a, b), rtol=1e-10)
    np.testing.assert_allclose(KERNEL.variances(a), expected.diag(a) - KERNEL.noise, rtol=1e-10)


def test_prediction_is_that_of_scikit_learn() -> None:
    from sklearn.gaussian_process import GaussianProcessRegressor

    own, wanted = process(), points(25, seed=3)
    theirs = GaussianProcessRegressor(sklearn_kernel(KERNEL), alpha=own.noise, optimizer=None)
    mean, deviation = theirs.fit(own.inputs, own.targets).predict(wanted, return_std=True)
    found = own.predict(wanted)
    np.testing.assert_allclose(found[0], mean, rtol=1e-8)
    np.testing.assert_allclose(found[1], deviation, rtol=1e-8)


def test_smoothed_values_are_less_the_known_noise_alone() -> None:
    """Against the mean of the joint normal distribution, written out."""
    one = process(n=12, known=0.3)
    noise = np.where(np.arange(12) % 3 > 0, one.noise, 0.0)
    true = KERNEL(one.inputs, one.inputs) + KERNEL.noise * np.eye(12)
    expected = true @ np.linalg.solve(true + np.diag(noise), one.targets)
    smoothed = GaussianProcess(KERNEL, one.inputs, one.targets, noise).smoothed()
    assert smoothed == pytest.approx(expected)
    assert smoothed[noise == 0] == pytest.approx(one.targets[noise == 0])
    assert (np.abs(smoothed - one.targets)[noise > 0] > 1e-6).all()


def test_far_from_all_points_the_prior_is_left() -> None:
    kernel = Kernel(offset=0.3, linear=0.0, amplitude=1.5, lengths=(1.0,) * 3, noise=0.05)
    mean, deviation = process(kernel=kernel).predict(np.full((1, 3), 1e3))
    assert abs(mean[0]) < 0.3
    assert 1.5 + 0.05 < deviation[0] ** 2 <= 1.85


@pytest.mark.parametrize("kernel", [KERNEL, SURE])
def test_interval_is_wider_where_points_left_out_fall_outside(kernel: Kernel) -> None:
    own = process(kernel=kernel, known=0.05 if kernel is KERNEL else 0.0)
    away = []
    for i in range(len(own.targets)):
        mean, deviation = without(own, i).predict(own.inputs[[i]])
        spread = math.sqrt(deviation[0] ** 2 + own.noise[i])
        away.append(abs(own.targets[i] - mean[0]) / spread)
    expected = t.ppf(0.975, len(own.targets) - 2) * max(1, np.quantile(away, 0.95) / 1.96)
    assert own.widening() == pytest.approx(expected, rel=1e-6)
    assert (expected > 2.1) == (kernel is SURE)


def test_of_groups_left_out_the_worst_counts() -> None:
    smooth = process(known=0.0)
    high = smooth.inputs[:, 0] > 0.8
    own = GaussianProcess(KERNEL, smooth.inputs, smooth.targets + 3 * high, smooth.noise)
    groups = [np.flatnonzero(high), np.flatnonzero(~high)[:10]]
    worst = own.widening() / t.ppf(0.975, 28) * 1.96
    for group in groups:
        mean, deviation = without(own, group).predict(own.inputs[group])
        spread = np.sqrt(deviation**2 + own.noise[group])
        worst = max(worst, np.quantile(np.abs(own.targets[group] - mean) / spread, 0.95))
    expected = t.ppf(0.975, 28) * max(1, worst / 1.96)
    assert own.widening(groups) == pytest.approx(expected, rel=1e-6)
    assert own.widening(groups) > own.widening()


def test_intervals_of_a_process_s_own_draws_hold() -> None:
    inputs = points(60)
    covariance = KERNEL(inputs, inputs) + KERNEL.noise * np.eye(60)
    drawn = np.random.default_rng(4).multivariate_normal(np.zeros(60), covariance, 200)
    inside = []
    for targets in drawn:
        own = GaussianProcess(KERNEL, inputs[:40], targets[:40], np.zeros(40))
        mean, deviation = own.predict(inputs[40:])
        inside.append(np.abs(targets[40:] - mean) <= own.widening() * deviation)
    assert 0.93 < np.mean(inside) < 0.99


def log_posterior(kernel: Kernel, own: GaussianProcess) -> float:
    """The logarithm of likelihood times prior, but for a constant."""
    covariance = kernel(own.inputs, own.inputs) + np.diag(own.noise + kernel.noise)
    total = float(multivariate_normal.logpdf(own.targets, cov=covariance))
    for value, (median, spread) in (
        (kernel.linear, PRIOR.linear),
        (kernel.amplitude, PRIOR.amplitude),
        (kernel.noise, PRIOR.noise),
        *((length, PRIOR.length) for length in kernel.lengths),
    ):
        total += float(norm.logpdf(math.log(value), math.log(median), spread))
    return total


def test_fitted_kernel_is_the_most_probable() -> None:
    own = process(40)
    best = fit_kernel(own.inputs, own.targets, own.noise, 0.3, PRIOR)
    assert best.offset == 0.3
    top = log_posterior(best, own)
    rng = np.random.default_rng(5)
    for size in (0.02, 0.2, 1.0):
        for _ in range(20):
            a, b, c, *lengths = np.exp(size * rng.standard_normal(6))
            other = Kernel(
                0.3,
                best.linear * a,
                best.amplitude * b,
                tuple(length * f for length, f in zip(best.lengths, lengths, strict=True)),
                best.noise * c,
            )
            assert log_posterior(other, own) <= top + 1e-3


def test_input_that_matters_gets_the_shorter_length() -> None:
    inputs = points(60)
    targets = np.sin(3 * inputs[:, 0])
    kernel = fit_kernel(inputs, targets, np.zeros(60), 1.0, PRIOR)
    assert kernel.lengths[0] < min(kernel.lengths[1:]) / 2


def test_input_that_never_changes_keeps_the_length_of_the_prior() -> None:
    inputs = points(20)
    inputs[:, 1] = 4.0
    kernel = fit_kernel(inputs, inputs[:, 0], np.zeros(20), 1.0, PRIOR)
    assert kernel.lengths[1] == PRIOR.length[0]
    same = fit_kernel(np.ones((5, 2)), np.arange(5.0), np.zeros(5), 1.0, PRIOR)
    assert (same.linear, same.amplitude, same.lengths, same.noise) == (0.1, 1.0, (1.0, 1.0), 0.01)


def test_what_is_rough_is_not_taken_for_noise() -> None:
    """Odd and even differ by a half, with nothing random about it."""
    inputs = np.arange(40.0)[:, None]
    targets = 0.5 * (inputs[:, 0] % 2)
    smooth = Prior(linear=(0.1, 1.0), amplitude=(0.1, 1.0), length=(3.0, 1.5), noise=(1e-3, 1.5))
    kernel = fit_kernel(inputs, targets - targets.mean(), np.zeros(40), 1.0, smooth)
    assert kernel.lengths[0] < 1
    assert kernel.noise < 0.01


def test_json_brings_the_same_process_back() -> None:
    own = process()
    again = GaussianProcess.from_json(json.loads(json.dumps(own.to_json())))
    assert again.kernel == own.kernel
    for before, after in zip(own.predict(points(5)), again.predict(points(5)), strict=True):
        assert before.tolist() == after.tolist()


def test_points_that_do_not_belong_together_are_refused() -> None:
    inputs, targets = points(4), np.zeros(4)
    with pytest.raises(ValueError, match=r"shapes .*\(4, 3\).*\(3,\).* and 3 lengths"):
        GaussianProcess(KERNEL, inputs, targets[:3], targets[:3])
    with pytest.raises(ValueError, match="one at least"):
        GaussianProcess(KERNEL, inputs[:0], targets[:0], targets[:0])
    with pytest.raises(ValueError, match="must be finite"):
        GaussianProcess(KERNEL, inputs, np.array([0, 1, np.nan, 2]), targets)


@pytest.mark.parametrize(
    ("field", "value"), [("noise", -1.0), ("linear", math.nan), ("lengths", (1.0, 0.0))]
)
def test_kernel_of_impossible_numbers_is_refused(field: str, value: Any) -> None:
    fields = {"offset": 1.0, "linear": 1.0, "amplitude": 1.0, "lengths": (1.0,), "noise": 1.0}
    with pytest.raises(ValueError, match=r"at least 0|above 0"):
        Kernel(**(fields | {field: value}))
