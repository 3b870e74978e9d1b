"""Exact counts of blocks and of architectures.

A block is counted once, by tracing it on the meta device; the counts of any number of
architectures are then sums (or maxima) over a table of numbers. Everything is at fp32.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from search_spaces.architecture import NETWORK_INPUT, Architecture
from search_spaces.block import Block, Shape, block_key
from search_spaces.errors import CorruptFileError
from search_spaces.operators import FORMULAS, Cost, TracedTensor, elements
from search_spaces.space import EMPTY, Codes, SearchSpace

if TYPE_CHECKING:
    from search_spaces.tracing import Operation, Trace

__all__ = [
    "BlockCounts",
    "CountTable",
    "Counts",
    "PerBatch",
    "TrainingCounts",
    "TrainingSetup",
    "count",
    "count_codes",
]

FP32_BYTES = 4


@dataclass(frozen=True, slots=True)
class PerBatch:
    """A count that is ``fixed + batch * per_example``."""

    fixed: int
    per_example: int

    def at(self, batch: int) -> int:
        """Its value for a batch."""
        return self.fixed + batch * self.per_example


@dataclass(frozen=True, slots=True)
class TrainingCounts:
    """What training a block costs.

    Attributes:
        macs: Multiply-accumulates of the forward and the backward pass.
        saved: Elements kept for the backward pass, without inputs and output.
        saves_input: Whether its inputs are kept too.
        saves_output: Whether its output is.
    """

    macs: PerBatch
    saved: PerBatch
    saves_input: bool
    saves_output: bool


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
        peak: Most elements alive at once, weights excluded, inputs and output included.
        train: Costs of training it inside a network.
        train_first: The same where its input needs no gradient, being the network's.
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
    train: TrainingCounts
    train_first: TrainingCounts

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
            for name in ("train", "train_first"):
                values[name] = TrainingCounts(
                    **values[name]
                    | {field: PerBatch(**values[name][field]) for field in ("macs", "saved")}
                )
            return cls(**values)
        except (KeyError, TypeError) as error:
            raise CorruptFileError(f"These are not the counts of a block: {data}.") from error


class CountTable:
    """Counts of blocks; a block that is not in it is traced once and remembered.

    Args:
        entries: Counts by block key, as :meth:`to_json` gives them.
    """

    def __init__(self, entries: Mapping[str, Mapping[str, Any]] | None = None) -> None:
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


@dataclass(frozen=True, slots=True)
class TrainingSetup:
    """What training costs depend on beside the architecture.

    Attributes:
        batch_size: Examples in a step.
        optimizer: Name, for the record.
        state_per_param: Numbers the optimiser keeps for each parameter: SGD 0, momentum 1, Adam 2.
    """

    batch_size: int = 64
    optimizer: str = "adamw"
    state_per_param: int = 2


@dataclass(frozen=True, slots=True)
class Counts:
    """What is exact about an architecture, at fp32 and batch 1; training at its own batch.

    Attributes:
        params: Distinct trainable elements; shared ones once.
        macs: Multiply-accumulates of convolutions and matrix products.
        flops: Twice the MACs plus elementwise operations (:mod:`search_spaces.operators`).
        activations: Elements that convolutions and matrix products put out (Dollár et al. 2021).
        memory_access_bytes: Bytes that operators read and write, weights included, none fused.
        peak_memory_bytes: Weights plus the most activation bytes alive at once.
        model_bytes: Bytes of parameters and floating-point buffers.
        sequential_depth: Blocks on the longest chain in which each reads the one before.
        train_macs: MACs of the forward and backward pass of one training step.
        train_memory_bytes: Weights, gradients, optimiser state and activations kept for backward.
    """

    params: int
    macs: int
    flops: int
    activations: int
    memory_access_bytes: int
    peak_memory_bytes: int
    model_bytes: int
    sequential_depth: int
    train_macs: int
    train_memory_bytes: int


def count(
    architecture: Architecture, table: CountTable, training: TrainingSetup | None = None
) -> Counts:
    """Counts an architecture from the counts of its blocks.

    Args:
        architecture: What to count.
        table: Counts of its blocks; those that are missing are traced.
        training: Batch and optimiser of the training counts; the defaults when absent.

    Raises:
        ValueError: A block does not take the shape that the blocks it reads put out.
    """
    training = training or TrainingSetup()
    counts = [table[node.block] for node in architecture]
    _check_shapes(architecture, counts)
    own = [c for c, node in zip(counts, architecture, strict=True) if node.tie is None]
    params, weights = sum(c.params for c in own), sum(c.weights for c in own)
    batch = training.batch_size
    train = [
        c.train_first if set(node.inputs) == {NETWORK_INPUT} else c.train
        for c, node in zip(counts, architecture, strict=True)
    ]
    depth: list[int] = []
    for node in architecture:
        depth.append(1 + max((depth[i] for i in node.inputs if i != NETWORK_INPUT), default=0))
    return Counts(
        params=params,
        macs=sum(c.macs.at(1) for c in counts),
        flops=sum(c.flops.at(1) for c in counts),
        activations=sum(c.activations.at(1) for c in counts),
        memory_access_bytes=FP32_BYTES * sum(c.access.at(1) for c in counts),
        peak_memory_bytes=FP32_BYTES * (weights + _peak_elements(architecture, counts)),
        model_bytes=FP32_BYTES * weights,
        sequential_depth=depth[-1],
        train_macs=sum(c.macs.at(batch) for c in train),
        train_memory_bytes=FP32_BYTES
        * (
            weights
            + params * (1 + training.state_per_param)
            + _saved_elements(architecture, counts, train, batch)
        ),
    )


def count_codes(
    space: SearchSpace,
    codes: Codes,
    table: CountTable,
    training: TrainingSetup | None = None,
) -> dict[str, NDArray[np.int64]]:
    """Counts many architectures of a space at once.

    Args:
        space: A space whose networks are chains.
        codes: Integer codes ``[n, parameters]``.
        table: Counts of the space's blocks; those that are missing are traced.
        training: Batch and optimiser of the training counts; the defaults when absent.

    Returns:
        Every field of :class:`Counts` as an array ``[n]``; equal to :func:`count` of each.
    """
    training = training or TrainingSetup()
    counts = [table[block] for block in space.blocks]
    batch = training.batch_size
    # One row more than blocks: index -1, an empty slot, reads zeros.
    columns = {
        "params": [c.params for c in counts],
        "weights": [c.weights for c in counts],
        "macs": [c.macs.at(1) for c in counts],
        "flops": [c.flops.at(1) for c in counts],
        "activations": [c.activations.at(1) for c in counts],
        "access": [c.access.at(1) for c in counts],
        "peak": [c.peak.at(1) for c in counts],
        "train": [c.train.macs.at(batch) for c in counts],
        "train_first": [c.train_first.macs.at(batch) for c in counts],
        "saved": [c.train.saved.at(batch) for c in counts],
        "saved_first": [c.train_first.saved.at(batch) for c in counts],
        "input": [
            batch * sum(int(np.prod(shape)) for shape in block.input_shapes)
            for block in space.blocks
        ],
        "saves_input": [int(c.train.saves_input) for c in counts],
        "saves_input_first": [int(c.train_first.saves_input) for c in counts],
        "saves_output": [int(c.train.saves_output) for c in counts],
        "saves_output_first": [int(c.train_first.saves_output) for c in counts],
    }
    of = {name: np.array([*values, 0], dtype=np.int64) for name, values in columns.items()}
    indices = space.block_indices(codes)
    total = {name: np.zeros(len(codes), dtype=np.int64) for name in of}
    depth = np.zeros(len(codes), dtype=np.int64)
    peak = np.zeros(len(codes), dtype=np.int64)
    saved_before = np.zeros(len(codes), dtype=np.int64)
    boundary = np.zeros(len(codes), dtype=np.int64)
    for slot in range(indices.shape[1]):
        index = indices[:, slot]
        present = index != EMPTY
        first = depth == 0

        def training_column(name: str, at: Any = index, first: Any = first) -> NDArray[np.int64]:
            column: NDArray[np.int64] = np.where(first, of[f"{name}_first"][at], of[name][at])
            return column

        for name in ("params", "weights", "macs", "flops", "activations", "access"):
            total[name] += of[name][index]
        total["train"] += training_column("train")
        total["saved"] += training_column("saved")
        peak = np.maximum(peak, of["peak"][index])
        boundary += of["input"][index] * np.maximum(training_column("saves_input"), saved_before)
        saved_before = np.where(present, training_column("saves_output"), saved_before)
        depth += present
    saved = total["saved"] + boundary
    return {
        "params": total["params"],
        "macs": total["macs"],
        "flops": total["flops"],
        "activations": total["activations"],
        "memory_access_bytes": FP32_BYTES * total["access"],
        "peak_memory_bytes": FP32_BYTES * (total["weights"] + peak),
        "model_bytes": FP32_BYTES * total["weights"],
        "sequential_depth": depth,
        "train_macs": total["train"],
        "train_memory_bytes": FP32_BYTES
        * (total["weights"] + total["params"] * (1 + training.state_per_param) + saved),
    }


def _check_shapes(architecture: Architecture, counts: list[BlockCounts]) -> None:
    for position, node in enumerate(architecture):
        for source, expected in zip(node.inputs, node.block.input_shapes, strict=True):
            if source != NETWORK_INPUT and counts[source].output_shape != expected:
                raise ValueError(
                    f"Node {position} takes {expected}, but node {source} puts out "
                    f"{counts[source].output_shape}."
                )


def _peak_elements(architecture: Architecture, counts: list[BlockCounts]) -> int:
    """Most activation elements alive at once: a block's own, and what waits for later ones."""
    last = architecture.last_use()
    size = [int(np.prod(c.output_shape)) for c in counts]
    peak = 0
    for position, (node, c) in enumerate(zip(architecture, counts, strict=True)):
        waiting = sum(
            size[earlier]
            for earlier in range(position)
            if last[earlier] >= position and earlier not in node.inputs
        )
        peak = max(peak, c.peak.at(1) + waiting)
    return peak


def _saved_elements(
    architecture: Architecture,
    counts: list[BlockCounts],
    train: list[TrainingCounts],
    batch: int,
) -> int:
    """Elements kept for the backward pass; a tensor between two blocks counts once."""
    kept: dict[int, int] = {}
    for position, node in enumerate(architecture):
        if train[position].saves_output and position != len(architecture) - 1:
            kept[position] = int(np.prod(counts[position].output_shape))
        if train[position].saves_input:
            for source, shape in zip(node.inputs, node.block.input_shapes, strict=True):
                kept[source] = int(np.prod(shape))
    return sum(c.saved.at(batch) for c in train) + batch * sum(kept.values())


def _count_block(block: Block) -> BlockCounts:
    import torch

    from search_spaces.tracing import build_on_meta, traces

    module = build_on_meta(block)
    trainable = sum(p.numel() for p in module.parameters() if p.requires_grad)
    stored = sum(
        t.numel() for t in (*module.parameters(), *module.buffers()) if torch.is_floating_point(t)
    )
    pair = traces(block)
    inference = [_inference(traced) for traced in pair]
    training = [[_training(traced, input_grad) for traced in pair] for input_grad in (True, False)]
    train, train_first = (
        TrainingCounts(
            macs=_per_batch(*(macs for macs, _, _, _ in both)),
            saved=_per_batch(*(saved for _, saved, _, _ in both)),
            saves_input=both[0][2],
            saves_output=both[0][3],
        )
        for both in training
    )
    return BlockCounts(
        output_shape=pair[0].output.shape[1:],
        params=trainable,
        weights=stored,
        operators=sum(not operation.view for operation in pair[0].operations),
        peak=_per_batch(*(traced.peak_elements for traced in pair)),
        train=train,
        train_first=train_first,
        **{name: _per_batch(*(tally[name] for tally in inference)) for name in inference[0]},
    )


def _per_batch(small: int, large: int) -> PerBatch:
    """The line through a count at each of :data:`search_spaces.tracing.BATCHES`."""
    from search_spaces.tracing import BATCHES

    slope = (large - small) // (BATCHES[1] - BATCHES[0])
    return PerBatch(small - BATCHES[0] * slope, slope)


def _costs(traced: Trace) -> Iterator[tuple[Operation, Cost]]:
    for operation in traced.operations:
        formula = FORMULAS[operation.name]
        yield operation, formula(operation.outputs[0], *operation.args, **operation.kwargs)


def _inference(traced: Trace) -> dict[str, int]:
    macs = elementwise = activations = access = 0
    for operation, cost in _costs(traced):
        macs += sum(product.macs for product in cost.products)
        activations += sum(product.outputs for product in cost.products)
        elementwise += cost.elementwise
        if not operation.view:
            moved = (*operation.inputs, *operation.outputs)
            access += cost.inner_traffic + sum(elements(tensor) for tensor in moved)
    return {
        "macs": macs,
        "flops": 2 * macs + elementwise,
        "activations": activations,
        "access": access,
    }


def _training(traced: Trace, input_grad: bool) -> tuple[int, int, bool, bool]:
    """MACs, elements kept, and whether input and output are among what is kept."""
    needs_grad: dict[TracedTensor, bool] = dict.fromkeys(traced.inputs, input_grad)
    memory: dict[TracedTensor, TracedTensor] = {}  # Of a view, the tensor that owns its memory.
    kept: dict[TracedTensor, int] = {}
    macs = inner = 0

    def needs(tensors: Iterable[TracedTensor]) -> bool:
        return any(needs_grad.get(t, t.trainable) for t in tensors)

    for operation, cost in _costs(traced):
        needed = needs(operation.inputs)
        for output in operation.outputs:
            needs_grad[output] = needed
            if operation.view:
                memory[output] = memory.get(operation.inputs[0], operation.inputs[0])
        macs += sum(p.macs * (1 + sum(needs(side) for side in p.operands)) for p in cost.products)
        for item in cost.kept:
            if not needed or (item.needed_by and not needs(item.needed_by)):
                continue
            if isinstance(item.tensor, int):
                inner += item.tensor
            else:
                owner = memory.get(item.tensor, item.tensor)
                if owner.source != "weight":
                    kept[owner] = elements(owner)
    saves_output = kept.pop(memory.get(traced.output, traced.output), None) is not None
    saves_input = [kept.pop(tensor, None) is not None for tensor in traced.inputs]
    return macs, inner + sum(kept.values()), any(saves_input), saves_output
