"""How each operator that can be counted is written as ONNX."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from hw_profiles.onnx_builder import INPUT_NAME, GraphBuilder, static
from search_spaces.operators import TracedTensor
from search_spaces.tracing import Batch, Operation

__all__ = ["EMITTERS", "emit"]


def _shape_constant(graph: GraphBuilder, shape: Sequence[int | Batch]) -> str:
    """A shape in which -1 stands for the one size that follows the batch."""
    following = [size for size in shape if isinstance(size, Batch)]
    if len(following) > 1:
        raise ValueError(f"Shape {tuple(shape)} follows the batch in more than one size.")
    return graph.integers([-1 if isinstance(size, Batch) else size for size in shape])


def _linear(
    graph: GraphBuilder,
    operation: Operation,
    x: TracedTensor,
    weight: TracedTensor,
    bias: TracedTensor | None = None,
) -> None:
    if len(x.shape) == 2 and bias is not None:
        inputs = [graph.name(x), graph.name(weight), graph.name(bias)]
        out = graph.add("Gemm", inputs, transB=1)
    else:
        if weight.source == "weight":
            factor = graph.weight(weight, transpose=True)
        else:
            factor = graph.add("Transpose", [graph.name(weight)], perm=[1, 0])
        out = graph.add("MatMul", [graph.name(x), factor])
        if bias is not None:
            out = graph.add("Add", [out, graph.name(bias)])
    graph.alias(operation.outputs[0], out)


def _pair(value: int | Sequence[int]) -> list[int]:
    return [value, value] if isinstance(value, int) else list(value)


def _conv2d(
    graph: GraphBuilder,
    operation: Operation,
    x: TracedTensor,
    weight: TracedTensor,
    bias: TracedTensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> None:
    if isinstance(padding, str):
        raise ValueError(f"`padding` must be numbers to be written as ONNX; got {padding!r}.")
    inputs = [graph.name(t) for t in (x, weight, bias) if t is not None]
    out = graph.add(
        "Conv",
        inputs,
        strides=_pair(stride),
        pads=_pair(padding) * 2,
        dilations=_pair(dilation),
        group=groups,
        kernel_shape=list(weight.shape[2:]),
    )
    graph.alias(operation.outputs[0], out)


def _matmul(graph: GraphBuilder, operation: Operation, a: TracedTensor, b: TracedTensor) -> None:
    graph.alias(operation.outputs[0], graph.add("MatMul", [graph.name(a), graph.name(b)]))


def _attention(
    graph: GraphBuilder,
    operation: Operation,
    query: TracedTensor,
    key: TracedTensor,
    value: TracedTensor,
    attn_mask: TracedTensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
) -> None:
    if is_causal or attn_mask is not None or dropout_p:
        raise ValueError("Attention with a mask or dropout cannot be written as ONNX yet.")
    rank = len(key.shape)
    order = [*range(rank - 2), rank - 1, rank - 2]
    keys = graph.add("Transpose", [graph.name(key)], perm=order)
    scores = graph.add("MatMul", [graph.name(query), keys])
    factor = scale if scale is not None else 1 / math.sqrt(query.shape[-1])
    scaled = graph.add("Mul", [scores, graph.operand(factor)])
    attended = graph.add("Softmax", [scaled], axis=-1)
    graph.alias(operation.outputs[0], graph.add("MatMul", [attended, graph.name(value)]))


def _layer_norm(
    graph: GraphBuilder,
    operation: Operation,
    x: TracedTensor,
    normalized_shape: Sequence[int],
    weight: TracedTensor | None = None,
    bias: TracedTensor | None = None,
    eps: float = 1e-5,
) -> None:
    if weight is None:
        scale = graph.constant(np.ones(normalized_shape, dtype=np.float32))
    else:
        scale = graph.name(weight)
    inputs = [graph.name(x), scale]
    inputs += [graph.name(bias)] if bias is not None else []
    axis = -len(normalized_shape)
    out = graph.add("LayerNormalization", inputs, axis=axis, epsilon=eps)
    graph.alias(operation.outputs[0], out)


def _batch_norm(
    graph: GraphBuilder,
    operation: Operation,
    x: TracedTensor,
    running_mean: TracedTensor | None = None,
    running_var: TracedTensor | None = None,
    weight: TracedTensor | None = None,
    bias: TracedTensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> None:
    if training or running_mean is None or running_var is None or weight is None or bias is None:
        raise ValueError(
            "Batch normalisation needs running statistics, weight and bias, and `training` false."
        )
    inputs = [graph.name(t) for t in (x, weight, bias, running_mean, running_var)]
    graph.alias(operation.outputs[0], graph.add("BatchNormalization", inputs, epsilon=eps))


def _softmax(
    graph: GraphBuilder,
    operation: Operation,
    x: TracedTensor,
    dim: int | None = None,
    **kwargs: Any,
) -> None:
    if dim is None:
        raise ValueError("`softmax` must be given `dim`.")
    graph.alias(operation.outputs[0], graph.add("Softmax", [graph.name(x)], axis=dim))


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


def _mean(
    graph: GraphBuilder,
    operation: Operation,
    x: TracedTensor,
    dim: int | Sequence[int],
    keepdim: bool = False,
) -> None:
    axes = graph.integers([dim] if isinstance(dim, int) else list(dim))
    out = graph.add("ReduceMean", [graph.name(x), axes], keepdims=int(keepdim))
    graph.alias(operation.outputs[0], out)


def _cat(
    graph: GraphBuilder, operation: Operation, tensors: Sequence[TracedTensor], dim: int = 0
) -> None:
    out = graph.add("Concat", [graph.name(t) for t in tensors], axis=dim)
    graph.alias(operation.outputs[0], out)


def _expand(graph: GraphBuilder, operation: Operation, x: TracedTensor, *args: Any) -> None:
    sizes = operation.outputs[0].shape
    if any(isinstance(size, Batch) and size.times != 1 for size in sizes):
        raise ValueError(f"Only the batch itself can be expanded to; got {sizes}.")
    parts = [
        graph.add("Shape", [INPUT_NAME], start=0, end=1)
        if isinstance(size, Batch)
        else graph.integers([size])
        for size in sizes
    ]
    shape = graph.add("Concat", parts, axis=0)
    graph.alias(operation.outputs[0], graph.add("Expand", [graph.name(x), shape]))


def _reshape(
    graph: GraphBuilder, operation: Operation, x: TracedTensor, *args: Any, **kw: Any
) -> None:
    shape = _shape_constant(graph, operation.outputs[0].shape)
    graph.alias(operation.outputs[0], graph.add("Reshape", [graph.name(x), shape]))


def _transpose(
    graph: GraphBuilder, operation: Operation, x: TracedTensor, dim0: int, dim1: int
) -> None:
    order = list(range(len(x.shape)))
    order[dim0], order[dim1] = order[dim1], order[dim0]
    graph.alias(operation.outputs[0], graph.add("Transpose", [graph.name(x)], perm=order))


def _permute(
    graph: GraphBuilder, operation: Operation, x: TracedTensor, *given: Any, dims: Any = None
) -> None:
    if dims is None:
        dims = given if isinstance(given[0], int) else given[0]
    order = [axis % len(x.shape) for axis in dims]
    graph.alias(operation.outputs[0], graph.add("Transpose", [graph.name(x)], perm=order))


def _getitem(graph: GraphBuilder, operation: Operation, x: TracedTensor, index: Any) -> None:
    index = index if isinstance(index, tuple) else (index,)
    if not all(isinstance(item, int | slice) for item in index):
        raise ValueError(f"An index must be integers and slices to be written; got {index}.")
    out = graph.name(x)
    slices = [
        (axis, item)
        for axis, item in enumerate(index)
        if isinstance(item, slice) and item != slice(None)
    ]
    if slices:
        bounds = [
            [static(item.start) or 0 for _, item in slices],
            [static(item.stop) if item.stop is not None else 2**62 for _, item in slices],
            [axis for axis, _ in slices],
            [static(item.step) or 1 for _, item in slices],
        ]
        out = graph.add("Slice", [out, *(graph.integers(values) for values in bounds)])
    removed = 0
    for axis, item in enumerate(index):
        if isinstance(item, int):
            position = graph.constant(np.array(item, dtype=np.int64))
            out = graph.add("Gather", [out, position], axis=axis - removed)
            removed += 1
    graph.alias(operation.outputs[0], out)


def _same(
    graph: GraphBuilder, operation: Operation, x: TracedTensor, *args: Any, **kwargs: Any
) -> None:
    graph.alias(operation.outputs[0], graph.name(x))


Emitter = Callable[..., None]


def _unary(operator: str) -> Emitter:
    def emit(graph: GraphBuilder, operation: Operation, x: TracedTensor, **kwargs: Any) -> None:
        graph.alias(operation.outputs[0], graph.add(operator, [graph.name(x)]))

    return emit


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
        graph.alias(operation.outputs[0], graph.add(operator, [graph.operand(a), graph.operand(b)]))

    return emit


EMITTERS: dict[str, Emitter] = {
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
    "relu": _unary("Relu"),
    "sigmoid": _unary("Sigmoid"),
    "tanh": _unary("Tanh"),
    "add": _binary("Add"),
    "sub": _binary("Sub"),
    "mul": _binary("Mul"),
    "div": _binary("Div"),
    "__getitem__": _getitem,
    "cat": _cat,
    "contiguous": _same,
    "expand": _expand,
    "flatten": _reshape,
    "permute": _permute,
    "reshape": _reshape,
    "transpose": _transpose,
    "unsqueeze": _reshape,
    "view": _reshape,
}
"""How each operator of :data:`search_spaces.operators.FORMULAS` is written."""


def emit(graph: GraphBuilder, operation: Operation) -> None:
    """Appends the nodes of one operation.

    Raises:
        ValueError: It is called in a way that cannot be written; the message names the operator.
    """
    emitter = EMITTERS[operation.name]
    try:
        inspect.signature(emitter).bind(graph, operation, *operation.args, **operation.kwargs)
    except TypeError as error:
        raise ValueError(
            f"This call of `{operation.name}` cannot be written as ONNX: {error}."
        ) from error
    emitter(graph, operation, *operation.args, **operation.kwargs)
