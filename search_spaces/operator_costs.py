"""What one call of an operator costs, and the tensors it is said of.

Counts of memory are in elements of four bytes, as fp32 has: an int64 is two elements, a complex
number is two, and four booleans are one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

__all__ = [
    "Cost",
    "Formula",
    "Kept",
    "Product",
    "TracedTensor",
    "elements",
    "numel",
    "tensors_in",
]

ELEMENT_BYTES = 4


@dataclass(frozen=True, slots=True, eq=False)
class TracedTensor:
    """A tensor of a trace.

    Attributes:
        shape: Its sizes, batch included.
        source: ``"input"``, ``"weight"`` or ``"result"``.
        name: Name of the weight in the module's state dict, or of the input or result.
        trainable: Whether it is a weight that training updates.
        dtype: Data type of its numbers, as PyTorch names it.
        item_bytes: Bytes of one of them.
        differentiable: Whether it may need a gradient: it is real, and a trainable weight, an input
            or computed from one of them.
    """

    shape: tuple[int, ...]
    source: str
    name: str
    trainable: bool = False
    dtype: str = "float32"
    item_bytes: int = ELEMENT_BYTES
    differentiable: bool = True


@dataclass(frozen=True, slots=True)
class Product:
    """A convolution or matrix product inside an operator.

    Attributes:
        macs: Multiply-accumulates of the forward pass.
        outputs: Elements it produces: "activations" in the sense of Dollár et al. (2021).
        operands: The tensors multiplied, or for each the tensors that it was computed from; the
            gradient of each costs ``macs`` once more.
    """

    macs: int
    outputs: int
    operands: tuple[tuple[TracedTensor, ...], tuple[TracedTensor, ...]]


@dataclass(frozen=True, slots=True)
class Kept:
    """What an operator keeps for the backward pass (the formulas of PyTorch's autograd).

    Attributes:
        tensor: A tensor that already exists, or the number of elements that are kept beside it.
        needed_by: The inputs whose gradient needs it; empty for any input's.
    """

    tensor: TracedTensor | int
    needed_by: tuple[TracedTensor, ...] = ()


@dataclass(frozen=True, slots=True)
class Cost:
    """What one call of an operator costs.

    Attributes:
        products: Its convolutions and matrix products.
        elementwise: Elementwise operations (see :mod:`search_spaces.operators`).
        inner_traffic: Elements read and written between the operator's own steps, none fused.
        kept: What it keeps for the backward pass.
        unread: Elements of ``taken_from`` that it does not read, as an embedding does not read the
            rows that no id names; below 0 where it reads some more than once.
        taken_from: The input of which it reads only what an index names.
        scratch: Elements that it has beside its inputs and outputs while it runs, forth or back.
    """

    products: tuple[Product, ...] = ()
    elementwise: int = 0
    inner_traffic: int = 0
    kept: tuple[Kept, ...] = ()
    unread: int = 0
    taken_from: TracedTensor | None = None
    scratch: int = 0


Formula = Callable[..., Cost]
"""Called as ``formula(output, *args, **kwargs)`` of a call; ``output`` is a tuple of several."""


def numel(tensor: TracedTensor) -> int:
    """How many numbers a traced tensor holds."""
    return math.prod(tensor.shape)


def elements(tensor: TracedTensor) -> int:
    """Elements of four bytes that a traced tensor takes, rounded down."""
    return numel(tensor) * tensor.item_bytes // ELEMENT_BYTES


def tensors_in(value: Any) -> Iterator[TracedTensor]:
    """Every traced tensor inside an argument, in order."""
    if isinstance(value, TracedTensor):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from tensors_in(item)
