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
from hw_profiles.onnxruntime_cpu import session
from search_spaces import Architecture, Block, Shape, chain
from search_spaces.network import Network
from search_spaces.operators import FORMULAS


@dataclass(frozen=True)
class Case:
    """A function of one input, of parameters of these shapes and of a buffer.

    The input holds real numbers, or ids below ``tokens``.
    """

    call: Callable[..., torch.Tensor]
    input: Shape = (3, 4)
    weights: tuple[Shape, ...] = ()
    buffer: tuple[Any, ...] | None = None
    persistent: bool = True
    tokens: int | None = None


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
    "attention causal": Case(
        lambda x: F.scaled_dot_product_attention(x, x + 1, x - 1, is_causal=True), (2, 3, 4)
    ),
    "attention causal of fewer queries": Case(
        lambda x: F.scaled_dot_product_attention(x[:, :, :2], x, x, is_causal=True), (2, 3, 4)
    ),
    "attention mask": Case(
        lambda x, m: F.scaled_dot_product_attention(x, x, x, m), (2, 3, 4), ((3, 3),)
    ),
    "attention mask of heads": Case(
        lambda x, m: F.scaled_dot_product_attention(x, x, x, m), (2, 3, 4), ((1, 2, 3, 3),)
    ),
    "attention mask of booleans": Case(
        lambda x, m: F.scaled_dot_product_attention(x, x, x, attn_mask=m),
        (2, 3, 4),
        buffer=((True, False, True), (False, True, True), (True, True, True)),
    ),
    "attention mask of the input": Case(
        lambda x: F.scaled_dot_product_attention(x, x, x, x[:, :1, :1, :3].abs() > 0.1), (2, 3, 4)
    ),
    "attention grouped": Case(
        lambda x: F.scaled_dot_product_attention(x, x[:, :2], x[:, 1:3], enable_gqa=True), (6, 3, 4)
    ),
    "attention grouped, one head": Case(
        lambda x: F.scaled_dot_product_attention(
            x, x[:, :1, :2], x[:, :1, 1:], enable_gqa=True, scale=0.3
        ),
        (3, 3, 4),
    ),
    "attention grouped, causal": Case(
        lambda x: F.scaled_dot_product_attention(
            x, x[:, :2], x[:, 2:], is_causal=True, enable_gqa=True
        ),
        (4, 3, 4),
    ),
    "attention grouped, mask of heads": Case(
        lambda x, m: F.scaled_dot_product_attention(x, x[:, :2], x[:, 2:], m, enable_gqa=True),
        (4, 3, 4),
        ((1, 4, 3, 3),),
    ),
    "attention grouped, of as many": Case(
        lambda x: F.scaled_dot_product_attention(x, x, x, enable_gqa=True), (2, 3, 4)
    ),
    "conv1d": Case(F.conv1d, weights=((5, 3, 2), (5,))),
    "conv1d padded": Case(lambda x, w: F.conv1d(x, w, None, 2, 1, 2), (3, 9), ((5, 3, 3),)),
    "embedding": Case(F.embedding, (3,), ((7, 4),), tokens=7),
    "embedding of a table": Case(
        lambda x, i, w: F.embedding(i, w) + x, (3, 4), ((7, 4),), (1, 0, 6)
    ),
    "embedding that classifies": Case(
        lambda x, w, b: F.linear(F.embedding(x, w), w, b), (3,), ((7, 4), (7,)), tokens=7
    ),
    "embedding that classifies the mean": Case(
        lambda x, w: F.linear(F.embedding(x, w).mean(1), w), (3,), ((7, 4),), tokens=7
    ),
    "rms_norm": Case(lambda x, w: F.rms_norm(x, (4,), w), weights=((4,),)),
    "rms_norm plain": Case(lambda x: F.rms_norm(x, (3, 4), eps=0.1)),
    "group_norm": Case(lambda x, w, b: F.group_norm(x, 2, w, b), IMAGE, ((4,), (4,))),
    "group_norm plain": Case(lambda x: F.group_norm(x, 3, eps=0.1)),
    "max_pool2d": Case(lambda x: F.max_pool2d(x, 2), IMAGE),
    "max_pool2d padded": Case(lambda x: F.max_pool2d(x, (3, 2), (2, 1), (1, 0), (1, 2)), IMAGE),
    "avg_pool2d": Case(lambda x: F.avg_pool2d(x, (2, 3)), IMAGE),
    "avg_pool2d padded": Case(lambda x: F.avg_pool2d(x, 3, 2, 1), IMAGE),
    "avg_pool2d without padding": Case(
        lambda x: F.avg_pool2d(x, 3, 1, 1, count_include_pad=False), IMAGE
    ),
    "fft2": Case(lambda x: torch.real(torch.fft.fft2(x)), (6, 7)),
    "real": Case(lambda x: torch.fft.fft2(x, dim=(-1, -2)).real, (2, 8, 5)),
    "relu6": Case(lambda x: F.relu6(4 * x)),
    "hardtanh": Case(F.hardtanh),
    "hardtanh bounds": Case(nn.Hardtanh(-0.1, 0.7)),
    "hardsigmoid": Case(lambda x: F.hardsigmoid(3 * x)),
    "hardswish": Case(lambda x: F.hardswish(3 * x)),
    "leaky_relu": Case(F.leaky_relu),
    "leaky_relu slope": Case(lambda x: F.leaky_relu(x, 0.3)),
    "elu": Case(F.elu),
    "elu alpha": Case(lambda x: F.elu(x, 0.5)),
    "softplus": Case(lambda x: F.softplus(20 * x)),
    "softplus beta": Case(lambda x: F.softplus(x, 2.0)),
    "exp": Case(torch.exp),
    "sqrt": Case(lambda x: x.abs().sqrt()),
    "rsqrt": Case(lambda x: (x * x + 1).rsqrt()),
    "log": Case(lambda x: torch.log(x * x + 1)),
    "abs": Case(abs),
    "neg": Case(lambda x: -x),
    "square": Case(torch.square),
    "pow": Case(lambda x: x**2),
    "pow of a number": Case(lambda x: 2**x),
    "pow weight": Case(lambda x, w: x.abs() ** w, weights=((4,),)),
    "clamp": Case(lambda x: x.clamp(-0.5, 0.3)),
    "clamp below": Case(lambda x: x.clamp(max=0.3)),
    "maximum": Case(torch.maximum, weights=((4,),)),
    "minimum": Case(torch.minimum, weights=((3, 1),)),
    "max": Case(lambda x: x.max(1).values),
    "max place": Case(lambda x: x.max(-1, keepdim=True)[1].float() * x),
    "sum": Case(lambda x: x.sum(1)),
    "sum axes": Case(lambda x: torch.sum(x, (1, -1), keepdim=True)),
    "sum of booleans": Case(lambda x: (x > 0).sum(-1).float()),
    "cumsum": Case(lambda x: x.cumsum(1)),
    "cumsum of booleans": Case(lambda x: torch.cumsum(x > 0, dim=-1) / 2),
    "topk": Case(lambda x: x.topk(2, -1).values),
    "topk smallest": Case(lambda x: torch.topk(x, 1, 1, largest=False)[0]),
    "eq": Case(lambda x, b: (x == b).float() + x, (3,), buffer=(1, 2, 3), tokens=5),
    "eq number": Case(lambda x: x * (x.topk(1, -1).indices == 2)),
    "eq of booleans": Case(lambda x: ((x > 0) == (x < 0.5)).to(x)),
    "ne": Case(lambda x: (x != 0).float(), (3,), tokens=3),
    "lt": Case(lambda x: (x < 0.1).float()),
    "lt of whole numbers": Case(lambda x: (x < 1.5).float(), (3,), tokens=4),
    "le": Case(lambda x, w: (x <= w).float(), weights=((4,),)),
    "gt": Case(lambda x: (x > 0).to(torch.float32)),
    "ge": Case(lambda x: (x >= 0).type_as(x)),
    "to": Case(lambda x: x.to(torch.float32) + 1, (3,), tokens=9),
    "to whole numbers": Case(lambda x: (4 * x).long().float() + x.bool()),
    "where": Case(lambda x: torch.where(x > 0, x, -1)),
    "where both": Case(lambda x, w: torch.where(x > w, w, x), weights=((4,),)),
    "masked_fill": Case(lambda x, m: x.masked_fill(m, -7), buffer=(True, False, False, True)),
    "gather": Case(lambda x: x.gather(1, x.topk(2, 1).indices)),
    "gather rows": Case(
        lambda x: torch.gather(x, 1, x[:, :, :1].topk(2, 1).indices.expand(-1, -1, 4))
    ),
    "gather rows of axis 0": Case(
        lambda x: (
            x.transpose(0, 1)
            .gather(0, x[..., :1].topk(2, 1).indices.transpose(0, 1).expand(-1, -1, 4))
            .transpose(0, 1)
        )
    ),
    "gather a row again and again": Case(
        lambda x: x.gather(1, x[..., :1].topk(1, 1).indices.expand(-1, 3, 4)) + x
    ),
    "gather parts of rows": Case(
        lambda x: x.gather(1, x[..., :1].topk(2, 1).indices.expand(-1, -1, 3))
    ),
    "take_along_dim": Case(lambda x: torch.take_along_dim(x, x[..., :1].topk(2, 1).indices, 1)),
    "take_along_dim rank 2": Case(lambda x: torch.take_along_dim(x, x.topk(2).indices, -1), (5,)),
    "take_along_dim rank 4": Case(
        lambda x: torch.take_along_dim(x, x[..., :1, :1].topk(3, 1).indices, dim=1), IMAGE
    ),
    "take_along_dim each": Case(lambda x: torch.take_along_dim(x, x.topk(2, -1).indices, -1)),
    "roll": Case(lambda x: x.roll(1, 1)),
    "roll axes": Case(lambda x: torch.roll(x, shifts=(-2, 9), dims=(2, -1)), IMAGE),
    "roll by nothing": Case(lambda x: x.roll(3, 1) * 2),
    "pad": Case(lambda x: F.pad(x, (1, 2))),
    "pad value": Case(lambda x: F.pad(x, (0, 1, 2, 0), value=-1.5)),
    "pad cut": Case(lambda x: F.pad(x, (-1, 1))),
    "chunk": Case(lambda x: torch.mul(*x.chunk(2, -1))),
    "chunk of one": Case(lambda x: x.chunk(1, 1)[0] * 2),
    "split": Case(lambda x: x.split([1, 3], dim=2)[1]),
    "split even": Case(lambda x: torch.split(x, 2, 1)[1]),
    "unbind": Case(lambda x: torch.sub(*x.unbind(1)[:2])),
    "stack": Case(lambda x: torch.stack((x, -x), 1)),
    "stack last": Case(lambda x: torch.stack([x, -x], dim=-1)),
    "squeeze": Case(lambda x: x[:, :1].squeeze(1)),
    "movedim": Case(lambda x: x.movedim(1, -1), IMAGE),
    "movedim axes": Case(lambda x: torch.movedim(x, (1, 2), (3, 1)), IMAGE),
    "unflatten": Case(lambda x: x.unflatten(-1, (2, 2))),
    "dropout": Case(lambda x: F.dropout(x, 0.5, training=False) + 1),
    "layer_norm": Case(lambda x, w, b: F.layer_norm(x, (4,), w, b), weights=((4,), (4,))),
    "layer_norm two axes": Case(
        lambda x, w, b: F.layer_norm(x, (3, 4), w, b, 0.1), weights=((3, 4), (3, 4))
    ),
    "layer_norm plain": Case(lambda x: F.layer_norm(x, (4,))),
    "layer_norm no bias": Case(lambda x, w: F.layer_norm(x, (4,), w), weights=((4,),)),
    "layer_norm no weight": Case(lambda x, b: F.layer_norm(x, (4,), None, b), weights=((4,),)),
    "batch_norm": Case(
        lambda x, v, m, w, b: F.batch_norm(x, m, v, w, b, eps=1e-3),
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
    "sub from a number": Case(lambda x: 3 - x),
    "mul": Case(lambda x, w: x * w, weights=((4,),)),
    "mul number": Case(lambda x: 2 * x),
    "mul buffer": Case(lambda x, b: x * b, buffer=(1.0, -2.0, 3.0, 0.5)),
    "div": Case(lambda x, w: x / (w * w + 1), weights=((4,),)),
    "div number": Case(lambda x: x / 3),
    "div of a number": Case(lambda x: 2 / (x * x + 1)),
    "div of whole numbers": Case(lambda x: x / 2, (3,), tokens=5),
    "mul by booleans": Case(lambda x: x * (x > 0)),
    "add whole numbers": Case(lambda x: (x + x).float(), (3,), tokens=5),
    "add in place": Case(lambda x: (2 * x).add_(x)),
    "getitem int": Case(lambda x: x[:, 1]),
    "getitem negative": Case(lambda x: x[:, -1]),
    "getitem ints": Case(lambda x: x[:, 1, -2]),
    "getitem slice": Case(lambda x: x[:, 1:3]),
    "getitem negative slice": Case(lambda x: x[:, -2:, :-1]),
    "getitem step": Case(lambda x: x[:, ::2, 1::2]),
    "getitem int, slice": Case(lambda x: x[:, 2, 1:]),
    "getitem slice, int": Case(lambda x: x[:, :2, 3]),
    "getitem ellipsis": Case(lambda x: x[..., 0]),
    "getitem new axis": Case(lambda x: x[:, None, ..., 1:, None]),
    "getitem tensor": Case(lambda x, i: x[:, i], buffer=(2, 0)),
    "getitem tensor, slice": Case(lambda x, i: x[:, 1:, i], buffer=(2, 0, -1)),
    "getitem table": Case(lambda x, i, w: x + w[i], weights=((5, 4),), buffer=(4, 4, 0)),
    "getitem table by 2-D": Case(
        lambda x, i, w: x * w[i].permute(2, 0, 1), (2, 3, 2), ((5, 2),), ((4, 1), (0, 0), (2, 3))
    ),
    "getitem list": Case(lambda x: x[:, [2, 0]]),
    "getitem list of a weight": Case(lambda x, w: x + w[[0, 1]], (2, 4), ((3, 4),)),
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
    "attention dropout": Case(
        lambda x: F.scaled_dot_product_attention(x, x, x, dropout_p=0.5), (2, 3, 4)
    ),
    "two tensors as index": Case(lambda x, i: x[:, i, i], buffer=(2, 0)),
    "tensor and number as index": Case(lambda x, i: x[:, i, 0], buffer=(2, 0)),
    "pool rounded up": Case(lambda x: F.max_pool2d(x, 2, ceil_mode=True), IMAGE),
    "average by a number": Case(lambda x: F.avg_pool2d(x, 2, divisor_override=3), IMAGE),
    "transform of other axes": Case(lambda x: torch.fft.fft2(x, dim=(1, 2)).real, IMAGE),
    "transform that is scaled": Case(lambda x: torch.fft.fft2(x, norm="ortho").real),
    "product of transforms": Case(lambda x: (torch.fft.fft2(x) * 2).real),
    "roll without axes": Case(lambda x: x.roll(1)),
    "roll along the batch": Case(lambda x: x.roll(1, 0)),
    "pad by reflection": Case(lambda x: F.pad(x, (1, 1), mode="reflect")),
    "clamp between tensors": Case(lambda x, w: x.clamp(w), weights=((4,),)),
    "few of each row": Case(lambda x: torch.take_along_dim(x, x[:, :1].topk(2).indices, -1)),
    "embedding of bounded norm": Case(
        lambda x, w: F.embedding(x, w, max_norm=1.0), (3,), ((7, 4),), tokens=7
    ),
    "half precision": Case(lambda x: x.to(torch.float16).float()),
    "slice by batch": Case(lambda x: x[:, : x.shape[0]], (8, 4)),
    "add alpha": Case(lambda x: torch.add(x, x, alpha=2)),
    "div rounded": Case(lambda x: torch.div(x, 2, rounding_mode="floor")),
    "mul by batch": Case(lambda x: x * x.shape[0]),
    "padding same": Case(lambda x, w: F.conv2d(x, w, padding="same"), IMAGE, ((3, 4, 3, 3),)),
    "expand to twice the batch": Case(lambda x, w: w.expand(2 * x.shape[0], -1), (4,), ((1, 4),)),
    "softmax without axis": Case(lambda x: F.softmax(x, None), (2, 3, 4)),
    "mean of all": Case(lambda x: x * x.mean()),
    "batch_norm without weight": Case(
        lambda x, v, m: F.batch_norm(x, m, v), IMAGE, ((4,),), (1.0, 1.0, 1.0, 1.0)
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

    @property
    def token_ids(self) -> int | None:
        return (CASES | UNWRITABLE)[self.case].tokens

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
        return self.call(x, *last, *self.weights)


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
        shape, tokens = (batch, *CASES[case].input), CASES[case].tokens
        x = torch.randn(shape) if tokens is None else torch.randint(tokens, shape)
        (result,) = run(None, {INPUT_NAME: x.numpy()})
        expected = network(x.clone()).numpy()
        assert result.shape == expected.shape
        np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-5)


def test_a_table_that_also_classifies_is_stored_once() -> None:
    network = Network(Architecture("cases", {}, chain([Call("embedding that classifies")])))
    stored = [tuple(tensor.dims) for tensor in write(network).graph.initializer]
    assert stored.count((7, 4)) == 1
    assert (4, 7) not in stored


@pytest.mark.parametrize("case", ["gather rows", "take_along_dim"])
def test_rows_are_taken_without_an_index_for_each_number(case: str) -> None:
    nodes = write(Network(Architecture("cases", {}, chain([Call(case)])))).graph.node
    assert [node.op_type for node in nodes if "Gather" in node.op_type] == ["GatherND"]


@pytest.mark.filterwarnings("ignore:Implicit dimension choice")
@pytest.mark.parametrize("case", UNWRITABLE)
def test_what_cannot_be_written_raises(case: str) -> None:
    network = Network(Architecture("cases", {}, chain([Call(case)]))).eval()
    with pytest.raises(ValueError, match=WORDED):
        write(network)
