"""The price of any architecture by a table: a sum, with what is missing predicted.

Blocks that the table holds are looked up. The others are predicted from those
(:mod:`predictors.block_model`), and every price they enter is flagged ``"predicted"``.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hw_profiles import BlockTable
from hw_profiles.cache import WEIGHT_BYTES, Weights
from hw_profiles.quantity import quantity
from predictors.block_model import BlockModel
from search_spaces import (
    Architecture,
    Block,
    CorruptFileError,
    CountTable,
    SearchSpace,
    block_from_key,
    block_key,
)
from search_spaces.slot_runs import SlotRun, slot_runs

__all__ = ["Estimate", "TablePredictor", "fit_model", "with_model"]

MIN_FIT = 8
"""Fewest measured blocks that a prediction may rest on."""

STEPS = 2**48
"""Values are added as whole numbers of such parts of their unit (3.6e-15), of which a sum is the
same in any order: a budget cannot fall between the price of one architecture and that of many."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A predicted value of a network, in the unit of the table's quantity.

    Attributes:
        value: Of one run.
        low: Lower end of its 95 % interval; ``None`` without a certificate.
        high: Upper end.
        missing: Keys of the blocks that were predicted.
    """

    value: float
    low: float | None
    high: float | None
    missing: tuple[str, ...] = ()

    @property
    def provenance(self) -> str:
        """``"table"``, or ``"predicted"`` if any block was."""
        return "predicted" if self.missing else "table"


@dataclass(frozen=True, slots=True)
class _Price:
    """What a block adds.

    Attributes:
        block: The block, so that no other object gets its id.
        value: Its value, and the same in :data:`STEPS`.
        steps: See above.
        half: The 95 % half-width where the value is predicted.
        key: Of the block, where it is.
        weights: Its weights, where they matter.
    """

    block: Block
    value: float
    steps: int
    half: float
    key: str | None
    weights: Weights


class TablePredictor:
    """Prices architectures with a table.

    Args:
        table: Measured blocks of one quantity, device and setting.
        counts: Counts of blocks; needed only where a block is missing from the table, or weights
            that do not fit in a cache add to its sums.
    """

    def __init__(self, table: BlockTable, counts: CountTable) -> None:
        self.table, self._counts = table, counts
        self._network = quantity(table.quantity).network
        self._weight_bytes = WEIGHT_BYTES[table.setting.dtype]
        self._prices: dict[Block, _Price] = {}
        self._by_id: dict[int, _Price] = {}  # Hashing a block takes longer than adding it.
        self._half_widths: dict[str, float] = {}
        self._runs: dict[int, tuple[SearchSpace, list[tuple[SlotRun, NDArray[np.int64]]]]] = {}
        self._overhead = _steps(table.overhead.value)

    def price(self, architecture: Architecture) -> Estimate:
        """The value of one architecture.

        Raises:
            ValueError: A block is missing and too few are measured to predict it.
            CorruptFileError: The table's model of such blocks cannot be used; the file is named.
        """
        network, known = self._network(architecture), self._by_id
        steps, guessed, prices = self._overhead, False, []
        for node in network.nodes:
            price = known.get(id(node.block)) or self._price(node.block)
            steps += price.steps
            guessed |= price.key is not None
            prices.append(price)
        total = steps / STEPS
        if self.table.cache is not None:
            elements = sum(
                price.weights.elements
                for node, price in zip(network.nodes, prices, strict=True)
                if node.tie is None
            )
            tensors = sum(price.weights.tensors for price in prices)
            total += float(self.table.cache.value(self._weight_bytes * elements, tensors))
        variance = 0.0
        missing: tuple[str, ...] = ()
        if guessed:
            # The same error each time a block is used.
            uses = Counter((price.key, price.half) for price in prices if price.key is not None)
            variance = sum((n * half) ** 2 for (_, half), n in uses.items())
            missing = tuple(key for key, _ in uses)
        if self.table.certificate is None:
            return Estimate(total, None, None, missing)
        half = math.hypot(self._half_width(architecture.space) * total, variance**0.5)
        return Estimate(total, max(total - half, 0.0), total + half, missing)

    def price_codes(self, space: SearchSpace, codes: NDArray[Any]) -> NDArray[np.float64]:
        """Values of many architectures at once: ``[n]`` from codes ``[n, parameters]``."""
        codes = np.asarray(codes)
        if id(space) not in self._runs:
            # The space is kept beside its runs, so that its id stays its own.
            self._runs[id(space)] = (space, self._tabulate(space))
        width = 1 if self.table.cache is None else 3
        sums = np.zeros((width, len(codes)), dtype=np.int64)
        for run, added in self._runs[id(space)][1]:
            rows = run.rows(codes)
            for column, values in zip(sums, added, strict=True):
                column += values[rows]
        total: NDArray[np.float64] = (self._overhead + sums[0]) / STEPS
        if self.table.cache is not None:
            total += self.table.cache.value(self._weight_bytes * sums[1], sums[2])
        return total

    def _tabulate(self, space: SearchSpace) -> list[tuple[SlotRun, NDArray[np.int64]]]:
        """For each combination of a run of slots, what its blocks add: ``[sums, combinations]``.

        Steps of their values, and where a cache counts the elements and tensors of their weights.
        """
        each = [self._price(self._block_of(p.block)) for p in space.placements]
        sums = [[*(price.steps for price in each), 0]]
        if self.table.cache is not None:
            pairs = list(zip(each, space.placements, strict=True))
            sums.append([*(price.weights.elements * (p.tie is None) for price, p in pairs), 0])
            sums.append([*(price.weights.tensors for price in each), 0])
        columns = np.array(sums, dtype=np.int64)
        return [
            (run, columns[:, space.placement_indices(run.codes)[:, run.slots]].sum(axis=2))
            for run in slot_runs(space)
        ]

    def _half_width(self, family: str) -> float:
        """Relative half-width of a family's interval; a certificate reckons it anew each time."""
        if family not in self._half_widths:
            assert self.table.certificate is not None
            self._half_widths[family] = self.table.certificate.half_width(family)
        return self._half_widths[family]

    def block_value(self, block: Block) -> float:
        """What a block of an architecture adds, measured or predicted."""
        return self._price(self._block_of(block)).value

    def _block_of(self, block: Block) -> Block:
        """The block that is run for one of an architecture."""
        if self.table.quantity != "decode_step_s":
            return block
        decoding = block.decoding()
        if decoding is None:
            raise ValueError(f"{block} has no form for the last token alone.")
        return decoding

    def _price(self, block: Block) -> _Price:
        price = self._prices.get(block)
        if price is None:
            key: str | None = block_key(block)
            entry, half = self.table.entries.get(str(key)), 0.0
            if entry is None:
                value, half = self._predict(block)
            elif entry.n == 0:
                value = entry.value  # The certificate's networks have such blocks as well.
            else:
                value, key = entry.value, None
            spills = self.table.cache is not None
            weights = Weights.of_block(block, self._counts) if spills else Weights(0, 0)
            price = _Price(block, value, _steps(value), half, key, weights)
            self._prices[block] = self._by_id[id(block)] = price
        return price

    def _predict(self, block: Block) -> tuple[float, float]:
        """The value of a block that was not measured, and its 95 % half-width."""
        model = self._model
        try:
            predicted = model.predict([block], self._counts)
        except ValueError as error:
            if self.table.model is None:
                raise
            raise self._corrupt(error) from error  # It reads, but is of other blocks.
        return float(predicted.values[0]), float(predicted.high[0] - predicted.values[0])

    @cached_property
    def _model(self) -> BlockModel:
        if self.table.model is None:
            return fit_model(self.table, self._counts)
        try:
            return BlockModel.from_json(self.table.model)
        except CorruptFileError as error:
            raise self._corrupt(error) from error

    def _corrupt(self, error: ValueError) -> CorruptFileError:
        where = self.table.path or f"The table of {self.table.name}"
        return CorruptFileError(f"{where}, model: {error}")


def _steps(value: float) -> int:
    return round(value * STEPS)


def fit_model(table: BlockTable, counts: CountTable) -> BlockModel:
    """What predicts the blocks that a table does not hold, from those that it measured.

    Raises:
        ValueError: It measured too few.
    """
    held = {key: entry for key, entry in table.entries.items() if entry.n > 0}
    if len(held) < MIN_FIT:
        raise ValueError(
            f"`table` must hold at least {MIN_FIT} of the space's blocks to predict the "
            f"others; it holds {len(held)}. Measure it again with `hwnas profile measure`."
        )
    return BlockModel.fit(
        [block_from_key(key) for key in held],
        [entry.value for entry in held.values()],
        counts,
        half_widths=[(entry.high - entry.low) / 2 for entry in held.values()],
        batch=table.setting.batch,
        training=quantity(table.quantity).training,
    )


def with_model(table: BlockTable, counts: CountTable) -> BlockTable:
    """The table with that model in it, so that no one who prices with it has to fit it again.

    A table that measured too few blocks stays as it is.
    """
    try:
        return replace(table, model=fit_model(table, counts).to_json())
    except ValueError:
        return table
