"""Static int8 quantisation against arithmetic by hand and against fp32."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from hw_profiles import quantization
from hw_profiles.onnx_graph import identity_model, input_names, write_onnx
from hw_profiles.onnxruntime_cpu import session, session_options
from hw_profiles.quantization import quantize
from hw_profiles.runtime import random_inputs
from search_spaces import SPACES, Architecture, SparseSpace
from search_spaces.decoding import decoding_step
from search_spaces.network import Network

FAMILIES = {name: cls() for name, cls in SPACES.items()} | {
    f"sparse {name}": SparseSpace(SPACES[name](), (0.5,)) for name in ("vit", "mbconv")
}
BATCHES = (1, 3)
MARKS = ("QuantizeLinear", "DequantizeLinear")


def member(name: str) -> Architecture:
    """A network of a family, or the network of one decoding step."""
    if name == "decoding step":
        return decoding_step(member("decoder"))
    space = FAMILIES[name]
    return space.decode(space.random_codes(1, np.random.default_rng(0))[0])


def feeds(architecture: Architecture, batch: int, *seeds: int) -> list[dict[str, NDArray[Any]]]:
    names = input_names(architecture)
    return [
        dict(zip(names, random_inputs(architecture, batch, seed), strict=True)) for seed in seeds
    ]


def written(architecture: Architecture) -> onnx.ModelProto:
    """The network as ONNX with weights and statistics that are nowhere 0 or 1."""
    network = Network(architecture).eval()
    for name, tensor in network.state_dict().items():
        if name.endswith("running_var"):
            tensor.uniform_(0.5, 2)
        elif tensor.is_floating_point():
            tensor.add_(0.1 * torch.randn_like(tensor))
    return write_onnx(architecture, {n: t.numpy() for n, t in network.state_dict().items()})


def quantized(name: str) -> onnx.ModelProto:
    network = member(name)
    return quantize(written(network), feeds(network, 1, 1, 2))


def run(model: onnx.ModelProto, feed: dict[str, NDArray[Any]]) -> NDArray[np.float32]:
    result: NDArray[np.float32] = session(model.SerializeToString()).run(None, feed)[0]
    return result


def kernels(model: onnx.ModelProto, folder: Path) -> Counter[str]:
    """Operators that a session runs in the end."""
    options = session_options()
    options.optimized_model_filepath = str(folder / "optimized.onnx")
    onnxruntime.InferenceSession(model.SerializeToString(), options)
    return Counter(node.op_type for node in onnx.load(options.optimized_model_filepath).graph.node)


def product(weight: NDArray[np.float32]) -> onnx.ModelProto:
    """``x @ weight`` with a free batch."""
    sizes: list[str | int | None] = ["batch", len(weight)]
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "weight"], ["y"], name="product")],
        "product",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, sizes)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", weight.shape[1]])],
        [numpy_helper.from_array(weight, "weight")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


@pytest.mark.parametrize("name", [*FAMILIES, "decoding step"])
def test_output_is_near_that_in_floats_at_any_batch(name: str) -> None:
    network = member(name)
    model = written(network)
    before = model.SerializeToString()
    made = quantize(model, feeds(network, 1, 1, 2, 3, 4))
    assert model.SerializeToString() == before
    onnx.checker.check_model(made, full_check=True)
    assert {node.op_type for node in made.graph.node}.issuperset(MARKS)
    for batch in BATCHES:
        (feed,) = feeds(network, batch, 9)
        expected, found = run(model, feed).ravel(), run(made, feed).ravel()
        length = float(np.linalg.norm(expected))
        assert 0 < np.linalg.norm(found - expected) < 0.15 * length
        assert expected @ found > 0.99 * length * float(np.linalg.norm(found))


def test_product_is_that_of_the_rounded_operands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantization, "_largest_weight", lambda: 127)
    weight = np.array([[1.27, -0.3], [0.5, 12.7]], dtype=np.float32)  # Steps 0.01 and 0.1.
    feed = {"x": np.array([[0.0, 2.55], [0.731, 1.006]], dtype=np.float32)}  # Step 0.01, from 0.
    found = run(quantize(product(weight), [feed]), feed)
    rounded = np.array([[1.27, -0.3], [0.5, 12.7]])
    by_hand = np.array([[0.0, 2.55], [0.73, 1.01]]) @ rounded
    np.testing.assert_allclose(found, by_hand, rtol=1e-5)


def test_range_of_an_activation_spans_all_examples() -> None:
    model = product(np.eye(2, dtype=np.float32))
    examples = [np.array([[0, high]], dtype=np.float32) for high in (1.0, -3.0, 2.0)]
    made = quantize(model, [{"x": x} for x in examples])
    constants = {t.name: numpy_helper.to_array(t) for t in made.graph.initializer}
    (node,) = (n for n in made.graph.node if n.op_type == MARKS[0] and n.input[0] == "x")
    scale, zero = (constants[name] for name in node.input[1:])
    assert scale == pytest.approx(5 / 255)
    assert zero == round(3 / 5 * 255)
    assert zero.dtype == np.uint8


@pytest.mark.parametrize(
    ("machine", "flags", "largest"),
    [
        ("x86_64", "avx2 avx512_vnni", 127),
        ("x86_64", "avx2 avx_vnni", 127),
        ("AMD64", "avx2", 63),
        ("aarch64", "asimd", 127),
    ],
)
def test_every_output_channel_of_a_weight_has_its_scale(
    machine: str, flags: str, largest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.machine", lambda: machine)
    monkeypatch.setattr(Path, "exists", lambda self: True)
    monkeypatch.setattr(Path, "read_text", lambda self: f"flags : {flags}")
    made = quantized("resnet")
    constants = {t.name: numpy_helper.to_array(t) for t in made.graph.initializer}
    marks = {n.output[0]: n for n in made.graph.node if n.op_type == MARKS[1]}
    convolutions = [n for n in made.graph.node if n.op_type == "Conv"]
    for node in convolutions:
        source = next(n for n in made.graph.node if marks[node.input[1]].input[0] in n.output)
        weight, scale = constants[source.input[0]], constants[source.input[1]]
        peaks = np.abs(weight).reshape(len(weight), -1).max(axis=1)
        np.testing.assert_allclose(scale, peaks / largest, rtol=1e-6)
    assert len(convolutions) > 5


def test_convolutional_network_stays_between_integers(tmp_path: Path) -> None:
    network = member("resnet")
    floats = Counter(n.op_type for n in written(network).graph.node)
    found = kernels(quantized("resnet"), tmp_path)
    assert found["QLinearConv"] == floats["Conv"]
    assert found["QLinearAdd"] == floats["Add"]
    assert not {"Conv", "Relu", "BatchNormalization", "MatMul", "Gemm"} & set(found)


def test_transformer_multiplies_weights_in_integers_and_activations_in_floats(
    tmp_path: Path,
) -> None:
    graph = written(member("vit")).graph
    weights = {t.name for t in graph.initializer}
    products = [n for n in graph.node if n.op_type in ("MatMul", "Gemm")]
    by_weights = sum(n.input[1] in weights for n in products)
    found = kernels(quantized("vit"), tmp_path)
    assert found["MatMulIntegerToFloat"] + found["QGemm"] == by_weights
    assert found["MatMul"] + found["FusedMatMul"] == len(products) - by_weights > 0
    assert found["Softmax"] == sum(n.op_type == "Softmax" for n in graph.node)


@pytest.mark.parametrize("operator", ["DFT", "Softmax", "LayerNormalization"])
def test_what_has_no_integer_kernel_reads_floats(operator: str) -> None:
    space = SPACES["fnet"](mixing=("fft", "attention"), depth=(6,))
    network = space.decode(space.random_codes(1, np.random.default_rng(0))[0])
    graph = quantize(written(network), feeds(network, 1, 1)).graph
    rounded = {n.output[0] for n in graph.node if n.op_type == MARKS[1]}
    floats = [n for n in graph.node if n.op_type == operator]
    assert floats
    assert not any(rounded.intersection(n.input) for n in floats)


def test_tied_table_is_kept_once(tmp_path: Path) -> None:
    space = SPACES["decoder"](tied=(True,))
    network = space.decode(space.random_codes(1, np.random.default_rng(0))[0])
    model = written(network)
    made = quantize(model, feeds(network, 1, 1))
    (table,) = (n.input[0] for n in model.graph.node if n.op_type == "Gather")
    (mark,) = (n for n in made.graph.node if table in n.input)
    (back,) = (n for n in made.graph.node if mark.output[0] in n.input)
    readers = [n.op_type for n in made.graph.node if back.output[0] in n.input]
    assert sorted(readers) == ["Gather", "Gemm"]
    assert kernels(made, tmp_path)["QGemm"] == 1


def test_model_with_nothing_to_multiply_is_left_in_floats() -> None:
    made = quantize(identity_model(), [{"input": np.ones((1, 1), np.float32)}])
    assert not {n.op_type for n in made.graph.node}.intersection(MARKS)
    x = np.arange(3, dtype=np.float32).reshape(3, 1)
    np.testing.assert_array_equal(run(made, {"input": x}), x)


def test_no_example_is_an_error() -> None:
    with pytest.raises(ValueError, match="`feeds` must hold an example"):
        quantize(product(np.eye(2, dtype=np.float32)), [])
