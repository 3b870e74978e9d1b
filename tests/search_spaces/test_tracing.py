"""Tracing of a user's own blocks: what is counted, and what is refused."""

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from search_spaces import (
    Block,
    ConvHead,
    CountTable,
    PatchEmbedding,
    PerBatch,
    Shape,
    TransformerLayer,
    UncountedOperatorError,
    ViTHead,
)
from search_spaces.tracing import BATCHES, Batch, symbolic_trace, traces


class Gated(nn.Module):
    """``relu(up(x)) * tanh(gate(x))``, projected down, with a scale that is a buffer."""

    scale: torch.Tensor

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.up = nn.Linear(width, hidden)
        self.gate = nn.Linear(width, hidden, bias=False)
        self.down = nn.Linear(hidden, width)
        self.register_buffer("scale", torch.ones(hidden))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mixed = F.relu(self.up(x)) * torch.tanh(self.gate(x))
        y: torch.Tensor = self.down(mixed * self.scale)
        return y


@dataclass(frozen=True, slots=True)
class GatedBlock(Block):
    """A block such as a user writes."""

    width: int
    hidden: int

    @property
    def input_shapes(self) -> tuple[Shape, ...]:
        return ((self.width,),)

    def build(self) -> nn.Module:
        return Gated(self.width, self.hidden)


class WithConstant(nn.Module):
    """Adds a tensor that is neither weight nor buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.constant = torch.ones(4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.constant


class SelfAttention(nn.Module):
    """PyTorch's own attention, which has no formula."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.MultiheadAttention(4, 2, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.inner(x, x, x)[0]
        return y


class Function(nn.Module):
    """A function of one tensor, then a linear layer where ``width`` is given."""

    def __init__(self, function: Callable[[torch.Tensor], Any], width: int = 0) -> None:
        super().__init__()
        self.function = function
        self.linear = nn.Linear(width, width, bias=False) if width else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.linear(self.function(x))
        return y


class Returns(nn.Module):
    """Returns two tensors."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return x + x, x * x


class InPlace(nn.Module):
    """A linear layer and a ReLU."""

    def __init__(self, inplace: bool) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 4, bias=False), nn.ReLU(inplace=inplace))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.layers(x)
        return y


MODULES: dict[str, Callable[[], nn.Module]] = {
    "fft2": lambda: Function(torch.fft.fft2),
    "ones": lambda: Function(lambda x: x + torch.ones(4)),
    "power": lambda: Function(lambda x: x**2),
    "neg": lambda: Function(lambda x: -x),
    "attention": SelfAttention,
    "constant": WithConstant,
    "two_outputs": Returns,
    "one_row_more": lambda: Function(lambda x: torch.cat((x, x[:1]))),
    "other_operator": lambda: Function(lambda x: x + x if x.shape[0] == BATCHES[0] else x * x),
    "contiguous": lambda: Function(lambda x: x.contiguous(), 4),
    "plain": lambda: Function(lambda x: x[:], 4),
    "relu_of_the_input_in_place": lambda: Function(lambda x: F.relu(x, inplace=True), 4),
    "relu": lambda: InPlace(False),
    "relu_in_place": lambda: InPlace(True),
}


@dataclass(frozen=True, slots=True)
class Named(Block):
    """One of :data:`MODULES` on three tokens of width 4."""

    module: str

    @property
    def input_shapes(self) -> tuple[Shape, ...]:
        return ((3, 4),)

    def build(self) -> nn.Module:
        return MODULES[self.module]()


def test_a_users_block_is_counted_by_hand() -> None:
    width, hidden = 6, 10
    counts = CountTable()[GatedBlock(width, hidden)]
    weights = 3 * width * hidden
    assert counts.output_shape == (width,)
    assert counts.params == weights + hidden + width
    assert counts.weights == counts.params + hidden
    assert counts.macs == PerBatch(0, weights)
    # Two biases, ReLU and two products.
    assert counts.flops == PerBatch(0, 2 * weights + hidden + width + 3 * hidden)
    assert counts.activations == PerBatch(0, 2 * hidden + width)
    linears = 3 * (width + hidden)
    assert counts.access == PerBatch(counts.weights, linears + (2 + 2 + 3 + 2) * hidden)
    # While the two sides are multiplied: input, both sides and their product.
    assert counts.peak == PerBatch(0, width + 3 * hidden)
    # The ReLU and tanh by their outputs, and what the last layer reads.
    assert counts.train["1"].saved == PerBatch(0, 3 * hidden)
    assert counts.train["1"].saves_input == (True,)
    assert counts.train["1"].macs == PerBatch(0, 3 * weights)
    assert counts.train["0"].macs == PerBatch(0, 3 * weights - 2 * width * hidden)


def test_a_users_block_is_counted_as_pytorch_does(references: ModuleType) -> None:
    block, batch = GatedBlock(6, 10), 3
    counts = CountTable()[block]
    tally = references.operators(block.build(), references.batch_of(block, batch, "cpu"))
    kept = references.saved_elements(block.build(), references.batch_of(block, batch, "cpu", True))
    assert counts.access.at(batch) == tally.moved
    assert counts.peak.at(batch) == tally.peak
    assert (counts.train["1"].saved.at(batch), (True,), False) == kept


@pytest.mark.parametrize(
    ("module", "message"),
    [
        ("fft2", "Operator `fft_fft2` has no cost formula. Known: .*linear"),
        ("ones", "Operator `ones` has no cost formula"),
        ("power", "Operator `.*pow.*` has no cost formula"),
        ("neg", "Operator `neg` has no cost formula|Operator `__neg__` has no cost formula"),
        ("attention", "Operator `multi_head_attention_forward` has no cost formula"),
        ("constant", r"shape \(4,\) is neither an input, .* Register constants as buffers"),
    ],
)
def test_what_cannot_be_counted_is_refused_by_name(module: str, message: str) -> None:
    with pytest.raises(UncountedOperatorError, match=message):
        CountTable()[Named(module)]


def test_a_block_returns_one_tensor() -> None:
    with pytest.raises(TypeError, match="must return one tensor; it returned tuple"):
        CountTable()[Named("two_outputs")]


@pytest.mark.parametrize(
    ("module", "message"),
    [
        ("one_row_more", "3 becomes 4 with the batch; use the batch size itself"),
        ("other_operator", "runs other operators at batch 2 than at another"),
    ],
)
def test_shapes_that_follow_the_batch_oddly_are_refused(module: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        symbolic_trace(Named(module))


def test_symbolic_trace_names_the_batch() -> None:
    trace = symbolic_trace(PatchEmbedding(1, 8, 4, 16, class_token=True))
    assert trace.inputs[0].shape == (Batch(1), 1, 8, 8)
    assert trace.output.shape == (Batch(1), 5, 16)
    operations = {operation.name: operation for operation in trace.operations}
    assert operations["expand"].args[1:] == (Batch(1), -1, -1)
    assert operations["conv2d"].inputs[1].shape == (16, 1, 4, 4)


def test_symbolic_trace_keeps_the_order_of_operators() -> None:
    trace = symbolic_trace(ViTHead(5, 16, 3, "mean"))
    assert [o.name for o in trace.operations] == ["layer_norm", "mean", "linear"]
    assert trace.operations[1].outputs[0].shape == (Batch(1), 16)
    assert trace.operations[0].args[1] == (16,)


def test_trace_knows_weights_views_and_the_order_of_operators() -> None:
    small, large = traces(ConvHead(4, 8, 10))
    assert [o.name for o in small.operations] == ["mean", "linear"]
    assert (small.inputs[0].shape, large.inputs[0].shape) == ((2, 8, 4, 4), (3, 8, 4, 4))
    _, weight, bias = small.operations[1].inputs
    assert (weight.name, weight.source, weight.trainable) == ("1.weight", "weight", True)
    assert (bias.name, bias.shape) == ("1.bias", (10,))
    views = [o.name for o in traces(TransformerLayer(5, 16, 2, 8))[0].operations if o.view]
    assert views.count("reshape") == 4  # Fused attention writes what the last one reads.
    assert views.count("transpose") == 4


def test_an_input_that_an_operator_returns_unchanged_is_still_the_input() -> None:
    """``contiguous`` gives back the same tensor where nothing is to be done."""
    table = CountTable()
    assert table[Named("contiguous")] == table[Named("plain")]


def test_an_operator_in_place_moves_as_much_as_one_that_is_not() -> None:
    table = CountTable()
    assert table[Named("relu_in_place")].access == table[Named("relu")].access
    assert table[Named("relu")].access == PerBatch(16, 4 * 12)


def test_an_input_changed_in_place_is_still_the_input() -> None:
    trace, _ = traces(Named("relu_of_the_input_in_place"))
    assert trace.inputs == trace.operations[0].inputs
    assert trace.inputs[0].source == "input"
    assert trace.operations[0].outputs[0] is trace.operations[1].inputs[0]
