"""Operators that work on each number by itself, and reductions, as ONNX."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hw_profiles.onnx_builder import Emitter, GraphBuilder, graph_type, static
from search_spaces.operators import TracedTensor
from search_spaces.tracing import Operation

__all__ = ["POINTWISE_EMITTERS"]


def _unary(operator: str, **attributes: Any) -> Emitter:
    def emit(
        graph: GraphBuilder, operation: Operation, x: TracedTensor, *, inplace: bool = False
    ) -> None:
        graph.alias(operation.outputs[0], graph.add(operator, [graph.name(x)], **attributes))

    return emit


def _gelu(
    graph: GraphBuilder, operation: Operation, x: TracedTensor, approximate: str = "none"
) -> None:
    out = graph.add("Gelu", [graph.name(x)], approximate=approximate)
    graph.alias(operation.outputs[0], out)


def _silu(
    graph: GraphBuilder, operation: Operation, x: TracedTensor, inplace: bool = False
) -> None:
    gate = graph.add("Sigmoid", [graph.name(x)])
    graph.alias(operation.outputs[0], graph.add("Mul", [graph.name(x), gate]))


def _leaky_relu(
    graph: GraphBuilder,
    operation: Operation,
    x: TracedTensor,
    negative_slope: float = 0.01,
    inplace: bool = False,
) -> None:
    out = graph.add("LeakyRelu", [graph.name(x)], alpha=float(negative_slope))
    graph.alias(operation.outputs[0], out)


def _elu(
    graph: GraphBuilder,
    operation: Operation,
    x: TracedTensor,
    alpha: float = 1.0,
    inplace: bool = False,
) -> None:
    graph.alias(operation.outputs[0], graph.add("Elu", [graph.name(x)], alpha=float(alpha)))


def _softplus(
    graph: GraphBuilder,
    operation: Operation,
    x: TracedTensor,
    beta: float = 1.0,
    threshold: float = 20.0,
) -> None:
    # Above the threshold PyTorch returns its input, which is the same to seven digits at 20.
    if beta == 1:
        out = graph.add("Softplus", [graph.name(x)])
    else:
        scaled = graph.add("Mul", [graph.name(x), graph.operand(beta)])
        out = graph.add("Div", [graph.add("Softplus", [scaled]), graph.operand(beta)])
    graph.alias(operation.outputs[0], out)


def _clip(graph: GraphBuilder, operation: Operation, x: TracedTensor, low: Any, high: Any) -> None:
    if isinstance(low, TracedTensor) or isinstance(high, TracedTensor):
        raise ValueError(f"`{operation.name}` must be between numbers to be written as ONNX.")
    dtype = graph_type(operation.outputs[0].dtype)
    bounds = ["" if bound is None else graph.operand(bound, dtype) for bound in (low, high)]
    out = graph.add("Clip", [graph.operand(x, dtype), *bounds])
    graph.alias(operation.outputs[0], out)


def _clamp(
    graph: GraphBuilder,
    operation: Operation,
    x: TracedTensor,
    min: float | None = None,
    max: float | None = None,
) -> None:
    _clip(graph, operation, x, min, max)


def _relu6(
    graph: GraphBuilder, operation: Operation, x: TracedTensor, inplace: bool = False
) -> None:
    _clip(graph, operation, x, 0.0, 6.0)


def _hardtanh(
    graph: GraphBuilder,
    operation: Operation,
    x: TracedTensor,
    min_val: float = -1.0,
    max_val: float = 1.0,
    inplace: bool = False,
) -> None:
    _clip(graph, operation, x, min_val, max_val)


def _square(graph: GraphBuilder, operation: Operation, x: TracedTensor) -> None:
    graph.alias(operation.outputs[0], graph.add("Mul", [graph.name(x), graph.name(x)]))


def _rsqrt(graph: GraphBuilder, operation: Operation, x: TracedTensor) -> None:
    root = graph.add("Sqrt", [graph.name(x)])
    graph.alias(operation.outputs[0], graph.add("Reciprocal", [root]))


def _binary(operator: str) -> Emitter:
    def emit(
        graph: GraphBuilder,
        operation: Operation,
        a: TracedTensor | float,
        b: TracedTensor | float,
        **kwargs: Any,
    ) -> None:
        if kwargs:
            raise ValueError(f"`{operation.name}` with {sorted(kwargs)} cannot be written as ONNX.")
        dtype = graph_type(operation.outputs[0].dtype)
        operands = [graph.operand(value, dtype) for value in (a, b)]
        graph.alias(operation.outputs[0], graph.add(operator, operands))

    return emit


def _comparison(operator: str, *, negated: bool = False) -> Emitter:
    def emit(
        graph: GraphBuilder,
        operation: Operation,
        a: TracedTensor | float,
        b: TracedTensor | float,
    ) -> None:
        types = {
            graph_type(v.dtype) if isinstance(v, TracedTensor) else _type_of(static(v))
            for v in (a, b)
        }
        dtype = next(t for t in ("float32", "int64", "bool") if t in types)
        if dtype == "bool" and operator != "Equal":
            dtype = "int64"
        out = graph.add(operator, [graph.operand(value, dtype) for value in (a, b)])
        graph.alias(operation.outputs[0], graph.add("Not", [out]) if negated else out)

    return emit


def _type_of(number: float) -> str:
    if isinstance(number, bool):
        return "bool"
    return "int64" if isinstance(number, int) else "float32"


def _to(graph: GraphBuilder, operation: Operation, x: TracedTensor, *args: Any, **kw: Any) -> None:
    out = operation.outputs[0]
    graph.alias(out, graph.operand(x, graph_type(out.dtype)))


def _where(
    graph: GraphBuilder,
    operation: Operation,
    condition: TracedTensor,
    chosen: TracedTensor | float,
    other: TracedTensor | float,
) -> None:
    dtype = graph_type(operation.outputs[0].dtype)
    values = [graph.operand(value, dtype) for value in (chosen, other)]
    graph.alias(operation.outputs[0], graph.add("Where", [graph.name(condition), *values]))


def _masked_fill(
    graph: GraphBuilder,
    operation: Operation,
    x: TracedTensor,
    mask: TracedTensor,
    value: TracedTensor | float,
) -> None:
    _where(graph, operation, mask, value, x)


def _reduction(operator: str) -> Emitter:
    def emit(
        graph: GraphBuilder,
        operation: Operation,
        x: TracedTensor,
        dim: int | Sequence[int],
        keepdim: bool = False,
        dtype: Any = None,
    ) -> None:
        axes = graph.integers([dim] if isinstance(dim, int) else list(dim))
        operand = graph.operand(x, graph_type(operation.outputs[0].dtype))
        out = graph.add(operator, [operand, axes], keepdims=int(keepdim))
        graph.alias(operation.outputs[0], out)

    return emit


def _max(
    graph: GraphBuilder, operation: Operation, x: TracedTensor, dim: int, keepdim: bool = False
) -> None:
    values, indices = operation.outputs
    keepdims = int(keepdim)
    largest = graph.add("ReduceMax", [graph.name(x), graph.integers([dim])], keepdims=keepdims)
    graph.alias(values, largest)
    graph.alias(indices, graph.add("ArgMax", [graph.name(x)], axis=dim, keepdims=keepdims))


def _cumsum(
    graph: GraphBuilder, operation: Operation, x: TracedTensor, dim: int, dtype: Any = None
) -> None:
    out = operation.outputs[0]
    operand = graph.operand(x, graph_type(out.dtype))
    graph.alias(out, graph.add("CumSum", [operand, graph.operand(dim, "int64")]))


def _topk(
    graph: GraphBuilder,
    operation: Operation,
    x: TracedTensor,
    k: int,
    dim: int = -1,
    largest: bool = True,
    sorted: bool = True,
) -> None:
    inputs = [graph.name(x), graph.integers([static(k)])]
    names = graph.add_several(
        "TopK", inputs, outputs=2, axis=dim, largest=int(largest), sorted=int(sorted)
    )
    for tensor, name in zip(operation.outputs, names, strict=True):
        graph.alias(tensor, name)


POINTWISE_EMITTERS: dict[str, Emitter] = {
    "gelu": _gelu,
    "silu": _silu,
    "relu": _unary("Relu"),
    "relu6": _relu6,
    "hardtanh": _hardtanh,
    "hardsigmoid": _unary("HardSigmoid", alpha=1 / 6, beta=0.5),
    "hardswish": _unary("HardSwish"),
    "leaky_relu": _leaky_relu,
    "elu": _elu,
    "softplus": _softplus,
    "sigmoid": _unary("Sigmoid"),
    "tanh": _unary("Tanh"),
    "exp": _unary("Exp"),
    "sqrt": _unary("Sqrt"),
    "rsqrt": _rsqrt,
    "log": _unary("Log"),
    "abs": _unary("Abs"),
    "neg": _unary("Neg"),
    "square": _square,
    "pow": _binary("Pow"),
    "clamp": _clamp,
    "add": _binary("Add"),
    "sub": _binary("Sub"),
    "mul": _binary("Mul"),
    "div": _binary("Div"),
    "maximum": _binary("Max"),
    "minimum": _binary("Min"),
    "eq": _comparison("Equal"),
    "ne": _comparison("Equal", negated=True),
    "lt": _comparison("Less"),
    "le": _comparison("LessOrEqual"),
    "gt": _comparison("Greater"),
    "ge": _comparison("GreaterOrEqual"),
    "to": _to,
    "where": _where,
    "masked_fill": _masked_fill,
    "sum": _reduction("ReduceSum"),
    "mean": _reduction("ReduceMean"),
    "max": _max,
    "cumsum": _cumsum,
    "topk": _topk,
}
"""Emitters of this module by operator."""
