"""Each operator as ONNX against PyTorch, and what cannot be written."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from hw_profiles.onnx_graph import EMITTERS, INPUT_NAME, write_onnx
from hw_profiles.runtime import session
from search_spaces import Architecture, Block, Shape, chain
from search_spaces.network import Network
from search_spaces.operators import FORMULAS


@dataclass(frozen=True)
class Case:
    """A function of one input, of parameters of these shapes and of a buffer."""

    call: Callable[..., torch.Tensor]
    input: Shape = (3, 4)
    weights: tuple[Shape, ...] = ()
    buffer: tuple[float, ...] | None = None
    persistent: bool = True


IMAGE = (4, 7, 6)
STATISTICS = ((4,), (4,), (4,))

CASES = {
    "linear": Case(F.linear, weights=((5, 4), (5,))),
    "linear no bias": Case(F.linear, weights=((5, 4),)),
    "linear 2-D": Case(F.linear, (4,), ((5, 4), (5,))),
    "linear 2-D no bias": Case(F.linear, (4,), ((5, 4),)),
    "linear 4-D": Case(F.linear, (2, 3, 4), ((5, 4), (5,))),
    "linear by a computed weight": Case(lambda x, w: F.linear(x, w * 2), weights=((5, 4),)),
    "linear used twice": Case(lambda x, w: F.linear(F.linear(x, w), w), weights=((4, 4),)),
    "conv2d": Case(F.conv2d, IMAGE, ((3, 4, 3, 3), (3,))),
    "conv2d no bias": Case(F.conv2d, IMAGE, ((3, 4, 3, 3),)),
    "conv2d stride": Case(lambda x, w, b: F.conv2d(x, w, b, 2, 1), IMAGE, ((3, 4, 3, 3), (3,))),
    "conv2d uneven": Case(
        lambda x, w: F.conv2d(x, w, None, (2, 1), (1, 0), (1, 2)), IMAGE, ((3, 4, 3, 2),)
    ),
    "conv2d groups": Case(lambda x, w: F.conv2d(x, w, padding=1, groups=2), IMAGE, ((6, 2, 3, 3),)),
    "conv2d depthwise": Case(
        lambda x, w: F.conv2d(x, w, padding=2, groups=4), IMAGE, ((4, 1, 5, 5),)
    ),
    "matmul": Case(lambda x: x @ x.transpose(1, 2)),
    "matmul weight": Case(torch.matmul, weights=((4, 5),)),
    "attention": Case(lambda x: F.scaled_dot_product_attention(x, x + 1, x - 1), (2, 3, 4)),
    "attention scale": Case(
        lambda x: F.scaled_dot_product_attention(x, x + 1, x - 1, scale=0.7), (2, 3, 4)
    ),
    "attention 3-D": Case(lambda x: F.scaled_dot_product_attention(x, 2 * x, x)),
    "layer_norm": Case(lambda x, w, b: F.layer_norm(x, (4,), w, b), weights=((4,), (4,))),
    "layer_norm two axes": Case(
        lambda x, w, b: F.layer_norm(x, (3, 4), w, b, 0.1), weights=((3, 4), (3, 4))
    ),
    "layer_norm plain": Case(lambda x: F.layer_norm(x, (4,))),
    "layer_norm no bias": Case(lambda x, w: F.layer_norm(x, (4,), w), weights=((4,),)),
    "layer_norm no weight": Case(lambda x, b: F.layer_norm(x, (4,), None, b), weights=((4,),)),
    "batch_norm": Case(
        lambda x, m, w, b, v: F.batch_norm(x, m, v, w, b, eps=1e-3),
        IMAGE,
        STATISTICS,
        (0.5, 1.0, 2.0, 3.0),
    ),
    "softmax": Case(lambda x: F.softmax(x, -1)),
    "softmax dim": Case(lambda x: x.softmax(dim=1)),
    "gelu": Case(F.gelu),
    "gelu tanh": Case(lambda x: F.gelu(x, approximate="tanh")),
    "mean": Case(lambda x: x.mean(1)),
    "mean keepdim": Case(lambda x: x.mean(-1, keepdim=True)),
    "mean axes": Case(lambda x: torch.mean(x, dim=(2, 3), keepdim=True), IMAGE),
    "mean axes dropped": Case(lambda x: x.mean((-2, -1)), IMAGE),
    "silu": Case(F.silu),
    "silu in place": Case(lambda x: F.silu(x + 1, inplace=True)),
    "relu": Case(F.relu),
    "sigmoid": Case(torch.sigmoid),
    "tanh": Case(torch.tanh),
    "add": Case(lambda x, w: x + w, weights=((3, 1),)),
    "add number": Case(lambda x: 0.1 + x),
    "sub": Case(lambda x, w: w - x, weights=((4,),)),
    "sub number": Case(lambda x: x - 3),
    "mul": Case(lambda x, w: x * w, weights=((4,),)),
    "mul number": Case(lambda x: 2 * x),
    "mul buffer": Case(lambda x, b: x * b, buffer=(1.0, -2.0, 3.0, 0.5)),
    "div": Case(lambda x, w: x / (w * w + 1), weights=((4,),)),
    "div number": Case(lambda x: x / 3),
    "getitem int": Case(lambda x: x[:, 1]),
    "getitem negative": Case(lambda x: x[:, -1]),
    "getitem ints": Case(lambda x: x[:, 1, -2]),
    "getitem slice": Case(lambda x: x[:, 1:3]),
    "getitem negative slice": Case(lambda x: x[:, -2:, :-1]),
    "getitem step": Case(lambda x: x[:, ::2, 1::2]),
    "getitem int, slice": Case(lambda x: x[:, 2, 1:]),
    "getitem slice, int": Case(lambda x: x[:, :2, 3]),
    "cat": Case(lambda x: torch.cat((x, x * 2), dim=1)),
    "cat last": Case(lambda x: torch.cat([x, x[:, :, :1]], -1)),
    "contiguous": Case(lambda x: x.transpose(1, 2).contiguous()),
    "expand batch": Case(
        lambda x, w: torch.cat((w.expand(x.shape[0], -1, -1), x), 1), weights=((1, 2, 4),)
    ),
    "expand": Case(lambda x: x[:, :1].expand(-1, 5, -1)),
    "flatten": Case(lambda x: x.flatten(1)),
    "flatten batch": Case(
        lambda x, w: F.linear(x.flatten(0, 1), w).view(x.shape[0], 3, 5), weights=((5, 4),)
    ),
    "permute": Case(lambda x: x.permute(0, 2, 3, 1), IMAGE),
    "permute negative": Case(lambda x: x.permute((0, -1, -2))),
    "permute named": Case(lambda x: torch.permute(x, dims=(0, 2, 1))),
    "reshape": Case(lambda x: x.reshape(x.shape[0], 2, 6)),
    "reshape inferred": Case(lambda x: x.transpose(1, 2).reshape(-1, 6, 2)),
    "transpose": Case(lambda x: x.transpose(1, 2)),
    "transpose negative": Case(lambda x: x.transpose(-1, -2)),
    "unsqueeze": Case(lambda x: x.unsqueeze(1)),
    "unsqueeze last": Case(lambda x: x.unsqueeze(-1)),
    "view": Case(lambda x: x.view(x.shape[0], 12)),
    "nothing": Case(lambda x: x),
}

WORDED = "must|cannot|can only|needs|Only"

UNWRITABLE = {
    "attention causal": Case(lambda x: F.scaled_dot_product_attention(x, x, x, is_causal=True)),
    "attention mask": Case(
        lambda x, m: F.scaled_dot_product_attention(x, x, x, m), weights=((3, 3),)
    ),
    "attention dropout": Case(
        lambda x: F.scaled_dot_product_attention(x, x, x, dropout_p=0.5), (2, 3, 4)
    ),
    "attention grouped": Case(
        lambda x: F.scaled_dot_product_attention(x, x, x, enable_gqa=True), (2, 3, 4)
    ),
    "tensor index": Case(lambda x, i: x[:, i], buffer=(2, 0)),
    "list index": Case(lambda x: x[:, [2, 0]]),
    "list index of a weight": Case(lambda x, w: x + w[[0, 1]], (2, 4), ((3, 4),)),
    "ellipsis": Case(lambda x: x[..., 0]),
    "new axis": Case(lambda x: x[:, None]),
    "slice by batch": Case(lambda x: x[:, : x.shape[0]], (8, 4)),
    "add alpha": Case(lambda x: torch.add(x, x, alpha=2)),
    "div rounded": Case(lambda x: torch.div(x, 2, rounding_mode="floor")),
    "mul by batch": Case(lambda x: x * x.shape[0]),
    "padding same": Case(lambda x, w: F.conv2d(x, w, padding="same"), IMAGE, ((3, 4, 3, 3),)),
    "expand to twice the batch": Case(lambda x, w: w.expand(2 * x.shape[0], -1), (4,), ((1, 4),)),
    "softmax without axis": Case(lambda x: F.softmax(x, None), (2, 3, 4)),
    "mean of all": Case(lambda x: x * x.mean()),
    "batch_norm without weight": Case(
        lambda x, m, v: F.batch_norm(x, m, v), IMAGE, ((4,),), (1.0, 1.0, 1.0, 1.0)
    ),
    "buffer outside the state": Case(
        lambda x, b: x + b, buffer=(1.0, 1.0, 1.0, 1.0), persistent=False
    ),
}


@dataclass(frozen=True, slots=True)
class Call(Block):
    """A case as a block."""

    case: str

    @property
    def input_shapes(self) -> tuple[Shape, ...]:
        return ((CASES | UNWRITABLE)[self.case].input,)

    def build(self) -> nn.Module:
        return _Call((CASES | UNWRITABLE)[self.case])


class _Call(nn.Module):
    def __init__(self, case: Case) -> None:
        super().__init__()
        self.call = case.call
        self.weights = nn.ParameterList(
            [nn.Parameter(torch.randn(shape), requires_grad=False) for shape in case.weights]
        )
        self.buffer: torch.Tensor | None
        values = None if case.buffer is None else torch.tensor(case.buffer)
        self.register_buffer("buffer", values, persistent=case.persistent)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        last = () if self.buffer is None else (self.buffer,)
        return self.call(x, *self.weights, *last)


def write(network: Network) -> onnx.ModelProto:
    """The network as ONNX with its own weights."""
    weights: dict[str, Any] = {name: t.numpy() for name, t in network.state_dict().items()}
    return write_onnx(network.architecture, weights)


def test_every_operator_that_can_be_counted_can_be_written() -> None:
    assert EMITTERS.keys() == FORMULAS.keys()


def test_every_operator_has_a_case() -> None:
    assert {name.split()[0].replace("getitem", "__getitem__") for name in CASES} - {"nothing"} == {
        name.replace("scaled_dot_product_attention", "attention") for name in FORMULAS
    }


@pytest.mark.parametrize("case", CASES)
def test_operator_equals_torch(case: str) -> None:
    network = Network(Architecture("cases", {}, chain([Call(case)]))).eval()
    model = write(network)
    onnx.checker.check_model(model, full_check=True)
    run = session(model.SerializeToString()).run
    for batch in (1, 3, 8):
        x = torch.randn(batch, *CASES[case].input)
        (result,) = run(None, {INPUT_NAME: x.numpy()})
        expected = network(x.clone()).numpy()
        assert result.shape == expected.shape
        np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.filterwarnings("ignore:Implicit dimension choice")
@pytest.mark.parametrize("case", UNWRITABLE)
def test_what_cannot_be_written_raises(case: str) -> None:
    network = Network(Architecture("cases", {}, chain([Call(case)]))).eval()
    with pytest.raises(ValueError, match=WORDED):
        write(network)
