"""Exact counts of architectures.

The counts of any number of architectures are sums (or maxima) over a table of the counts of their
blocks (:mod:`search_spaces.block_counts`). Everything is at fp32.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from search_spaces.architecture import NETWORK_INPUT, Architecture
from search_spaces.block import Shape
from search_spaces.block_counts import BlockCounts, CountTable, TrainingCounts, gradient_pattern
from search_spaces.space import EMPTY, Codes, SearchSpace

__all__ = ["Counts", "TrainingSetup", "count", "count_codes"]

FP32_BYTES = 4


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
    size = _sizes(architecture, counts)
    own = [c for c, node in zip(counts, architecture, strict=True) if node.tie is None]
    params, weights = sum(c.params for c in own), sum(c.weights for c in own)
    batch = training.batch_size
    train = _training_counts(architecture, counts)
    depth: list[int] = []
    for node in architecture:
        depth.append(1 + max((depth[i] for i in node.inputs if i != NETWORK_INPUT), default=0))
    return Counts(
        params=params,
        macs=sum(c.macs.at(1) for c in counts),
        flops=sum(c.flops.at(1) for c in counts),
        activations=sum(c.activations.at(1) for c in counts),
        memory_access_bytes=FP32_BYTES * sum(c.access.at(1) for c in counts),
        peak_memory_bytes=FP32_BYTES * (weights + _peak_elements(architecture, counts, size)),
        model_bytes=FP32_BYTES * weights,
        sequential_depth=depth[-1],
        train_macs=sum(c.macs.at(batch) for c in train),
        train_memory_bytes=FP32_BYTES
        * (
            weights
            + params * (1 + training.state_per_param)
            + _saved_elements(architecture, train, size, batch)
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

    Raises:
        ValueError: A block reads several tensors, so that the networks are no chains.
    """
    for block in space.blocks:
        if len(block.input_shapes) != 1:
            raise ValueError(
                f"`space` must make chains, but {block} reads {len(block.input_shapes)} tensors; "
                "count its architectures one by one."
            )
    training = training or TrainingSetup()
    counts = [table[block] for block in space.blocks]
    batch = training.batch_size
    # One column more than blocks: index -1, an empty slot, reads zeros.
    columns = {
        "params": [c.params for c in counts],
        "weights": [c.weights for c in counts],
        "macs": [c.macs.at(1) for c in counts],
        "flops": [c.flops.at(1) for c in counts],
        "activations": [c.activations.at(1) for c in counts],
        "access": [c.access.at(1) for c in counts],
        "peak": [c.peak.at(1) for c in counts],
        "input": [batch * math.prod(block.input_shapes[0]) for block in space.blocks],
    }
    of = {name: np.array([*values, 0], dtype=np.int64) for name, values in columns.items()}
    # Row 0 where the input needs no gradient, row 1 where it does.
    rows = [[c.train[pattern] for c in counts] for pattern in ("0", "1")]
    train: dict[str, NDArray[np.int64]] = {
        "macs": np.array([[*(t.macs.at(batch) for t in row), 0] for row in rows]),
        "saved": np.array([[*(t.saved.at(batch) for t in row), 0] for row in rows]),
        "saves_input": np.array([[*(int(t.saves_input[0]) for t in row), 0] for row in rows]),
        "saves_output": np.array([[*(int(t.saves_output) for t in row), 0] for row in rows]),
    }
    indices = space.block_indices(codes)
    summed = ("params", "weights", "macs", "flops", "activations", "access")
    total = {name: np.zeros(len(codes), dtype=np.int64) for name in summed}
    depth, peak, train_macs, saved, saved_before, needs_grad = (
        np.zeros(len(codes), dtype=np.int64) for _ in range(6)
    )
    for index in indices.T:
        present = index != EMPTY
        for name in summed:
            total[name] += of[name][index]
        peak = np.maximum(peak, of["peak"][index])
        train_macs += train["macs"][needs_grad, index]
        saves_input = train["saves_input"][needs_grad, index]
        saved += train["saved"][needs_grad, index]
        saved += of["input"][index] * np.maximum(saves_input, saved_before)
        saved_before = np.where(present, train["saves_output"][needs_grad, index], saved_before)
        needs_grad |= of["params"][index] > 0
        depth += present
    return {
        "params": total["params"],
        "macs": total["macs"],
        "flops": total["flops"],
        "activations": total["activations"],
        "memory_access_bytes": FP32_BYTES * total["access"],
        "peak_memory_bytes": FP32_BYTES * (total["weights"] + peak),
        "model_bytes": FP32_BYTES * total["weights"],
        "sequential_depth": depth,
        "train_macs": train_macs,
        "train_memory_bytes": FP32_BYTES
        * (total["weights"] + total["params"] * (1 + training.state_per_param) + saved),
    }


def _sizes(architecture: Architecture, counts: list[BlockCounts]) -> dict[int, int]:
    """Elements for one example of each tensor between blocks, by the node that puts it out.

    Raises:
        ValueError: A block does not take the shape that it reads.
    """
    shapes: dict[int, Shape] = {NETWORK_INPUT: architecture.nodes[0].block.input_shapes[0]}
    for position, node in enumerate(architecture):
        for source, expected in zip(node.inputs, node.block.input_shapes, strict=True):
            if shapes[source] != expected:
                origin = "node 0 takes" if source == NETWORK_INPUT else f"node {source} puts out"
                raise ValueError(
                    f"Node {position} takes {expected}, but {origin} {shapes[source]}."
                )
        shapes[position] = counts[position].output_shape
    return {source: math.prod(shape) for source, shape in shapes.items()}


def _training_counts(architecture: Architecture, counts: list[BlockCounts]) -> list[TrainingCounts]:
    """Each node's training counts, by which of the tensors it reads need a gradient.

    The network's input needs none; what a node puts out needs one if something before it trains.
    """
    needs_grad = {NETWORK_INPUT: False}
    train = []
    for position, (node, c) in enumerate(zip(architecture, counts, strict=True)):
        needs = [needs_grad[source] for source in node.inputs]
        train.append(c.train[gradient_pattern(needs)])
        needs_grad[position] = c.params > 0 or any(needs)
    return train


def _peak_elements(
    architecture: Architecture, counts: list[BlockCounts], size: dict[int, int]
) -> int:
    """Most activation elements alive at once: a block's own, and what waits for later ones."""
    last = {source: reader for reader, node in enumerate(architecture) for source in node.inputs}
    peak = 0
    for position, (node, c) in enumerate(zip(architecture, counts, strict=True)):
        reads = set(node.inputs)
        waiting = sum(
            size[earlier]
            for earlier in range(NETWORK_INPUT, position)
            if last[earlier] > position and earlier not in reads
        )
        # The block's own peak takes its inputs for different tensors.
        repeated = sum(size[source] for source in node.inputs) - sum(size[s] for s in reads)
        peak = max(peak, c.peak.at(1) + waiting - repeated)
    return peak


def _saved_elements(
    architecture: Architecture, train: list[TrainingCounts], size: dict[int, int], batch: int
) -> int:
    """Elements kept for the backward pass; a tensor between two blocks counts once."""
    kept: set[int] = set()
    for position, (node, t) in enumerate(zip(architecture, train, strict=True)):
        kept.update(s for s, saved in zip(node.inputs, t.saves_input, strict=True) if saved)
        if t.saves_output and position != len(architecture) - 1:
            kept.add(position)
    return sum(t.saved.at(batch) for t in train) + batch * sum(size[source] for source in kept)
