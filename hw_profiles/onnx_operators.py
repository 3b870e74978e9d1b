"""How each operator that can be counted is written as ONNX."""

from __future__ import annotations

import inspect
from functools import lru_cache

from hw_profiles.onnx_builder import Emitter, GraphBuilder
from hw_profiles.onnx_indexing import INDEXING_EMITTERS
from hw_profiles.onnx_layers import LAYER_EMITTERS
from hw_profiles.onnx_pointwise import POINTWISE_EMITTERS
from search_spaces.tracing import Operation

__all__ = ["EMITTERS", "emit"]

EMITTERS: dict[str, Emitter] = LAYER_EMITTERS | POINTWISE_EMITTERS | INDEXING_EMITTERS
"""How each operator of :data:`search_spaces.operators.FORMULAS` is written."""


def emit(graph: GraphBuilder, operation: Operation) -> None:
    """Appends the nodes of one operation.

    Raises:
        ValueError: It is called in a way that cannot be written; the message names the operator.
    """
    emitter = EMITTERS[operation.name]
    if operation.name != "real" and any(t.dtype.startswith("complex") for t in operation.inputs):
        raise ValueError(
            f"Only `real` of a complex tensor can be written as ONNX; got `{operation.name}`."
        )
    try:
        _signature(emitter).bind(graph, operation, *operation.args, **operation.kwargs)
    except TypeError as error:
        raise ValueError(
            f"This call of `{operation.name}` cannot be written as ONNX: {error}."
        ) from error
    emitter(graph, operation, *operation.args, **operation.kwargs)


_signature = lru_cache(inspect.signature)  # Slow, and asked for at every operation.
