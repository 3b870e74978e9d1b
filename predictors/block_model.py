"""What a block costs that was not timed, from those that were, with an interval.

The logarithm of a block's value is that of a roofline plus a departure from it. The roofline is one
for all types of block: so much for each block, each operator, each multiply-accumulate, each other
operation, each element moved and each element that has to be moved (Williams et al. 2009, with a
sum in place of the maximum), fitted to relative errors with none of the prices negative. The
departure is a Gaussian process for each type of block, over the block's own fields, which decide
all that it does; they are taken in doublings, so that what is learnt between 64 and 128 features
says something of 256, and each with the powers of two that divide it, since 197 tokens take longer
than 200 where a kernel reads eight at a time. A type that no block of was measured gets the
roofline alone, and the interval that the measured types would have had without theirs.

``python -m benchmarks.block_model TABLE.json`` holds it against other regressions on a table's own
blocks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from predictors.gaussian_process import GaussianProcess, Prior, fit_kernel
from search_spaces import Block, CorruptFileError, CountTable, SparseBlock
from search_spaces.block import fields_of, kind
from search_spaces.block_counts import gradient_pattern

__all__ = ["BlockModel", "BlockPrediction"]

Array = NDArray[np.float64]

FORMAT = "hwnas block model 1"

WORK = ("block", "operators", "macs", "other operations", "elements moved", "least elements moved")
TRAINING_WORK = ("block", "operators", "macs", "elements saved", "elements moved", "params")
"""What the roofline has a price for, in inference and in training."""

PRIOR = Prior(linear=(0.02, 1.5), amplitude=(0.05, 1.5), length=(3.0, 0.7), noise=(4e-4, 1.5))
"""Of a type's departures from the roofline: variances of logarithms, and lengths in doublings."""

ROOFLINE_NOISE = 0.2
"""Relative standard deviation of a block around the roofline, beside that of its own value."""
ROOFLINE_PRIOR = 8.0
"""Standard deviation of the logarithm of a price around a first fit; next to none."""
LEAST_SPREAD, MOST_SPREAD, UNKNOWN_SPREAD = 0.2, 1.5, 0.7
"""Standard deviation of a type around the roofline: its least, its most, and where a single type
does not tell."""
MOST_FITTED, MOST_HELD = 300, 800
"""Blocks of a type that its kernel is fitted to, and that it is conditioned on, at most."""
DIGITS = 9
"""Decimals to which two inputs are the same."""
POWERS, POWER_STEP = 6, 0.5
"""Powers of two that are counted of a whole number, and how many doublings each is like."""
LEAST_SHARE = 1e-4
"""A value below this share of the median one is taken for as much, so that it has a logarithm."""
UNSURE = 2.0
"""Standard deviation of the logarithm of a value that was measured as zero, and the most of any."""


@dataclass(frozen=True, slots=True)
class BlockPrediction:
    """Predicted values of some blocks.

    Attributes:
        values: In the unit that the model was fitted in: ``[n]``.
        log_half_widths: Half the 95 % interval of their logarithms: ``[n]``. It reaches from
            ``values * exp(-w)`` to ``values * exp(w)``.
    """

    values: Array
    log_half_widths: Array

    @property
    def low(self) -> Array:
        """Lower ends: ``[n]``."""
        return self.values * np.exp(-self.log_half_widths)

    @property
    def high(self) -> Array:
        """Upper ends: ``[n]``."""
        return self.values * np.exp(self.log_half_widths)


@dataclass(frozen=True, slots=True)
class _Roofline:
    """A price for each of :data:`WORK`."""

    prices: tuple[float, ...]

    def values(self, work: Array) -> Array:
        """What blocks of some work ``[n, work]`` should cost: ``[n]``."""
        values: Array = work @ np.array(self.prices)
        return values

    @classmethod
    def fit(cls, work: Array, values: Array, spreads: Array) -> _Roofline:
        """Fits the logarithms of values ``[n]`` that are known to some relative spread ``[n]``."""
        from scipy.optimize import least_squares, nnls

        scale = np.maximum(work.max(axis=0), 1e-12)
        shares, logs = work / scale, np.log(values)
        weights = 1 / np.hypot(ROOFLINE_NOISE, spreads)
        first = nnls(shares * (weights / values)[:, None], weights)[0]
        start = np.log(np.maximum(first, 1e-3 * np.median(values)))

        def residuals(theta: Array) -> Array:
            left = (np.log(shares @ np.exp(theta)) - logs) * weights
            return np.concatenate([left, (theta - start) / ROOFLINE_PRIOR])

        def slopes(theta: Array) -> Array:
            parts = shares * np.exp(theta)
            own = parts / parts.sum(axis=1)[:, None] * weights[:, None]
            return np.concatenate([own, np.eye(len(theta)) / ROOFLINE_PRIOR])

        theta = least_squares(residuals, start, slopes).x
        return cls(tuple(map(float, np.exp(theta) / scale)))


@dataclass(frozen=True, slots=True)
class _FieldCode:
    """How the fields of a type of block become numbers.

    Attributes:
        numbers: Fields that are numbers; each gives its doublings.
        whole: Those of them that are whole; each gives the powers of two that divide it.
        levels: Other fields, with the values that were seen; each value gives its own input.
        center: What is taken off of each.
    """

    numbers: tuple[str, ...]
    whole: tuple[str, ...]
    levels: tuple[tuple[str, tuple[str, ...]], ...]
    center: tuple[float, ...] = ()

    @classmethod
    def of(cls, blocks: Sequence[Block]) -> _FieldCode:
        """The code of blocks of one type, centred on them."""
        rows = [_fields(block) for block in blocks]
        numbers = tuple(n for n, v in rows[0].items() if type(v) in (int, float))
        whole = tuple(name for name in numbers if type(rows[0][name]) is int)
        others = [name for name in rows[0] if name not in numbers]
        levels = tuple((n, tuple(sorted({str(row[n]) for row in rows}))) for n in others)
        center = cls(numbers, whole, levels).encode(blocks).mean(axis=0)
        return cls(numbers, whole, levels, tuple(map(float, center)))

    def encode(self, blocks: Sequence[Block]) -> Array:
        """Inputs of blocks: ``[n, inputs]``.

        Raises:
            ValueError: A block has not the fields that the model was fitted to.
        """
        rows = []
        for block in blocks:
            fields = _fields(block)
            try:
                row = [_doublings(fields[name]) for name in self.numbers]
                row += [POWER_STEP * _powers_of_two(fields[name]) for name in self.whole]
                for name, levels in self.levels:
                    # So that two levels are two doublings apart.
                    row += [math.sqrt(2) * (str(fields[name]) == level) for level in levels]
            except KeyError as error:
                raise ValueError(
                    f"The model knows a field {error} that {block} has not; fit it again."
                ) from error
            rows.append(row)
        inputs = np.array(rows, dtype=float).reshape(len(rows), -1)
        return inputs - np.array(self.center) if self.center else inputs

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> _FieldCode:
        """Reads back what :meth:`to_json` wrote."""
        levels = tuple((str(name), tuple(values)) for name, values in data["levels"])
        return cls(tuple(data["numbers"]), tuple(data["whole"]), levels, tuple(data["center"]))


@dataclass(frozen=True, eq=False)
class _TypeModel:
    """How one type of block departs from the roofline.

    Attributes:
        code: Of its fields.
        process: Of the logarithm of value over roofline.
        widening: Half a 95 % interval over the process's standard deviation.
        widenings: The same for blocks of which no measured block has that number: for each.
    """

    code: _FieldCode
    process: GaussianProcess
    widening: float
    widenings: tuple[float, ...]

    @classmethod
    def fit(
        cls, blocks: Sequence[Block], departures: Array, spreads: Array, offset: float
    ) -> _TypeModel:
        """Learns from departures ``[n]`` that are known to some relative spread ``[n]``."""
        code = _FieldCode.of(blocks)
        inputs, noise = code.encode(blocks), spreads**2
        few = slice(MOST_FITTED)
        kernel = fit_kernel(inputs[few], departures[few], noise[few], offset, PRIOR)
        process = GaussianProcess(kernel, inputs, departures, noise)
        widening, widenings = process.widening(), []
        for size in inputs[:, : len(code.numbers)].T.round(DIGITS):
            values = np.unique(size)
            groups = [np.flatnonzero(size == value) for value in values if len(values) > 1]
            widenings.append(process.widening(groups))
        return cls(code, process, widening, tuple(widenings))

    @cached_property
    def _known(self) -> list[Array]:
        return [np.unique(size) for size in self._sizes(self.process.inputs)]

    def _sizes(self, inputs: Array) -> Array:
        return inputs[:, : len(self.code.numbers)].T.round(DIGITS)

    def predict(self, blocks: Sequence[Block]) -> tuple[Array, Array]:
        """Departures of blocks, and half of their 95 % intervals: two ``[n]``."""
        inputs = self.code.encode(blocks)
        mean, spread = self.process.predict(inputs)
        widening = np.full(len(blocks), self.widening)
        sizes = zip(self._sizes(inputs), self._known, self.widenings, strict=True)
        for size, known, wider in sizes:
            widening = np.maximum(widening, np.where(np.isin(size, known), 0, wider))
        return mean, widening * spread

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "code": self.code.to_json(),
            "process": self.process.to_json(),
            "widening": self.widening,
            "widenings": list(self.widenings),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> _TypeModel:
        """Reads back what :meth:`to_json` wrote."""
        code = _FieldCode.from_json(data["code"])
        widenings = tuple(map(float, data["widenings"]))
        if len(widenings) != len(code.numbers):
            raise ValueError(f"{len(code.numbers)} numbers have {len(widenings)} widenings.")
        process = GaussianProcess.from_json(data["process"])
        return cls(code, process, float(data["widening"]), widenings)


@dataclass(frozen=True, eq=False)
class BlockModel:
    """Predicts the value of any block on one device and setting.

    Attributes:
        batch: Examples in a run.
        training: Whether a run is a training step.
        roofline: What work costs, whatever the type of block.
        half_width: Half a 95 % interval of the logarithm, for types that it does not know.
        types: What is known of each type of block, by :func:`search_spaces.block.kind`.
    """

    batch: int
    training: bool
    roofline: _Roofline
    half_width: float
    types: Mapping[str, _TypeModel]

    @classmethod
    def fit(
        cls,
        blocks: Sequence[Block],
        values: Sequence[float],
        counts: CountTable,
        *,
        half_widths: Sequence[float] | None = None,
        batch: int = 1,
        training: bool = False,
        seed: int = 0,
    ) -> BlockModel:
        """Learns from measured blocks.

        Args:
            blocks: The blocks, as they are run: for a decoding step their forms for one token.
            values: What each costs, in any unit: ``[n]``; zero for what is lost in the noise.
            counts: Their counts.
            half_widths: Half the 95 % interval of each value, in the same unit; a value that is
                less sure says less. None where they are sure.
            batch: Examples in a run.
            training: Whether a run is a training step.
            seed: Of the choice of blocks, where a type has more than are needed.

        Raises:
            ValueError: There are no blocks, a value is negative or not finite, or all are zero.
        """
        found = np.array(values, dtype=float)
        halves = np.zeros(len(found)) if half_widths is None else np.array(half_widths, float)
        if not len(blocks) == len(found) == len(halves) or not blocks:
            raise ValueError(
                "`blocks`, `values` and `half_widths` must be of the same blocks, one at least; "
                f"got {len(blocks)}, {len(found)} and {len(halves)}."
            )
        for name, array in (("values", found), ("half_widths", halves)):
            if not (np.isfinite(array).all() and (array >= 0).all()):
                worst = int(np.argmin(np.where(np.isfinite(array), array, -np.inf)))
                raise ValueError(
                    f"`{name}` must be finite and at least 0; got {array[worst]} for "
                    f"{blocks[worst]}."
                )
        work = _work(blocks, counts, batch, training)
        busy = work[:, 1] > 0
        if not (found[busy] > 0).any():
            raise ValueError(
                f"`values` must hold one above 0; all of the {len(found)} are 0 or of blocks that "
                "run no operator. Measure longer."
            )
        blocks = [block for block, runs in zip(blocks, busy, strict=True) if runs]
        work, found, halves = work[busy], found[busy], halves[busy]
        # A value below its own interval could be anything below it.
        least = np.maximum(halves / 2, LEAST_SHARE * np.median(found[found > 0]))
        floored = np.maximum(found, least)
        spreads = np.where(found > 0, np.minimum(halves / 1.96 / floored, UNSURE), UNSURE)
        roofline = _Roofline.fit(work, floored, spreads)
        departures = np.log(floored / roofline.values(work))
        names = np.array([_type_of(block) for block in blocks])
        spread, half_width = _spread_of_types(work, floored, spreads, names)
        rng, types = np.random.default_rng(seed), {}
        for name in dict.fromkeys(names.tolist()):
            chosen = rng.permutation(np.flatnonzero(names == name))[:MOST_HELD]
            own = [blocks[i] for i in chosen]
            types[name] = _TypeModel.fit(own, departures[chosen], spreads[chosen], spread**2)
        return cls(batch, training, roofline, half_width, types)

    def predict(self, blocks: Sequence[Block], counts: CountTable) -> BlockPrediction:
        """Values of blocks; a block that runs no operator has 0, for certain.

        Args:
            blocks: The blocks, as they are run.
            counts: Their counts.

        Raises:
            ValueError: A block has not the fields that its type had when the model was fitted.
        """
        work = _work(blocks, counts, self.batch, self.training)
        values = self.roofline.values(work)
        widths = np.full(len(blocks), self.half_width)
        members: dict[str, list[int]] = {}
        for position, block in enumerate(blocks):
            members.setdefault(_type_of(block), []).append(position)
        for name, positions in members.items():
            if name in self.types:
                mean, width = self.types[name].predict([blocks[i] for i in positions])
                values[positions] *= np.exp(mean)
                widths[positions] = width
        busy = work[:, 1] > 0
        return BlockPrediction(np.where(busy, values, 0.0), np.where(busy, widths, 0.0))

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "format": FORMAT,
            "batch": self.batch,
            "training": self.training,
            "work": list(TRAINING_WORK if self.training else WORK),
            "prices": list(self.roofline.prices),
            "half_width": self.half_width,
            "types": {name: model.to_json() for name, model in self.types.items()},
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> BlockModel:
        """Reads back what :meth:`to_json` wrote.

        Raises:
            CorruptFileError: It is something else.
        """
        try:
            training, prices = data["training"], tuple(data["prices"])
            work = list(TRAINING_WORK if training else WORK)
            if data["format"] != FORMAT or data["work"] != work or len(prices) != len(work):
                raise CorruptFileError(
                    f"A block model must have format {FORMAT!r} and a price for each of {work}; "
                    f"got {data['format']!r} and {len(prices)} prices for {data['work']}."
                )
            types = {name: _TypeModel.from_json(item) for name, item in data["types"].items()}
            return cls(data["batch"], training, _Roofline(prices), data["half_width"], types)
        except CorruptFileError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CorruptFileError(f"This is not a block model: {error!r}.") from error


def _spread_of_types(
    work: Array, values: Array, spreads: Array, names: NDArray[np.str_]
) -> tuple[float, float]:
    """How far types lie from a roofline fitted without them: one standard deviation, and half of a
    95 % interval."""
    from scipy.stats import t

    squares = []
    for name in np.unique(names):
        others = names != name
        if others.sum() >= work.shape[1]:
            roofline = _Roofline.fit(work[others], values[others], spreads[others])
            departures = np.log(values[~others] / roofline.values(work[~others]))
            squares.append(float((departures**2).mean()))
    spread = math.sqrt(sum(squares) / len(squares)) if len(squares) > 1 else UNKNOWN_SPREAD
    spread = min(max(spread, LEAST_SPREAD), MOST_SPREAD)
    return spread, spread * float(t.ppf(0.975, max(2, len(squares) - 1)))


def _work(blocks: Sequence[Block], counts: CountTable, batch: int, training: bool) -> Array:
    """What each block has to do: ``[n, work]``, the second column its operators."""
    rows = []
    for block in blocks:
        c = counts[block]
        if training:
            needs = c.train[gradient_pattern([True] * len(block.input_shapes))]
            work = (needs.macs.at(batch), needs.saved.at(batch), c.access.at(batch), c.params)
        else:
            macs = c.macs.at(batch)
            other = max(0, c.flops.at(batch) - 2 * macs)
            work = (macs, other, c.access.at(batch), c.fused_access.at(batch))
        rows.append((c.operators > 0, c.operators, *work))
    return np.array(rows, dtype=float).reshape(len(rows), -1)


def _type_of(block: Block) -> str:
    return kind(type(block.dense if isinstance(block, SparseBlock) else block))


def _fields(block: Block) -> dict[str, Any]:
    """Fields of a block, and its sparsity: a sparse block has those of the dense one."""
    dense = block.dense if isinstance(block, SparseBlock) else block
    return fields_of(dense) | {"sparsity": block.sparsity_level}


def _doublings(number: float) -> float:
    return math.copysign(math.log2(1 + abs(number)), number)


def _powers_of_two(number: int) -> int:
    """How often 2 divides a number, :data:`POWERS` at most; 0 counts as one that all divide."""
    return min(POWERS, (number & -number).bit_length() - 1) if number else POWERS
