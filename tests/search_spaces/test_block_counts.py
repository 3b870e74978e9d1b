"""Every block type against PyTorch's own counter, ATen operators and what autograd keeps."""

import itertools
from types import ModuleType

import pytest

from search_spaces import (
    Block,
    ConvHead,
    ConvStem,
    CountTable,
    FeedForward,
    InvertedBottleneck,
    PatchEmbedding,
    SelfAttention,
    SparseBlock,
    ViTHead,
    block_key,
)
from search_spaces.decoder import LanguageHead, LastTokenEmbedding, TokenEmbedding
from search_spaces.fnet import FourierMixing
from search_spaces.moe import ExpertFeedForward
from search_spaces.resnet import Bottleneck, ResNetStem
from search_spaces.swin import PatchMerging, PatchStem, WindowAttention
from search_spaces.t5 import (
    CrossAttention,
    EncoderNorm,
    RelativeAttention,
    SpanEmbedding,
    SwitchFeedForward,
    T5FeedForward,
    T5Head,
)
from search_spaces.transformer import CachedAttention

BLOCKS: list[Block] = [
    PatchEmbedding(3, 8, 2, 32, class_token=True),
    PatchEmbedding(1, 9, 4, 16, class_token=False),
    SelfAttention(17, 32, 4, 8, 4, causal=False),
    SelfAttention(16, 24, 2, 16, 2, causal=True),
    SelfAttention(7, 20, 6, 8, 2, causal=False),
    SelfAttention(7, 20, 4, 4, 1, causal=True),
    FeedForward(17, 32, 64, 0),
    FeedForward(16, 32, 24, 5),
    ViTHead(17, 32, 10, "cls"),
    ViTHead(16, 32, 10, "mean"),
    ConvStem(3, 9, 8, 2, "silu"),
    ConvStem(1, 8, 4, 1, "relu6"),
    *(
        InvertedBottleneck(7, 8, width, kernel, stride, expansion, squeeze, activation)
        for stride, expansion, squeeze, (width, kernel, activation) in itertools.product(
            (1, 2), (1, 3), (False, True), ((8, 3, "silu"), (12, 5, "relu6"))
        )
    ),
    InvertedBottleneck(7, 8, 8, 3, 1, 2, True, "hardswish"),
    InvertedBottleneck(7, 8, 8, 3, 1, 2, True, "gelu"),
    ConvHead(4, 8, 10, 0, ""),
    ConvHead(4, 8, 10, 12, "silu"),
    ConvHead(4, 8, 10, 12, "relu"),
    ResNetStem(3, 9, 8),
    ResNetStem(1, 8, 4),
    *(
        Bottleneck(7, 8, width, 4, group, stride, squeeze)
        for stride, (width, group), squeeze in itertools.product(
            (1, 2), ((8, 4), (8, 2), (12, 1)), (False, True)
        )
    ),
    ExpertFeedForward(16, 24, 32, 4, 1, 5),
    ExpertFeedForward(16, 12, 24, 8, 2, 6),
    ExpertFeedForward(8, 8, 8, 2, 2, 7),
    FourierMixing(17, 12, "dft"),
    FourierMixing(16, 24, "fft"),
    PatchStem(3, 8, 2, 12),
    WindowAttention(6, 12, 3, 3, 0),
    WindowAttention(6, 12, 2, 3, 1),
    WindowAttention(4, 16, 2, 4, 0),
    WindowAttention(8, 8, 1, 4, 2),
    PatchStem(1, 9, 4, 8),
    PatchMerging(6, 8),
    PatchMerging(2, 8),
    TokenEmbedding(50, 9, 16),
    LastTokenEmbedding(50, 9, 16),
    LanguageHead(9, 16, 50),
    CachedAttention(9, 16, 4, 4, 2),
    CachedAttention(9, 16, 4, 4, 4),
    SpanEmbedding(50, 20, 8, 12, 16),
    RelativeAttention(9, 16, 2, 12, True),
    RelativeAttention(9, 16, 2, 12, False),
    CrossAttention(7, 9, 16, 2, 12),
    T5FeedForward(9, 16, 40, False),
    T5FeedForward(9, 16, 40, True),
    SwitchFeedForward(9, 16, 40, 4, 3),
    EncoderNorm(9, 16),
    T5Head(9, 16, 50, True),
    T5Head(9, 16, 50, False),
    SparseBlock(block_key(FeedForward(17, 32, 64, 0)), 0.5),
]
COMPOSITE = {
    "FourierMixing": "a copy of the input to complex numbers that PyTorch makes inside",
    **dict.fromkeys(
        (
            "RelativeAttention",
            "CrossAttention",
            "T5FeedForward",
            "SwitchFeedForward",
            "T5Head",
            "EncoderNorm",
        ),
        "rms_norm, which PyTorch's CPU computes in five operators",
    ),
}
"""Blocks of which ATen shows more operators than are called, and why: their traffic and peak are
tested by hand where they are built."""
BATCHES = (1, 3)
PACKAGE = "search_spaces"

each_block = pytest.mark.parametrize("block", BLOCKS, ids=block_key)
each_plain_block = pytest.mark.parametrize(
    "block", [block for block in BLOCKS if type(block).__name__ not in COMPOSITE], ids=block_key
)
each_batch = pytest.mark.parametrize("batch", BATCHES)


@pytest.fixture(scope="module")
def table() -> CountTable:
    return CountTable()


def pattern(block: Block, input_grad: bool) -> str:
    """Token ids need no gradient; other inputs need one all together here."""
    needed = input_grad and block.token_ids is None
    return ("1" if needed else "0") * len(block.input_shapes)


def test_no_block_type_is_left_out() -> None:
    built_in = {n for n, cls in Block.types.items() if cls.__module__.split(".")[0] == PACKAGE}
    assert built_in == {type(block).__name__ for block in BLOCKS}


def unseen_by_dispatch(block: Block) -> tuple[int, int]:
    """Per example, what a fused attention operator hides: traffic, and outputs of products.

    The scores of each head are written by the first product, read and written by the softmax and
    read by the second product, which puts out one value for each feature of each token. Adding a
    causal mask reads and writes them once more.
    """
    if isinstance(block, CachedAttention):
        scores = block.heads * block.context
        return 4 * scores, scores + block.heads * block.head_width
    if isinstance(block, SelfAttention):
        scores = block.heads * block.tokens**2
        traffic = (6 if block.causal else 4) * scores
        return traffic, scores + block.tokens * block.heads * block.head_width
    return 0, 0


@each_block
def test_weights_are_those_of_the_module(block: Block, table: CountTable) -> None:
    module = block.build()
    buffers = sum(b.numel() for b in module.buffers() if b.is_floating_point())
    assert table[block].params == sum(p.numel() for p in module.parameters())
    assert table[block].weights == table[block].params + buffers


@each_block
@each_batch
def test_output_shape_is_that_of_the_module(
    block: Block, batch: int, table: CountTable, references: ModuleType
) -> None:
    output = block.build()(*references.batch_of(block, batch, "cpu"))
    assert (batch, *table[block].output_shape) == output.shape


@each_block
@each_batch
def test_macs_are_those_of_the_flop_counter(
    block: Block, batch: int, table: CountTable, references: ModuleType
) -> None:
    inputs = references.batch_of(block, batch, "meta")
    assert table[block].macs.at(batch) == references.forward_macs(references.on_meta(block), inputs)


@each_block
@each_batch
@pytest.mark.parametrize("input_grad", [True, False])
def test_training_macs_are_those_of_the_flop_counter(
    block: Block, batch: int, input_grad: bool, table: CountTable, references: ModuleType
) -> None:
    counts = table[block].train[pattern(block, input_grad)]
    inputs = references.batch_of(block, batch, "meta", input_grad)
    by_counter = references.training_macs(references.on_meta(block), inputs)
    # For the weight gradient of a convolution in g groups the counter multiplies all pairs of
    # channels, not only those of one group: g times what is computed.
    if isinstance(block, Bottleneck):
        middle, side = block.bottleneck_width, -(-block.resolution // block.stride)
        groups = middle // block.group_width
        by_counter -= (groups - 1) * batch * middle * block.group_width * (3 * side) ** 2
    if isinstance(block, InvertedBottleneck):
        hidden, resolution = block.width_in * block.expansion, -(-block.resolution // block.stride)
        by_counter -= (hidden - 1) * batch * hidden * (block.kernel_size * resolution) ** 2
    assert counts.macs.at(batch) == by_counter


@each_plain_block
@each_batch
def test_operators_traffic_and_activations_are_those_of_aten(
    block: Block, batch: int, table: CountTable, references: ModuleType
) -> None:
    tally = references.operators(block.build(), references.batch_of(block, batch, "cpu"))
    traffic, outputs = unseen_by_dispatch(block)
    assert table[block].access.at(batch) == tally.moved + batch * traffic
    assert table[block].activations.at(batch) == tally.product_outputs + batch * outputs
    assert table[block].operators == len(tally.names)


@each_plain_block
@each_batch
def test_peak_is_what_is_alive_between_aten_operators(
    block: Block, batch: int, table: CountTable, references: ModuleType
) -> None:
    tally = references.operators(block.build(), references.batch_of(block, batch, "cpu"))
    assert table[block].peak.at(batch) == tally.peak


@each_block
@each_batch
@pytest.mark.parametrize("input_grad", [True, False])
def test_saved_elements_are_those_that_autograd_packs(
    block: Block, batch: int, input_grad: bool, table: CountTable, references: ModuleType
) -> None:
    counts = table[block].train[pattern(block, input_grad)]
    inputs = references.batch_of(block, batch, "cpu", input_grad)
    inner, saves_input, saves_output = references.saved_elements(block.build(), inputs)
    assert counts.saved.at(batch) == inner
    assert (counts.saves_input, counts.saves_output) == (saves_input, saves_output)
