"""Static int8 quantisation of a network's ONNX graph by ONNX Runtime's quantiser.

Weights become int8, symmetric and with a scale for each output channel; activations become uint8
with one scale for each tensor, from their ranges on example inputs (Jacob et al., CVPR 2018). That
pair (U8S8) is what x86 multiplies and adds in one instruction; S8S8 was two to four times slower.
VNNI's instructions do not saturate, so weights keep their 8 bits there. Older ones do, and there
weights keep 7, as ONNX Runtime's documentation has it; the time is the same.

What is quantised is what has integer kernels that pay: convolutions, products with a weight, and
pointwise operators and pooling that read nothing but those convolutions. Products put out floats,
as what follows them (biases, softmax, GELU, normalisation, Fourier transforms, products of two
activations) is computed in floats. A ViT is 0.6 of its fp32 latency like that and 0.8 with every
operator quantised that can be.
"""

from __future__ import annotations

import platform
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from hw_profiles.onnxruntime_cpu import session, session_options

__all__ = ["quantize"]

Feed = Mapping[str, NDArray[Any]]
"""One example input: an array for each input of the model."""

PRODUCTS = ("MatMul", "Gemm")
FOLLOWING = ("Relu", "Clip", "Sigmoid", "Add", "Mul", "MaxPool", "AveragePool")
"""Operators that stay between integers after a convolution."""


def quantize(model: onnx.ModelProto, feeds: Sequence[Feed], threads: int = 1) -> onnx.ModelProto:
    """The model with its convolutions and products with weights in int8.

    The graph marks them by pairs of ``QuantizeLinear`` and ``DequantizeLinear`` (QDQ), which a
    session replaces by integer kernels. Weights stand in it as floats before such a pair: a session
    rounds them once when it is made, in a fraction of the time that the quantiser takes.

    Args:
        model: Left as it is. Batch normalisation is folded into convolutions first.
        feeds: Example inputs; the smallest and largest value of each activation over all of them
            are the ends of its range.
        threads: Threads that run the examples.

    Raises:
        ValueError: There is no example.
    """
    from onnxruntime.quantization import CalibrationMethod, QDQQuantizer, QuantType
    from onnxruntime.quantization.calibrate import TensorsData

    if not feeds:
        raise ValueError("`feeds` must hold an example input; ranges are taken from them.")
    folded = _folded(model)
    nodes = _integer_nodes(folded.graph)
    if not nodes:
        return folded
    quantizer = QDQQuantizer(
        folded,
        per_channel=True,
        reduce_range=False,
        weight_qType=QuantType.QInt8,
        activation_qType=QuantType.QUInt8,
        tensors_range=TensorsData(CalibrationMethod.MinMax, _ranges(folded, nodes, feeds, threads)),
        nodes_to_quantize=[node.name for node in nodes],
        nodes_to_exclude=[],
        op_types_to_quantize=sorted({node.op_type for node in nodes}),
        extra_options={
            "OpTypesToExcludeOutputQuantization": list(PRODUCTS),
            "TensorQuantOverrides": _weight_scales(folded.graph, nodes, QuantType.QInt8),
            "AddQDQPairToWeight": True,
        },
    )
    quantizer.quantize_model()
    quantizer.model.topological_sort()
    quantized: onnx.ModelProto = quantizer.model.model
    return quantized


def _folded(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model after ONNX Runtime's optimisations that any device can take, with its types."""
    import onnxruntime
    from onnxruntime.quantization.quant_utils import load_model_with_shape_infer

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "folded.onnx")
        options = session_options()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(path)
        onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
        folded: onnx.ModelProto = load_model_with_shape_infer(path)
    return folded


def _integer_nodes(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """The nodes to quantise, in order."""
    constants = _constants(graph)
    after_convolution: set[str] = set()
    found = []
    for node in graph.node:
        if node.op_type == "Conv" and node.input[1] in constants:
            follows = True
        elif node.op_type in FOLLOWING:
            follows = after_convolution.issuperset(set(node.input) - constants - {""})
        else:
            follows = False
        if follows:
            after_convolution.update(node.output)
        if follows or (node.op_type in PRODUCTS and node.input[1] in constants):
            found.append(node)
    # A table that is a weight too is kept once, so what is looked up in it is an integer as well.
    weights = {node.input[1] for node in found if node.op_type in PRODUCTS}
    return found + [n for n in graph.node if n.op_type == "Gather" and n.input[0] in weights]


def _constants(graph: onnx.GraphProto) -> set[str]:
    return {tensor.name for tensor in graph.initializer}


def _ranges(
    model: onnx.ModelProto, nodes: Iterable[onnx.NodeProto], feeds: Sequence[Feed], threads: int
) -> dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Smallest and largest value of every activation that the nodes read or write."""
    constants = _constants(model.graph)
    read = dict.fromkeys(
        name for node in nodes for name in (*node.input, *node.output) if name not in constants
    )
    floats = {
        value.name: value
        for value in (*model.graph.value_info, *model.graph.input, *model.graph.output)
        if value.type.tensor_type.elem_type == TensorProto.FLOAT
    }
    inputs = {value.name for value in model.graph.input}
    wanted = [name for name in read if name in floats]
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    del watched.graph.output[:]
    watched.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
        for name in wanted
        if name not in inputs
    )
    run = session(watched.SerializeToString(), threads)
    names = [value.name for value in watched.graph.output]
    found: dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]] = {}
    for feed in feeds:
        values = dict(zip(names, run.run(names, dict(feed)), strict=True)) | dict(feed)
        for name in wanted:
            low, high = values[name].min(), values[name].max()
            if name in found:
                low, high = np.minimum(low, found[name][0]), np.maximum(high, found[name][1])
            found[name] = (np.asarray(low), np.asarray(high))
    return found


def _weight_scales(
    graph: onnx.GraphProto, nodes: Iterable[onnx.NodeProto], int8: Any
) -> dict[str, list[dict[str, Any]]]:
    """Scale of every weight that the nodes read, as the quantiser takes them.

    It would find the same, a channel at a time; for a ViT-Ti that is most of its time.
    """
    largest = _largest_weight()
    weights = {tensor.name: tensor for tensor in graph.initializer}
    shared = {node.input[0] for node in nodes if node.op_type == "Gather"}
    scales: dict[str, list[dict[str, Any]]] = {}
    for node in nodes:
        if node.op_type != "Conv" and node.op_type not in PRODUCTS:
            continue
        name = node.input[1]
        size = np.abs(numpy_helper.to_array(weights[name]))
        axis = _output_axis(node)
        # Kernels take one scale for a stack of matrices, and for a table that is looked up in.
        whole = name in shared or (node.op_type == "MatMul" and size.ndim != 2)
        peaks = size.max(axis=None if whole else tuple({*range(size.ndim)} - {axis}))
        steps = np.where(peaks > 0, peaks / largest, 1).astype(np.float32).reshape(-1)
        given = {"zero_point": 0, "quant_type": int8} | ({} if whole else {"axis": axis})
        scales[name] = [{"scale": step, **given} for step in steps]
    return scales


def _largest_weight() -> int:
    """Largest whole number for a weight: of 8 bits, or of 7 where sums of products may saturate."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return 127
    cpuinfo = Path("/proc/cpuinfo")
    return 127 if cpuinfo.exists() and "vnni" in cpuinfo.read_text() else 63


def _output_axis(node: onnx.NodeProto) -> int:
    """Axis of a weight that its outputs lie along."""
    if node.op_type == "Conv":
        return 0
    flags = {attribute.name: attribute.i for attribute in node.attribute}
    return 0 if flags.get("transB") else 1
