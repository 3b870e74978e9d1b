"""Exact counts of blocks: a block is counted once, by tracing it on the meta device."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from search_spaces import tally
from search_spaces.block import Block, Shape, block_key
from search_spaces.errors import CorruptFileError
from search_spaces.validation import check_items, check_type

__all__ = ["BlockCounts", "CountTable", "PerBatch", "TrainingCounts", "gradient_pattern"]

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
class TrainingCounts:
    """What training a block costs.

    Attributes:
        macs: Multiply-accumulates of the forward and the backward pass.
        saved: Elements kept for the backward pass, without inputs and output.
        saves_input: For each input, whether it is kept too.
        saves_output: Whether its output is.
    """

    macs: PerBatch
    saved: PerBatch
    saves_input: tuple[bool, ...]
    saves_output: bool

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
        weights: Elements stored for inference: parameters and floating-point buffers.
        operators: Operators that move data or compute; views are not counted.
        macs: Multiply-accumulates of convolutions and matrix products.
        flops: Twice the MACs plus elementwise operations (:mod:`search_spaces.operators`).
        activations: Elements that convolutions and matrix products put out (Dollár et al. 2021).
        access: Elements that operators read and write, none fused, weights included.
        peak: Most elements alive at once, weights excluded, inputs and output included. It is the
            line through the peaks at two small batches, and so exact at others where the same
            step of the block has the peak at every batch.
        train: Costs of training it, by which inputs need a gradient: ``"10"`` where the first of
            two does, as :func:`gradient_pattern` writes it.
    """

    output_shape: Shape
    params: int
    weights: int
    operators: int
    macs: PerBatch
    flops: PerBatch
    activations: PerBatch
    access: PerBatch
    peak: PerBatch
    train: Mapping[str, TrainingCounts]

    def __post_init__(self) -> None:
        check_items(self, int, "output_shape")
        check_type(self, int, "params", "weights", "operators")
        inputs = max(map(len, self.train), default=0)
        patterns = {gradient_pattern(needs) for needs in _gradient_needs(inputs)}
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
            for name in ("macs", "flops", "activations", "access", "peak"):
                values[name] = PerBatch(**values[name])
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
    return TrainingCounts(**{**data, **lines, "saves_input": tuple(data["saves_input"])})


class CountTable:
    """Counts of blocks; a block that is not in it is traced once and remembered.

    Args:
        entries: Counts by block key, as :meth:`to_json` gives them.
    """

    def __init__(self, entries: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        if not isinstance(entries, Mapping | None):
            raise CorruptFileError(f"A count table is an object, not {type(entries).__name__}.")
        self._entries = {
            key: BlockCounts.from_json(value) for key, value in (entries or {}).items()
        }
        self.traced = 0

    def __getitem__(self, block: Block) -> BlockCounts:
        key = block_key(block)
        if key not in self._entries:
            self._entries[key] = _count_block(block)
            self.traced += 1
        return self._entries[key]

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


def _gradient_needs(inputs: int) -> list[tuple[bool, ...]]:
    """For each set of so many inputs that may need gradients, whether each input does."""
    if inputs > MAX_INPUTS:
        raise ValueError(f"A block must have at most {MAX_INPUTS} inputs; got {inputs}. Split it.")
    return list(itertools.product((False, True), repeat=inputs))


def _count_block(block: Block) -> BlockCounts:
    import torch

    from search_spaces.tracing import build_on_meta, traces

    needs = _gradient_needs(len(block.input_shapes))
    module = build_on_meta(block)
    trainable = sum(p.numel() for p in module.parameters() if p.requires_grad)
    stored = sum(
        t.numel() for t in (*module.parameters(), *module.buffers()) if torch.is_floating_point(t)
    )
    pair = traces(block)
    small, large = (tally.inference(traced) for traced in pair)
    return BlockCounts(
        output_shape=pair[0].output.shape[1:],
        params=trainable,
        weights=stored,
        operators=sum(not operation.view for operation in pair[0].operations),
        macs=_per_batch(small.macs, large.macs),
        flops=_per_batch(small.flops, large.flops),
        activations=_per_batch(small.activations, large.activations),
        access=_per_batch(small.access, large.access),
        peak=_per_batch(*(traced.peak_elements for traced in pair)),
        train={
            gradient_pattern(grads): _training_counts(
                *(tally.training(traced, grads) for traced in pair)
            )
            for grads in needs
        },
    )


def _training_counts(small: tally.TrainingTally, large: tally.TrainingTally) -> TrainingCounts:
    return TrainingCounts(
        macs=_per_batch(small.macs, large.macs),
        saved=_per_batch(small.saved, large.saved),
        saves_input=small.saves_input,
        saves_output=small.saves_output,
    )


def _per_batch(small: int, large: int) -> PerBatch:
    """The line through a count at each of :data:`search_spaces.tracing.BATCHES`."""
    from search_spaces.tracing import BATCHES

    slope = (large - small) // (BATCHES[1] - BATCHES[0])
    return PerBatch(small - BATCHES[0] * slope, slope)
