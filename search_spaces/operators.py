"""What each operator costs: the one table that every count comes from.

An operator is a function of PyTorch's public interface (``torch.nn.functional.linear``,
``torch.Tensor.reshape``) by its bare name. A formula takes the traced output and the call's own
arguments. An operator without a formula is an error, never a silent zero.

``elementwise`` follows XLA's cost analysis, which is what the tables of *The Efficiency Misnomer*
(Dehghani et al., ICLR 2022) print, halved, as "GFLOPs": one operation for each addition,
multiplication, division or comparison of two elements; exp, tanh, erf and rsqrt are not counted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["FORMULAS", "Cost", "Kept", "Product", "TracedTensor", "elements", "tensors_in"]


@dataclass(frozen=True, slots=True, eq=False)
class TracedTensor:
    """A tensor of a trace.

    Attributes:
        shape: Its sizes, batch included.
        source: ``"input"``, ``"weight"`` or ``"result"``.
        name: Name of the weight in the module's state dict, or of the input or result.
        trainable: Whether it is a weight that training updates.
    """

    shape: tuple[int, ...]
    source: str
    name: str
    trainable: bool = False


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
        elementwise: Elementwise operations (see the module).
        inner_traffic: Elements read and written between the operator's own steps, none fused.
        kept: What it keeps for the backward pass.
    """

    products: tuple[Product, ...] = ()
    elementwise: int = 0
    inner_traffic: int = 0
    kept: tuple[Kept, ...] = ()


def elements(tensor: TracedTensor) -> int:
    """Number of elements of a traced tensor."""
    return math.prod(tensor.shape)


Formula = Callable[..., Cost]


def _linear(
    out: TracedTensor, x: TracedTensor, weight: TracedTensor, bias: TracedTensor | None = None
) -> Cost:
    n = elements(out)
    return Cost(
        (Product(n * x.shape[-1], n, ((x,), (weight,))),),
        elementwise=n if bias is not None else 0,
        kept=(Kept(x, (weight,)),),
    )


def _conv2d(
    out: TracedTensor,
    x: TracedTensor,
    weight: TracedTensor,
    bias: TracedTensor | None = None,
    stride: object = 1,
    padding: object = 0,
    dilation: object = 1,
    groups: int = 1,
) -> Cost:
    n = elements(out)
    return Cost(
        (Product(n * math.prod(weight.shape[1:]), n, ((x,), (weight,))),),
        elementwise=n if bias is not None else 0,
        kept=(Kept(x),),
    )


def _matmul(out: TracedTensor, a: TracedTensor, b: TracedTensor) -> Cost:
    n = elements(out)
    return Cost((Product(n * a.shape[-1], n, ((a,), (b,))),), kept=(Kept(a, (b,)), Kept(b, (a,))))


def _attention(
    out: TracedTensor,
    query: TracedTensor,
    key: TracedTensor,
    value: TracedTensor,
    attn_mask: TracedTensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
) -> Cost:
    # Traffic is unfused: scores are written and read, and so are the weights after the softmax.
    # What is kept is what PyTorch's fused kernels keep: one log-sum-exp for each row.
    rows = math.prod(query.shape[:-1])
    scores = rows * key.shape[-2]
    masked = scores if attn_mask is not None else 0
    return Cost(
        (
            Product(scores * query.shape[-1], scores, ((query,), (key,))),
            Product(scores * value.shape[-1], elements(out), ((query, key), (value,))),
        ),
        elementwise=elements(query) + masked + 4 * scores - rows,
        inner_traffic=4 * scores,
        kept=(Kept(query), Kept(key), Kept(value), Kept(out), Kept(rows)),
    )


def _layer_norm(
    out: TracedTensor,
    x: TracedTensor,
    normalized_shape: Sequence[int],
    weight: TracedTensor | None = None,
    bias: TracedTensor | None = None,
    eps: float = 1e-5,
) -> Cost:
    # Mean and variance are two sums; centre, square, scale, weight and bias the other five.
    n = elements(out)
    rows = n // math.prod(normalized_shape)
    absent = (weight is None) + (bias is None)
    return Cost(elementwise=(7 - absent) * n + 4 * rows, kept=(Kept(x), Kept(2 * rows)))


def _batch_norm(out: TracedTensor, x: TracedTensor, *args: object, **kwargs: object) -> Cost:
    # Centre, scale, shift for each element; epsilon and weight for each channel.
    channels = out.shape[1]
    return Cost(elementwise=3 * elements(out) + 2 * channels, kept=(Kept(x), Kept(2 * channels)))


def _softmax(out: TracedTensor, x: TracedTensor, dim: int | None = None, **kwargs: object) -> Cost:
    if dim is None:
        raise ValueError("`softmax` must be given `dim`.")
    rows = elements(out) // out.shape[dim]
    return Cost(elementwise=4 * elements(out) - rows, kept=(Kept(out),))


def _gelu(out: TracedTensor, x: TracedTensor, approximate: str = "none") -> Cost:
    return Cost(elementwise=(8 if approximate == "tanh" else 4) * elements(out), kept=(Kept(x),))


def _mean(out: TracedTensor, x: TracedTensor, *args: object, **kwargs: object) -> Cost:
    return Cost(elementwise=elements(x))


def _silu(out: TracedTensor, x: TracedTensor, inplace: bool = False) -> Cost:
    return Cost(elementwise=elements(out), kept=(Kept(x),))


def _from_output(operations: int) -> Formula:
    """Formula of an activation whose gradient follows from its own output."""

    def formula(out: TracedTensor, x: TracedTensor, **kwargs: object) -> Cost:
        return Cost(elementwise=operations * elements(out), kept=(Kept(out),))

    return formula


def _scaling(out: TracedTensor, a: object, b: object, **kwargs: object) -> Cost:
    kept = []
    if isinstance(a, TracedTensor) and isinstance(b, TracedTensor):
        kept = [Kept(a, (b,)), Kept(b, (a,))]
    return Cost(elementwise=elements(out), kept=tuple(kept))


def _div(out: TracedTensor, a: object, b: object, **kwargs: object) -> Cost:
    kept = []
    if isinstance(b, TracedTensor):
        kept = [Kept(b)] + ([Kept(a, (b,))] if isinstance(a, TracedTensor) else [])
    return Cost(elementwise=elements(out), kept=tuple(kept))


def _sum(out: TracedTensor, *args: object, **kwargs: object) -> Cost:
    return Cost(elementwise=elements(out))


def _free(out: TracedTensor, *args: object, **kwargs: object) -> Cost:
    return Cost()


_NO_ARITHMETIC = (
    "__getitem__ cat contiguous expand flatten permute reshape transpose unsqueeze view"
)

FORMULAS: dict[str, Formula] = {
    "linear": _linear,
    "conv2d": _conv2d,
    "matmul": _matmul,
    "scaled_dot_product_attention": _attention,
    "layer_norm": _layer_norm,
    "batch_norm": _batch_norm,
    "softmax": _softmax,
    "gelu": _gelu,
    "mean": _mean,
    "silu": _silu,
    "relu": _from_output(1),
    "sigmoid": _from_output(0),
    "tanh": _from_output(0),
    "add": _sum,
    "sub": _sum,
    "mul": _scaling,
    "div": _div,
    **dict.fromkeys(_NO_ARITHMETIC.split(), _free),
}
"""Formula of each operator; called as ``formula(output, *args, **kwargs)`` of the call."""


def tensors_in(value: Any) -> Iterator[TracedTensor]:
    """Every traced tensor inside an argument, in order."""
    if isinstance(value, TracedTensor):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from tensors_in(item)
