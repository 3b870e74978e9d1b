"""OpenVINO on CPU, an optional extra (``pip install hwnas[openvino]``).

It reads the same ONNX files as ONNX Runtime and decides by itself how they run, so the two are two
settings of one device. What is known of OpenVINO 2026.4:

- it leaves out a transposition behind a reduction that drops an axis (openvinotoolkit/openvino
  #37959), so that axis is kept in what it is given, and dropped by itself;
- it takes the axis of ONNX's ``DFT`` of opset 20 for 1, whatever it is, so that axis is brought
  there by transpositions, which FNet's form ``fft`` pays for here;
- it refuses some int8 networks that join features before a product (Swin's patch merging);
- on a virtual machine that offers AMX without describing its tiles, its bf16 and int8 kernels end
  the process.

So each network's output is compared with ONNX Runtime's when it is prepared.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, cast

from hw_profiles.cpu_runtime import CpuRuntime, model_and_input
from hw_profiles.errors import UnavailableError
from hw_profiles.onnxruntime_cpu import session
from hw_profiles.runtime import Run

if TYPE_CHECKING:
    import numpy as np
    import onnx
    from numpy.typing import NDArray

    from search_spaces import Architecture

__all__ = ["OpenVinoCpu"]

Feed = Mapping[str, "NDArray[Any]"]

TOLERANCE = {"fp32": 0.01, "bf16": 0.3, "int8": 0.3}
"""Largest distance from ONNX Runtime's output, over that output's length.

ONNX Runtime's own Fourier transform loses up to four digits; in bf16 and int8 a token near the
border of two experts may be sent to the other one. A network that is misread is 0.2 to 3 away."""

AXIS_1 = "axis 1"
"""Name of the constant that transforms are given."""

ISA_LIMIT = "ONEDNN_MAX_CPU_ISA"
"""Environment variable that keeps OpenVINO from newer instructions; read when it is loaded."""

MULTIPLICATION = """
import sys
sys.modules["openvino_telemetry"] = None
import numpy as np
import openvino as ov
import openvino.opset13 as operators
x = operators.parameter([64, 64], np.float32)
product = operators.matmul(x, np.ones((64, 64), np.float32), False, False)
run = ov.Core().compile_model(ov.Model([product], [x]), "CPU", {"INFERENCE_PRECISION_HINT": "bf16"})
run(np.ones((64, 64), np.float32))
"""
"""A program that multiplies two matrices in bf16."""


class OpenVinoCpu(CpuRuntime):
    """OpenVINO on CPU: lowest latency, one stream, fixed shapes, threads and number format.

    fp32 is fp32 throughout, where OpenVINO's own default is bf16 on a processor that has it. int8
    is the network that ONNX Runtime is given (:mod:`hw_profiles.quantization`), its other operators
    in fp32.

    Raises:
        ValueError: It has no such setting.
        UnavailableError: OpenVINO is not installed, or the number format does not run here.
    """

    name = "openvino"
    dtypes = ("fp32", "bf16", "int8")

    def __init__(
        self, dtype: str = "fp32", batch: int = 1, threads: int = 1, training: bool = False
    ) -> None:
        self._core = _package().Core()
        super().__init__(dtype, batch, threads, training)
        if dtype == "bf16":
            offered = self._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
            if "BF16" not in offered:
                raise UnavailableError(
                    "This processor does not multiply in bf16; take fp32 or int8."
                )
        if dtype != "fp32" and not _matrices_multiply(os.environ.get(ISA_LIMIT)):
            raise UnavailableError(
                f"OpenVINO's {dtype} kernels end the process on this machine, which offers AMX "
                f"but cannot run it. Set {ISA_LIMIT}=AVX512_CORE_FP16 before Python starts, or "
                "take fp32."
            )

    @property
    def version(self) -> str:
        """Version of the package, and the limit on its instructions where there is one."""
        limit = os.environ.get(ISA_LIMIT)
        return version("openvino") + (f"+{limit}" if limit else "")

    @property
    def versions(self) -> Mapping[str, str]:
        """ONNX Runtime's, which quantises."""
        return {"onnxruntime": version("onnxruntime")} if self.setting.dtype == "int8" else {}

    def prepare(self, architecture: Architecture | None) -> Run:
        """A compiled network on random weights and a random input; one call is one inference.

        Raises:
            ValueError: There are more threads than cores, or OpenVINO cannot run the network: it
                refuses it, or computes something else than ONNX Runtime does.
        """
        model, feed = model_and_input(architecture, self.setting)
        request = self.request(model, feed)

        def once() -> None:
            request.infer(share_outputs=True)

        once()
        self._compare(model, feed, request.get_output_tensor().data)
        return once

    def request(self, model: onnx.ModelProto, feed: Feed) -> Any:
        """An inference request of a model, compiled for the shapes of an input and holding it.

        Raises:
            ValueError: OpenVINO refuses the model.
        """
        try:
            read = self._core.read_model(_readable(model).SerializeToString())
            read.reshape({name: array.shape for name, array in feed.items()})
            compiled = self._core.compile_model(read, "CPU", self._options())
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1]
            raise _refusal(model, f"is refused ({reason})") from error
        request = compiled.create_infer_request()
        for name, array in feed.items():
            request.set_tensor(name, _package().Tensor(array))
        return request

    def _options(self) -> dict[str, Any]:
        return {
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": "1",
            "INFERENCE_NUM_THREADS": self.setting.threads,
            "INFERENCE_PRECISION_HINT": "bf16" if self.setting.dtype == "bf16" else "f32",
            "ENABLE_CPU_PINNING": False,  # Where it runs is this process's to say.
        }

    def _compare(self, model: onnx.ModelProto, feed: Feed, found: NDArray[np.float32]) -> None:
        import numpy as np

        (expected,) = session(model.SerializeToString()).run(None, dict(feed))
        if found.shape != expected.shape:
            raise _refusal(model, f"gives {found.shape} instead of {expected.shape}")
        tolerance = TOLERANCE[self.setting.dtype]
        distance, length = (float(np.linalg.norm(x)) for x in (found - expected, expected))
        if not distance <= tolerance * length:  # Nor is what is not a number near anything.
            raise _refusal(
                model,
                f"gives an output {distance:.3g} away from ONNX Runtime's, of length {length:.3g}",
            )


def _refusal(model: onnx.ModelProto, reason: str) -> ValueError:
    return ValueError(
        f"Network {model.graph.name} cannot be run by OpenVINO {version('openvino')}: it {reason}. "
        "Take the runtime onnxruntime, or leave such networks out of the space."
    )


def _readable(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model in a form that OpenVINO does not misread."""
    import onnx
    from onnx import helper

    readable = onnx.ModelProto()
    readable.CopyFrom(model)
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        keeps = {a.name: a.i for a in node.attribute}.get("keepdims", 1)
        if node.op_type.startswith("Reduce") and not keeps:
            nodes += _kept_and_squeezed(node)
        elif node.op_type == "DFT":
            nodes += _along_axis_1(node, model)
        else:
            nodes.append(node)
    del readable.graph.node[:]
    readable.graph.node.extend(nodes)
    if any(node.op_type == "DFT" for node in nodes):
        one = helper.make_tensor(AXIS_1, onnx.TensorProto.INT64, (), [1])
        readable.graph.initializer.append(one)
    return readable


def _kept_and_squeezed(node: onnx.NodeProto) -> list[onnx.NodeProto]:
    """A reduction that keeps its axes, which are dropped after it."""
    from onnx import helper

    source, axes, out = node.input[0], node.input[1], node.output[0]
    kept = f"{out}/kept"
    return [
        helper.make_node(node.op_type, [source, axes], [kept], keepdims=1),
        helper.make_node("Squeeze", [kept, axes], [out]),
    ]


def _along_axis_1(node: onnx.NodeProto, model: onnx.ModelProto) -> list[onnx.NodeProto]:
    """A Fourier transform with its axis brought to the place of axis 1, and back."""
    from onnx import helper, numpy_helper, shape_inference

    graph = shape_inference.infer_shapes(model).graph
    (sizes,) = (v.type.tensor_type.shape.dim for v in graph.value_info if v.name == node.input[0])
    (axis,) = (numpy_helper.to_array(t) for t in graph.initializer if t.name == node.input[2])
    order = list(range(len(sizes)))
    order[1], order[int(axis)] = order[int(axis)], order[1]
    source, length, out = node.input[0], node.input[1], node.output[0]
    turned, transformed = f"{out}/turned", f"{out}/transformed"
    return [
        helper.make_node("Transpose", [source], [turned], perm=order),
        helper.make_node("DFT", [turned, length, AXIS_1], [transformed]),
        helper.make_node("Transpose", [transformed], [out], perm=order),
    ]


def _package() -> Any:
    """The module, which is loaded without the part of it that reports its use over the network.

    Raises:
        UnavailableError: It is not installed.
    """
    if "openvino" not in sys.modules:
        cast("dict[str, Any]", sys.modules).setdefault("openvino_telemetry", None)
    try:
        import openvino
    except ImportError as error:
        raise UnavailableError(
            "OpenVINO is not installed; run `pip install hwnas[openvino]`."
        ) from error
    return openvino


@cache
def _matrices_multiply(limit: str | None) -> bool:
    """Whether no signal ends a product in bf16, whose tiles int8 shares, under a limit."""
    done = subprocess.run([sys.executable, "-c", MULTIPLICATION], capture_output=True)
    return done.returncode >= 0
