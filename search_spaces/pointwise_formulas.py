"""Costs of operators that work on each number by itself, and of reductions.

Composed functions are counted as they are defined: ``relu6`` as a maximum and a minimum,
``hardswish`` as ``x * relu6(x + 3) / 6``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from search_spaces.operator_costs import Cost, Formula, Kept, TracedTensor, elements, numel

__all__ = ["POINTWISE_FORMULAS"]


def _from_input(operations: int) -> Formula:
    """Formula of a function whose gradient follows from its input."""

    def formula(
        out: TracedTensor, x: TracedTensor, *args: object, inplace: bool = False, **kwargs: object
    ) -> Cost:
        kept = Kept(elements(out)) if inplace else Kept(x)  # In place, of a copy.
        return Cost(elementwise=operations * numel(out), kept=(kept,))

    return formula


def _from_output(operations: int) -> Formula:
    """Formula of a function whose gradient follows from its own output."""

    def formula(out: TracedTensor, x: TracedTensor, *args: object, **kwargs: object) -> Cost:
        return Cost(elementwise=operations * numel(out), kept=(Kept(out),))

    return formula


def _from_either(operations: int) -> Formula:
    """Formula of a function whose gradient follows from its input, or in place from its output."""

    def formula(
        out: TracedTensor, x: TracedTensor, *args: object, inplace: bool = False, **kwargs: object
    ) -> Cost:
        return Cost(elementwise=operations * numel(out), kept=(Kept(out if inplace else x),))

    return formula


def _gelu(out: TracedTensor, x: TracedTensor, approximate: str = "none") -> Cost:
    return Cost(elementwise=(8 if approximate == "tanh" else 4) * numel(out), kept=(Kept(x),))


def _clamp(
    out: TracedTensor, x: TracedTensor, min: float | None = None, max: float | None = None
) -> Cost:
    bounds = (min is not None) + (max is not None)
    return Cost(elementwise=bounds * numel(out), kept=(Kept(x),))


def _power(out: TracedTensor, base: TracedTensor | float, exponent: TracedTensor | float) -> Cost:
    # A whole power is the products of its binary method; any other is transcendental.
    if isinstance(exponent, TracedTensor):
        kept = [Kept(t) for t in (base, exponent, out) if isinstance(t, TracedTensor)]
        return Cost(kept=tuple(kept))
    products = 0
    if exponent and float(exponent).is_integer():
        whole = abs(int(exponent))
        products = whole.bit_length() + whole.bit_count() - 2 + (exponent < 0)
    kept = [Kept(base)] if isinstance(base, TracedTensor) else []
    return Cost(elementwise=products * numel(out), kept=tuple(kept))


def _pointwise(out: TracedTensor, *args: object, **kwargs: object) -> Cost:
    """Formula of a function whose gradient needs none of its numbers, or that has no gradient."""
    return Cost(elementwise=numel(out))


def _mul(out: TracedTensor, a: object, b: object, **kwargs: object) -> Cost:
    kept = []
    if isinstance(a, TracedTensor) and isinstance(b, TracedTensor):
        kept = [Kept(a, (b,)), Kept(b, (a,))]
    return Cost(elementwise=numel(out), kept=tuple(kept))


def _div(out: TracedTensor, a: object, b: object, **kwargs: object) -> Cost:
    if not isinstance(b, TracedTensor):
        return Cost(elementwise=numel(out))
    if not isinstance(a, TracedTensor):  # The reciprocal, and a product by the number.
        n = elements(out)
        return Cost(elementwise=2 * numel(out), inner_traffic=2 * n, kept=(Kept(n),))
    return Cost(elementwise=numel(out), kept=(Kept(b), Kept(a, (b,))))


def _larger_or_smaller(out: TracedTensor, a: TracedTensor, b: TracedTensor) -> Cost:
    return Cost(elementwise=numel(out), kept=(Kept(a), Kept(b)))


def _where(out: TracedTensor, condition: TracedTensor, *values: object) -> Cost:
    return Cost(elementwise=numel(out), kept=(Kept(condition),))


def _masked_fill(out: TracedTensor, x: TracedTensor, mask: TracedTensor, value: float) -> Cost:
    return Cost(elementwise=numel(out), kept=(Kept(mask),))


def _sum(out: TracedTensor, x: TracedTensor, *args: object, **kwargs: object) -> Cost:
    return Cost(elementwise=numel(x) - numel(out))


def _mean(out: TracedTensor, x: TracedTensor, *args: object, **kwargs: object) -> Cost:
    return Cost(elementwise=numel(x))


def _cumsum(out: TracedTensor, x: TracedTensor, dim: int, **kwargs: object) -> Cost:
    return Cost(elementwise=numel(out) - numel(out) // out.shape[dim])


def _max(
    outs: Sequence[TracedTensor], x: TracedTensor, dim: int | None = None, keepdim: bool = False
) -> Cost:
    if not isinstance(dim, int):
        raise ValueError(f"`max` must be given `dim` as a number; got {dim!r}.")
    values, indices = outs
    return Cost(elementwise=numel(x) - numel(values), kept=(Kept(indices),))


def _topk(
    outs: Sequence[TracedTensor],
    x: TracedTensor,
    k: int,
    dim: int = -1,
    *args: object,
    **kw: object,
) -> Cost:
    # Each row is sorted, by N log2 N comparisons as in XLA's cost analysis.
    _, indices = outs
    return Cost(
        elementwise=numel(x) * math.ceil(math.log2(max(x.shape[dim], 1))), kept=(Kept(indices),)
    )


_WITHOUT_NUMBERS = "add sub neg to eq ne lt le gt ge"

POINTWISE_FORMULAS: dict[str, Formula] = {
    "gelu": _gelu,
    "silu": _from_input(1),
    "relu": _from_output(1),
    "relu6": _from_input(2),
    "hardtanh": _from_input(2),
    "hardsigmoid": _from_input(4),
    "hardswish": _from_input(5),
    "leaky_relu": _from_either(3),
    "elu": _from_either(4),
    "softplus": _from_input(4),
    "sigmoid": _from_output(0),
    "tanh": _from_output(0),
    "exp": _from_output(0),
    "sqrt": _from_output(0),
    "rsqrt": _from_output(0),
    "log": _from_input(0),
    "abs": _from_input(1),
    "square": _from_input(1),
    "pow": _power,
    "clamp": _clamp,
    "mul": _mul,
    "div": _div,
    "maximum": _larger_or_smaller,
    "minimum": _larger_or_smaller,
    "where": _where,
    "masked_fill": _masked_fill,
    "sum": _sum,
    "mean": _mean,
    "max": _max,
    "cumsum": _cumsum,
    "topk": _topk,
    **dict.fromkeys(_WITHOUT_NUMBERS.split(), _pointwise),
}
"""Formulas of this module by operator."""
