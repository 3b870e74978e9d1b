"""ONNX graphs of architectures, written from the traces of their blocks.

One writer serves the entries of a latency table, the networks of its certificate and the exported
members of a search, with a dynamic batch. Each operator that :mod:`search_spaces.operators` can
count has one emitter here; PyTorch's own exporter takes about a second for a block, this
milliseconds, and the tests hold the two equal.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from search_spaces.architecture import NETWORK_INPUT, Architecture
from search_spaces.operators import TracedTensor
from search_spaces.tracing import Batch, Operation, symbolic_trace

__all__ = [
    "EMITTERS",
    "IDENTITY_SHAPE",
    "INPUT_NAME",
    "OUTPUT_NAME",
    "identity_model",
    "write_onnx",
]

OPSET = 20
"""The first with GELU as an operator."""

IR_VERSION = 10
INPUT_NAME, OUTPUT_NAME, BATCH_NAME = "input", "output", "batch"
IDENTITY_SHAPE: tuple[int, ...] = (1,)
"""Shape of the input of :func:`identity_model`, without the batch."""


def write_onnx(architecture: Architecture, weights: Mapping[str, NDArray[Any]]) -> onnx.ModelProto:
    """The network as an ONNX model in fp32 with a dynamic batch.

    Args:
        architecture: The network; it reads one input.
        weights: The state dict of its :class:`~search_spaces.network.Network` as arrays.

    Raises:
        UncountedOperatorError: A block runs an operator that is not known.
        ValueError: A block depends on the batch in a way that ONNX cannot follow.
    """
    graph = _Graph(weights)
    results: dict[int, str] = {NETWORK_INPUT: INPUT_NAME}
    for position, node in enumerate(architecture):
        owner = position if node.tie is None else node.tie
        trace = symbolic_trace(node.block)
        graph.enter(f"{position}/", f"blocks.{owner}.")
        for traced, source in zip(trace.inputs, node.inputs, strict=True):
            graph.alias(traced, results[source])
        for operation in trace.operations:
            EMITTERS[operation.name](graph, operation, *operation.args, **operation.kwargs)
        results[position] = graph.name(trace.output)
    last = len(architecture) - 1
    graph.add("Identity", [results[last]], name=OUTPUT_NAME)
    shapes = (
        (INPUT_NAME, architecture.nodes[0].block.input_shapes[0]),
        (OUTPUT_NAME, trace.output.shape[1:]),
    )
    read, written = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [BATCH_NAME, *shape])
        for name, shape in shapes
    )
    proto = helper.make_graph(
        graph.nodes, architecture.id, [read], [written], list(graph.initializers.values())
    )
    return helper.make_model(
        proto,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="hwnas",
    )


class _Graph:
    """Nodes and initializers so far; names are prefixed by the position of the block."""

    def __init__(self, weights: Mapping[str, NDArray[Any]]) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: dict[str, onnx.TensorProto] = {}
        self._weights = weights
        self._names: dict[TracedTensor, str] = {}
        self._prefix = self._weight_prefix = ""

    def enter(self, prefix: str, weight_prefix: str) -> None:
        """Starts the block whose results and weights have these prefixes."""
        self._prefix, self._weight_prefix = prefix, weight_prefix
        self._names = {}

    def alias(self, tensor: TracedTensor, name: str) -> None:
        """Lets a traced tensor stand for an existing value."""
        self._names[tensor] = name

    def name(self, tensor: TracedTensor) -> str:
        """Name of a traced tensor's value; a weight becomes an initializer on first use."""
        if tensor in self._names:
            return self._names[tensor]
        return self.weight(tensor)

    def weight(self, tensor: TracedTensor, *, transpose: bool = False) -> str:
        """Name of a weight's initializer, its last two axes exchanged if asked."""
        name = self._weight_prefix + tensor.name
        key = name + (".T" if transpose else "")
        if key not in self.initializers:
            array = self._weights[name]
            self._store(key, np.swapaxes(array, -1, -2) if transpose else array)
        return key

    def constant(self, array: NDArray[Any]) -> str:
        """Name of an initializer with this value; equal values share one."""
        text = "_".join(map(str, array.ravel().tolist())) or "none"
        key = f"const/{array.dtype}/{'x'.join(map(str, array.shape))}/{text}"
        if key not in self.initializers:
            self._store(key, array)
        return key

    def integers(self, values: Sequence[int]) -> str:
        """Name of a constant vector of integers."""
        return self.constant(np.array(values, dtype=np.int64))

    def operand(self, value: TracedTensor | float) -> str:
        """Name of a tensor, or of a scalar as a constant."""
        if isinstance(value, TracedTensor):
            return self.name(value)
        return self.constant(np.array(value, dtype=np.float32))

    def add(
        self, operator: str, inputs: Sequence[str], *, name: str = "", **attributes: Any
    ) -> str:
        """Appends a node with one output and returns the output's name."""
        name = name or f"{self._prefix}{len(self.nodes)}_{operator}"
        self.nodes.append(helper.make_node(operator, inputs, [name], name=name, **attributes))
        return name

    def _store(self, key: str, array: NDArray[Any]) -> None:
        self.initializers[key] = numpy_helper.from_array(np.asarray(array, order="C"), key)


def _shape_constant(graph: _Graph, shape: Sequence[int | Batch]) -> str:
    """A shape in which -1 stands for the one size that follows the batch."""
    following = [size for size in shape if isinstance(size, Batch)]
    if len(following) > 1:
        raise ValueError(f"Shape {tuple(shape)} follows the batch in more than one size.")
    return graph.integers([-1 if isinstance(size, Batch) else size for size in shape])


def _static(value: Any) -> Any:
    if isinstance(value, Batch):
        raise ValueError("A number that follows the batch can only be a size of a shape.")
    return value


def _linear(
    graph: _Graph,
    operation: Operation,
    x: TracedTensor,
    weight: TracedTensor,
    bias: TracedTensor | None = None,
) -> None:
    if len(x.shape) == 2 and bias is not None:
        inputs = [graph.name(x), graph.name(weight), graph.name(bias)]
        out = graph.add("Gemm", inputs, transB=1)
    else:
        out = graph.add("MatMul", [graph.name(x), graph.weight(weight, transpose=True)])
        if bias is not None:
            out = graph.add("Add", [out, graph.name(bias)])
    graph.alias(operation.outputs[0], out)


def _pair(value: int | Sequence[int]) -> list[int]:
    return [value, value] if isinstance(value, int) else list(value)


def _conv2d(
    graph: _Graph,
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


def _matmul(graph: _Graph, operation: Operation, a: TracedTensor, b: TracedTensor) -> None:
    graph.alias(operation.outputs[0], graph.add("MatMul", [graph.name(a), graph.name(b)]))


def _attention(
    graph: _Graph,
    operation: Operation,
    query: TracedTensor,
    key: TracedTensor,
    value: TracedTensor,
    attn_mask: TracedTensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
) -> None:
    if is_causal or attn_mask is not None:
        raise ValueError("Masked attention cannot be written as ONNX yet: pass no mask.")
    rank = len(key.shape)
    order = [*range(rank - 2), rank - 1, rank - 2]
    keys = graph.add("Transpose", [graph.name(key)], perm=order)
    scores = graph.add("MatMul", [graph.name(query), keys])
    factor = scale if scale is not None else 1 / math.sqrt(query.shape[-1])
    scaled = graph.add("Mul", [scores, graph.operand(factor)])
    attended = graph.add("Softmax", [scaled], axis=-1)
    graph.alias(operation.outputs[0], graph.add("MatMul", [attended, graph.name(value)]))


def _layer_norm(
    graph: _Graph,
    operation: Operation,
    x: TracedTensor,
    normalized_shape: Sequence[int],
    weight: TracedTensor | None = None,
    bias: TracedTensor | None = None,
    eps: float = 1e-5,
) -> None:
    ones = graph.constant(np.ones(normalized_shape, dtype=np.float32)) if weight is None else ""
    inputs = [graph.name(x), ones or graph.name(weight)]  # type: ignore[arg-type]
    inputs += [graph.name(bias)] if bias is not None else []
    axis = -len(normalized_shape)
    out = graph.add("LayerNormalization", inputs, axis=axis, epsilon=eps)
    graph.alias(operation.outputs[0], out)


def _batch_norm(
    graph: _Graph,
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
    if running_mean is None or running_var is None or weight is None or bias is None:
        raise ValueError("Batch normalisation needs running statistics, weight and bias.")
    inputs = [graph.name(t) for t in (x, weight, bias, running_mean, running_var)]
    graph.alias(operation.outputs[0], graph.add("BatchNormalization", inputs, epsilon=eps))


def _softmax(
    graph: _Graph, operation: Operation, x: TracedTensor, dim: int = -1, **kwargs: Any
) -> None:
    graph.alias(operation.outputs[0], graph.add("Softmax", [graph.name(x)], axis=dim))


def _gelu(graph: _Graph, operation: Operation, x: TracedTensor, approximate: str = "none") -> None:
    out = graph.add("Gelu", [graph.name(x)], approximate=approximate)
    graph.alias(operation.outputs[0], out)


def _silu(graph: _Graph, operation: Operation, x: TracedTensor, inplace: bool = False) -> None:
    gate = graph.add("Sigmoid", [graph.name(x)])
    graph.alias(operation.outputs[0], graph.add("Mul", [graph.name(x), gate]))


def _mean(
    graph: _Graph,
    operation: Operation,
    x: TracedTensor,
    dim: int | Sequence[int],
    keepdim: bool = False,
) -> None:
    axes = graph.integers([dim] if isinstance(dim, int) else list(dim))
    out = graph.add("ReduceMean", [graph.name(x), axes], keepdims=int(keepdim))
    graph.alias(operation.outputs[0], out)


def _cat(
    graph: _Graph, operation: Operation, tensors: Sequence[TracedTensor], dim: int = 0
) -> None:
    out = graph.add("Concat", [graph.name(t) for t in tensors], axis=dim)
    graph.alias(operation.outputs[0], out)


def _expand(graph: _Graph, operation: Operation, x: TracedTensor, *args: Any) -> None:
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


def _reshape(graph: _Graph, operation: Operation, x: TracedTensor, *args: Any, **kw: Any) -> None:
    shape = _shape_constant(graph, operation.outputs[0].shape)
    graph.alias(operation.outputs[0], graph.add("Reshape", [graph.name(x), shape]))


def _transpose(graph: _Graph, operation: Operation, x: TracedTensor, dim0: int, dim1: int) -> None:
    order = list(range(len(x.shape)))
    order[dim0], order[dim1] = order[dim1], order[dim0]
    graph.alias(operation.outputs[0], graph.add("Transpose", [graph.name(x)], perm=order))


def _permute(graph: _Graph, operation: Operation, x: TracedTensor, *dims: Any) -> None:
    given = dims[0] if isinstance(dims[0], tuple) else dims
    order = [axis % len(x.shape) for axis in given]
    graph.alias(operation.outputs[0], graph.add("Transpose", [graph.name(x)], perm=order))


def _getitem(graph: _Graph, operation: Operation, x: TracedTensor, index: Any) -> None:
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
            [_static(item.start) or 0 for _, item in slices],
            [_static(item.stop) if item.stop is not None else 2**62 for _, item in slices],
            [axis for axis, _ in slices],
            [_static(item.step) or 1 for _, item in slices],
        ]
        out = graph.add("Slice", [out, *(graph.integers(values) for values in bounds)])
    removed = 0
    for axis, item in enumerate(index):
        if isinstance(item, int):
            position = graph.constant(np.array(item, dtype=np.int64))
            out = graph.add("Gather", [out, position], axis=axis - removed)
            removed += 1
    graph.alias(operation.outputs[0], out)


def _same(graph: _Graph, operation: Operation, x: TracedTensor, *args: Any, **kwargs: Any) -> None:
    graph.alias(operation.outputs[0], graph.name(x))


Emitter = Callable[..., None]


def _unary(operator: str) -> Emitter:
    def emit(graph: _Graph, operation: Operation, x: TracedTensor, **kwargs: Any) -> None:
        graph.alias(operation.outputs[0], graph.add(operator, [graph.name(x)]))

    return emit


def _binary(operator: str) -> Emitter:
    def emit(
        graph: _Graph,
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


def identity_model() -> onnx.ModelProto:
    """A model that returns its input: what a run costs before any work."""
    value: list[str | int | None] = [BATCH_NAME, *IDENTITY_SHAPE]
    graph = helper.make_graph(
        [helper.make_node("Identity", [INPUT_NAME], [OUTPUT_NAME])],
        "identity",
        [helper.make_tensor_value_info(INPUT_NAME, TensorProto.FLOAT, value)],
        [helper.make_tensor_value_info(OUTPUT_NAME, TensorProto.FLOAT, value)],
    )
    opset = helper.make_opsetid("", OPSET)
    return helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION)
