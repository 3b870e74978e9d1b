"""Operators that move, pick or only relabel numbers, as ONNX."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hw_profiles.onnx_builder import INPUT_NAME, Emitter, GraphBuilder, static
from search_spaces.operators import TracedTensor
from search_spaces.tracing import Batch, Operation

__all__ = ["INDEXING_EMITTERS"]

END = 2**62
"""Past the end of any axis."""


def _cat(
    graph: GraphBuilder, operation: Operation, tensors: Sequence[TracedTensor], dim: int = 0
) -> None:
    out = graph.add("Concat", [graph.name(t) for t in tensors], axis=dim)
    graph.alias(operation.outputs[0], out)


def _stack(
    graph: GraphBuilder, operation: Operation, tensors: Sequence[TracedTensor], dim: int = 0
) -> None:
    axes = graph.integers([dim])
    parts = [graph.add("Unsqueeze", [graph.name(t), axes]) for t in tensors]
    graph.alias(operation.outputs[0], graph.add("Concat", parts, axis=dim))


def _split(
    graph: GraphBuilder, operation: Operation, x: TracedTensor, sizes: Any, dim: int = 0
) -> None:
    lengths = [static(out.shape[dim]) for out in operation.outputs]
    if len(lengths) == 1:
        graph.alias(operation.outputs[0], graph.name(x))
        return
    inputs = [graph.name(x), graph.integers(lengths)]
    names = graph.add_several("Split", inputs, outputs=len(lengths), axis=dim)
    for tensor, name in zip(operation.outputs, names, strict=True):
        graph.alias(tensor, name)


def _unbind(graph: GraphBuilder, operation: Operation, x: TracedTensor, dim: int = 0) -> None:
    static(x.shape[dim])
    for position, tensor in enumerate(operation.outputs):
        index = graph.operand(position, "int64")
        graph.alias(tensor, graph.add("Gather", [graph.name(x), index], axis=dim))


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
    graph.expanded[operation.outputs[0]] = x


def _reshape(
    graph: GraphBuilder, operation: Operation, x: TracedTensor, *args: Any, **kw: Any
) -> None:
    shape = graph.shape(operation.outputs[0].shape)
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


def _movedim(
    graph: GraphBuilder,
    operation: Operation,
    x: TracedTensor,
    source: int | Sequence[int],
    destination: int | Sequence[int],
) -> None:
    rank = len(x.shape)
    moved = [axis % rank for axis in ([source] if isinstance(source, int) else source)]
    places = [
        axis % rank for axis in ([destination] if isinstance(destination, int) else destination)
    ]
    order = [axis for axis in range(rank) if axis not in moved]
    for place, axis in sorted(zip(places, moved, strict=True)):
        order.insert(place, axis)
    graph.alias(operation.outputs[0], graph.add("Transpose", [graph.name(x)], perm=order))


def _slice(graph: GraphBuilder, name: str, cuts: Sequence[tuple[int, slice]]) -> str:
    """Cuts a value along the given axes."""
    bounds = [
        [static(cut.start) or 0 for _, cut in cuts],
        [static(cut.stop) if cut.stop is not None else END for _, cut in cuts],
        [axis for axis, _ in cuts],
        [static(cut.step) or 1 for _, cut in cuts],
    ]
    return graph.add("Slice", [name, *(graph.integers(values) for values in bounds)])


def _getitem(graph: GraphBuilder, operation: Operation, x: TracedTensor, index: Any) -> None:
    items = list(index) if isinstance(index, tuple) else [index]
    for at, item in enumerate(items):
        if item is Ellipsis:
            named = len(items) - 1 - sum(other is None for other in items)
            items[at : at + 1] = [slice(None)] * (len(x.shape) - named)
            break
    axes = [item for item in items if item is not None]
    picks = [item for item in axes if isinstance(item, TracedTensor | list)]
    known = all(isinstance(item, int | slice | TracedTensor | list) for item in axes)
    if not known or len(picks) > 1 or (picks and any(isinstance(item, int) for item in axes)):
        raise ValueError(
            "An index must be of integers and slices, or one tensor and slices, to be written; "
            f"got {index}."
        )
    out = graph.name(x)
    cuts = [
        (a, item) for a, item in enumerate(axes) if isinstance(item, slice) and item != slice(None)
    ]
    if cuts:
        out = _slice(graph, out, cuts)
    removed = 0
    for axis, item in enumerate(axes):
        if isinstance(item, slice):
            continue
        if isinstance(item, int):
            position = graph.operand(item, "int64")
        else:
            position = graph.name(item) if isinstance(item, TracedTensor) else graph.integers(item)
        out = graph.add("Gather", [out, position], axis=axis - removed)
        removed += isinstance(item, int)
    if len(axes) < len(items):  # Each `None` is a new axis.
        out = graph.add("Reshape", [out, graph.shape(operation.outputs[0].shape)])
    graph.alias(operation.outputs[0], out)


def _embedding(
    graph: GraphBuilder,
    operation: Operation,
    ids: TracedTensor,
    weight: TracedTensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> None:
    if max_norm is not None:
        raise ValueError("`embedding` with `max_norm` cannot be written as ONNX.")
    out = graph.add("Gather", [graph.name(weight), graph.name(ids)], axis=0)
    graph.alias(operation.outputs[0], out)


def _gather(
    graph: GraphBuilder, operation: Operation, x: TracedTensor, dim: int, index: TracedTensor
) -> None:
    rows = graph.expanded.get(index)
    out = None
    if rows is not None and index.shape[2:] == x.shape[2:] and index.shape[:2] == rows.shape[:2]:
        out = _take_rows(graph, x, dim, rows)
    if out is None:
        out = graph.add("GatherElements", [graph.name(x), graph.name(index)], axis=dim)
    graph.alias(operation.outputs[0], out)


def _take_along_dim(
    graph: GraphBuilder, operation: Operation, x: TracedTensor, indices: TracedTensor, dim: int
) -> None:
    out = _take_rows(graph, x, dim, indices)
    if out is None and operation.outputs[0].shape != indices.shape:
        raise ValueError(
            "`take_along_dim` must take whole rows, or by an index of the output's shape; got "
            f"{indices.shape} for {operation.outputs[0].shape}."
        )
    if out is None:
        out = graph.add("GatherElements", [graph.name(x), graph.name(indices)], axis=dim)
    graph.alias(operation.outputs[0], out)


def _take_rows(graph: GraphBuilder, x: TracedTensor, dim: int, index: TracedTensor) -> str | None:
    """Takes whole rows along one of the first two axes, or is ``None`` if that is not asked.

    That needs no index for each number of a row, which costs more than the row itself.
    """
    rank = len(x.shape)
    axis = dim % rank
    if len(index.shape) != rank or axis > 1 or any(size != 1 for size in index.shape[2:]):
        return None
    if rank < 2 or index.shape[1 - axis] != x.shape[1 - axis]:
        return None
    values, places = graph.name(x), graph.name(index)
    if rank != 3:
        places = graph.add("Reshape", [places, graph.shape([*index.shape[:2], 1])])
    if axis == 1:
        return graph.add("GatherND", [values, places], batch_dims=1)
    order = [1, 0, *range(2, rank)]
    values = graph.add("Transpose", [values], perm=order)
    places = graph.add("Transpose", [places], perm=[1, 0, 2])
    return graph.add(
        "Transpose", [graph.add("GatherND", [values, places], batch_dims=1)], perm=order
    )


def _roll(
    graph: GraphBuilder,
    operation: Operation,
    x: TracedTensor,
    shifts: int | Sequence[int],
    dims: int | Sequence[int] | None = None,
) -> None:
    if dims is None:
        raise ValueError("`roll` must be given `dims` to be written as ONNX.")
    by = [shifts] if isinstance(shifts, int) else shifts
    along = [dims] if isinstance(dims, int) else dims
    out = graph.name(x)
    for shift, axis in zip(by, along, strict=True):
        cut = -shift % static(x.shape[axis])
        if cut:
            ends = (slice(cut, None), slice(0, cut))
            parts = [_slice(graph, out, [(axis, end)]) for end in ends]
            out = graph.add("Concat", parts, axis=axis)
    graph.alias(operation.outputs[0], out)


def _pad(
    graph: GraphBuilder,
    operation: Operation,
    x: TracedTensor,
    pad: Sequence[int],
    mode: str = "constant",
    value: float | None = None,
) -> None:
    if mode != "constant":
        raise ValueError(f"`pad` must be of mode 'constant' to be written as ONNX; got {mode!r}.")
    outer = [0] * (len(x.shape) - len(pad) // 2)
    before, after = ([*outer, *reversed(pad[side::2])] for side in (0, 1))
    amounts = graph.integers([static(n) for n in (*before, *after)])
    inputs = [graph.name(x), amounts, graph.operand(value or 0.0)]
    graph.alias(operation.outputs[0], graph.add("Pad", inputs))


def _same(
    graph: GraphBuilder, operation: Operation, x: TracedTensor, *args: Any, **kwargs: Any
) -> None:
    graph.alias(operation.outputs[0], graph.name(x))


INDEXING_EMITTERS: dict[str, Emitter] = {
    "embedding": _embedding,
    "__getitem__": _getitem,
    "gather": _gather,
    "take_along_dim": _take_along_dim,
    "cat": _cat,
    "stack": _stack,
    "chunk": _split,
    "split": _split,
    "unbind": _unbind,
    "expand": _expand,
    "flatten": _reshape,
    "reshape": _reshape,
    "squeeze": _reshape,
    "unflatten": _reshape,
    "unsqueeze": _reshape,
    "view": _reshape,
    "transpose": _transpose,
    "permute": _permute,
    "movedim": _movedim,
    "roll": _roll,
    "pad": _pad,
    "contiguous": _same,
    "dropout": _same,
    "real": _same,  # Of a transform only the real part is written.
}
"""Emitters of this module by operator."""
