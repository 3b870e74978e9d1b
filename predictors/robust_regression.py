"""Regression of positive values that others measured: some rows off, some in another state.

The logarithm of a value is that of a sum over the inputs, fitted to relative errors, plus a
Gaussian process at a few hundred of the rows (subset of regressors, Rasmussen & Williams 2006,
section 8.3.1), so that thousands of rows cost seconds and the model stays small. Rows far from it
weigh less and less, as under Student's distribution with the scale re-estimated from residuals of
rows left out (iteratively re-weighted least squares, Holland & Welsch 1977).

Where rows stand in the order of their measurement, the device's state shows in the residuals of the
rows around: a GPU that throttles is slower for a hundred rows on end. That drift, the median
residual of the neighbours, is taken off before the fit, which then is of the state of most rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from predictors.gaussian_process import Kernel, Prior, fit_kernel

__all__ = ["RobustRegression", "drift_of"]

Array = NDArray[np.float64]

PRIOR = Prior(linear=(0.1, 1.5), amplitude=(1.0, 1.5), length=(3.0, 0.7), noise=(0.1, 2.0))
"""Variances of the residuals of the sum over their own scale, lengths in standard deviations."""

CENTRES, KERNEL_ROWS, KERNEL_ROUNDS = 300, 300, 60
"""Rows that the process stands on and that its kernel is fitted to, and steps of that fit."""
ROUNDS, KERNEL_EVERY, SUM_ROUNDS = 4, 2, 15
"""Times that rows are weighed, after how many of which the kernel is fitted anew, and those of the
sum alone."""
TOLERANCE = 2.0
"""Standard deviations from which on a row weighs less than half."""
NEIGHBOURS = 8
"""Rows before, and rows after, that tell the state of the device."""
RIDGES, RIDGE_FOLDS = (1e-6, 1e-3, 1e-2, 1e-1), 5
"""Penalties of the sum's prices, in units of the rows' weight, and in how many parts rows are left
out to see which predicts them best."""
LEAST_SUM = 0.5
"""Least value of the sum, in units of the 1 % quantile of the values."""
JITTER = 1e-6


@dataclass(frozen=True, eq=False)
class RobustRegression:
    """Predicts positive values from numbers.

    Attributes:
        mean: Of each input: ``[inputs]``.
        scale: Standard deviation of each input, 1 where it is the same everywhere.
        prices: What the sum has for 1 and for each scaled input: ``[1 + inputs]``.
        least: Least value of the sum.
        center: Median logarithm of value over sum.
        spread: Unit of the process, a scale of these logarithms.
        kernel: Of the process.
        centres: Scaled inputs of the rows that it stands on: ``[centres, inputs]``.
        weights: Of each of them: ``[centres]``.
    """

    mean: Array
    scale: Array
    prices: Array
    least: float
    center: float
    spread: float
    kernel: Kernel
    centres: Array
    weights: Array

    @classmethod
    def fit(
        cls, inputs: Array, values: Array, order: Array | None = None, seed: int = 0
    ) -> RobustRegression:
        """Learns from rows.

        Args:
            inputs: ``[n, inputs]``.
            values: Above 0: ``[n]``.
            order: When each row was measured, in any unit: ``[n]``. Drift is left in when absent.
            seed: Of the choice of rows that the process stands on, and of the parts.
        """
        mean, scale = inputs.mean(axis=0), inputs.std(axis=0)
        scale = np.where(scale > 0, scale, 1.0)
        points = (inputs - mean) / scale
        prices = _sum_of_inputs(points, values, seed)
        least = LEAST_SUM * float(np.quantile(values, 0.01))
        logs = np.log(values / _sums(points, prices, least))
        center = float(np.median(logs))
        spread = max(_deviation(logs - center), 1e-4)
        targets = (logs - center) / spread
        drift, rows = np.zeros(len(values)), np.random.default_rng(seed).permutation(len(values))
        centres, few = points[rows[:CENTRES]], rows[:KERNEL_ROWS]
        trust = 1 / (1 + (targets / (2 * TOLERANCE)) ** 2)
        for turn in range(ROUNDS):
            wanted = targets - drift
            if turn % KERNEL_EVERY == 0:
                noise = PRIOR.noise[0] * (1 / trust[few] - 1)
                kernel = fit_kernel(
                    points[few], wanted[few], noise, 1.0, PRIOR, rounds=KERNEL_ROUNDS
                )
                factor = _factor(kernel, centres)
                basis = np.linalg.solve(factor, kernel(centres, points)).T
            weighted = basis * (trust / max(kernel.noise, JITTER))[:, None]
            inverse = np.linalg.inv(basis.T @ weighted + np.eye(len(centres)))
            fitted = inverse @ (weighted.T @ wanted)
            if order is not None and turn < ROUNDS - 1:
                drift = drift_of(targets - basis @ fitted, order)
                drift -= np.median(drift)
            leverage = ((basis @ inverse) * weighted).sum(axis=1)
            left = (targets - basis @ fitted - drift) / np.maximum(1 - leverage, 0.05)
            trust = 1 / (1 + (left / (TOLERANCE * max(_deviation(left), 1e-9))) ** 2)
        return cls(
            mean=mean,
            scale=scale,
            prices=prices,
            least=least,
            center=center,
            spread=spread,
            kernel=kernel,
            centres=centres,
            weights=np.asarray(np.linalg.solve(factor.T, fitted), dtype=np.float64),
        )

    def predict(self, inputs: Array) -> Array:
        """Values at inputs ``[n, inputs]``: ``[n]``."""
        points = (inputs - self.mean) / self.scale
        logs = self.center + self.spread * (self.kernel(points, self.centres) @ self.weights)
        values: Array = _sums(points, self.prices, self.least) * np.exp(logs)
        return values

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        arrays = {name: getattr(self, name).tolist() for name in ARRAYS}
        numbers = {name: getattr(self, name) for name in NUMBERS}
        return arrays | numbers | {"kernel": asdict(self.kernel)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> RobustRegression:
        """Reads back what :meth:`to_json` wrote.

        Raises:
            ValueError: Numbers are not finite or do not belong together.
        """
        arrays = {name: np.array(data[name], dtype=float) for name in ARRAYS}
        numbers = {name: float(data[name]) for name in NUMBERS}
        kernel = Kernel.from_json(data["kernel"])
        width, centres = len(kernel.lengths), len(arrays["weights"])
        shapes = ((width,), (width,), (1 + width,), (centres, width), (centres,))
        if tuple(array.shape for array in arrays.values()) != shapes:
            raise ValueError(f"The arrays {', '.join(ARRAYS)} must have shapes {shapes}.")
        if not np.isfinite(np.concatenate([a.ravel() for a in arrays.values()])).all():
            raise ValueError(f"The arrays {', '.join(ARRAYS)} must be finite.")
        fields: dict[str, Any] = {**arrays, **numbers, "kernel": kernel}
        return cls(**fields)


ARRAYS = ("mean", "scale", "prices", "centres", "weights")
NUMBERS = ("least", "center", "spread")


def drift_of(residuals: Array, order: Array, at: Array | None = None) -> Array:
    """The median residual of the :data:`NEIGHBOURS` rows before and as many after.

    Args:
        residuals: Of rows: ``[n]``.
        order: When each of them was measured: ``[n]``.
        at: Times of rows to judge: ``[m]``; ``order`` when absent. A row has no say in its own.

    >>> drift_of(np.array([0.0, 0.0, 9.0, 0.0]), np.arange(4.0)).tolist()
    [0.0, 0.0, 0.0, 0.0]
    """
    by_time = np.argsort(order, kind="stable")
    times, sorted_residuals = order[by_time], residuals[by_time]
    wanted = order if at is None else at
    first = np.searchsorted(times, wanted, "left")
    after = np.searchsorted(times, wanted, "right")
    drift = np.zeros(len(wanted))
    for position, (start, end) in enumerate(zip(first, after, strict=True)):
        before = sorted_residuals[max(0, start - NEIGHBOURS) : start]
        around = np.concatenate([before, sorted_residuals[end : end + NEIGHBOURS]])
        drift[position] = np.median(around) if len(around) else 0.0
    return drift


def _sum_of_inputs(points: Array, values: Array, seed: int) -> Array:
    """Prices of 1 and of each input that give the values with the least relative error, rows that
    stray weighing less."""
    part = np.random.default_rng(seed).permutation(np.arange(len(values)) % RIDGE_FOLDS)

    def error(ridge: float) -> float:
        """The median relative error of rows left out."""
        errors = np.zeros(len(values))
        for out in (part == position for position in range(RIDGE_FOLDS)):
            prices = _penalised_sum(points[~out], values[~out], ridge)
            errors[out] = np.abs((prices[0] + points[out] @ prices[1:]) / values[out] - 1)
        return float(np.median(errors))

    return _penalised_sum(points, values, min(RIDGES, key=error))


def _penalised_sum(points: Array, values: Array, ridge: float) -> Array:
    design = np.column_stack([np.ones(len(points)), points])
    penalty = ridge * np.diag([0.0, *[1.0] * points.shape[1]])
    trust = np.ones(len(values))
    for _ in range(SUM_ROUNDS):
        weight = trust / values**2
        normal = (design.T * weight) @ design + weight.sum() * penalty
        prices: Array = np.linalg.solve(normal, design.T @ (weight * values))
        left = design @ prices / values - 1
        trust = 1 / (1 + (left / (TOLERANCE * _deviation(left) + JITTER)) ** 2)
    return prices


def _sums(points: Array, prices: Array, least: float) -> Array:
    sums: Array = np.maximum(prices[0] + points @ prices[1:], least)
    return sums


def _deviation(values: Array) -> float:
    """The standard deviation, from the median distance to the median."""
    return 1.4826 * float(np.median(np.abs(values - np.median(values))))


def _factor(kernel: Kernel, centres: Array) -> Array:
    """The lower triangular factor of the covariance of the centres."""
    own = kernel(centres, centres)
    jitter = JITTER * float(np.mean(np.diag(own)))
    return np.asarray(np.linalg.cholesky(own + jitter * np.eye(len(own))), dtype=np.float64)
