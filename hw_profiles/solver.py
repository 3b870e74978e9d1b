"""From timings of whole networks to what each block adds.

Every timing is one equation

    value(network) = overhead + sum of value(block) over its blocks,

and the block values are the Gaussian posterior of all of them together: the rows weighted by their
relative noise, with a prior around a fit of operators, MACs and memory traffic for each type of
block (Bishop 2006, section 3.3). The prior is relative, so a block that takes a hundred times what
its counts say (a convolution that its library runs badly) would be pulled far down; where the
posterior leaves more than the noise, it becomes the next prior. What no network can tell apart (a
stem and the head that always follows) is shared between them as the prior does, and does not matter
to any sum.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hw_profiles.cache import CacheModel, windows
from search_spaces import Architecture, Block

__all__ = ["Solution", "design_of", "solve"]

PRIOR_SPREAD = 0.5
"""One standard deviation of the prior of a block's value, relative."""
NOISE_FLOOR = 0.005
"""Least relative standard deviation of an observation: what the sum itself leaves out."""
CACHE_GAIN, CACHE_ROWS = 0.1, 1.2
"""Least relative gain for which a cache is modelled, and the least equations for each unknown: with
fewer, the blocks explain everything alone."""
ROUNDS, GAIN = 10, 0.02
"""Priors tried at most, and the least relative gain for which another one is."""


@dataclass(frozen=True, slots=True)
class Solution:
    """Values of the overhead and of each block after it.

    Attributes:
        values: By statistic: ``[1 + blocks]``.
        spread: One standard deviation of each: ``[1 + blocks]``.
        error: Mean absolute relative error on the networks themselves.
        cache: What weights beyond the cache add, where that explains the networks better.
    """

    values: Mapping[str, NDArray[np.float64]]
    spread: NDArray[np.float64]
    error: float
    cache: CacheModel | None = None


def design_of(
    networks: Sequence[Architecture | None], blocks: Sequence[Block]
) -> NDArray[np.float64]:
    """How often each network has the overhead and each block: ``[networks, 1 + blocks]``."""
    column = {block: i + 1 for i, block in enumerate(blocks)}
    design = np.zeros((len(networks), len(blocks) + 1))
    design[:, 0] = 1.0
    for row, network in enumerate(networks):
        for block in () if network is None else network.blocks:
            design[row, column[block]] += 1
    return design


def solve(
    design: NDArray[np.float64],
    observed: Mapping[str, NDArray[np.float64]],
    features: NDArray[np.float64],
    types: Sequence[str],
    noise: float,
    weight_bytes: NDArray[np.float64] | None = None,
    tensors: NDArray[np.float64] | None = None,
    weights: NDArray[np.float64] | None = None,
) -> Solution:
    """Solves for the values of blocks.

    Args:
        design: See :func:`design_of`.
        observed: By statistic, the value of each network: ``[networks]``. The first one weighs the
            equations, gives the spread and decides the prior.
        features: What the prior is fitted on: ``[blocks, features]``.
        types: Type of each block.
        noise: Relative standard deviation of an observation.
        weight_bytes: Bytes of the weights of each network: ``[networks]``.
        tensors: Large weight tensors that each reads: ``[networks]``.
        weights: ``noise`` over the noise of each network: ``[networks]``; all 1 when absent.
    """
    main = next(iter(observed.values()))
    prior, nothing = _prior(design, main, features, types), np.zeros(len(main))
    unit = main if weights is None else main / weights
    fit, cache = _fit(design, main, unit, prior, noise, nothing), None
    if weight_bytes is not None and tensors is not None and len(main) > CACHE_ROWS * len(prior):
        found = _cache(fit, noise, weight_bytes, tensors)
        if found is not None:
            fit, cache = found
    spilled = nothing if cache is None else cache.value(weight_bytes, tensors)
    values = {name: fit.of(value - spilled)[0] for name, value in observed.items()}
    sums = design @ next(iter(values.values())) + spilled
    return Solution(values, fit.spread, float(np.abs(sums / main - 1).mean()), cache)


def _fit(
    design: NDArray[np.float64],
    main: NDArray[np.float64],
    unit: NDArray[np.float64],
    prior: NDArray[np.float64],
    noise: float,
    column: NDArray[np.float64],
) -> _Posterior:
    """The posterior from a prior, which becomes the next prior while more than noise is left."""
    sigma, before = max(noise, NOISE_FLOOR), np.inf
    for _ in range(ROUNDS):
        posterior = _Posterior(design, main, unit, prior, sigma, column)
        left = posterior.left
        if left <= sigma or left > (1 - GAIN) * before:
            break
        before, prior = left, np.maximum(posterior.of(main)[0], 0.1 * prior)
    return posterior


def _cache(
    fit: _Posterior,
    noise: float,
    weight_bytes: NDArray[np.float64],
    tensors: NDArray[np.float64],
) -> tuple[_Posterior, CacheModel] | None:
    """The window, and the price of a weight beyond it, that leave the least, if much less."""
    best, least = None, (1 - CACHE_GAIN) * fit.left
    for low, high in windows(weight_bytes):
        column = CacheModel(low, high, 1.0).value(weight_bytes, tensors)
        coefficient, left = fit.with_column(column)
        if coefficient > 0 and left < least:
            best, least = (low, high, column), left
    if best is None:
        return None
    low, high, column = best
    again = _fit(fit.design, fit.main, fit.unit, fit.prior, noise, column)
    per_tensor = again.of(fit.main)[1]
    return (again, CacheModel(low, high, per_tensor)) if per_tensor > 0 else None


class _Posterior:
    """Unknowns are relative departures from the prior; each equation is in a unit of its own, the
    main value of the network, or more where that is less certain.

    One more unknown, the coefficient of a column, has a flat prior; without a column it is 0.
    """

    def __init__(
        self,
        design: NDArray[np.float64],
        main: NDArray[np.float64],
        unit: NDArray[np.float64],
        prior: NDArray[np.float64],
        sigma: float,
        column: NDArray[np.float64],
    ) -> None:
        self.design, self.main, self.unit, self.prior = design, main, unit, prior
        self.sigma, self.column = sigma, column
        self._scale = float(np.max(np.abs(column / unit))) or 1.0
        self.rows = np.column_stack([design * prior, column / self._scale]) / unit[:, None]
        certain = np.full(len(prior) + 1, 1 / PRIOR_SPREAD**2)
        certain[-1] = 1e-6 if column.any() else 1.0
        precision = self.rows.T @ self.rows / sigma**2 + np.diag(certain)
        self.covariance = np.linalg.inv(precision)

    def of(self, value: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
        """Values of the overhead and the blocks for those of the networks, and the coefficient."""
        residual = (value - self.design @ self.prior) / self.unit
        departure = self.covariance @ (self.rows.T @ residual) / self.sigma**2
        return self.prior * (1 + departure[:-1]), float(departure[-1]) / self._scale

    @cached_property
    def left(self) -> float:
        """What the solution leaves of the main value: root of the mean square, relative."""
        values, coefficient = self.of(self.main)
        residual = (self.design @ values + coefficient * self.column - self.main) / self.unit
        return self._mean_square_root(residual)

    def with_column(self, column: NDArray[np.float64]) -> tuple[float, float]:
        """The coefficient and what is left if there were this column, by eliminating the blocks."""

        def unexplained(vector: NDArray[np.float64]) -> NDArray[np.float64]:
            rest: NDArray[np.float64] = vector - self.rows @ (
                self.covariance @ (self.rows.T @ vector) / self.sigma**2
            )
            return rest

        residual = unexplained((self.main - self.design @ self.prior) / self.unit)
        own = unexplained(column / self.unit)
        norm = float(column / self.unit @ own)
        coefficient = float(column / self.unit @ residual) / norm if norm > 0 else 0.0
        return coefficient, self._mean_square_root(residual - coefficient * own)

    def _mean_square_root(self, residual: NDArray[np.float64]) -> float:
        """Of a relative residual, each network as it weighs."""
        weights = self.main / self.unit
        return float(np.sqrt(np.sum(residual**2) / np.sum(weights**2)))

    @property
    def spread(self) -> NDArray[np.float64]:
        """One standard deviation of each value."""
        spread: NDArray[np.float64] = self.prior * np.sqrt(np.diag(self.covariance)[:-1])
        return spread


def _prior(
    design: NDArray[np.float64],
    main: NDArray[np.float64],
    features: NDArray[np.float64],
    types: Sequence[str],
) -> NDArray[np.float64]:
    """Non-negative least squares on the features, then on a factor for each type."""
    from scipy.optimize import nnls

    coarse = np.zeros((len(features) + 1, features.shape[1] + 1))
    coarse[0, 0] = 1.0
    coarse[1:, 1:] = features
    coarse /= np.maximum(coarse.max(axis=0), 1e-12)
    ones = np.ones(len(main))
    flat = coarse @ nnls(design @ coarse / main[:, None], ones)[0]
    flat = np.maximum(flat, 1e-4 * flat.max())
    names = sorted(set(types))
    by_type = np.zeros((len(flat), len(names) + 1))
    by_type[0, 0] = flat[0]
    for row, name in enumerate(types, start=1):
        by_type[row, 1 + names.index(name)] = flat[row]
    prior = by_type @ nnls(design @ by_type / main[:, None], ones)[0]
    # A factor of 0 says that the others explain everything, not that the type costs nothing.
    floored: NDArray[np.float64] = np.maximum(prior, 1e-2 * flat)
    return floored
