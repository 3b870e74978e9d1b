"""Exact counts of blocks: a block is counted once, by tracing it on the meta device."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from search_spaces import tally
from search_spaces.block import Block, Shape, block_key
from search_spaces.errors import BlockError, CorruptFileError
from search_spaces.validation import check_items, check_type

__all__ = [
    "MAX_INPUTS",
    "BlockCounts",
    "CountTable",
    "MostPerBatch",
    "PerBatch",
    "TrainingCounts",
    "gradient_needs",
    "gradient_pattern",
]

LINES = ("macs", "flops", "effective_macs", "activations", "access", "fused_access")
"""Fields of :class:`BlockCounts` that follow the batch."""

MAX_INPUTS = 3
"""Inputs of a block at most: training is counted for each set of them that needs gradients."""


@dataclass(frozen=True, slots=True)
class PerBatch:
    """A count that is ``fixed + batch * per_example``."""

    fixed: int
    per_example: int

    def __post_init__(self) -> None:
        check_type(self, int, "fixed", "per_example")

    def at(self, batch: int) -> int:
        """Its value for a batch."""
        return self.fixed + batch * self.per_example


@dataclass(frozen=True, slots=True)
class MostPerBatch:
    """The most of several counts that each follow the batch.

    Attributes:
        lines: Those of the counts that are the most at some batch, from batch 1 on.
    """

    lines: tuple[PerBatch, ...]

    def __post_init__(self) -> None:
        if not self.lines:
            raise ValueError("`lines` must hold at least one count; got none.")

    def at(self, batch: int) -> int:
        """The most for a batch."""
        return max([line.at(batch) for line in self.lines])


@dataclass(frozen=True, slots=True)
class TrainingCounts:
    """What training a block costs.

    Attributes:
        macs: Multiply-accumulates of the forward and the backward pass.
        saved: Elements kept for the backward pass, without inputs and output.
        saves_input: For each input, whether it is kept too.
        saves_output: Whether its output is.
        backward: Most elements alive at once in its backward pass: what it kept, without inputs,
            and gradients, those of its weights included.
        again: The same where all its weights have gradients already, which are not counted.
    """

    macs: PerBatch
    saved: PerBatch
    saves_input: tuple[bool, ...]
    saves_output: bool
    backward: MostPerBatch
    again: MostPerBatch

    def __post_init__(self) -> None:
        check_items(self, bool, "saves_input")
        check_type(self, bool, "saves_output")


def gradient_pattern(needs: Iterable[bool]) -> str:
    """Which inputs of a block need a gradient, as a key of :attr:`BlockCounts.train`.

    >>> gradient_pattern([True, False])
    '10'
    """
    return "".join("1" if need else "0" for need in needs)


@dataclass(frozen=True, slots=True)
class BlockCounts:
    """What is exact about one block.

    Attributes:
        output_shape: Shape of what it returns, without the batch.
        params: Trainable elements.
        parameters: The same by the name of each parameter.
        inactive_params: Those that one token does not use.
        weights: Elements stored for inference: parameters and floating-point buffers.
        indices: Elements of its other buffers, such as tables of indices.
        operators: Operators that move data or compute; views are not counted.
        macs: Multiply-accumulates of convolutions and matrix products.
        flops: Twice the MACs plus elementwise operations (:mod:`search_spaces.operators`).
        effective_macs: The MACs that no zero weight takes part in.
        activations: Elements that convolutions and matrix products put out (Dollár et al. 2021).
        access: Elements that operators read and write, none fused, weights included.
        fused_access: Elements of its inputs, of the weights that it reads and of its output.
        peak: Most elements alive at once, weights excluded, inputs and output included.
        train: Costs of training it, by which inputs need a gradient: ``"10"`` where the first of
            two does, as :func:`gradient_pattern` writes it.
        decode_macs: MACs of its form for one further token; 0 where it has none.
        decode_access: Elements that form reads and writes, its cache included; likewise.
        cache: Elements that it keeps of one example while text is generated.
    """

    output_shape: Shape
    params: int
    parameters: Mapping[str, int]
    inactive_params: int
    weights: int
    indices: int
    operators: int
    macs: PerBatch
    flops: PerBatch
    effective_macs: PerBatch
    activations: PerBatch
    access: PerBatch
    fused_access: PerBatch
    peak: MostPerBatch
    train: Mapping[str, TrainingCounts]
    decode_macs: int = 0
    decode_access: int = 0
    cache: int = 0

    def __post_init__(self) -> None:
        check_items(self, int, "output_shape")
        check_type(self, int, "params", "inactive_params", "weights", "indices", "operators")
        check_type(self, int, "decode_macs", "decode_access", "cache")
        if sum(self.parameters.values()) != self.params:
            raise ValueError(
                f"`parameters` must add up to `params`; got {dict(self.parameters)} and "
                f"{self.params}."
            )
        inputs = max(map(len, self.train), default=0)
        patterns = {gradient_pattern(needs) for needs in gradient_needs(inputs)}
        if set(self.train) != patterns or any(
            len(counts.saves_input) != inputs for counts in self.train.values()
        ):
            raise ValueError(
                f"`train` must have each pattern of {inputs} inputs, with a flag for each input; "
                f"got {dict(self.train)}."
            )

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> BlockCounts:
        """Reads back what :meth:`to_json` wrote.

        Raises:
            CorruptFileError: A field is missing, foreign or of another form.
        """
        try:
            values: dict[str, Any] = dict(data)
            values["output_shape"] = tuple(values["output_shape"])
            for name in LINES:
                values[name] = PerBatch(**values[name])
            values["peak"] = _most_from_json(values["peak"])
            values["train"] = {
                pattern: _training_from_json(item)
                for pattern, item in dict(values["train"]).items()
            }
            return cls(**values)
        except (KeyError, TypeError, ValueError) as error:
            raise CorruptFileError(
                f"These are not the counts of a block: {data!r} ({error})."
            ) from error


def _training_from_json(data: Mapping[str, Any]) -> TrainingCounts:
    lines = {name: PerBatch(**data[name]) for name in ("macs", "saved")}
    most = {name: _most_from_json(data[name]) for name in ("backward", "again")}
    return TrainingCounts(**{**data, **lines, **most, "saves_input": tuple(data["saves_input"])})


def _most_from_json(data: Mapping[str, Any]) -> MostPerBatch:
    return MostPerBatch(tuple(PerBatch(**line) for line in data["lines"]))


class CountTable:
    """Counts of blocks; a block that is not in it is traced once and remembered.

    Args:
        entries: Counts by block key, as :meth:`to_json` gives them.

    Attributes:
        traced: How many blocks were traced.
        prepared: What :mod:`search_spaces.batch_counts` made ready, by space and training.
    """

    def __init__(self, entries: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        if not isinstance(entries, Mapping | None):
            raise CorruptFileError(f"A count table is an object, not {type(entries).__name__}.")
        self._entries = {
            key: BlockCounts.from_json(value) for key, value in (entries or {}).items()
        }
        self._of_block: dict[Block, BlockCounts] = {}  # Hashing a block is quicker than its key.
        self.prepared: dict[Any, Any] = {}
        self.traced = 0

    def __getitem__(self, block: Block) -> BlockCounts:
        known = self._of_block.get(block)
        if known is None:
            key = block_key(block)
            if key not in self._entries:
                self._entries[key] = _count_block(block)
                self.traced += 1
            known = self._of_block[block] = self._entries[key]
        return known

    def __contains__(self, block: object) -> bool:
        return isinstance(block, Block) and block_key(block) in self._entries

    def __len__(self) -> int:
        return len(self._entries)

    def missing(self, blocks: Iterable[Block]) -> Iterator[Block]:
        """Those of the blocks that would have to be traced."""
        return (block for block in blocks if block not in self)

    def to_json(self) -> dict[str, Any]:
        """Counts by block key, as plain JSON values."""
        return {key: value.to_json() for key, value in self._entries.items()}


def gradient_needs(inputs: int) -> list[tuple[bool, ...]]:
    """For each set of so many inputs that may need gradients, whether each input does."""
    if inputs > MAX_INPUTS:
        raise ValueError(f"A block must have at most {MAX_INPUTS} inputs; got {inputs}. Split it.")
    return list(itertools.product((False, True), repeat=inputs))


def _count_block(block: Block) -> BlockCounts:
    import torch

    from search_spaces.tracing import build_on_meta, traces

    needs = gradient_needs(len(block.input_shapes))
    module = build_on_meta(block)
    parameters = {n: p.numel() for n, p in module.named_parameters() if p.requires_grad}
    stored = sum(
        t.numel() for t in (*module.parameters(), *module.buffers()) if torch.is_floating_point(t)
    )
    pair = traces(block)
    small, large = (tally.inference(traced, block.sparsity_level) for traced in pair)
    lines = {name: _per_batch(getattr(small, name), getattr(large, name)) for name in LINES}
    for name in ("macs", "activations"):
        if lines[name].fixed < 0:
            raise BlockError(
                f"The {name} of {block} do not grow in proportion to the batch; each example must "
                "be computed by itself."
            )
    step = block.decoding()
    one_token = [tally.inference(traced) for traced in traces(step)] if step is not None else None
    return BlockCounts(
        output_shape=pair[0].output.shape[1:],
        params=sum(parameters.values()),
        parameters=parameters,
        inactive_params=block.inactive_params,
        weights=stored,
        indices=sum(b.nbytes for b in module.buffers() if not b.is_floating_point()) // 4,
        operators=sum(not operation.view for operation in pair[0].operations),
        **lines,
        peak=_most_per_batch(small.alive, large.alive),
        train={
            gradient_pattern(grads): _training_counts(
                *(tally.training(traced, grads) for traced in pair)
            )
            for grads in needs
        },
        decode_macs=_per_batch(*(t.macs for t in one_token)).at(1) if one_token else 0,
        decode_access=_per_batch(*(t.access for t in one_token)).at(1) if one_token else 0,
        cache=block.cache_elements,
    )


def _training_counts(small: tally.TrainingTally, large: tally.TrainingTally) -> TrainingCounts:
    return TrainingCounts(
        macs=_per_batch(small.macs, large.macs),
        saved=_per_batch(small.saved, large.saved),
        saves_input=small.saves_input,
        saves_output=small.saves_output,
        backward=_most_per_batch(small.backward, large.backward),
        again=_most_per_batch(small.again, large.again),
    )


def _most_per_batch(small: Sequence[int], large: Sequence[int]) -> MostPerBatch:
    """The most of the lines through counts at each of :data:`search_spaces.tracing.BATCHES`."""
    lines = {_per_batch(*pair) for pair in set(zip(small, large, strict=True))}
    most = [max(lines, key=lambda line: (line.at(1), line.per_example))]
    while steeper := [line for line in lines if line.per_example > most[-1].per_example]:
        last = most[-1]  # The next is the one that crosses the last first.
        most.append(
            min(
                steeper,
                key=lambda line: (
                    Fraction(last.fixed - line.fixed, line.per_example - last.per_example),
                    -line.per_example,
                ),
            )
        )
    return MostPerBatch(tuple(most))


def _per_batch(small: int, large: int) -> PerBatch:
    """The line through a count at each of :data:`search_spaces.tracing.BATCHES`."""
    from search_spaces.tracing import BATCHES

    slope = (large - small) // (BATCHES[1] - BATCHES[0])
    return PerBatch(small - BATCHES[0] * slope, slope)
