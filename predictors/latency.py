"""Latency of any architecture from a table: a sum, with what is missing predicted.

Blocks that the table holds are looked up. The others are predicted by a Gaussian process on the
logarithm of the block times, from counts of the block, and every price they enter is flagged
``"predicted"``.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hw_profiles import LatencyTable
from search_spaces import (
    Architecture,
    Block,
    CountTable,
    SearchSpace,
    block_from_key,
    block_key,
)

__all__ = ["Estimate", "LatencyPredictor"]

MIN_FIT = 8
"""Fewest measured blocks that a prediction may rest on."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A predicted latency.

    Attributes:
        value_s: Seconds of one run.
        low_s: Lower end of its 95 % interval; ``None`` without a certificate.
        high_s: Upper end.
        missing: Keys of the blocks that were predicted.
    """

    value_s: float
    low_s: float | None
    high_s: float | None
    missing: tuple[str, ...] = ()

    @property
    def provenance(self) -> str:
        """``"table"``, or ``"predicted"`` if any block was."""
        return "predicted" if self.missing else "table"


class LatencyPredictor:
    """Prices architectures with a latency table.

    Args:
        table: Measured blocks of one device and setting.
        counts: Counts of blocks; needed only where a block is missing from the table.
    """

    def __init__(self, table: LatencyTable, counts: CountTable) -> None:
        self.table, self._counts = table, counts
        self._predicted: dict[Block, tuple[float, float]] = {}

    def price(self, architecture: Architecture) -> Estimate:
        """Latency of one architecture.

        Raises:
            ValueError: A block is missing and too few are measured to predict it.
        """
        total, variance, missing = self.table.overhead.value_s, 0.0, []
        for block in architecture.blocks:
            total += self._block(block)[0]
        for block, uses in Counter(architecture.blocks).items():
            variance += (uses * self._block(block)[1]) ** 2  # The same error each time.
            if block not in self.table:
                missing.append(block_key(block))
        certificate = self.table.certificate
        if certificate is None:
            return Estimate(total, None, None, tuple(missing))
        half = float(np.hypot(certificate.half_width(architecture.space) * total, variance**0.5))
        return Estimate(total, max(total - half, 0.0), total + half, tuple(missing))

    def price_codes(self, space: SearchSpace, codes: NDArray[Any]) -> NDArray[np.float64]:
        """Seconds of many architectures at once: ``[n]`` from codes ``[n, parameters]``."""
        prices = np.array([self._block(block)[0] for block in space.blocks] + [0.0])
        # In the order that `price` adds, so that a budget cannot fall between the two sums.
        total = np.full(len(codes), self.table.overhead.value_s)
        for indices in space.block_indices(codes).T:
            total += prices[indices]
        return total

    def _block(self, block: Block) -> tuple[float, float]:
        """Seconds of a block, and the 95 % half-width of a prediction (0 where measured)."""
        if block in self.table:
            return self.table[block].value_s, 0.0
        if block not in self._predicted:
            mean, spread = self._process.predict(self._features([block]), return_std=True)
            seconds = float(np.exp(mean[0]))
            self._predicted[block] = seconds, seconds * float(np.expm1(1.96 * spread[0]))
        return self._predicted[block]

    @cached_property
    def _process(self) -> Any:
        measured = [block_from_key(key) for key in self.table.entries]
        if len(measured) < MIN_FIT:
            raise ValueError(
                f"`table` must hold at least {MIN_FIT} of the space's blocks to predict the "
                f"others; it holds {len(measured)}. Measure it again with `hwnas profile measure`."
            )
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.gaussian_process.kernels import RBF, ConstantKernel, DotProduct, WhiteKernel
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        wide = (1e-9, 1e9)
        kernel = (
            DotProduct(sigma_0_bounds=wide)
            + ConstantKernel(constant_value_bounds=wide)
            * RBF(length_scale=2.0, length_scale_bounds=(1e-3, 1e6))
            + WhiteKernel(0.01, noise_level_bounds=wide)
        )
        process = GaussianProcessRegressor(kernel, normalize_y=True, random_state=0)
        floor = 1e-3 * max(self.table[block].value_s for block in measured)
        seconds = np.log([max(self.table[block].value_s, floor) for block in measured])
        features = self._features(measured)
        with warnings.catch_warnings():
            # A kernel that few blocks leave at a bound; its spread says how far it is trusted.
            warnings.simplefilter("ignore", ConvergenceWarning)
            return make_pipeline(StandardScaler(), process).fit(features, seconds)

    def _features(self, blocks: Sequence[Block]) -> NDArray[np.float64]:
        """Log counts of each block: ``[blocks, 6]``."""
        rows = []
        for block in blocks:
            c = self._counts[block]
            sums = (c.macs, c.flops, c.activations, c.access)
            rows.append([c.operators, *(count.at(1) for count in sums), c.peak.at(1)])
        features: NDArray[np.float64] = np.log1p(np.array(rows, dtype=float))
        return features
