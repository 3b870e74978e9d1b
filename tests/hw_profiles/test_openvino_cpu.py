"""OpenVINO against PyTorch, numpy and ONNX Runtime."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from hw_profiles import openvino_cpu
from hw_profiles.onnx_graph import input_names, write_onnx
from hw_profiles.openvino_cpu import ISA_LIMIT, OpenVinoCpu
from hw_profiles.runtime import random_inputs
from search_spaces import SPACES, Architecture, SparseSpace, ViTSpace
from search_spaces.decoding import decoding_step
from search_spaces.network import Network

KILL = "import os, signal; os.kill(os.getpid(), signal.SIGILL)"
ROOT = Path(__file__).parents[2]
FAMILIES = {name: cls() for name, cls in SPACES.items()} | {
    f"sparse {name}": SparseSpace(SPACES[name](), (0.5,)) for name in ("vit", "mbconv")
}


@pytest.fixture(scope="module")
def runtime() -> OpenVinoCpu:
    return OpenVinoCpu()


def members(name: str, n: int = 2) -> list[Architecture]:
    """Networks of a family, or the networks of one decoding step."""
    if name == "decoding step":
        return [decoding_step(network) for network in members("decoder")]
    space = FAMILIES[name]
    return [space.decode(row) for row in space.random_codes(n, np.random.default_rng(0))]


def output(runtime: OpenVinoCpu, model: onnx.ModelProto, feed: dict[str, Any]) -> NDArray[Any]:
    request = runtime.request(model, feed)
    request.infer()
    return np.array(request.get_output_tensor().data)


def model_of(nodes: list[onnx.NodeProto], rank: int, **constants: Any) -> onnx.ModelProto:
    """A model of one input ``x`` and one output ``y``, all of whose sizes are free."""
    sizes: list[str | int | None] = [f"d{axis}" for axis in range(rank)]
    graph = helper.make_graph(
        nodes,
        "made by hand",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, sizes)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.array(value), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


@pytest.mark.parametrize("name", [*FAMILIES, "decoding step"])
def test_network_equals_torch(runtime: OpenVinoCpu, name: str) -> None:
    for architecture in members(name):
        network = Network(architecture).eval()
        weights = {key: tensor.numpy() for key, tensor in network.state_dict().items()}
        for batch in (1, 3):
            arrays = random_inputs(architecture, batch, seed=batch)
            with torch.inference_mode():
                expected = network(*map(torch.from_numpy, arrays)).numpy()
            feed = dict(zip(input_names(architecture), arrays, strict=True))
            found = output(runtime, write_onnx(architecture, weights), feed)
            np.testing.assert_allclose(found, expected, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("name", FAMILIES)
def test_each_family_is_prepared(runtime: OpenVinoCpu, name: str) -> None:
    once = runtime.prepare(members(name, 1)[0])
    assert once() is None


@pytest.mark.parametrize("operator", ["ReduceSum", "ReduceMean", "ReduceMax"])
@pytest.mark.parametrize("shape", [(2, 4, 1, 5), (2, 4, 3, 5)])
def test_transposition_after_a_reduction_is_kept(
    runtime: OpenVinoCpu, operator: str, shape: tuple[int, ...]
) -> None:
    nodes = [
        helper.make_node(operator, ["x", "axes"], ["reduced"], keepdims=0),
        helper.make_node("Transpose", ["reduced"], ["y"], perm=[1, 0, 2]),
    ]
    x = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    reduced = {"ReduceSum": np.sum, "ReduceMean": np.mean, "ReduceMax": np.max}[operator](x, axis=0)
    found = output(runtime, model_of(nodes, 4, axes=[0]), {"x": x})
    np.testing.assert_allclose(found, reduced.transpose(1, 0, 2), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("axis", [-2, 2, -3, 1, 0])
def test_fourier_transform_is_along_its_axis(runtime: OpenVinoCpu, axis: int) -> None:
    nodes = [
        helper.make_node("Unsqueeze", ["x", "last"], ["real"]),
        helper.make_node("DFT", ["real", "", "axis"], ["y"]),
    ]
    x = np.random.default_rng(0).standard_normal((3, 5, 6), dtype=np.float32)
    expected = np.fft.fft(x, axis=axis if axis >= 0 else axis + 1)
    found = output(runtime, model_of(nodes, 3, last=[-1], axis=axis), {"x": x})
    np.testing.assert_allclose(found[..., 0] + 1j * found[..., 1], expected, atol=1e-4)


def test_setting_holds_in_what_is_compiled() -> None:
    runtime = OpenVinoCpu(threads=1, batch=2)
    model = model_of([helper.make_node("Relu", ["x"], ["y"])], 2)
    compiled = runtime.request(model, {"x": np.ones((2, 3), np.float32)}).get_compiled_model()
    assert compiled.get_property("INFERENCE_PRECISION_HINT").to_string() == "f32"
    assert compiled.get_property("INFERENCE_NUM_THREADS") == 1
    assert compiled.get_property("NUM_STREAMS") == 1
    assert list(compiled.inputs[0].shape) == [2, 3]


def test_input_outlives_the_array_it_was_given(runtime: OpenVinoCpu) -> None:
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    request = runtime.request(model_of([helper.make_node("Relu", ["x"], ["y"])], 2), {"x": x})
    expected = x.copy()
    x[:] = -1
    request.infer()
    np.testing.assert_array_equal(request.get_output_tensor().data, expected)


def test_model_that_openvino_does_not_know_is_refused(runtime: OpenVinoCpu) -> None:
    model = model_of([helper.make_node("Unheard", ["x"], ["y"], domain="of")], 2)
    model.opset_import.append(helper.make_opsetid("of", 1))
    with pytest.raises(ValueError, match=r"made by hand cannot be run by OpenVINO .* is refused"):
        runtime.request(model, {"x": np.ones((2, 3), np.float32)})


def test_network_that_is_misread_is_refused(
    runtime: OpenVinoCpu, vit: ViTSpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = vit.decode([0] * len(vit.parameters))
    read = openvino_cpu._readable

    def doubled(model: onnx.ModelProto) -> onnx.ModelProto:
        wrong = read(model)
        last = wrong.graph.node[-1]
        last.CopyFrom(helper.make_node("Add", [last.input[0]] * 2, list(last.output)))
        return wrong

    monkeypatch.setattr(openvino_cpu, "_readable", doubled)
    with pytest.raises(ValueError, match=f"{network.id} .* away from ONNX Runtime's, of length"):
        runtime.prepare(network)


def test_missing_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(RuntimeError, match=r"pip install hwnas\[openvino\]"):
        OpenVinoCpu()


def test_processor_without_bf16_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    core = SimpleNamespace(get_property=lambda device, name: ["FP32", "INT8"])
    monkeypatch.setattr(openvino_cpu, "_package", lambda: SimpleNamespace(Core=lambda: core))
    with pytest.raises(RuntimeError, match="does not multiply in bf16"):
        OpenVinoCpu("bf16")


@pytest.mark.parametrize("works", [True, False])
def test_formats_that_would_end_the_process_are_refused(
    works: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(ISA_LIMIT, raising=False)
    monkeypatch.setattr(openvino_cpu, "_matrices_multiply", lambda limit: works)
    if works:
        assert OpenVinoCpu("int8").setting.name == "openvino-int8-b1-t1"
    else:
        with pytest.raises(RuntimeError, match=f"int8 kernels end the process.*Set {ISA_LIMIT}="):
            OpenVinoCpu("int8")


@pytest.mark.parametrize(("end", "works"), [("", True), ("raise ValueError", True), (KILL, False)])
def test_formats_work_unless_a_signal_ends_the_process(
    end: str, works: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino_cpu, "MULTIPLICATION", end)
    assert openvino_cpu._matrices_multiply.__wrapped__(None) == works


IN_INT8 = """
import json, sys
from hw_profiles.openvino_cpu import OpenVinoCpu
from search_spaces import MBConvSpace, ViTSpace
runtime = OpenVinoCpu("int8")
for space in (ViTSpace(depth=(2,)), MBConvSpace(depth=(1,))):
    runtime.prepare(space.decode([0] * len(space.parameters)))()
loaded = sys.modules["openvino_telemetry"] is not None
print(json.dumps([runtime.setting.version, sorted(runtime.versions), loaded]))
"""


def test_int8_runs_under_a_limit_that_the_setting_names_and_reports_to_nobody() -> None:
    limit = "AVX512_CORE_VNNI"
    done = subprocess.run(
        [sys.executable, "-c", IN_INT8],
        cwd=ROOT,
        env=os.environ | {ISA_LIMIT: limit},
        capture_output=True,
        text=True,
        check=True,
    )
    version, versions, loaded = json.loads(done.stdout)
    assert version.endswith(f"+{limit}")
    assert versions == ["onnxruntime"]
    assert not loaded
