"""An ONNX graph while it is being written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from hw_profiles.files import sha256_of
from search_spaces.operators import TracedTensor
from search_spaces.tracing import Batch

__all__ = ["INPUT_NAME", "Emitter", "GraphBuilder", "graph_type", "static"]

INPUT_NAME = "input"

_TYPES = {"bool": TensorProto.BOOL, "int64": TensorProto.INT64, "float32": TensorProto.FLOAT}
"""The data types of a graph: whole numbers of any size are int64 there."""

Emitter = Callable[..., None]
"""Called as ``emitter(graph, operation, *args, **kwargs)`` of a call."""


class GraphBuilder:
    """Nodes and initializers so far; names are prefixed by the position of the block.

    Attributes:
        nodes: Nodes, in order.
        initializers: Weights and constants by name.
        expanded: Of the block's tensors that repeat the numbers of another, that other one.
    """

    def __init__(self, weights: Mapping[str, NDArray[Any]]) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: dict[str, onnx.TensorProto] = {}
        self.expanded: dict[TracedTensor, TracedTensor] = {}
        self._weights = weights
        self._names: dict[TracedTensor, str] = {}
        self._prefix = ""
        self._weight_name: Callable[[str], str] = str

    def enter(self, prefix: str, weight_name: Callable[[str], str]) -> None:
        """Starts the block whose results have this prefix and whose weights are named so."""
        self._prefix, self._weight_name = prefix, weight_name
        self._names, self.expanded = {}, {}

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
        name = self._weight_name(tensor.name)
        key = name + (".T" if transpose else "")
        if key not in self.initializers:
            if name not in self._weights:
                raise ValueError(
                    f"{name} is not in the network's state dict: a buffer that a block computes "
                    "with must be persistent."
                )
            array = self._weights[name]
            if np.issubdtype(array.dtype, np.integer):
                array = array.astype(np.int64)
            self._store(key, np.swapaxes(array, -1, -2) if transpose else array)
        return key

    def constant(self, array: NDArray[Any]) -> str:
        """Name of an initializer with this value; equal values share one."""
        digest = sha256_of(array.tobytes())[:16]
        key = f"const/{array.dtype}/{'x'.join(map(str, array.shape))}/{digest}"
        if key not in self.initializers:
            self._store(key, array)
        return key

    def integers(self, values: Sequence[int]) -> str:
        """Name of a constant vector of integers."""
        return self.constant(np.array(values, dtype=np.int64))

    def shape(self, sizes: Sequence[int | Batch]) -> str:
        """Name of a constant shape in which -1 stands for the one size that follows the batch."""
        following = [size for size in sizes if isinstance(size, Batch)]
        if len(following) > 1:
            raise ValueError(f"Shape {tuple(sizes)} follows the batch in more than one size.")
        return self.integers([-1 if isinstance(size, Batch) else size for size in sizes])

    def operand(self, value: TracedTensor | float, dtype: str = "float32") -> str:
        """Name of a tensor, or of a scalar as a constant, in a data type of the graph."""
        if not isinstance(value, TracedTensor):
            return self.constant(np.array(static(value), dtype=dtype))
        name = self.name(value)
        if graph_type(value.dtype) == graph_type(dtype):
            return name
        return self.add("Cast", [name], to=_TYPES[graph_type(dtype)])

    def add(
        self, operator: str, inputs: Sequence[str], *, name: str = "", **attributes: Any
    ) -> str:
        """Appends a node with one output and returns the output's name."""
        name = name or f"{self._prefix}{len(self.nodes)}_{operator}"
        self.nodes.append(helper.make_node(operator, inputs, [name], name=name, **attributes))
        return name

    def add_several(
        self, operator: str, inputs: Sequence[str], outputs: int, **attributes: Any
    ) -> list[str]:
        """Appends a node with several outputs and returns their names."""
        name = f"{self._prefix}{len(self.nodes)}_{operator}"
        names = [f"{name}_{position}" for position in range(outputs)]
        self.nodes.append(helper.make_node(operator, inputs, names, name=name, **attributes))
        return names

    def has(self, tensor: TracedTensor) -> bool:
        """Whether a weight is an initializer as it stands."""
        return self._weight_name(tensor.name) in self.initializers

    def _store(self, key: str, array: NDArray[Any]) -> None:
        self.initializers[key] = numpy_helper.from_array(np.asarray(array, order="C"), key)


def graph_type(dtype: str) -> str:
    """The data type that stands for one of a trace: ``"float32"``, ``"int64"`` or ``"bool"``.

    Raises:
        ValueError: None does.
    """
    found = "int64" if dtype.startswith(("int", "uint")) else dtype
    if found not in _TYPES:
        raise ValueError(f"Tensors of {dtype} cannot be written as ONNX.")
    return found


def static(value: Any) -> Any:
    """The value, which must not follow the batch.

    Raises:
        ValueError: It does.
    """
    if isinstance(value, Batch):
        raise ValueError("A number that follows the batch can only be a size of a shape.")
    return value
