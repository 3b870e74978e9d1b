"""Sums over a trace: what its operators cost in inference and in training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING

from search_spaces.backward import Step, alive_in_backward
from search_spaces.operators import Cost, Product, TracedTensor, cost_of, elements

if TYPE_CHECKING:
    from search_spaces.tracing import Operation, Trace

__all__ = [
    "InferenceTally",
    "TrainingTally",
    "inference",
    "nonzero",
    "product_weights",
    "training",
]


@dataclass(frozen=True, slots=True)
class InferenceTally:
    """A trace's sums in inference, for its batch.

    Attributes:
        macs: Multiply-accumulates of convolutions and matrix products.
        flops: Twice the MACs plus elementwise operations.
        effective_macs: Those of them that no zero weight takes part in.
        activations: Elements that convolutions and matrix products put out.
        access: Elements that operators read and write, none fused, weights included.
        fused_access: Elements of its inputs, of the weights that it reads and of its output.
        alive: Elements alive at first and at each operator, weights excluded.
    """

    macs: int
    flops: int
    effective_macs: int
    activations: int
    access: int
    fused_access: int
    alive: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TrainingTally:
    """A trace's sums in training, for its batch.

    Attributes:
        macs: Multiply-accumulates of the forward and the backward pass.
        saved: Elements kept for the backward pass, without inputs and output.
        saves_input: For each input, whether it is kept too.
        saves_output: Whether the output is.
        backward: Elements alive whenever more come to be in the backward pass: what is kept,
            without inputs, and gradients.
        again: The same where its weights have gradients already, which are not counted.
    """

    macs: int
    saved: int
    saves_input: tuple[bool, ...]
    saves_output: bool
    backward: tuple[int, ...]
    again: tuple[int, ...]


def inference(traced: Trace, sparsity: float = 0.0) -> InferenceTally:
    """What the trace costs in inference.

    Args:
        traced: The trace.
        sparsity: Share of each trainable weight of a product that is zero.
    """
    macs = elementwise = activations = access = 0
    effective = Fraction(0)
    alive = [traced.alive[0]]
    weights: dict[TracedTensor, int] = {}
    for (operation, cost), held in zip(_costs(traced), traced.alive[1:], strict=True):
        alive.append(held + cost.scratch)
        for product in cost.products:
            macs += product.macs
            effective += product.macs * _share_kept(product, sparsity)
            activations += product.outputs
        elementwise += cost.elementwise
        if not operation.view:
            moved = (*operation.inputs, *operation.outputs)
            access += cost.inner_traffic - cost.unread + sum(elements(tensor) for tensor in moved)
            for tensor in operation.inputs:
                if tensor.source == "weight":
                    read = _read_of(tensor, operation, cost)
                    weights[tensor] = max(weights.get(tensor, 0), read)
    ends = (*traced.inputs, traced.output)
    fused = sum(elements(tensor) for tensor in ends) + sum(weights.values())
    return InferenceTally(
        macs=macs,
        flops=2 * macs + elementwise,
        effective_macs=int(effective),
        activations=activations,
        access=access,
        fused_access=fused,
        alive=tuple(alive),
    )


def _read_of(weight: TracedTensor, operation: Operation, cost: Cost) -> int:
    """Elements of a weight that are read once or more: of a table, the rows of one example.

    Several examples may ask for the same rows, so that more would be no lower bound.
    """
    if weight is not cost.taken_from:
        return elements(weight)
    taken = elements(weight) - cost.unread
    return min(elements(weight), taken // operation.outputs[0].shape[0])


def nonzero(weight_elements: int, sparsity: float) -> int:
    """How many elements of a weight are left when a share of it is zero."""
    return weight_elements - int(sparsity * weight_elements)


def product_weights(traced: Trace) -> tuple[str, ...]:
    """Names of the trainable weights that convolutions and matrix products multiply by."""
    products = (product for _, cost in _costs(traced) for product in cost.products)
    return tuple(dict.fromkeys(w.name for product in products for w in _weights(product)))


def _weights(product: Product) -> list[TracedTensor]:
    return [t for side in product.operands if len(side) == 1 for t in side if t.trainable]


def _share_kept(product: Product, sparsity: float) -> Fraction:
    shares = (Fraction(nonzero(elements(w), sparsity), elements(w)) for w in _weights(product))
    return math.prod(shares, start=Fraction(1))


def training(traced: Trace, input_grads: Sequence[bool]) -> TrainingTally:
    """What the trace costs in training.

    Args:
        traced: The trace.
        input_grads: For each of its inputs, whether it needs a gradient.
    """
    needs_grad = dict(zip(traced.inputs, input_grads, strict=True))
    memory: dict[TracedTensor, TracedTensor] = {}  # Of a view, the tensor that owns its memory.
    steps: list[Step] = []
    macs = 0

    def needs(*tensors: TracedTensor) -> bool:
        return any(needs_grad.get(t, t.trainable) for t in tensors)

    for operation, cost in _costs(traced):
        needed = needs(*operation.inputs)
        for output in operation.outputs:
            needs_grad[output] = needed and output.differentiable
            if operation.view:
                memory[output] = memory.get(operation.inputs[0], operation.inputs[0])
        macs += sum(p.macs * (1 + sum(needs(*side) for side in p.operands)) for p in cost.products)
        kept, inner = [], 0
        for item in cost.kept if needed else ():
            if item.needed_by and not needs(*item.needed_by):
                continue
            if isinstance(item.tensor, int):
                inner += item.tensor
            else:
                kept.append(memory.get(item.tensor, item.tensor))
        owners = frozenset(tensor for tensor in kept if tensor.source != "weight")
        steps.append(Step(operation, owners, inner, cost.scratch))
    held = set().union(*(step.kept for step in steps))
    own = memory.get(traced.output, traced.output)  # An input, where all is views.
    inside = held - {own, *traced.inputs}
    return TrainingTally(
        macs=macs,
        saved=sum(step.inner for step in steps) + sum(elements(owner) for owner in inside),
        saves_input=tuple(tensor in held for tensor in traced.inputs),
        saves_output=own in held - set(traced.inputs),
        backward=alive_in_backward(steps, traced.output, needs),
        again=alive_in_backward(steps, traced.output, needs, again=True),
    )


@lru_cache(maxsize=4)
def _costs(traced: Trace) -> tuple[tuple[Operation, Cost], ...]:
    """Its operations with their costs, kept for the last few traces.

    A block's two are summed in several ways, those of its decoding step in between.
    """
    return tuple((o, cost_of(o.name, o.outputs, o.args, o.kwargs)) for o in traced.operations)
