"""Gaussian process regression that is kept as numbers and predicts without scikit-learn.

The covariance is an offset, a linear part, and a Matérn part with a length for each input
(Rasmussen & Williams 2006, sections 4.2 and 5.1), beside the noise. Its parameters are the mode of
their posterior: with the dozen points that a type of block may have, the likelihood alone would
find lengths that explain the noise. scikit-learn gives the likelihood and its gradient; the priors
are added to both.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["GaussianProcess", "Kernel", "Prior", "fit_kernel"]

Array = NDArray[np.float64]

FEWEST_FREE = 2
"""Degrees of freedom that an interval is given at least, and that a fit takes."""
SHORT_START = 10.0
"""The optimiser starts from the lengths of the prior and from some that are so many times shorter:
what is rough is easily taken for noise."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """Covariance of the values at two points, without the noise of an observation.

    Attributes:
        offset: Variance of what all points share.
        linear: Variance of the slope along each input.
        amplitude: Variance of the Matérn part, whose smoothness is 5/2.
        lengths: Distance along each input over which that changes.
        noise: Variance of what no input explains, at each point anew.
    """

    offset: float
    linear: float
    amplitude: float
    lengths: tuple[float, ...]
    noise: float

    def __post_init__(self) -> None:
        values = (self.offset, self.linear, self.amplitude, *self.lengths, self.noise)
        if not all(isinstance(v, int | float) and 0 <= v < math.inf for v in values):
            raise ValueError(f"A kernel has finite variances of at least 0; got {values}.")
        if not all(self.lengths):
            raise ValueError(f"`lengths` must be above 0; got {self.lengths}.")

    def __call__(self, a: Array, b: Array) -> Array:
        """Covariance of each of ``a`` ``[n, inputs]`` with each of ``b`` ``[m, inputs]``."""
        lengths = np.array(self.lengths)
        x, y = a / lengths, b / lengths
        squares = (x**2).sum(1)[:, None] + (y**2).sum(1) - 2 * x @ y.T
        scaled = np.sqrt(5 * np.maximum(squares, 0))
        matern = (1 + scaled + scaled**2 / 3) * np.exp(-scaled)
        covariance: Array = self.offset + self.linear * (a @ b.T) + self.amplitude * matern
        return covariance

    def variances(self, a: Array) -> Array:
        """Variance at each point: ``[n]``."""
        variances: Array = self.offset + self.amplitude + self.linear * (a**2).sum(1)
        return variances

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Kernel:
        """Reads back what ``dataclasses.asdict`` made."""
        return cls(**(dict(data) | {"lengths": tuple(data["lengths"])}))


@dataclass(frozen=True, slots=True)
class Prior:
    """What a kernel's parameters are before any point: each a median, and how far its logarithm
    strays from that (one standard deviation).

    Attributes:
        linear: Of the variance of slopes.
        amplitude: Of the variance of the Matérn part.
        length: Of the length along each input.
        noise: Of the variance of the noise.
    """

    linear: tuple[float, float]
    amplitude: tuple[float, float]
    length: tuple[float, float]
    noise: tuple[float, float]


def fit_kernel(
    inputs: Array, targets: Array, noise: Array, offset: float, prior: Prior, rounds: int = 200
) -> Kernel:
    """The kernel that is most probable given some points.

    Args:
        inputs: Points: ``[n, inputs]``. An input that is the same at all of them keeps the median
            length of the prior.
        targets: The value at each: ``[n]``.
        noise: Known variance of each value, beside what is fitted: ``[n]``.
        offset: Variance of what all points share; it stays.
        prior: Of the other parameters.
        rounds: Steps of the optimiser at most, from each start.
    """
    from scipy.optimize import minimize
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, DotProduct, Matern, WhiteKernel

    varies = np.ptp(inputs, axis=0) > 0
    width, wide = int(varies.sum()), (1e-9, 1e9)
    lengths = np.full(len(varies), prior.length[0])
    if not width:
        return Kernel(offset, prior.linear[0], prior.amplitude[0], _floats(lengths), prior.noise[0])
    kernel = (
        ConstantKernel(offset, "fixed")
        + ConstantKernel(prior.amplitude[0], wide) * Matern(lengths[varies], (1e-3, 1e6), nu=2.5)
        + WhiteKernel(prior.noise[0], wide)
        + ConstantKernel(prior.linear[0], wide) * DotProduct(0.0, "fixed")
    )
    # In the order of scikit-learn's parameters, which are logarithms.
    parts = [prior.amplitude, *[prior.length] * width, prior.noise, prior.linear]
    medians, spreads = np.array(parts).T
    medians = np.log(medians)

    def most_probable(
        objective: Callable[[Array], tuple[float, Array]],
        initial_theta: Array,
        bounds: Array,
    ) -> tuple[Array, float]:
        def with_prior(theta: Array) -> tuple[float, Array]:
            value, gradient = objective(theta)
            away = (theta - medians) / spreads
            return value + float(away @ away) / 2, gradient + away / spreads

        short = initial_theta.copy()
        short[1 : 1 + width] -= math.log(SHORT_START)
        found = [
            minimize(
                with_prior,
                start,
                jac=True,
                bounds=bounds,
                method="L-BFGS-B",
                options={"maxiter": rounds},
            )
            for start in (initial_theta, short)
        ]
        best = min(found, key=lambda one: float(one.fun))
        return best.x, best.fun

    regressor = GaussianProcessRegressor(
        kernel, alpha=np.maximum(noise, 1e-10), optimizer=most_probable
    )
    with warnings.catch_warnings():
        # Values that a formula gives leave no noise, down to its bound.
        warnings.simplefilter("ignore", ConvergenceWarning)
        theta = regressor.fit(inputs[:, varies], targets).kernel_.theta
    amplitude, *fitted, white, linear = _floats(np.exp(theta))
    lengths[varies] = fitted
    return Kernel(offset, linear, amplitude, _floats(lengths), white)


def _floats(values: Array) -> tuple[float, ...]:
    return tuple(map(float, values))


@dataclass(frozen=True, eq=False)
class GaussianProcess:
    """A regression through points, conditioned on them.

    Attributes:
        kernel: Covariance.
        inputs: Points: ``[n, inputs]``.
        targets: The value at each: ``[n]``.
        noise: Known variance of each value, beside the kernel's: ``[n]``.
    """

    kernel: Kernel
    inputs: Array
    targets: Array
    noise: Array

    def __post_init__(self) -> None:
        arrays, n = (self.inputs, self.targets, self.noise), len(self.targets)
        shapes, width = tuple(array.shape for array in arrays), len(self.kernel.lengths)
        if not n or shapes != ((n, width), (n,), (n,)):
            raise ValueError(
                "`inputs`, `targets` and `noise` must be of the same points, one at least, with a "
                f"length of the kernel for each input; got shapes {shapes} and {width} lengths."
            )
        if not all(np.isfinite(array).all() for array in arrays):
            raise ValueError("`inputs`, `targets` and `noise` must be finite.")

    @cached_property
    def _precision(self) -> Array:
        own = np.maximum(self.noise + self.kernel.noise, 1e-10)
        inverse: Array = np.linalg.inv(self.kernel(self.inputs, self.inputs) + np.diag(own))
        return inverse

    @cached_property
    def _weights(self) -> Array:
        weights: Array = self._precision @ self.targets
        return weights

    def left_out(self) -> Array:
        """Of each point, how many standard deviations it is from what the others say: ``[n]``.

        Rasmussen & Williams 2006, section 5.4.2.
        """
        away: Array = self._weights / np.sqrt(np.diag(self._precision))
        return away

    def smoothed(self) -> Array:
        """The value at each point itself, given all of them: ``[n]``.

        It is the known one less what is taken for its known noise.
        """
        smoothed: Array = self.targets - self.noise * self._weights
        return smoothed

    def widening(self, groups: Sequence[NDArray[np.intp]] = ()) -> float:
        """Half a 95 % interval over the standard deviation, from the points themselves.

        It is Student's quantile for what a few points leave open, and more where 5 % of the points
        or more, each left out, fall outside of their own intervals (Rasmussen & Williams 2006,
        section 5.4.2).

        Args:
            groups: Positions of points that are left out together. Then 5 % of the points of the
                worst group count, as the next group may be like that.
        """
        from scipy.stats import t

        n = len(self.targets)
        student = float(t.ppf(0.975, max(FEWEST_FREE, n - FEWEST_FREE)))
        worst = float(np.quantile(np.abs(self.left_out()), 0.95))
        for group in groups:
            covariance = np.linalg.inv(self._precision[np.ix_(group, group)])
            together = np.abs(covariance @ self._weights[group]) / np.sqrt(np.diag(covariance))
            worst = max(worst, float(np.quantile(together, 0.95)))
        return student * max(1.0, worst / 1.96)

    def predict(self, points: Array) -> tuple[Array, Array]:
        """Mean and standard deviation of the value at points ``[m, inputs]``: two ``[m]``.

        The noise that no input explains is part of the deviation; that of the known values is not.
        """
        across = self.kernel(points, self.inputs)
        explained = ((across @ self._precision) * across).sum(1)
        variance = self.kernel.variances(points) + self.kernel.noise - explained
        return across @ self._weights, np.sqrt(np.maximum(variance, self.kernel.noise))

    def covariance(self, points: Array, one: Array) -> Array:
        """Covariance of the values at points ``[m, inputs]`` with that at one: ``[m]``.

        Given the points that are known, and without the noise.
        """
        across = self.kernel(points, self.inputs)
        own = self.kernel(one[None], self.inputs)[0]
        left: Array = self.kernel(points, one[None])[:, 0] - across @ (self._precision @ own)
        return left

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "kernel": asdict(self.kernel),
            "inputs": self.inputs.tolist(),
            "targets": self.targets.tolist(),
            "noise": self.noise.tolist(),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> GaussianProcess:
        """Reads back what :meth:`to_json` wrote."""
        kernel = Kernel.from_json(data["kernel"])
        inputs = np.array(data["inputs"], dtype=float).reshape(-1, len(kernel.lengths))
        return cls(kernel, inputs, np.array(data["targets"], float), np.array(data["noise"], float))
