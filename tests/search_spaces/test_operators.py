"""Each operator's formula against hand counts and against what autograd keeps."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from search_spaces import Block, CountTable, PerBatch, Shape
from search_spaces.operators import FORMULAS


@dataclass(frozen=True)
class Case:
    """One call: shapes of inputs without the batch, of weights, and its cost for one example."""

    operator: str
    call: Callable[..., torch.Tensor]
    inputs: tuple[Shape, ...] = ((3, 4),)
    weights: tuple[Shape, ...] = ()
    macs: int = 0
    elementwise: int = 0
    moved: int = 0
    fixed_elementwise: int = 0


PAIR = ((3, 4), (3, 4))
HEADS = ((2, 3, 4),) * 3
SCORES = 2 * 3 * 3

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
        F.scaled_dot_product_attention,
        HEADS,
        macs=2 * SCORES * 4,
        elementwise=24 + 4 * SCORES - 6,
        moved=4 * 24 + 4 * SCORES,
    ),
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
    "gelu_tanh": Case(
        "gelu", lambda x: F.gelu(x, approximate="tanh"), elementwise=8 * 12, moved=24
    ),
    "gelu_erf": Case("gelu", F.gelu, elementwise=4 * 12, moved=24),
    "mean": Case("mean", lambda x: x.mean(1), elementwise=12, moved=12 + 4),
    "silu": Case("silu", F.silu, elementwise=12, moved=24),
    "relu": Case("relu", F.relu, elementwise=12, moved=24),
    "sigmoid": Case("sigmoid", torch.sigmoid, moved=24),
    "tanh": Case("tanh", torch.tanh, moved=24),
    "add": Case("add", lambda a, b: a + b, PAIR, elementwise=12, moved=36),
    "add_broadcast": Case("add", torch.add, ((3, 4), (1, 4)), elementwise=12, moved=28),
    "sub": Case("sub", lambda a, b: a - b, PAIR, elementwise=12, moved=36),
    "mul": Case("mul", lambda a, b: a * b, PAIR, elementwise=12, moved=36),
    "mul_by_a_number": Case("mul", lambda x: 2 * x, elementwise=12, moved=24),
    "div": Case("div", lambda a, b: a / b, PAIR, elementwise=12, moved=36),
    "div_by_a_number": Case("div", lambda x: x / 2, elementwise=12, moved=24),
    "cat": Case("cat", lambda a, b: torch.cat((a, b), 1), PAIR, moved=48),
    "getitem": Case("__getitem__", lambda x: x[:, 1]),
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

    def build(self) -> nn.Module:
        return _Call(CASES[self.case])


class _Call(nn.Module):
    def __init__(self, case: Case) -> None:
        super().__init__()
        self.call = case.call
        self.weights = nn.ParameterList([torch.randn(shape) for shape in case.weights])

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        return self.call(*inputs, *self.weights)


each_case = pytest.mark.parametrize("case", CASES)
each_pattern = pytest.mark.parametrize(
    ("case", "pattern"),
    [
        (name, "".join(needs))
        for name, case in CASES.items()
        for needs in itertools.product("01", repeat=len(case.inputs))
    ],
)


def with_gradients(inputs: list[torch.Tensor], pattern: str) -> list[torch.Tensor]:
    """The inputs, of which those marked ``"1"`` need a gradient."""
    return [x.requires_grad_(need == "1") for x, need in zip(inputs, pattern, strict=True)]


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
    assert counts.access == PerBatch(weights, expected.moved)


@each_pattern
def test_kept_is_what_autograd_keeps(case: str, pattern: str, references: ModuleType) -> None:
    block, batch = Call(case), 3
    counts = CountTable()[block].train[pattern]
    inputs = with_gradients(references.batch_of(block, batch, "cpu"), pattern)
    inner, saves_input, saves_output = references.saved_elements(block.build(), inputs)
    assert counts.saved.at(batch) == inner
    assert (counts.saves_input, counts.saves_output) == (saves_input, saves_output)


@each_pattern
def test_training_macs_are_those_of_the_flop_counter(
    case: str, pattern: str, references: ModuleType
) -> None:
    block, batch = Call(case), 3
    if not CASES[case].weights and "1" not in pattern:  # There is no backward pass.
        assert CountTable()[block].train[pattern].macs.at(batch) == batch * CASES[case].macs
        return
    inputs = with_gradients(references.batch_of(block, batch, "meta"), pattern)
    by_counter = references.training_macs(references.on_meta(block), inputs)
    groups = 2 if case == "conv2d_strided_in_groups" else 1
    # The counter takes a weight gradient in g groups for g times what it is.
    by_counter -= (groups - 1) * batch * CASES[case].macs
    assert CountTable()[block].train[pattern].macs.at(batch) == by_counter
