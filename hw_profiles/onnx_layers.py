"""Products, attention, normalisation, pooling and the Fourier transform as ONNX."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from hw_profiles.onnx_builder import Emitter, GraphBuilder, static
from search_spaces.operators import TracedTensor
from search_spaces.tracing import Operation

__all__ = ["LAYER_EMITTERS"]


def _linear(
    graph: GraphBuilder,
    operation: Operation,
    x: TracedTensor,
    weight: TracedTensor,
    bias: TracedTensor | None = None,
) -> None:
    rows = len(x.shape) == 2
    if weight.source == "weight" and graph.has(weight):  # As an embedding: one copy serves both.
        inputs = [graph.name(x), graph.name(weight)]
        if not rows:
            inputs[0] = graph.add("Reshape", [inputs[0], graph.integers([-1, x.shape[-1]])])
        out = graph.add("Gemm", inputs, transB=1)
        if not rows:
            out = graph.add("Reshape", [out, graph.shape(operation.outputs[0].shape)])
        if bias is not None:
            out = graph.add("Add", [out, graph.name(bias)])
    elif rows and bias is not None:
        out = graph.add("Gemm", [graph.name(t) for t in (x, weight, bias)], transB=1)
    else:
        if weight.source == "weight":
            factor = graph.weight(weight, transpose=True)
        else:
            factor = graph.add("Transpose", [graph.name(weight)], perm=[1, 0])
        out = graph.add("MatMul", [graph.name(x), factor])
        if bias is not None:
            out = graph.add("Add", [out, graph.name(bias)])
    graph.alias(operation.outputs[0], out)


def _per_axis(value: int | Sequence[int], axes: int = 2) -> list[int]:
    return [value] * axes if isinstance(value, int) else list(value)


def _convolution(
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
    axes = len(weight.shape) - 2
    out = graph.add(
        "Conv",
        [graph.name(t) for t in (x, weight, bias) if t is not None],
        strides=_per_axis(stride, axes),
        pads=_per_axis(padding, axes) * 2,
        dilations=_per_axis(dilation, axes),
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
    enable_gqa: bool = False,
) -> None:
    if dropout_p:
        raise ValueError("Attention with dropout cannot be written as ONNX.")
    # Queries that share keys are stacked into one sequence, so that no key is copied.
    shared = enable_gqa and query.shape[1] != key.shape[1]
    masked = is_causal or attn_mask is not None
    rows, columns = query.shape[-2], key.shape[-2]
    stacked = [*key.shape[:2], -1, key.shape[-1]]
    queries = graph.name(query)
    if shared:
        stacked[2] = query.shape[1] // key.shape[1] * rows
        queries = graph.add("Reshape", [queries, graph.shape(stacked)])
    rank = len(key.shape)
    order = [*range(rank - 2), rank - 1, rank - 2]
    keys = graph.add("Transpose", [graph.name(key)], perm=order)
    scores = graph.add("MatMul", [queries, keys])
    factor = scale if scale is not None else 1 / math.sqrt(query.shape[-1])
    scores = graph.add("Mul", [scores, graph.operand(factor)])
    if shared and masked:
        sizes = [*query.shape[:-1], columns]
        scores = graph.add("Reshape", [scores, graph.shape(sizes)])
    if is_causal:
        future = np.full((static(rows), static(columns)), -np.inf, dtype=np.float32)
        scores = graph.add("Add", [scores, graph.constant(np.triu(future, 1))])
    if attn_mask is not None and attn_mask.dtype == "bool":
        scores = graph.add("Where", [graph.name(attn_mask), scores, graph.operand(-math.inf)])
    elif attn_mask is not None:
        scores = graph.add("Add", [scores, graph.name(attn_mask)])
    attended = graph.add("Softmax", [scores], axis=-1)
    if shared and masked:
        sizes = [*stacked[:-1], columns]
        attended = graph.add("Reshape", [attended, graph.shape(sizes)])
    out = graph.add("MatMul", [attended, graph.name(value)])
    if shared:
        out = graph.add("Reshape", [out, graph.shape(operation.outputs[0].shape)])
    graph.alias(operation.outputs[0], out)


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


def _rms_norm(
    graph: GraphBuilder,
    operation: Operation,
    x: TracedTensor,
    normalized_shape: Sequence[int],
    weight: TracedTensor | None = None,
    eps: float | None = None,
) -> None:
    # In this form a runtime can find it again and fuse it.
    axes = graph.integers(range(-len(normalized_shape), 0))
    epsilon = float(np.finfo(np.float32).eps) if eps is None else eps
    square = graph.add("Pow", [graph.name(x), graph.operand(2.0)])
    mean = graph.add("ReduceMean", [square, axes], keepdims=1)
    root = graph.add("Sqrt", [graph.add("Add", [mean, graph.operand(epsilon)])])
    out = graph.add("Div", [graph.name(x), root])
    if weight is not None:
        out = graph.add("Mul", [out, graph.name(weight)])
    graph.alias(operation.outputs[0], out)


def _group_norm(
    graph: GraphBuilder,
    operation: Operation,
    x: TracedTensor,
    num_groups: int,
    weight: TracedTensor | None = None,
    bias: TracedTensor | None = None,
    eps: float = 1e-5,
) -> None:
    batch, channels, *sizes = x.shape
    grouped = graph.shape([batch, num_groups, channels // num_groups * math.prod(sizes)])
    inputs = [graph.add("Reshape", [graph.name(x), grouped])]
    inputs += [graph.constant(np.full(num_groups, v, dtype=np.float32)) for v in (1, 0)]
    out = graph.add("InstanceNormalization", inputs, epsilon=eps)
    out = graph.add("Reshape", [out, graph.shape(x.shape)])
    for operator, term in (("Mul", weight), ("Add", bias)):
        if term is not None:
            aligned = graph.integers([channels, *[1] * len(sizes)])
            factor = graph.add("Reshape", [graph.name(term), aligned])
            out = graph.add(operator, [out, factor])
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


def _pool(
    graph: GraphBuilder,
    operation: Operation,
    operator: str,
    x: TracedTensor,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None,
    padding: int | Sequence[int],
    ceil_mode: bool,
    **attributes: Any,
) -> None:
    if ceil_mode:
        raise ValueError(f"`{operation.name}` with `ceil_mode` cannot be written as ONNX.")
    out = graph.add(
        operator,
        [graph.name(x)],
        kernel_shape=_per_axis(kernel_size),
        strides=_per_axis(stride or kernel_size),
        pads=_per_axis(padding) * 2,
        **attributes,
    )
    graph.alias(operation.outputs[0], out)


def _max_pool2d(
    graph: GraphBuilder,
    operation: Operation,
    x: TracedTensor,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> None:
    dilations = _per_axis(dilation)
    _pool(
        graph,
        operation,
        "MaxPool",
        x,
        kernel_size,
        stride,
        padding,
        ceil_mode,
        dilations=dilations,
    )


def _avg_pool2d(
    graph: GraphBuilder,
    operation: Operation,
    x: TracedTensor,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> None:
    if divisor_override is not None:
        raise ValueError("`avg_pool2d` with `divisor_override` cannot be written as ONNX.")
    _pool(
        graph,
        operation,
        "AveragePool",
        x,
        kernel_size,
        stride,
        padding,
        ceil_mode,
        count_include_pad=int(count_include_pad),
    )


def _fft2(
    graph: GraphBuilder,
    operation: Operation,
    x: TracedTensor,
    s: Sequence[int] | None = None,
    dim: Sequence[int] = (-2, -1),
    norm: str | None = None,
) -> None:
    """Writes the runtime's own transform, twice, and the real part, which alone can be read.

    ONNX Runtime 1.31 takes several times as long for it as for products with the matrices of the
    transform, and loses up to four digits where a size is no power of two. It is written all the
    same: which of the two is faster is what a table is there to say, and the products are a form
    of their own (:class:`search_spaces.fnet.FourierMixing`).
    """
    rank = len(x.shape)
    if s is not None or norm not in (None, "backward") or x.dtype != "float32":
        raise ValueError("`fft2` must have a real input and neither `s` nor `norm` to be written.")
    if {axis % rank for axis in dim} != {rank - 2, rank - 1}:
        raise ValueError(f"`fft2` must be over the last two axes to be written; got {dim}.")
    out = graph.add("Unsqueeze", [graph.name(x), graph.integers([-1])])
    for axis in (-2, -3):  # A last axis, of real and imaginary parts, has been put behind them.
        out = graph.add("DFT", [out, "", graph.constant(np.array(axis, dtype=np.int64))])
    zero = graph.constant(np.array(0, dtype=np.int64))
    graph.alias(operation.outputs[0], graph.add("Gather", [out, zero], axis=-1))


LAYER_EMITTERS: dict[str, Emitter] = {
    "linear": _linear,
    "conv1d": _convolution,
    "conv2d": _convolution,
    "matmul": _matmul,
    "scaled_dot_product_attention": _attention,
    "layer_norm": _layer_norm,
    "rms_norm": _rms_norm,
    "group_norm": _group_norm,
    "batch_norm": _batch_norm,
    "softmax": _softmax,
    "max_pool2d": _max_pool2d,
    "avg_pool2d": _avg_pool2d,
    "fft2": _fft2,
}
"""Emitters of this module by operator."""
