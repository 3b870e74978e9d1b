"""Traces of blocks on the meta device: which operators run, on which shapes.

A block's module runs once under a mode that sees every call of PyTorch's public functions; no
memory is touched and no arithmetic done. The same trace is counted (:mod:`search_spaces.tally`)
and written as an ONNX graph (:mod:`hw_profiles.onnx_graph`), so the two cannot disagree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import torch
from torch import nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakIdKeyDictionary

from search_spaces.block import Block
from search_spaces.errors import BlockError, UncountedOperatorError
from search_spaces.fresh_results import FreshResults
from search_spaces.operators import FORMULAS, TracedTensor, tensors_in

__all__ = ["BATCHES", "Batch", "Operation", "Trace", "build_on_meta", "symbolic_trace", "traces"]

ELEMENT_BYTES = 4
"""Traces are made in fp32; counts are in elements of these bytes."""

_ALIASES = {
    "add": "__add__ __radd__ __iadd__ add_",
    "sub": "__sub__ __isub__ sub_ subtract",
    "mul": "__mul__ __rmul__ multiply",
    "div": "__truediv__ __div__ true_divide divide",
    "pow": "__pow__",
    "neg": "__neg__ negative",
    "abs": "__abs__ absolute",
    "matmul": "__matmul__ bmm",
    "eq": "__eq__",
    "ne": "__ne__ not_equal",
    "lt": "__lt__ less",
    "le": "__le__ less_equal",
    "gt": "__gt__ greater",
    "ge": "__ge__ greater_equal",
    "to": "float int long bool type type_as",
    "cat": "concat concatenate",
    "clamp": "clip",
    "transpose": "swapaxes swapdims",
    "movedim": "moveaxis",
    "fft2": "fft_fft2",
}
_NAMES = {alias: name for name, aliases in _ALIASES.items() for alias in aliases.split()}

_REVERSED = {
    "__rsub__": "sub",
    "__rdiv__": "div",
    "__rtruediv__": "div",
    "__rpow__": "pow",
    "__rmatmul__": "matmul",
}
"""Python's operators called on their right operand: as the operator, with the operands in order."""


INSTEAD = {
    "adaptive_avg_pool2d": "`x.mean((2, 3))`",
    "einsum": "`matmul`",
    "multi_head_attention_forward": "`search_spaces.layers.Attention`",
    **dict.fromkeys(("arange", "eye", "full", "ones", "tensor", "zeros"), "a registered buffer"),
}
"""What to write in place of operators that are often tried."""


@dataclass(frozen=True, slots=True)
class Batch:
    """In a symbolic trace, a size that is the batch times a constant."""

    times: int


@dataclass(frozen=True, slots=True)
class Operation:
    """One call of an operator.

    Attributes:
        name: Key into the operator table.
        args: Positional arguments, with a :class:`TracedTensor` for each tensor.
        kwargs: Named arguments, likewise.
        outputs: The tensors it returned.
        view: Whether it moved no data.
        inputs: Tensors among the arguments, in order.
    """

    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    outputs: tuple[TracedTensor, ...]
    view: bool
    inputs: tuple[TracedTensor, ...] = field(init=False)

    def __post_init__(self) -> None:
        inputs = tuple(tensors_in([*self.args, *self.kwargs.values()]))
        object.__setattr__(self, "inputs", inputs)


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """What a module did with inputs of one batch size, in inference.

    Attributes:
        inputs: The tensors it was given.
        output: The tensor it returned.
        operations: Its operators, in order.
        alive: Elements alive at first and after each operator, weights excluded, inputs and output
            included.
    """

    inputs: tuple[TracedTensor, ...]
    output: TracedTensor
    operations: tuple[Operation, ...]
    alive: tuple[int, ...] = ()


BATCHES = (2, 3)
"""The two batch sizes that show what follows the batch and what does not."""


@lru_cache(maxsize=4096)
def traces(block: Block) -> tuple[Trace, Trace]:
    """The block's traces at each of :data:`BATCHES`.

    Raises:
        UncountedOperatorError: The module called an operator that has no cost formula.
        BlockError: The module could not be built or run, or returned something other than one
            tensor with a result for each example.
    """
    try:
        module = build_on_meta(block)
        small, large = (_trace(block, module, batch) for batch in BATCHES)
    except UncountedOperatorError as error:
        raise UncountedOperatorError(f"{block}: {error}") from error
    except (RuntimeError, TypeError, AttributeError, IndexError) as error:
        raise BlockError(
            f"{block} cannot be run on inputs of the shapes {block.input_shapes} (batch apart): "
            f"{error}"
        ) from error
    return small, large


@lru_cache(maxsize=1)
def build_on_meta(block: Block) -> nn.Module:
    """The block's module with shapes but no memory, which callers leave as it is.

    That of the last block is kept: one that is counted is traced as well.
    """
    with torch.device("meta"):
        module = block.build().eval()
    # Traces are of fp32, whatever PyTorch's default is.
    return module if torch.get_default_dtype() is torch.float32 else module.float()


def _trace(block: Block, module: nn.Module, batch: int) -> Trace:
    # Token ids are int32 here, so that one of them is one element; modules take any integers.
    dtype = torch.float32 if block.token_ids is None else torch.int32
    inputs = [
        torch.empty((batch, *shape), dtype=dtype, device="meta") for shape in block.input_shapes
    ]
    mode = _Tracer(module, inputs)
    traced = tuple(mode.ref(x) for x in inputs)  # Before an operator in place replaces one.
    with torch.no_grad(), mode:
        output = module(*inputs)
    if not isinstance(output, torch.Tensor):
        raise BlockError(f"{block} must return one tensor; it returned {type(output).__name__}.")
    if output.dim() == 0 or output.shape[0] != batch:
        raise BlockError(
            f"{block} must return one result for each example; at batch {batch} it returned the "
            f"shape {tuple(output.shape)}."
        )
    if output.is_complex():
        raise BlockError(f"{block} must return real numbers; it returned {output.dtype}.")
    return Trace(
        inputs=traced,
        output=mode.ref(output),
        operations=tuple(mode.operations),
        alive=tuple(size // ELEMENT_BYTES for size in mode.alive_bytes),
    )


@lru_cache(maxsize=4096)
def symbolic_trace(block: Block) -> Trace:
    """The block's trace with :class:`Batch` in place of sizes that follow the batch.

    A number that differs between the traces of two batch sizes must be the batch times a constant.

    Raises:
        ValueError: A number depends on the batch in another way, or the operators do.
    """
    small, large = traces(block)
    known: dict[TracedTensor, TracedTensor] = {}
    if [o.name for o in small.operations] != [o.name for o in large.operations]:
        raise ValueError(f"{block} runs other operators at batch {BATCHES[0]} than at another.")

    def merge(a: Any, b: Any) -> Any:
        if isinstance(a, TracedTensor):
            if a not in known:
                known[a] = replace(a, shape=merge(a.shape, b.shape))
            return known[a]
        if isinstance(a, list | tuple) and len(a) == len(b):
            return type(a)(merge(x, y) for x, y in zip(a, b, strict=True))
        if isinstance(a, dict):
            return {key: merge(a[key], b[key]) for key in a}
        if isinstance(a, slice):
            return slice(*merge((a.start, a.stop, a.step), (b.start, b.stop, b.step)))
        if a == b:
            return a
        if isinstance(a, int) and isinstance(b, int) and b * BATCHES[0] == a * BATCHES[1]:
            return Batch(a // BATCHES[0])
        raise ValueError(f"{block}: {a!r} becomes {b!r} with the batch; use the batch size itself.")

    return Trace(
        inputs=merge(small.inputs, large.inputs),
        output=merge(small.output, large.output),
        operations=tuple(
            Operation(
                a.name,
                merge(a.args, b.args),
                merge(a.kwargs, b.kwargs),
                merge(a.outputs, b.outputs),
                a.view,
            )
            for a, b in zip(small.operations, large.operations, strict=True)
        ),
    )


_RESULTS = FreshResults()
"""Shared by all traces: blocks of a space run the same operators on the same shapes."""


class _Tracer(TorchFunctionMode):
    """Records operators; a tensor is known by identity for as long as it lives."""

    def __init__(self, module: nn.Module, inputs: list[torch.Tensor]) -> None:
        super().__init__()
        self.operations: list[Operation] = []
        self._refs = WeakIdKeyDictionary()
        self._live: dict[int, tuple[StorageWeakRef, int]] = {}
        self._weights: set[int] = set()
        for name, tensor in (*module.named_parameters(), *module.named_buffers()):
            self._refs[tensor] = _described(
                tensor, "weight", name, trainable=tensor.requires_grad, traced=tensor.requires_grad
            )
            self._weights.add(tensor.untyped_storage()._cdata)
        for position, tensor in enumerate(inputs):
            self._refs[tensor] = _described(tensor, "input", f"x{position}")
            self._track(tensor)
        self.alive_bytes = [sum(size for _, size in self._live.values())]

    def ref(self, tensor: torch.Tensor) -> TracedTensor:
        """The traced form of a tensor that was seen.

        Raises:
            UncountedOperatorError: It came from no traced operator.
        """
        known: TracedTensor | None = self._refs.get(tensor)
        if known is None:
            raise UncountedOperatorError(
                f"A tensor of shape {tuple(tensor.shape)} is neither an input, a weight nor the "
                "result of a traced operator, or another operator changed its memory in place. "
                "Register constants as buffers."
            )
        return known

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        arguments = list(_tensors([*args, *kwargs.values()]))
        versions = [tensor._version for tensor in arguments]
        result = _RESULTS.call(func, args, kwargs)
        outputs = list(_tensors(result))
        changed = [
            tensor
            for tensor, version in zip(arguments, versions, strict=True)
            if tensor._version != version and not self._is_weight(tensor)
        ]
        name = _operator_name(func)
        if not changed and all(self._is_weight(tensor) for tensor in outputs):
            updated = any(t._version != v for t, v in zip(arguments, versions, strict=True))
            if updated and not all(self._is_weight(tensor) for tensor in arguments):
                raise UncountedOperatorError(
                    f"`{name}` writes what it was given into a weight or buffer, which a block in "
                    "inference must leave as they are."
                )
            return result  # A size, or a counter updated in place: nothing of the network's output.
        if name in _REVERSED:
            name, args = _REVERSED[name], tuple(reversed(args))
        if name == "to":
            args, kwargs = args[:1], {}  # The type is that of the result.
        if name not in FORMULAS:
            instead = f" Write {INSTEAD[name]} instead." if name in INSTEAD else ""
            raise UncountedOperatorError(
                f"Operator `{name}` has no cost formula.{instead} "
                f"Known: {', '.join(sorted(FORMULAS))}."
            )
        if not changed and len(outputs) == 1 and any(outputs[0] is t for t in arguments):
            return result  # As `contiguous` does where nothing is to be done.
        if name == "scaled_dot_product_attention" and result.dim() == 4:
            # Fused kernels lay memory out by token, then head, so that joining the heads moves
            # nothing; the meta device lays it out by head, then token.
            result = result.transpose(-3, -2).contiguous().transpose(-3, -2)
            outputs = [result]
        traced_args, traced_kwargs = self._traced(tuple(args)), self._traced(dict(kwargs))
        self._forget(changed)
        sources = {tensor.untyped_storage()._cdata for tensor in arguments} | self._weights
        traced = any(t.differentiable for t in tensors_in([*traced_args, *traced_kwargs.values()]))
        refs: list[TracedTensor] = []
        for tensor in outputs:
            label = f"{len(self.operations)}_{len(refs)}_{name}"
            ref = _described(tensor, "result", label, traced=traced)
            self._refs[tensor] = ref
            self._track(tensor)
            refs.append(ref)
        shared = all(tensor.untyped_storage()._cdata in sources for tensor in outputs)
        view = shared and not changed
        operation = Operation(name, traced_args, traced_kwargs, tuple(refs), view)
        self.operations.append(operation)
        self._live = {k: v for k, v in self._live.items() if not v[0].expired()}
        self.alive_bytes.append(sum(size for _, size in self._live.values()))
        return result

    def _forget(self, changed: list[torch.Tensor]) -> None:
        """Drops what shares memory with a tensor changed in place: it no longer is what it was."""
        memory = {tensor.untyped_storage()._cdata for tensor in changed}
        for tensor in list(self._refs) if changed else []:
            if tensor.untyped_storage()._cdata in memory:
                del self._refs[tensor]

    def _is_weight(self, tensor: torch.Tensor) -> bool:
        known = self._refs.get(tensor)
        return known is not None and known.source == "weight"

    def _track(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        if storage._cdata not in self._weights:
            self._live[storage._cdata] = (StorageWeakRef(storage), storage.nbytes())

    def _traced(self, value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            return self.ref(value)
        if isinstance(value, list):  # Kept a list: as an index it means something else.
            return [self._traced(item) for item in value]
        if isinstance(value, tuple):
            return tuple(self._traced(item) for item in value)
        if isinstance(value, dict):
            return {key: self._traced(item) for key, item in value.items()}
        return value


def _described(
    tensor: torch.Tensor, source: str, name: str, *, trainable: bool = False, traced: bool = True
) -> TracedTensor:
    """The traced form of a tensor; ``traced`` is whether it comes from what may need a gradient."""
    dtype = str(tensor.dtype).removeprefix("torch.")
    differentiable = traced and (tensor.is_floating_point() or tensor.is_complex())
    shape, item_bytes = tuple(tensor.shape), tensor.itemsize
    return TracedTensor(shape, source, name, trainable, dtype, item_bytes, differentiable)


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _tensors(item)


def _operator_name(func: Callable[..., Any]) -> str:
    name = getattr(func, "__name__", str(func))
    if name == "__get__":  # An attribute such as `Tensor.T`.
        name = getattr(getattr(func, "__self__", None), "__name__", name)
    return _NAMES.get(name, name)
