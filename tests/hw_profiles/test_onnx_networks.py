"""Whole networks as ONNX against PyTorch and against PyTorch's own exporter."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from hw_profiles.onnx_graph import IDENTITY_SHAPE, INPUT_NAME, identity_model, write_onnx
from hw_profiles.onnxruntime_cpu import session
from search_spaces import (
    Architecture,
    Block,
    ConvHead,
    ConvStem,
    FeedForward,
    InvertedBottleneck,
    MBConvSpace,
    Node,
    PatchEmbedding,
    SearchSpace,
    SelfAttention,
    Shape,
    ViTHead,
    ViTSpace,
)
from search_spaces.network import Network

BATCHES = (1, 3, 8)


class _Sum(nn.Module):
    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return x + y


@dataclass(frozen=True, slots=True)
class Sum(Block):
    """The sum of two feature maps."""

    shape: tuple[int, ...]

    @property
    def input_shapes(self) -> tuple[Shape, ...]:
        return (self.shape, self.shape)

    def build(self) -> nn.Module:
        return _Sum()


def tied() -> Architecture:
    """A ViT whose two layers share their weights, and of a third only the MLP."""
    attention, mlp = SelfAttention(5, 16, 2, 8, 2, causal=False), FeedForward(5, 16, 32, 0)
    nodes = (
        Node(PatchEmbedding(1, 8, 4, 16, class_token=True), (-1,)),
        Node(attention, (0,)),
        Node(mlp, (1,)),
        Node(attention, (2,), tie=1),
        Node(mlp, (3,), tie=2),
        Node(mlp, (4,), tie=2),
        Node(ViTHead(5, 16, 10, "cls"), (5,)),
    )
    return Architecture("made by hand", {}, nodes)


def skipping() -> Architecture:
    """An MBConv network whose stem is added again after two blocks."""
    unit = InvertedBottleneck(8, 8, 8, 3, 1, expansion=2, squeeze=True, activation="silu")
    nodes = (
        Node(ConvStem(1, 8, 8, 1, "silu"), (-1,)),
        Node(unit, (0,)),
        Node(unit, (1,)),
        Node(Sum((8, 8, 8)), (0, 2)),
        Node(ConvHead(8, 8, 10, 0, ""), (3,)),
    )
    return Architecture("made by hand", {}, nodes)


def drawn(space: SearchSpace, index: int) -> Architecture:
    """One of the random networks of a space."""
    return space.decode(space.random_codes(index + 1, np.random.default_rng(3))[index])


NETWORKS: dict[str, Callable[[], Architecture]] = {
    "vit 0": lambda: drawn(ViTSpace(), 0),
    "vit 1": lambda: drawn(ViTSpace(), 1),
    "vit 2": lambda: drawn(ViTSpace(), 2),
    "mbconv 0": lambda: drawn(MBConvSpace(), 0),
    "mbconv 1": lambda: drawn(MBConvSpace(), 1),
    "mbconv 2": lambda: drawn(MBConvSpace(), 2),
    "tied": tied,
    "skipping": skipping,
}


def trained(architecture: Architecture) -> Network:
    """The network with weights and statistics that are nowhere 0 or 1."""
    network = Network(architecture).eval()
    for name, tensor in network.state_dict().items():
        if name.endswith("running_var"):
            tensor.uniform_(0.5, 2)
        elif tensor.is_floating_point():
            tensor.add_(0.1 * torch.randn_like(tensor))
    return network


def write(network: Network) -> onnx.ModelProto:
    """The network as ONNX with its own weights."""
    weights: dict[str, Any] = {name: t.numpy() for name, t in network.state_dict().items()}
    return write_onnx(network.architecture, weights)


def outputs(model: bytes, x: torch.Tensor) -> NDArray[np.float32]:
    """What ONNX Runtime computes, whatever the model's input is called."""
    made = session(model)
    result: NDArray[np.float32] = made.run(None, {made.get_inputs()[0].name: x.numpy()})[0]
    return result


@pytest.mark.parametrize("name", NETWORKS)
@torch.no_grad()
def test_network_equals_torch(name: str) -> None:
    network = trained(NETWORKS[name]())
    model = write(network)
    onnx.checker.check_model(model, full_check=True)
    for batch in BATCHES:
        x = torch.randn(batch, 1, 8, 8)
        np.testing.assert_allclose(
            outputs(model.SerializeToString(), x), network(x).numpy(), rtol=1e-4, atol=1e-5
        )


def test_tied_weights_are_stored_once() -> None:
    network = trained(tied())
    stored = sum(np.prod(t.dims) for t in write(network).graph.initializer if t.data_type == 1)
    scale = 1  # Attention's factor, the one constant that is no integer.
    assert stored - scale == sum(p.numel() for p in network.parameters())


def test_batch_is_the_only_free_size() -> None:
    graph = write(trained(skipping())).graph
    read, written = (v.type.tensor_type.shape.dim for v in (graph.input[0], graph.output[0]))
    assert [d.dim_param or d.dim_value for d in read] == ["batch", 1, 8, 8]
    assert [d.dim_param or d.dim_value for d in written] == ["batch", 10]


def test_the_same_network_is_written_to_the_same_bytes() -> None:
    network = trained(tied())
    assert write(network).SerializeToString() == write(network).SerializeToString()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["vit 0", "mbconv 0"])
@torch.no_grad()
def test_writer_equals_the_exporter_of_pytorch(name: str, tmp_path: Path) -> None:
    network = trained(NETWORKS[name]())
    sizes = (({0: torch.export.Dim("batch")},),)
    example = (torch.randn(2, 1, 8, 8),)
    program = torch.onnx.export(network, example, dynamo=True, dynamic_shapes=sizes, verbose=False)
    assert program is not None
    program.save(str(tmp_path / "exported.onnx"))
    exported, written = (tmp_path / "exported.onnx").read_bytes(), write(network)
    for batch in BATCHES:
        x = torch.randn(batch, 1, 8, 8)
        np.testing.assert_allclose(
            outputs(written.SerializeToString(), x), outputs(exported, x), rtol=1e-5, atol=1e-5
        )


def test_identity_model_returns_its_input() -> None:
    model = identity_model()
    onnx.checker.check_model(model, full_check=True)
    x = np.arange(3, dtype=np.float32).reshape(3, *IDENTITY_SHAPE)
    (result,) = session(model.SerializeToString()).run(None, {INPUT_NAME: x})
    np.testing.assert_array_equal(result, x)
