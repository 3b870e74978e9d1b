"""An ONNX graph while it is being written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from hw_profiles.files import sha256_of
from search_spaces.operators import TracedTensor
from search_spaces.tracing import Batch

__all__ = ["INPUT_NAME", "GraphBuilder", "static"]

INPUT_NAME = "input"


class GraphBuilder:
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
            if name not in self._weights:
                raise ValueError(
                    f"{name} is not in the network's state dict: a buffer that a block computes "
                    "with must be persistent."
                )
            array = self._weights[name]
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

    def operand(self, value: TracedTensor | float) -> str:
        """Name of a tensor, or of a scalar as a constant."""
        if isinstance(value, TracedTensor):
            return self.name(value)
        return self.constant(np.array(static(value), dtype=np.float32))

    def add(
        self, operator: str, inputs: Sequence[str], *, name: str = "", **attributes: Any
    ) -> str:
        """Appends a node with one output and returns the output's name."""
        name = name or f"{self._prefix}{len(self.nodes)}_{operator}"
        self.nodes.append(helper.make_node(operator, inputs, [name], name=name, **attributes))
        return name

    def _store(self, key: str, array: NDArray[Any]) -> None:
        self.initializers[key] = numpy_helper.from_array(np.asarray(array, order="C"), key)


def static(value: Any) -> Any:
    """The value, which must not follow the batch.

    Raises:
        ValueError: It does.
    """
    if isinstance(value, Batch):
        raise ValueError("A number that follows the batch can only be a size of a shape.")
    return value
