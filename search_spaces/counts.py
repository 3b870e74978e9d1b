"""Exact counts of one architecture, from the counts of its blocks.

Every count is a sum over the blocks, or the most that is alive at any of them
(:mod:`search_spaces.batch_counts` counts many architectures at once). Everything is at fp32; token
ids and other indices count as elements of the same size.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from search_spaces.architecture import Architecture
from search_spaces.block import Block, Shape
from search_spaces.block_counts import BlockCounts, CountTable, gradient_needs, gradient_pattern
from search_spaces.errors import UnknownNameError
from search_spaces.validation import check_whole

__all__ = ["OPTIMIZERS", "Counts", "Optimizer", "TrainingSetup", "count"]

FP32_BYTES = 4


@dataclass(frozen=True, slots=True)
class Optimizer:
    """What an optimiser adds to a training step.

    Attributes:
        state_per_param: Numbers that it keeps for each parameter.
        passes: Forward and backward passes of a step.
    """

    state_per_param: int
    passes: int = 1


OPTIMIZERS: Mapping[str, Optimizer] = {
    "sgd": Optimizer(0),
    "momentum": Optimizer(1),
    "adam": Optimizer(2),
    "adamw": Optimizer(2),
    "sam": Optimizer(2, passes=2),
}
"""Optimisers by name: SGD with and without momentum; Adam (Kingma & Ba 2015), whose state is two
moments; SAM (Foret et al. 2021) on momentum SGD, which keeps the momentum and the way back from
the perturbed weights."""


@dataclass(frozen=True, slots=True)
class TrainingSetup:
    """What training costs depend on beside the architecture.

    Attributes:
        batch_size: Examples in a step.
        optimizer: A name of :data:`OPTIMIZERS`.

    Raises:
        UnknownNameError: There is no such optimiser.
        ValueError: The batch is no whole number above 0.
    """

    batch_size: int = 64
    optimizer: str = "adamw"

    def __post_init__(self) -> None:
        check_whole(self, "batch_size")
        if self.optimizer not in OPTIMIZERS:
            raise UnknownNameError("optimizer", self.optimizer, tuple(OPTIMIZERS))

    @property
    def costs(self) -> Optimizer:
        """What the optimiser adds."""
        return OPTIMIZERS[self.optimizer]


@dataclass(frozen=True, slots=True)
class Counts:
    """What is exact about an architecture, at fp32 and batch 1; training at its own batch.

    Attributes:
        params: Distinct trainable elements; shared ones once.
        active_params: Those that one token uses: of a layer's experts, the ones it is sent to.
        macs: Multiply-accumulates of convolutions and matrix products.
        effective_macs: Those of them that no zero weight takes part in (unstructured sparsity).
        flops: Twice the MACs plus elementwise operations (:mod:`search_spaces.operators`).
        activations: Elements that convolutions and matrix products put out (Dollár et al. 2021).
        memory_access_bytes: Bytes that operators read and write, weights included, none fused.
        memory_access_fused_bytes: Bytes of each block's inputs, weights and output: what is left
            of the traffic when everything inside a block is fused.
        peak_memory_bytes: Weights and buffers plus the most activation bytes alive at once; the
            network's input is alive throughout.
        model_bytes: Bytes of parameters and floating-point buffers.
        sequential_depth: Blocks on the longest chain in which each reads the one before.
        kv_cache_bytes: Keys and values kept at the full context while text is generated; 0 for
            networks that do not generate.
        decode_macs: MACs of generating the last token of the context with that cache; likewise.
        decode_memory_access_bytes: Bytes that doing so reads and writes, none fused; likewise.
        train_macs: MACs of one training step.
        train_memory_bytes: The most alive in a training step: weights, buffers, optimiser state,
            gradients, and activations (:mod:`search_spaces.backward`). Gradients of weights are
            allocated in the backward pass and freed before the next step; the network's inputs
            and output are alive throughout. Left out are the loss's own memory and what an
            optimiser has beside its state while it updates, which a fused one has not.
    """

    params: int
    active_params: int
    macs: int
    effective_macs: int
    flops: int
    activations: int
    memory_access_bytes: int
    memory_access_fused_bytes: int
    peak_memory_bytes: int
    model_bytes: int
    sequential_depth: int
    kv_cache_bytes: int
    decode_macs: int
    decode_memory_access_bytes: int
    train_macs: int
    train_memory_bytes: int


def count(
    architecture: Architecture,
    table: CountTable,
    training: TrainingSetup | None = None,
    batch: int = 1,
) -> Counts:
    """Counts an architecture from the counts of its blocks.

    Args:
        architecture: What to count.
        table: Counts of its blocks; those that are missing are traced.
        training: Batch and optimiser of the training counts; the defaults when absent.
        batch: Batch of the counts of inference.

    Raises:
        ValueError: A block does not take the shape that the blocks it reads put out.
    """
    training = training or TrainingSetup()
    rows = _rows(architecture, table, batch, training.batch_size)
    total = dict(zip(SUMS, map(sum, zip(*[row.sums for row in rows], strict=True)), strict=True))
    params, weights, inactive, indices = (
        total[name] for name in ("params", "weights", "inactive_params", "indices")
    )
    shares = any(node.tie is not None or node.shared for node in architecture.nodes)
    for node, row in zip(architecture.nodes, rows, strict=True) if shares else ():
        if node.tie is not None:
            params -= row.counts.params
            weights -= row.counts.weights
            inactive -= row.counts.inactive_params
            indices -= row.counts.indices
        for own, source, there in node.shared:
            elements = row.counts.parameters.get(own)
            if elements is None or elements != rows[source].counts.parameters.get(there):
                raise ValueError(
                    f"{node.block} cannot use {there!r} of {rows[source].block} as its {own!r}: "
                    "both must be parameters, of equal size."
                )
            params -= elements
            weights -= elements
    gradients = _gradients(architecture, rows) if shares else None
    walked = _walk(architecture, rows, batch, training.batch_size, gradients)
    generates = total["decodes"] == len(rows)
    optimizer = training.costs
    return Counts(
        params=params,
        active_params=params - inactive,
        macs=total["macs"],
        effective_macs=total["effective_macs"],
        flops=total["flops"],
        activations=total["activations"],
        memory_access_bytes=FP32_BYTES * total["access"],
        memory_access_fused_bytes=FP32_BYTES * total["fused_access"],
        peak_memory_bytes=FP32_BYTES * (weights + indices + walked.peak),
        model_bytes=FP32_BYTES * weights,
        sequential_depth=walked.depth,
        kv_cache_bytes=FP32_BYTES * generates * total["cache"],
        decode_macs=generates * total["decode_macs"],
        decode_memory_access_bytes=FP32_BYTES * generates * total["decode_access"],
        train_macs=optimizer.passes * walked.train_macs,
        train_memory_bytes=FP32_BYTES
        * (weights + indices + params * (1 + optimizer.state_per_param) + walked.train_peak),
    )


FIXED = ("params", "weights", "inactive_params", "indices", "cache", "decode_macs", "decode_access")
LINES = ("macs", "effective_macs", "flops", "activations", "access", "fused_access")
SUMS = (*FIXED, *LINES, "decodes")
"""Counts of blocks that add up."""


@dataclass(frozen=True, slots=True)
class _Row:
    """A block's counts at given batches.

    Attributes:
        block: The block.
        counts: Its counts.
        sums: Those of :data:`SUMS`.
        peak: Most elements alive in inference.
        inputs: Shapes that it reads.
        output: The shape that it puts out.
        size: Elements of that for one example.
        trains: Whether it has weights.
        train: For each set of inputs that need gradients, as bits, the lowest for the first: MACs,
            elements saved, the most alive in the backward pass, the same where its weights have
            gradients already, which inputs it keeps, and whether it keeps its output.
    """

    block: Block
    counts: BlockCounts
    sums: tuple[int, ...]
    peak: int
    inputs: tuple[Shape, ...]
    output: Shape
    size: int
    trains: bool
    train: tuple[tuple[int, int, int, int, tuple[bool, ...], bool], ...]

    @classmethod
    def of(cls, block: Block, table: CountTable, batch: int, train_batch: int) -> _Row:
        """The row of a block."""
        c = table[block]
        inputs = block.input_shapes
        by_bits = {
            sum(need << j for j, need in enumerate(needs)): c.train[gradient_pattern(needs)]
            for needs in gradient_needs(len(inputs))
        }
        fixed = [getattr(c, name) for name in FIXED]
        lines = [getattr(c, name).at(batch) for name in LINES]
        return cls(
            block=block,
            counts=c,
            sums=(*fixed, *lines, int(c.decode_access > 0)),
            peak=c.peak.at(batch),
            inputs=inputs,
            output=c.output_shape,
            size=math.prod(c.output_shape),
            trains=c.params > 0,
            train=tuple(
                (
                    t.macs.at(train_batch),
                    t.saved.at(train_batch),
                    t.backward.at(train_batch),
                    t.again.at(train_batch),
                    t.saves_input,
                    t.saves_output,
                )
                for _, t in sorted(by_bits.items())
            ),
        )


@dataclass(frozen=True, slots=True)
class _Walked:
    """What depends on what stands before and after.

    Attributes:
        peak: Most activation elements alive at once in inference: a block's own, and what waits
            for later ones.
        depth: Blocks on the longest chain.
        train_macs: MACs of a forward and a backward pass.
        train_peak: Most elements alive in it, without weights and optimiser state, and less all
            gradients of weights: while a node's backward pass runs, those of earlier nodes are not
            there yet.
    """

    peak: int
    depth: int
    train_macs: int
    train_peak: int


def _rows(
    architecture: Architecture, table: CountTable, batch: int, train_batch: int
) -> list[_Row]:
    """The row of each node; those of the same block object are found without hashing it."""
    by_block, by_id = table.prepared.setdefault(("rows", batch, train_batch), ({}, {}))
    rows = []
    for node in architecture.nodes:
        row = by_id.get(id(node.block)) or by_block.get(node.block)
        if row is None:
            row = _Row.of(node.block, table, batch, train_batch)
            # The row keeps its block, so that no other object gets its id.
            by_block[node.block] = by_id[id(node.block)] = row
        rows.append(row)
    return rows


def _walk(
    architecture: Architecture,
    rows: list[_Row],
    batch: int,
    train_batch: int,
    gradients: tuple[list[int], list[int]] | None,
) -> _Walked:
    far = _far(architecture)
    # One entry for each tensor: the inputs, the last first, then what each node puts out. Inputs
    # belong to the caller: they need no gradient, and are there throughout.
    first = len(architecture.input_shapes)
    shapes = [*reversed(architecture.input_shapes), *(row.output for row in rows)]
    size = [*map(math.prod, shapes[:first]), *(row.size for row in rows)]
    needs_grad, depths = [False] * len(size), [0] * len(size)
    kept = [tensor < first for tensor in range(len(size))]
    given = sum(size[:first])
    held = train_batch * given
    new, again = gradients or ([row.counts.params for row in rows], [0] * len(rows))
    peak = train_peak = macs = 0
    for position, row in enumerate(rows):
        inputs = architecture.nodes[position].inputs
        alive, bits, depth = row.peak + batch * given, 0, 0
        for j, source in enumerate(inputs):
            tensor = first + source
            if shapes[tensor] != row.inputs[j]:
                origin = "the network's input is" if source < 0 else f"node {source} puts out"
                raise ValueError(
                    f"Node {position} takes {row.inputs[j]}, but {origin} {shapes[tensor]}."
                )
            bits |= needs_grad[tensor] << j
            depth = depths[tensor] if depths[tensor] > depth else depth
            # A block's own peak takes its inputs for different tensors, and for its own.
            if source < 0 or (j and source in inputs[:j]):
                alive -= batch * size[tensor]
        node_macs, saved, backward, backward_again, saves_input, saves_output = row.train[bits]
        macs += node_macs
        for j, source in enumerate(inputs):
            if saves_input[j] and not kept[first + source]:
                kept[first + source] = True
                held += train_batch * size[first + source]
        if again[position] and not new[position]:
            train_alive = held + backward_again
        else:
            train_alive = held - new[position] + backward + again[position]
        for source, last in far:
            if source < position < last:
                if source not in inputs:
                    alive += batch * size[first + source]
                if needs_grad[first + source]:
                    train_alive += train_batch * size[first + source]
        peak = alive if alive > peak else peak
        train_peak = train_alive if train_alive > train_peak else train_peak
        held += saved - new[position]
        if saves_output:
            held += train_batch * row.size
            kept[first + position] = True
        needs_grad[first + position] = bits > 0 or row.trains
        depths[first + position] = depth + 1
    return _Walked(peak, depths[-1], macs, train_peak + train_batch * size[-1])


def _far(architecture: Architecture) -> list[tuple[int, int]]:
    """Tensors between nodes that others than the next node read, each with the last that does."""
    last = {source: i for i, node in enumerate(architecture.nodes) for source in node.inputs}
    return [(source, reader) for source, reader in last.items() if 0 <= source < reader - 1]


def _gradients(architecture: Architecture, rows: list[_Row]) -> tuple[list[int], list[int]]:
    """For each node: elements of weight gradients that its backward pass is the first to make,
    and of the largest one that it makes beside one that is already there, to be added to it."""
    made: set[tuple[int, str]] = set()
    new, again = [0] * len(rows), [0] * len(rows)
    for position in reversed(range(len(rows))):
        for name, elements in rows[position].counts.parameters.items():
            owner = architecture.weight_of(position, name)
            if owner in made:
                again[position] = max(again[position], elements)
            else:
                new[position] += elements
                made.add(owner)
    return new, again
