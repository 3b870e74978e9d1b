"""Sums over a trace: what its operators cost in inference and in training."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from search_spaces.operators import FORMULAS, Cost, TracedTensor, elements

if TYPE_CHECKING:
    from search_spaces.tracing import Operation, Trace

__all__ = ["InferenceTally", "TrainingTally", "inference", "training"]


@dataclass(frozen=True, slots=True)
class InferenceTally:
    """A trace's sums in inference, for its batch.

    Attributes:
        macs: Multiply-accumulates of convolutions and matrix products.
        flops: Twice the MACs plus elementwise operations.
        activations: Elements that convolutions and matrix products put out.
        access: Elements that operators read and write, none fused, weights included.
    """

    macs: int
    flops: int
    activations: int
    access: int


@dataclass(frozen=True, slots=True)
class TrainingTally:
    """A trace's sums in training, for its batch.

    Attributes:
        macs: Multiply-accumulates of the forward and the backward pass.
        saved: Elements kept for the backward pass, without inputs and output.
        saves_input: For each input, whether it is kept too.
        saves_output: Whether the output is.
    """

    macs: int
    saved: int
    saves_input: tuple[bool, ...]
    saves_output: bool


def inference(traced: Trace) -> InferenceTally:
    """What the trace costs in inference."""
    macs = elementwise = activations = access = 0
    for operation, cost in _costs(traced):
        macs += sum(product.macs for product in cost.products)
        activations += sum(product.outputs for product in cost.products)
        elementwise += cost.elementwise
        if not operation.view:
            moved = (*operation.inputs, *operation.outputs)
            access += cost.inner_traffic + sum(elements(tensor) for tensor in moved)
    return InferenceTally(macs, 2 * macs + elementwise, activations, access)


def training(traced: Trace, input_grads: Sequence[bool]) -> TrainingTally:
    """What the trace costs in training.

    Args:
        traced: The trace.
        input_grads: For each of its inputs, whether it needs a gradient.
    """
    needs_grad = dict(zip(traced.inputs, input_grads, strict=True))
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
    saves_input = tuple(kept.pop(tensor, None) is not None for tensor in traced.inputs)
    return TrainingTally(macs, inner + sum(kept.values()), saves_input, saves_output)


def _costs(traced: Trace) -> Iterator[tuple[Operation, Cost]]:
    for operation in traced.operations:
        formula = FORMULAS[operation.name]
        yield operation, formula(operation.outputs[0], *operation.args, **operation.kwargs)
