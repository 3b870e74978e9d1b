"""Latency on a new device, from a few networks measured there and another device's table.

A latency is a sum over parts, so on the new device it is taken for a sum as well: of the latency on
each known device and of counts of the network, each times a price, plus a constant. Ten networks do
not give that many prices; what they leave open is averaged over (Bayesian linear regression, Bishop
2006, section 3.3, with the spread of the prices and the noise averaged over a grid by their
probability). Which networks to measure follows from the same model: those that together leave the
least open (D-optimal design, Chaloner & Verdinelli 1995).

``python -m benchmarks.transfer DATA`` holds it against ranks on the known device and a ridge
regression.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search_spaces import Architecture, CorruptFileError, CountTable, count

__all__ = ["Transfer", "choose_networks", "network_features"]

Array = NDArray[np.float64]

FORMAT = "hwnas transfer 1"

POOL = 500
"""Networks that those to measure are chosen from, at most."""
DESIGN_NOISE = 0.1
"""Variance of a measurement beside that of a price, where networks are chosen."""
SPREADS = (0.03, 0.1, 0.3, 1.0)
NOISES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4)
"""Standard deviations that the prices of the features together, and the noise, may have, in units
of the median latency."""
USUAL_SPREAD, USUAL_NOISE = 0.3, 0.05
"""The likeliest of them before any measurement; each stray by a factor of e."""
LEAST_SHARE = 0.05
"""A latency has at least the noise of this share of the median one."""
FREE = 3
"""Measurements that the fit takes from the degrees of freedom of an interval."""


@dataclass(frozen=True, eq=False)
class _Scaling:
    """What makes sources and features comparable: the networks that they come from.

    Attributes:
        medians: Median latency of each source.
        means: Mean of each feature.
        deviations: Standard deviation of each feature; 1 where all are alike.
    """

    medians: Array
    means: Array
    deviations: Array

    @classmethod
    def of(cls, sources: Array, features: Array) -> _Scaling:
        """The scaling of a pool of networks."""
        deviations = features.std(axis=0)
        flat = deviations <= 1e-12 * np.abs(features).max(axis=0, initial=0)
        return cls(
            np.median(sources, axis=0), features.mean(axis=0), np.where(flat, 1.0, deviations)
        )

    def design(self, sources: Array, features: Array) -> Array:
        """A row for each network: 1, its sources, its features: ``[n, 1 + sources + features]``."""
        scaled = (features - self.means) / self.deviations
        return np.concatenate([np.ones((len(sources), 1)), sources / self.medians - 1, scaled], 1)


def network_features(architectures: Sequence[Architecture], counts: CountTable) -> Array:
    """Counts that a latency may be a sum of: ``[n, 6]``.

    They are operators, MACs, other operations, elements that products put out, bytes moved, and
    parameters.
    """
    rows = []
    for architecture in architectures:
        c = count(architecture, counts)
        operators = sum(counts[block].operators for block in architecture.blocks)
        other = c.flops - 2 * c.macs
        rows.append([operators, c.macs, other, c.activations, c.memory_access_bytes, c.params])
    return np.array(rows, dtype=float).reshape(-1, 6)


def choose_networks(
    sources: Array, features: Array, n: int = 10, *, seed: int = 0
) -> NDArray[np.intp]:
    """Which networks to measure on a new device: positions ``[n]``.

    Args:
        sources: Latency of each network on each known device: ``[networks, sources]``.
        features: Counts of each network: ``[networks, features]``.
        n: How many.
        seed: Of the choice of :data:`POOL` networks among which they are looked for.

    Raises:
        ValueError: There are fewer networks, or figures that are no latencies or not finite.
    """
    sources, features = _checked(sources, features)
    if not 0 < n <= len(sources):
        raise ValueError(f"`n` must be from 1 to the {len(sources)} networks; got {n}.")
    design = _Scaling.of(sources, features).design(sources, features)
    design[:, 1 + sources.shape[1] :] /= max(1, features.shape[1]) ** 0.5
    pool = np.random.default_rng(seed).permutation(len(design))[: max(POOL, n)]
    rows, covariance = design[pool], np.eye(design.shape[1])
    chosen: list[int] = []
    for _ in range(n):
        open_ = ((rows @ covariance) * rows).sum(axis=1)
        open_[chosen] = -1
        best = int(np.argmax(open_))
        chosen.append(best)
        along = covariance @ rows[best]
        covariance -= np.outer(along, along) / (DESIGN_NOISE + rows[best] @ along)
    return pool[chosen]


@dataclass(frozen=True, eq=False)
class Transfer:
    """Predicts latencies on a device that few networks were measured on.

    >>> features = np.random.default_rng(0).uniform(1, 9, (200, 2))
    >>> known = (1 + features @ [0.1, 1.0])[:, None]
    >>> new = 5 + features @ [2.0, 0.5]  # Of which ten are measured.
    >>> chosen = choose_networks(known, features, 10).tolist()
    >>> transfer = Transfer.fit(known, features, chosen, new[chosen].tolist())
    >>> value, low, high = transfer.predict(known, features)
    >>> bool(np.abs(value / new - 1).max() < 0.05)
    True

    Attributes:
        scaling: Of sources and features.
        median_s: Median latency that was measured, the unit of the rest.
        prices: Mean of the constant and of the price of each source and feature.
        covariance: Of these.
        noise: Variance of a median latency around the sum; that of others is in proportion.
        quantile: Half a 95 % interval over the standard deviation.
    """

    scaling: _Scaling
    median_s: float
    prices: Array
    covariance: Array
    noise: float
    quantile: float

    @classmethod
    def fit(
        cls, sources: Array, features: Array, measured: Sequence[int], seconds: Sequence[float]
    ) -> Transfer:
        """Learns from networks that were measured.

        Args:
            sources: Latency of each network on each known device: ``[networks, sources]``.
            features: Counts of each network: ``[networks, features]``.
            measured: Positions of the networks that were measured on the new device.
            seconds: The latency of each of them.

        Raises:
            ValueError: Fewer than four were measured, or a figure is no latency or not finite.
        """
        from scipy.stats import t

        sources, features = _checked(sources, features)
        rows, found = np.array(measured, dtype=np.intp), np.array(seconds, dtype=float)
        if len(rows) != len(found) or len(rows) <= FREE:
            raise ValueError(
                f"`measured` and `seconds` must be of the same networks, at least {FREE + 1}; got "
                f"{len(rows)} and {len(found)}."
            )
        if not 0 <= rows.min() <= rows.max() < len(sources):
            raise ValueError(
                f"`measured` must be positions of networks; got {len(sources)} networks and "
                f"positions from {rows.min()} to {rows.max()}."
            )
        if not (np.isfinite(found) & (found > 0)).all():
            raise ValueError(f"`seconds` must be finite and above 0; got {found.tolist()}.")
        scaling, median = _Scaling.of(sources, features), float(np.median(found))
        design = scaling.design(sources[rows], features[rows])
        share = found / median
        weights = np.maximum(share, LEAST_SHARE)
        start = np.zeros(design.shape[1])
        start[0] = 1.0
        left = share - design @ start
        chances, fits = [], []
        known = 1 + sources.shape[1]
        for spread, noise in itertools.product(SPREADS, NOISES):
            prior = np.ones(design.shape[1])
            prior[known:] = spread**2 / max(1, features.shape[1])
            covariance = (design * prior) @ design.T + np.diag(noise**2 * weights)
            lower = np.linalg.cholesky(covariance)
            white = np.linalg.solve(lower, left)
            chance = -white @ white / 2 - np.log(np.diag(lower)).sum()
            chance -= np.log(spread / USUAL_SPREAD) ** 2 / 2 + np.log(noise / USUAL_NOISE) ** 2 / 2
            across = np.linalg.solve(lower, design * prior)
            fits.append((start + across.T @ white, np.diag(prior) - across.T @ across, noise**2))
            chances.append(chance)
        chance = np.exp(np.array(chances) - max(chances))
        chance /= chance.sum()
        prices = sum(p * fit[0] for p, fit in zip(chance, fits, strict=True))
        spread_of = [fit[1] + np.outer(fit[0] - prices, fit[0] - prices) for fit in fits]
        return cls(
            scaling=scaling,
            median_s=median,
            prices=np.asarray(prices, dtype=float),
            covariance=np.einsum("i,ijk->jk", chance, np.array(spread_of)),
            noise=float(chance @ np.array([fit[2] for fit in fits])),
            quantile=float(t.ppf(0.975, len(rows) - FREE)),
        )

    def predict(self, sources: Array, features: Array) -> tuple[Array, Array, Array]:
        """Seconds of networks, and the ends of their 95 % intervals: three ``[n]``.

        A sum may fall below zero for a network that is far below all that were measured; it is then
        the least latency, :data:`LEAST_SHARE` of the median.

        Args:
            sources: Latency of each network on each known device: ``[n, sources]``.
            features: Counts of each: ``[n, features]``.
        """
        sources, features = _checked(sources, features)
        known, columns = len(self.scaling.medians), len(self.scaling.means)
        if (sources.shape[1], features.shape[1]) != (known, columns):
            raise ValueError(
                f"It was fitted to {known} known device{'s' if known > 1 else ''} and {columns} "
                f"features; got {sources.shape[1]} and {features.shape[1]}."
            )
        design = self.scaling.design(sources, features)
        sums = design @ self.prices
        share = np.maximum(sums, LEAST_SHARE)
        variance = ((design @ self.covariance) * design).sum(axis=1) + self.noise * share
        half = self.quantile * np.sqrt(variance)
        ends = np.maximum(sums - half, 0), np.maximum(sums + half, share)
        return share * self.median_s, ends[0] * self.median_s, ends[1] * self.median_s

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "format": FORMAT,
            "medians": self.scaling.medians.tolist(),
            "means": self.scaling.means.tolist(),
            "deviations": self.scaling.deviations.tolist(),
            "median_s": self.median_s,
            "prices": self.prices.tolist(),
            "covariance": self.covariance.tolist(),
            "noise": self.noise,
            "quantile": self.quantile,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Transfer:
        """Reads back what :meth:`to_json` wrote.

        Raises:
            CorruptFileError: It is something else.
        """
        try:
            if data["format"] != FORMAT:
                raise CorruptFileError(f"It has format {data['format']!r}, not {FORMAT!r}.")
            arrays = [np.array(data[name], float) for name in ("medians", "means", "deviations")]
            prices = np.array(data["prices"], dtype=float)
            covariance = np.array(data["covariance"], dtype=float)
            width = 1 + len(arrays[0]) + len(arrays[1])
            if prices.shape != (width,) or covariance.shape != (width, width):
                raise CorruptFileError(f"It must have {width} prices and their covariance.")
            return cls(
                scaling=_Scaling(*arrays),
                median_s=float(data["median_s"]),
                prices=prices,
                covariance=covariance,
                noise=float(data["noise"]),
                quantile=float(data["quantile"]),
            )
        except CorruptFileError:
            raise
        except (KeyError, TypeError, ValueError) as error:
            raise CorruptFileError(f"This is not a transfer: {error!r}.") from error


def _checked(sources: Array, features: Array) -> tuple[Array, Array]:
    """Both as arrays of floats, of the same networks."""
    sources, features = np.array(sources, dtype=float), np.array(features, dtype=float)
    if sources.ndim != 2 or features.ndim != 2 or len(sources) != len(features):
        raise ValueError(
            "`sources` and `features` must have a row for each of the same networks; got shapes "
            f"{sources.shape} and {features.shape}."
        )
    if not sources.shape[1]:
        raise ValueError("`sources` must hold a known device; got none.")
    if not (np.isfinite(sources) & (sources > 0)).all() or not np.isfinite(features).all():
        raise ValueError("`sources` must be finite and above 0, and `features` finite.")
    return sources, features
