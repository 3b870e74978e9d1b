"""ONNX graphs of architectures, written from the traces of their blocks.

One writer serves the entries of a latency table, the networks of its certificate and the exported
members of a search, with a dynamic batch. Each operator that :mod:`search_spaces.operators` can
count has one emitter in :mod:`hw_profiles.onnx_operators`; PyTorch's own exporter takes seconds for
a network, this hundredths, and the tests hold the two equal.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from hw_profiles.onnx_builder import INPUT_NAME, GraphBuilder
from hw_profiles.onnx_operators import EMITTERS, emit
from search_spaces.architecture import NETWORK_INPUT, Architecture
from search_spaces.tracing import symbolic_trace

__all__ = [
    "EMITTERS",
    "IDENTITY_SHAPE",
    "INPUT_NAME",
    "OUTPUT_NAME",
    "identity_model",
    "input_names",
    "write_onnx",
]

OPSET = 20
"""The first with GELU as an operator."""

IR_VERSION = 10
OUTPUT_NAME, BATCH_NAME = "output", "batch"
IDENTITY_SHAPE: tuple[int, ...] = (1,)
"""Shape of the input of :func:`identity_model`, without the batch."""


def write_onnx(architecture: Architecture, weights: Mapping[str, NDArray[Any]]) -> onnx.ModelProto:
    """The network as an ONNX model in fp32 with a dynamic batch.

    Args:
        architecture: The network. Token ids are read as int64.
        weights: The state dict of its :class:`~search_spaces.network.Network` as arrays.

    Raises:
        UncountedOperatorError: A block runs an operator that is not known.
        ValueError: A block depends on the batch in a way that ONNX cannot follow.
    """
    graph = GraphBuilder(weights)
    names = input_names(architecture)
    results = {NETWORK_INPUT - i: name for i, name in enumerate(names)}
    for position, node in enumerate(architecture):
        trace = symbolic_trace(node.block)
        graph.enter(f"{position}/", partial(_weight_name, architecture, position))
        for traced, source in zip(trace.inputs, node.inputs, strict=True):
            graph.alias(traced, results[source])
        for operation in trace.operations:
            emit(graph, operation)
        results[position] = graph.name(trace.output)
    last = len(architecture) - 1
    graph.add("Identity", [results[last]], name=OUTPUT_NAME)
    kinds = [TensorProto.FLOAT] * len(names)
    if architecture.token_ids is not None:
        kinds[0] = TensorProto.INT64
    read = [
        helper.make_tensor_value_info(name, kind, [BATCH_NAME, *shape])
        for name, kind, shape in zip(names, kinds, architecture.input_shapes, strict=True)
    ]
    out: list[str | int | None] = [BATCH_NAME, *trace.output.shape[1:]]
    written = helper.make_tensor_value_info(OUTPUT_NAME, TensorProto.FLOAT, out)
    proto = helper.make_graph(
        graph.nodes, architecture.id, read, [written], list(graph.initializers.values())
    )
    return helper.make_model(
        proto,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="hwnas",
    )


def input_names(architecture: Architecture) -> tuple[str, ...]:
    """Names of the inputs of the network's ONNX model, in order."""
    more = range(1, len(architecture.input_shapes))
    return (INPUT_NAME, *(f"{INPUT_NAME}_{i}" for i in more))


def _weight_name(architecture: Architecture, position: int, name: str) -> str:
    """Key in the network's state dict of a weight of the block at a position."""
    owner, there = architecture.weight_of(position, name)
    return f"blocks.{owner}.{there}"


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
