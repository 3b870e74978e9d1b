"""What a search expects of the quality of candidates that it has not evaluated.

A Gaussian process on few evaluations, an ensemble of trees on many: conditioning a process on
thousands of points takes longer than a candidate should wait.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from predictors.gaussian_process import GaussianProcess, Kernel, Prior, fit_kernel

__all__ = ["Belief", "QualityModel"]

Array = NDArray[np.float64]

MOST_CONDITIONED = 800
"""Evaluations above which trees take over."""
MOST_FITTED = 250
"""Evaluations that the kernel's parameters are found on; all of them condition it."""
REFIT = 1.15
"""By what share the evaluations must have grown before the parameters are found again."""
STEPS = 40
OFFSET = 1.0
TREES, LEAF = 100, 3
ALIKE = 0.999
"""Correlation above which a feature tells nothing beside an earlier one."""
MOST_NOISE = 100.0
"""Times the fitted noise that the known one of an evaluation counts at most, so that one that is
hardly known leaves the others theirs."""
DOUBT = 0.05
"""Probability at which evaluations no longer count as showing that beliefs are too unsure."""


@dataclass(frozen=True, slots=True)
class Belief:
    """Mean and standard deviation of the quality of candidates, errors that are known left out.

    Attributes:
        mean: ``[n]``.
        spread: ``[n]``, above 0.
    """

    mean: Array
    spread: Array


class _Regression(Protocol):
    def known(self) -> Array: ...

    def predict(self, inputs: Array) -> Belief: ...

    def covariance(self, inputs: Array, one: Array) -> Array: ...


@dataclass(frozen=True, slots=True)
class _Process:
    process: GaussianProcess
    narrowing: float
    """What the spread is multiplied by."""

    def known(self) -> Array:
        return self.process.smoothed()

    def predict(self, inputs: Array) -> Belief:
        mean, spread = self.process.predict(inputs)
        return Belief(mean, np.maximum(self.narrowing * spread, 1e-4))

    def covariance(self, inputs: Array, one: Array) -> Array:
        return self.narrowing**2 * self.process.covariance(inputs, one)


class _Trees:
    """Extremely randomised trees (Geurts et al. 2006), and how far they are apart."""

    def __init__(self, inputs: Array, targets: Array, noise: Array, seed: int) -> None:
        from sklearn.ensemble import ExtraTreesRegressor

        self._trees = ExtraTreesRegressor(TREES, min_samples_leaf=LEAF, random_state=seed)
        self._trees.fit(inputs, targets)
        self._known = targets
        if noise.any():
            belief = self.predict(inputs)
            weight = belief.spread**2 / (belief.spread**2 + noise)
            self._known = weight * targets + (1 - weight) * belief.mean

    def known(self) -> Array:
        return self._known

    def predict(self, inputs: Array) -> Belief:
        each = self._each(inputs)
        return Belief(each.mean(axis=0), np.maximum(each.std(axis=0), 1e-4))

    def covariance(self, inputs: Array, one: Array) -> Array:
        each, own = self._each(inputs), self._each(one[None])
        products = (each - each.mean(axis=0)) * (own - own.mean(axis=0))
        covariance: Array = products.mean(axis=0)
        return covariance

    def _each(self, inputs: Array) -> Array:
        """Predictions of each tree: ``[trees, n]``."""
        each: Array = np.stack([tree.predict(inputs) for tree in self._trees.estimators_])
        return each


class QualityModel:
    """Learns the quality from features, and scales both.

    Inside, qualities are in robust units: less the median of the first ones, over their median
    absolute deviation; above one unit they grow by their logarithm, since how bad a bad candidate
    is matters little. Later ones are no measure: the better they get, the more of the region that
    counts would be taken for bad.

    Args:
        features: Of candidates as they come: ``[n, features]``; says which features vary, how much,
            and which are alike.
        first: Evaluations that were not chosen for their quality.
        seed: Of the trees.
    """

    def __init__(self, features: Array, first: int, seed: int = 0) -> None:
        self._first, self._seed = first, seed
        self._mean, self._scale = features.mean(axis=0), features.std(axis=0)
        self._kept = _telling(features)
        self._kernel: Kernel | None = None
        self._fitted = 0
        self._center, self._unit = 0.0, 1.0
        self._regression: _Regression | None = None

    def fit(self, features: Array, quality: Array, errors: Array | None = None) -> QualityModel:
        """Learns from evaluations, and returns itself.

        Args:
            features: Of what was evaluated: ``[n, features]``.
            quality: What was found: ``[n]``.
            errors: Its standard errors, as far as they are known: ``[n]``.
        """
        first = quality[: self._first]
        self._center = float(np.median(first))
        deviation = 1.4826 * float(np.median(np.abs(first - self._center)))
        self._unit = deviation or float(quality.std()) or 1.0
        inputs, targets = self._inputs(features), self.scaled(quality)
        noise = np.zeros(len(targets))
        if errors is not None:
            noise = self._scaled_errors(quality, errors) ** 2
        if len(targets) > MOST_CONDITIONED:
            self._regression = _Trees(inputs, targets, noise, self._seed)
            return self
        if self._kernel is None or len(targets) >= REFIT * self._fitted:
            chosen = np.arange(len(targets))
            if len(chosen) > MOST_FITTED:
                chosen = np.random.default_rng(self._seed).permutation(chosen)[:MOST_FITTED]
            self._kernel = fit_kernel(
                inputs[chosen],
                targets[chosen],
                np.zeros(len(chosen)),
                OFFSET,
                _prior(inputs.shape[1]),
                rounds=STEPS,
            )
            self._fitted = len(targets)
        kernel, known = _known_apart(self._kernel, noise)
        process = GaussianProcess(kernel, inputs, targets, known)
        self._regression = _Process(process, _narrowing(process))
        return self

    def known(self) -> Array:
        """What was evaluated, in robust units and less what is taken for its known errors: ``[n]``.

        Without known errors it is what was found.
        """
        assert self._regression is not None
        return self._regression.known()

    def predict(self, features: Array) -> Belief:
        """What is expected of candidates ``[n, features]``, in robust units."""
        assert self._regression is not None
        return self._regression.predict(self._inputs(features))

    def covariance(self, features: Array, one: Array) -> Array:
        """Of the beliefs of candidates ``[n, features]`` and of one ``[features]``: ``[n]``."""
        assert self._regression is not None
        return self._regression.covariance(self._inputs(features), self._inputs(one[None])[0])

    def scaled(self, quality: Array) -> Array:
        """Qualities in robust units."""
        t = (quality - self._center) / self._unit
        squashed: Array = np.where(t > 1, 1 + np.log(np.maximum(t, 1)), t)
        return squashed

    def _scaled_errors(self, quality: Array, errors: Array) -> Array:
        """Small errors of qualities in robust units, by the slope of :meth:`scaled` there."""
        scaled: Array = errors / self._unit / np.maximum((quality - self._center) / self._unit, 1.0)
        return scaled

    def _inputs(self, features: Array) -> Array:
        inputs: Array = ((features - self._mean) / np.maximum(self._scale, 1e-12))[:, self._kept]
        return inputs


def _known_apart(kernel: Kernel, noise: Array) -> tuple[Kernel, Array]:
    """The kernel without the noise that is known of each evaluation, and that: ``[n]``.

    Together they are no more than the noise that was fitted, so that a stated error that is too
    large takes off what is seen of it.
    """
    noise = np.minimum(noise, MOST_NOISE * kernel.noise)
    mean = float(noise.mean())
    share = min(1.0, kernel.noise / mean) if mean > 0 else 0.0
    return replace(kernel, noise=max(0.0, kernel.noise - share * mean)), share * noise


def _narrowing(process: GaussianProcess) -> float:
    """What spreads are multiplied by: below 1 where evaluations show that they are too wide.

    A few of them leave the variances near their priors, which are wide. Each one, left out, should
    be one standard deviation from what the others say, by root mean square. What that is, is taken
    at its upper limit by the chi-squared distribution, which holds roughly: what is left out is not
    independent of each other.
    """
    from scipy.stats import chi2

    away = process.left_out()
    return min(1.0, float(np.sqrt((away**2).sum() / chi2.ppf(DOUBT, len(away)))))


def _telling(features: Array) -> NDArray[np.bool_]:
    """Which features vary and are not alike to an earlier one: ``[features]``."""
    varies: NDArray[np.bool_] = features.std(axis=0) > 1e-12 * (1 + np.abs(features).max(axis=0))
    columns = np.flatnonzero(varies)
    correlation = np.abs(np.corrcoef(features[:, columns].T)) if len(columns) > 1 else np.eye(1)
    earlier = np.tril(correlation, -1) > ALIKE
    kept: list[int] = []
    for i in range(len(columns)):
        if not earlier[i, kept].any():
            kept.append(i)
    telling = np.zeros(features.shape[1], dtype=bool)
    telling[columns[kept]] = True
    return telling


def _prior(inputs: int) -> Prior:
    """Slopes and bends of standardised inputs, of which there are so many.

    Lengths grow with the root of the number of inputs, as distances do (Hvarfner, Hellsten & Nardi,
    ICML 2024), so that how much is believed to be known does not depend on how many there are.
    """
    return Prior(
        linear=(0.1, 1.0),
        amplitude=(1.0, 1.0),
        length=(2 * float(np.sqrt(max(inputs, 1))), 1.0),
        noise=(0.01, 2.0),
    )
