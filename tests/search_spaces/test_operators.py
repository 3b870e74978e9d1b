"""Each operator's formula against hand counts and against what autograd keeps."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from search_spaces import Block, CountTable, PerBatch, Shape
from search_spaces.operators import FORMULAS


@dataclass(frozen=True)
class Case:
    """One call: shapes of inputs without the batch, of weights, and its cost for one example.

    Inputs hold real numbers, or ids below ``tokens``. What does not follow the batch is
    ``fixed_elementwise``, and of the elements moved the weights' unless ``fixed_moved`` is given.
    """

    operator: str
    call: Callable[..., torch.Tensor]
    inputs: tuple[Shape, ...] = ((3, 4),)
    weights: tuple[Shape, ...] = ()
    macs: int = 0
    elementwise: int = 0
    moved: int = 0
    fixed_elementwise: int = 0
    fixed_moved: int | None = None
    buffer: tuple[Any, ...] | None = None
    tokens: int | None = None


PAIR = ((3, 4), (3, 4))
HEADS = ((2, 3, 4),) * 3
SCORES = 2 * 3 * 3
IMAGE = ((2, 4, 4),)
attend = F.scaled_dot_product_attention

CASES = {
    "linear": Case("linear", F.linear, weights=((5, 4), (5,)), macs=60, elementwise=15, moved=27),
    "linear_without_bias": Case("linear", F.linear, weights=((5, 4),), macs=60, moved=27),
    "conv2d": Case(
        "conv2d", F.conv2d, ((2, 5, 5),), ((3, 2, 3, 3), (3,)), 27 * 18, elementwise=27, moved=77
    ),
    "conv2d_strided_in_groups": Case(
        "conv2d",
        lambda x, w: F.conv2d(x, w, None, 2, 1, 1, 2),
        ((4, 5, 5),),
        ((6, 2, 3, 3),),
        macs=6 * 9 * 18,
        moved=100 + 54,
    ),
    "matmul": Case("matmul", torch.matmul, ((3, 4), (4, 5)), macs=60, moved=12 + 20 + 15),
    "matmul_by_sign": Case("matmul", lambda a, b: a @ b, ((3, 4), (4, 5)), macs=60, moved=47),
    # Scale each query; for each score subtract the maximum and divide, find maximum and sum.
    "attention": Case(
        "scaled_dot_product_attention",
        attend,
        HEADS,
        macs=2 * SCORES * 4,
        elementwise=24 + 4 * SCORES - 6,
        moved=4 * 24 + 4 * SCORES,
    ),
    # The scores are written and read once more, and each is changed by the mask.
    "attention_causal": Case(
        "scaled_dot_product_attention",
        lambda q, k, v: attend(q, k, v, is_causal=True),
        HEADS,
        macs=2 * SCORES * 4,
        elementwise=24 + 5 * SCORES - 6,
        moved=4 * 24 + 6 * SCORES,
    ),
    "attention_mask": Case(
        "scaled_dot_product_attention",
        lambda q, k, v, m: attend(q, k, v, attn_mask=m),
        HEADS,
        macs=2 * SCORES * 4,
        elementwise=24 + 5 * SCORES - 6,
        moved=4 * 24 + 6 * SCORES,
        fixed_moved=9,
        buffer=((0.0, 1.0, 2.0),) * 3,
    ),
    # Sixteen booleans are four elements; as numbers they are written and read.
    "attention_boolean_mask": Case(
        "scaled_dot_product_attention",
        lambda q, k, v, m: attend(q, k, v, attn_mask=m),
        ((1, 4, 2),) * 3,
        macs=2 * 16 * 2,
        elementwise=8 + 5 * 16 - 4,
        moved=4 * 8 + 6 * 16,
        fixed_moved=4 + 2 * 16,
        buffer=((True, True, False, True),) * 4,
    ),
    "attention_grouped": Case(
        "scaled_dot_product_attention",
        lambda q, k, v: attend(q, k, v, enable_gqa=True),
        ((4, 3, 2), (2, 5, 2), (2, 5, 2)),
        macs=2 * 60 * 2,
        elementwise=24 + 4 * 60 - 12,
        moved=24 + 2 * 20 + 24 + 4 * 60,
    ),
    "conv1d": Case("conv1d", F.conv1d, ((3, 9),), ((5, 3, 3), (5,)), 35 * 9, 35, 27 + 35),
    "layer_norm": Case(
        "layer_norm",
        lambda x, w, b: F.layer_norm(x, (4,), w, b),
        weights=((4,), (4,)),
        elementwise=7 * 12 + 4 * 3,
        moved=24,
    ),
    "layer_norm_without_weights": Case(
        "layer_norm", lambda x: F.layer_norm(x, (4,)), elementwise=5 * 12 + 4 * 3, moved=24
    ),
    "rms_norm": Case(
        "rms_norm",
        lambda x, w: F.rms_norm(x, (4,), w),
        weights=((4,),),
        elementwise=4 * 12 + 3,
        moved=24,
    ),
    "rms_norm_without_weight": Case(
        "rms_norm", lambda x: F.rms_norm(x, (3, 4)), elementwise=3 * 12 + 1, moved=24
    ),
    "group_norm": Case(
        "group_norm",
        lambda x, w, b: F.group_norm(x, 2, w, b),
        ((4, 3, 3),),
        ((4,), (4,)),
        elementwise=7 * 36 + 4 * 2,
        moved=72,
    ),
    "batch_norm": Case(
        "batch_norm",
        lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True),
        ((2, 3, 3),),
        ((2,), (2,)),
        elementwise=3 * 18,
        moved=36,
        fixed_elementwise=2 * 2,
    ),
    "softmax": Case("softmax", lambda x: F.softmax(x, -1), elementwise=4 * 12 - 3, moved=24),
    "softmax_method": Case("softmax", lambda x: x.softmax(1), elementwise=4 * 12 - 4, moved=24),
    "max_pool2d": Case(
        "max_pool2d", lambda x: F.max_pool2d(x, 2), IMAGE, elementwise=3 * 8, moved=32 + 8
    ),
    "max_pool2d_padded": Case(
        "max_pool2d",
        lambda x: F.max_pool2d(x, (3, 2), 2, (1, 0)),
        IMAGE,
        elementwise=5 * 8,
        moved=32 + 8,
    ),
    "avg_pool2d": Case(
        "avg_pool2d", lambda x: F.avg_pool2d(x, 3, 1), IMAGE, elementwise=9 * 8, moved=32 + 8
    ),
    # A complex number is two elements. The input is copied to complex numbers first.
    "fft2": Case(
        "fft2",
        lambda x: torch.fft.fft2(x).real,
        ((4, 8),),
        elementwise=5 * 32 * 5,
        moved=32 + 64 + 2 * 64,
    ),
    "fft2_scaled": Case(
        "real",
        lambda x: torch.real(torch.fft.fft2(x, norm="ortho")) * 2,
        ((3, 4, 8),),
        elementwise=3 * (5 * 32 * 5 + 2 * 32 + 32),
        moved=3 * (32 + 64 + 2 * 64 + 2 * 32),
    ),
    "gelu_tanh": Case(
        "gelu", lambda x: F.gelu(x, approximate="tanh"), elementwise=8 * 12, moved=24
    ),
    "gelu_erf": Case("gelu", F.gelu, elementwise=4 * 12, moved=24),
    "sum": Case("sum", lambda x: x.sum(1), elementwise=12 - 4, moved=12 + 4),
    "max": Case("max", lambda x: x.max(1).values, elementwise=12 - 4, moved=12 + 4 + 2 * 4),
    "cumsum": Case("cumsum", lambda x: x.cumsum(1), elementwise=12 - 4, moved=24),
    "topk": Case(
        "topk", lambda x: x.topk(2).values, elementwise=12 * 2, moved=12 + 3 * 2 * (1 + 2)
    ),
    "mean": Case("mean", lambda x: x.mean(1), elementwise=12, moved=12 + 4),
    "silu": Case("silu", F.silu, elementwise=12, moved=24),
    "relu": Case("relu", F.relu, elementwise=12, moved=24),
    "relu6": Case("relu6", F.relu6, elementwise=2 * 12, moved=24),
    "relu6_in_place": Case(
        "relu6", lambda x: F.relu6(2 * x, inplace=True), elementwise=3 * 12, moved=48
    ),
    "hardtanh": Case("hardtanh", F.hardtanh, elementwise=2 * 12, moved=24),
    "hardsigmoid": Case("hardsigmoid", F.hardsigmoid, elementwise=4 * 12, moved=24),
    "hardswish": Case("hardswish", F.hardswish, elementwise=5 * 12, moved=24),
    "leaky_relu": Case("leaky_relu", F.leaky_relu, elementwise=3 * 12, moved=24),
    "leaky_relu_in_place": Case(
        "leaky_relu", lambda x: F.leaky_relu(2 * x, inplace=True), elementwise=4 * 12, moved=48
    ),
    "elu": Case("elu", F.elu, elementwise=4 * 12, moved=24),
    "softplus": Case("softplus", F.softplus, elementwise=4 * 12, moved=24),
    "exp": Case("exp", torch.exp, moved=24),
    "sqrt": Case("sqrt", torch.sqrt, moved=24),
    "rsqrt": Case("rsqrt", torch.rsqrt, moved=24),
    "log": Case("log", torch.log, moved=24),
    "abs": Case("abs", abs, elementwise=12, moved=24),
    "neg": Case("neg", lambda x: -x, elementwise=12, moved=24),
    "square": Case("square", torch.square, elementwise=12, moved=24),
    "pow": Case("pow", lambda x: x**2, elementwise=12, moved=24),
    "pow_five": Case("pow", lambda x: x**5, elementwise=3 * 12, moved=24),
    "pow_minus_two": Case("pow", lambda x: x**-2, elementwise=2 * 12, moved=24),
    "pow_half": Case("pow", lambda x: x**0.5, moved=24),
    "pow_of_a_number": Case("pow", lambda x: 2**x, moved=24),
    "pow_of_tensors": Case("pow", torch.pow, PAIR, moved=36),
    "clamp": Case("clamp", lambda x: x.clamp(0, 1), elementwise=2 * 12, moved=24),
    "clamp_below": Case("clamp", lambda x: x.clamp(min=0), elementwise=12, moved=24),
    "maximum": Case("maximum", torch.maximum, PAIR, elementwise=12, moved=36),
    "minimum": Case("minimum", torch.minimum, PAIR, elementwise=12, moved=36),
    # Twelve booleans are three elements.
    "eq": Case("eq", lambda a, b: a == b, PAIR, elementwise=12, moved=24 + 3),
    "ne": Case("ne", lambda a, b: a != b, PAIR, elementwise=12, moved=24 + 3),
    "lt": Case("lt", lambda a, b: a < b, PAIR, elementwise=12, moved=24 + 3),
    "le": Case("le", lambda x: x <= 0, elementwise=12, moved=12 + 3),
    "gt": Case("gt", lambda x: x > 0, elementwise=12, moved=12 + 3),
    "ge": Case("ge", lambda x: x >= 0, elementwise=12, moved=12 + 3),
    "to": Case("to", lambda x: (x > 0).float(), elementwise=24, moved=15 + 15),
    "to_as": Case("to", lambda a, b: b * (a > 0).type_as(b), PAIR, elementwise=36, moved=30 + 36),
    "where": Case(
        "where", lambda a, b: torch.where(a > 0, a, b), PAIR, elementwise=24, moved=15 + 39
    ),
    "where_number": Case(
        "where", lambda a, b: torch.where(a > 0, b, 0.0), PAIR, elementwise=24, moved=15 + 27
    ),
    "masked_fill": Case(
        "masked_fill", lambda x: x.masked_fill(x < 0, 0), elementwise=24, moved=15 + 27
    ),
    "masked_fill_by_a_buffer": Case(
        "masked_fill",
        lambda x, m: x.masked_fill(m, 0),
        elementwise=12,
        moved=24,
        fixed_moved=1,
        buffer=(True, False, True, True),
    ),
    "sigmoid": Case("sigmoid", torch.sigmoid, moved=24),
    "tanh": Case("tanh", torch.tanh, moved=24),
    "add": Case("add", lambda a, b: a + b, PAIR, elementwise=12, moved=36),
    "add_broadcast": Case("add", torch.add, ((3, 4), (1, 4)), elementwise=12, moved=28),
    "sub": Case("sub", lambda a, b: a - b, PAIR, elementwise=12, moved=36),
    "mul": Case("mul", lambda a, b: a * b, PAIR, elementwise=12, moved=36),
    "mul_by_a_number": Case("mul", lambda x: 2 * x, elementwise=12, moved=24),
    "div": Case("div", lambda a, b: a / b, PAIR, elementwise=12, moved=36),
    "add_in_place": Case("add", lambda x: (2 * x).add_(x), elementwise=24, moved=24 + 36),
    "sub_from_a_number": Case("sub", lambda x: 1 - x, elementwise=12, moved=24),
    # The reciprocal, then a product.
    "div_of_a_number": Case("div", lambda x: 2 / x, elementwise=24, moved=48),
    "div_by_a_number": Case("div", lambda x: x / 2, elementwise=12, moved=24),
    "cat": Case("cat", lambda a, b: torch.cat((a, b), 1), PAIR, moved=48),
    "stack": Case("stack", lambda a, b: torch.stack((a, b), 1), PAIR, moved=48),
    "roll": Case("roll", lambda x: x.roll((1, 2), (1, 2)), moved=24),
    "pad": Case("pad", lambda x: F.pad(x, (1, 1)), moved=12 + 18),
    # Of a table it reads the rows that it takes.
    "embedding": Case(
        "embedding", F.embedding, ((3,),), ((7, 4),), moved=3 + 12 + 12, fixed_moved=0, tokens=7
    ),
    "getitem": Case("__getitem__", lambda x: x[:, 1]),
    "getitem_list": Case("__getitem__", lambda x: x[:, [2, 0]], moved=16),
    # The index is of int64, two elements each; the sum reads the rows again.
    "getitem_table": Case(
        "__getitem__",
        lambda x, i, w: x + w[i],
        ((5, 4),),
        ((7, 4),),
        elementwise=20,
        moved=40,
        fixed_moved=2 * 5 + 20 + 20 + 20,
        buffer=(6, 6, 0, 1, 2),
    ),
    "getitem_of_the_input": Case(
        "__getitem__", lambda x, i: x[:, :, i], moved=18, fixed_moved=6, buffer=(0, 0, 3)
    ),
    # The places of the largest two of three: 8 numbers and 16 elements, which are then read.
    "gather": Case(
        "gather",
        lambda x: x.gather(1, x.topk(2, 1).indices),
        elementwise=12 * 2,
        moved=12 + 8 + 16 + 16 + 8 + 8,
    ),
    # The index of two rows of four is wrapped into one of 8 numbers, 16 elements.
    "take_along_dim": Case(
        "take_along_dim",
        lambda x: torch.take_along_dim(x, x[:, :, :1].topk(2, 1).indices, 1),
        elementwise=3 * 2 + 8,
        moved=3 + 2 + 4 + 4 + 2 * 16 + 8 + 8,
    ),
    "chunk": Case("chunk", lambda x: x.chunk(2, -1)[0]),
    "chunk_of_one": Case("chunk", lambda x: x.chunk(1, -1)[0]),
    "split": Case("split", lambda x: torch.mul(*x.split(2, -1)), elementwise=6, moved=18),
    "unbind": Case("unbind", lambda x: x.unbind(1)[2]),
    "squeeze": Case("squeeze", lambda x: x.squeeze(1), ((1, 4),)),
    "movedim": Case("movedim", lambda x: x.movedim(1, 2)),
    "unflatten": Case("unflatten", lambda x: x.unflatten(-1, (2, 2))),
    "dropout": Case("dropout", lambda x: F.dropout(x, 0.5, training=False)),
    "contiguous": Case("contiguous", lambda x: x.transpose(1, 2).contiguous(), moved=24),
    "expand": Case("expand", lambda x: x.expand(-1, 5, -1), ((1, 4),)),
    "flatten": Case("flatten", lambda x: x.flatten(1)),
    "permute": Case("permute", lambda x: x.permute(0, 2, 1)),
    "reshape": Case("reshape", lambda x: x.reshape(-1, 12)),
    "reshape_that_copies": Case("reshape", lambda x: x.permute(0, 2, 1).reshape(-1, 12), moved=24),
    "transpose": Case("transpose", lambda x: x.transpose(1, 2)),
    "unsqueeze": Case("unsqueeze", lambda x: x.unsqueeze(1)),
    "view": Case("view", lambda x: x.view(-1, 12)),
}


@dataclass(frozen=True, slots=True)
class Call(Block):
    """One of :data:`CASES` as a block."""

    case: str

    @property
    def input_shapes(self) -> tuple[Shape, ...]:
        return CASES[self.case].inputs

    @property
    def token_ids(self) -> int | None:
        return CASES[self.case].tokens

    def build(self) -> nn.Module:
        return _Call(CASES[self.case])


class _Call(nn.Module):
    def __init__(self, case: Case) -> None:
        super().__init__()
        self.call = case.call
        self.weights = nn.ParameterList([torch.randn(shape) for shape in case.weights])
        self.register_buffer("buffer", None if case.buffer is None else torch.tensor(case.buffer))

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        return self.call(*inputs, *self.buffers(), *self.weights)


each_case = pytest.mark.parametrize("case", CASES)
each_pattern = pytest.mark.parametrize(
    ("case", "pattern"),
    [
        (name, "".join(needs))
        for name, case in CASES.items()
        for needs in itertools.product("0" if case.tokens else "01", repeat=len(case.inputs))
    ],
)


def inputs_of(case: str, batch: int, device: str, pattern: str) -> list[torch.Tensor]:
    """Random inputs, of which those marked ``"1"`` need a gradient."""
    shapes, tokens = CASES[case].inputs, CASES[case].tokens
    if tokens is not None:
        return [torch.randint(tokens, (batch, *shape), device=device) for shape in shapes]
    return [
        torch.randn((batch, *shape), device=device, requires_grad=need == "1")
        for shape, need in zip(shapes, pattern, strict=True)
    ]


def test_every_operator_has_a_case() -> None:
    assert {case.operator for case in CASES.values()} == set(FORMULAS)


@each_case
def test_cost_by_hand(case: str) -> None:
    counts, expected = CountTable()[Call(case)], CASES[case]
    weights = sum(torch.Size(shape).numel() for shape in expected.weights)
    assert counts.macs == PerBatch(0, expected.macs)
    assert counts.flops == PerBatch(
        expected.fixed_elementwise, 2 * expected.macs + expected.elementwise
    )
    fixed = weights if expected.fixed_moved is None else expected.fixed_moved
    assert counts.access == PerBatch(fixed, expected.moved)


@each_pattern
def test_kept_is_what_autograd_keeps(case: str, pattern: str, references: ModuleType) -> None:
    block, batch = Call(case), 3
    counts = CountTable()[block].train[pattern]
    inputs = inputs_of(case, batch, "cpu", pattern)
    inner, saves_input, saves_output = references.saved_elements(block.build(), inputs)
    assert counts.saved.at(batch) == inner
    assert (counts.saves_input, counts.saves_output) == (saves_input, saves_output)


@each_pattern
def test_training_macs_are_those_of_the_flop_counter(
    case: str, pattern: str, references: ModuleType
) -> None:
    block, batch = Call(case), 3
    if not CASES[case].macs or (not CASES[case].weights and "1" not in pattern):
        # There is no product, or no backward pass.
        assert CountTable()[block].train[pattern].macs.at(batch) == batch * CASES[case].macs
        return
    inputs = inputs_of(case, batch, "meta", pattern)
    by_counter = references.training_macs(references.on_meta(block), inputs)
    groups = 2 if case == "conv2d_strided_in_groups" else 1
    # The counter takes a weight gradient in g groups for g times what it is.
    by_counter -= (groups - 1) * batch * CASES[case].macs
    assert CountTable()[block].train[pattern].macs.at(batch) == by_counter
