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
    BlockError,
    ConvHead,
    CountTable,
    PatchEmbedding,
    PerBatch,
    SelfAttention,
    Shape,
    UncountedOperatorError,
    ViTHead,
)
from search_spaces.operators import elements
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


class TorchAttention(nn.Module):
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


class ChangedView(nn.Module):
    """Changes a sum through a view of it."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x + x
        y[:, 0].add_(x[:, 1])
        return y


class Overwritten(nn.Module):
    """Overwrites a part of a sum."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x + x
        y[:, 0] = 0
        return y


class Remembers(nn.Module):
    """Writes into a buffer in inference."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.mean.copy_(x.mean((0, 1)))  # type: ignore[operator]


class WithMask(nn.Module):
    """Attention whose mask is looked up in a table of weights."""

    places: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.zeros(5))
        self.register_buffer("places", torch.zeros(3, 3, dtype=torch.int64))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        heads = x.unsqueeze(1)
        mixed = F.scaled_dot_product_attention(heads, heads, heads, self.table[self.places])
        return mixed.squeeze(1)


class Routed(nn.Module):
    """Scales the tokens of the larger logits, by masks and by rows that it takes."""

    def __init__(self) -> None:
        super().__init__()
        self.router = nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        gates = self.router(x).softmax(-1)
        best, expert = gates.topk(1, -1)
        first = (expert == 0).float()
        before = (first.cumsum(1) - first) * first
        _, place = gates[..., 1:].max(1, keepdim=True)
        y: torch.Tensor = torch.take_along_dim(x, place, 1) * best
        return torch.where(before > 1, y, x * best) + y * before


MODULES: dict[str, Callable[[], nn.Module]] = {
    "ifft2": lambda: Function(torch.fft.ifft2),
    "ones": lambda: Function(lambda x: x + torch.ones(4)),
    "sine": lambda: Function(torch.sin),
    "remembers": Remembers,
    "misfit": lambda: nn.Linear(5, 2),
    "named": lambda: Function(lambda x: torch.softmax(input=x, dim=-1)),
    "across": lambda: Function(lambda x: x.transpose(0, 1) + 1),
    "squared": lambda: Function(lambda x: x[:, 0] @ x[:, 0].transpose(0, 1) @ x[:, 0]),
    "floor": lambda: Function(lambda x: x // 2),
    "scaled_in_place": lambda: Function(lambda x: (2 * x).mul_(3)),
    "attention": TorchAttention,
    "mask": WithMask,
    "mask_of_the_input": lambda: Function(
        lambda x: F.scaled_dot_product_attention(x[:, None], x[:, None], x[:, None], x[..., :3])
    ),
    "three_dimensions": lambda: Function(lambda x: F.scaled_dot_product_attention(x, x, x)),
    "narrow_values": lambda: Function(
        lambda x: F.scaled_dot_product_attention(x[:, None], x[:, None], x[:, None, :, :2])
    ),
    "dropped": lambda: Function(lambda x: F.dropout(x, 0.5)),
    "largest_of_all": lambda: Function(lambda x: x - x.max()),
    "complex": lambda: Function(torch.fft.fft2),
    "spectrum": lambda: Function(lambda x: torch.fft.fft2(x).real),
    "routed": Routed,
    "reversed": lambda: Function(lambda x: 2 - (3 / x) ** x + 2**-x),
    "several": lambda: Function(lambda x: torch.cat([*x.chunk(2, -1), *x.topk(1)[:1]], -1)),
    "constant": WithConstant,
    "changed_view": ChangedView,
    "overwritten": Overwritten,
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
    assert counts.peak.lines == (PerBatch(0, width + 3 * hidden),)
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
        ("ifft2", "Operator `fft_ifft2` has no cost formula. Known: .*linear"),
        ("ones", "Operator `ones` has no cost formula"),
        ("sine", "Operator `sin` has no cost formula"),
        ("remembers", "`copy_` writes what it was given into a weight or buffer"),
        ("named", "This call of `softmax` is not counted"),
        ("floor", "Operator `__floordiv__` has no cost formula"),
        ("changed_view", r"shape \(2, 3, 4\) .* another operator changed its memory in place"),
        ("overwritten", "Operator `__setitem__` has no cost formula"),
        ("scaled_in_place", "Operator `mul_` has no cost formula"),
        ("attention", "Operator `multi_head_attention_forward` has no cost formula"),
        ("mask", "when its mask may need a gradient; write its products and its softmax out"),
        ("mask_of_the_input", "when its mask may need a gradient"),
        ("three_dimensions", "not one fused operator when it is not of four dimensions"),
        ("narrow_values", "when keys and values differ in width"),
        ("constant", r"shape \(4,\) is neither an input, .* Register constants as buffers"),
    ],
)
def test_what_cannot_be_counted_is_refused_by_name(module: str, message: str) -> None:
    with pytest.raises(UncountedOperatorError, match=message):
        CountTable()[Named(module)]


def test_errors_name_the_block_and_what_to_write_instead() -> None:
    with pytest.raises(
        UncountedOperatorError, match=r"^Named\(module='ones'\): .*Write a registered"
    ):
        CountTable()[Named("ones")]
    with pytest.raises(
        BlockError, match=r"Named\(module='misfit'\) cannot be run on inputs of the"
    ):
        CountTable()[Named("misfit")]


@pytest.mark.parametrize(
    ("module", "message"),
    [
        ("across", r"one result for each example; at batch 2 it returned the shape \(3, 2, 4\)"),
        ("squared", "The macs of .* do not grow in proportion to the batch"),
    ],
)
def test_examples_that_are_not_computed_by_themselves_are_refused(
    module: str, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        CountTable()[Named(module)]


@pytest.mark.parametrize(
    ("module", "message"),
    [
        ("dropped", "`dropout` must be given the module's own `training`; it was given True"),
        ("largest_of_all", "`max` must be given `dim` as a number; got None"),
    ],
)
def test_calls_that_cannot_be_counted_are_refused(module: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CountTable()[Named(module)]


@pytest.mark.parametrize(
    ("module", "message"),
    [
        ("two_outputs", "must return one tensor; it returned tuple"),
        ("complex", "must return real numbers; it returned torch.complex64"),
    ],
)
def test_a_block_returns_one_real_tensor(module: str, message: str) -> None:
    with pytest.raises(BlockError, match=message):
        CountTable()[Named(module)]


@pytest.mark.parametrize("grad", [True, False])
def test_no_gradient_passes_through_indices_and_masks(grad: bool, references: ModuleType) -> None:
    block, batch = Named("routed"), 4
    counts = CountTable()[block].train["1" if grad else "0"]
    inputs = references.batch_of(block, batch, "cpu", grad)
    inner, saves_input, saves_output = references.saved_elements(block.build(), inputs)
    assert counts.saved.at(batch) == inner
    assert (counts.saves_input, counts.saves_output) == (saves_input, saves_output)


def test_python_operators_have_one_name_and_their_operands_in_order() -> None:
    trace, _ = traces(Named("reversed"))
    names = ["div", "pow", "sub", "neg", "pow", "add"]
    assert [operation.name for operation in trace.operations] == names
    (x,) = trace.inputs
    divided, powered, subtracted, _, _, _ = trace.operations
    assert divided.args == (3, x)
    assert powered.args == (*divided.outputs, x)
    assert subtracted.args == (2, *powered.outputs)


def test_an_operator_may_return_several_tensors() -> None:
    chunk, topk, cat = symbolic_trace(Named("several")).operations
    assert [out.shape for out in chunk.outputs] == [(Batch(1), 3, 2)] * 2
    assert chunk.view
    values, indices = topk.outputs
    assert (values.dtype, indices.dtype) == ("float32", "int64")
    assert (values.differentiable, indices.differentiable) == (True, False)
    assert cat.args[0] == [*chunk.outputs, values]


def test_a_complex_tensor_is_two_elements_for_each_number() -> None:
    transform, real = traces(Named("spectrum"))[0].operations
    assert [(t.dtype, elements(t)) for t in transform.outputs] == [("complex64", 2 * 24)]
    assert (real.name, real.view) == ("real", True)
    # The input, its copy as complex numbers, and the transform.
    assert CountTable()[Named("spectrum")].peak.lines == (PerBatch(0, 12 + 24 + 24),)


@dataclass(frozen=True, slots=True)
class Lookup(Block):
    """A table's rows for five ids."""

    tokens: int
    width: int

    @property
    def input_shapes(self) -> tuple[Shape, ...]:
        return ((5,),)

    @property
    def token_ids(self) -> int:
        return self.tokens

    def build(self) -> nn.Module:
        return nn.Embedding(self.tokens, self.width)


def test_token_ids_are_whole_numbers_of_one_element() -> None:
    small, large = traces(Lookup(7, 4))
    (ids,) = small.inputs
    assert (ids.dtype, ids.differentiable, elements(ids)) == ("int32", False, 2 * 5)
    assert large.inputs[0].shape == (3, 5)
    counts = CountTable()[Lookup(7, 4)]
    # It reads an id and a row, and writes the row.
    assert (counts.access, counts.flops) == (PerBatch(0, 5 * (1 + 4 + 4)), PerBatch(0, 0))
    assert counts.train["0"].saves_input == (True,)
    assert counts.train["0"].saved == PerBatch(0, 0)


@pytest.mark.parametrize(
    ("module", "message"),
    [
        ("one_row_more", "one result for each example; at batch 2 it returned the shape"),
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
    small, large = traces(ConvHead(4, 8, 10, 0, ""))
    assert [o.name for o in small.operations] == ["mean", "linear"]
    assert (small.inputs[0].shape, large.inputs[0].shape) == ((2, 8, 4, 4), (3, 8, 4, 4))
    _, weight, bias = small.operations[1].inputs
    assert (weight.name, weight.source, weight.trainable) == ("1.weight", "weight", True)
    assert (bias.name, bias.shape) == ("1.bias", (10,))
    views = [o.name for o in traces(SelfAttention(5, 16, 2, 8, 2, False))[0].operations if o.view]
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


def test_counts_do_not_depend_on_pytorchs_default_dtype() -> None:
    blocks: list[Block] = [
        SelfAttention(tokens=5, width=36, heads=3, head_width=12, kv_heads=3, causal=True),
        GatedBlock(width=37, hidden=11),
    ]
    try:
        torch.set_default_dtype(torch.float64)
        traces.cache_clear()
        doubles = [CountTable()[block] for block in blocks]
    finally:
        torch.set_default_dtype(torch.float32)
        traces.cache_clear()
    assert doubles == [CountTable()[block] for block in blocks]
