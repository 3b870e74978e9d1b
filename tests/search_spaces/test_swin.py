"""Swin Transformers against published sizes, attention without rolls, and formulas by hand."""

import math
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from search_spaces import Architecture, CountTable, FeedForward, ViTHead, count
from search_spaces.network import Network
from search_spaces.swin import PRESETS, PatchMerging, PatchStem, SwinSpace, WindowAttention
from search_spaces.window_layers import WindowMixing, relative_positions, shift_mask

SHAPES = [(8, 4, 0), (8, 4, 2), (8, 2, 1), (6, 3, 1), (6, 3, 2), (9, 3, 1), (4, 4, 0), (3, 1, 0)]
"""Resolution, window and shift."""


@pytest.fixture(scope="module")
def table() -> CountTable:
    return CountTable()


def preset(name: str) -> Architecture:
    space = SwinSpace(**PRESETS[name])
    assert space.size == 1
    return space.decode([0] * len(space.parameters))


def attended(mixing: WindowMixing, x: torch.Tensor, shift: int) -> torch.Tensor:
    """The attention of one image ``[resolution**2, width]``, token by token and without a roll.

    The windows begin at ``shift`` and are cut off by the edges of the image. A token sees those of
    its own window; the bias is that of how far it stands below and to the right of what it sees.
    """
    size, window, heads = mixing.resolution, mixing.window, mixing.heads
    places = [(row, column) for row in range(size) for column in range(size)]
    query, key, value = (part.unflatten(-1, (heads, -1)) for part in mixing.qkv(x).chunk(3, -1))
    outputs = []
    for token, (row, column) in enumerate(places):
        corner = ((row - shift) // window, (column - shift) // window)
        seen = [
            other
            for other, (r, c) in enumerate(places)
            if ((r - shift) // window, (c - shift) // window) == corner
        ]
        mixed = []
        for head in range(heads):
            scores = []
            for other in seen:
                down, right = row - places[other][0], column - places[other][1]
                bias = mixing.table[(down + window - 1) * (2 * window - 1) + right + window - 1]
                product = query[token, head].dot(key[other, head]) / math.sqrt(query.shape[-1])
                scores.append(product + bias[head])
            mixed.append(torch.stack(scores).softmax(0) @ value[seen, head])
        outputs.append(torch.cat(mixed))
    y: torch.Tensor = mixing.out(torch.stack(outputs))
    return y


@pytest.mark.parametrize(("resolution", "window", "shift"), SHAPES)
def test_attention_is_that_of_each_token_inside_its_window(
    resolution: int, window: int, shift: int
) -> None:
    mixing = WindowMixing(resolution, 6, 2, window, shift).double()
    nn.init.normal_(mixing.table)
    images = torch.randn(2, resolution**2, 6, dtype=torch.float64)
    expected = torch.stack([attended(mixing, image, shift) for image in images])
    torch.testing.assert_close(mixing(images), expected)


def test_the_block_normalises_first_and_adds_what_came_in() -> None:
    module = WindowAttention(4, 6, 3, 2, 1).build()
    norm, mixing = (module.get_submodule(f"inner.{i}") for i in range(2))
    x = torch.randn(2, 16, 6)
    expected = torch.stack([row + attended(mixing, norm(row), 1) for row in x])
    torch.testing.assert_close(module(x), expected)


def test_relative_positions_by_hand() -> None:
    # Of a 2x2 window; key to query: the same place is the middle of the 3x3 table, row 4.
    assert relative_positions(2).tolist() == [
        [4, 3, 1, 0],
        [5, 4, 2, 1],
        [7, 6, 4, 3],
        [8, 7, 5, 4],
    ]


def test_each_relative_position_has_a_row_of_the_table() -> None:
    index = relative_positions(5)
    assert set(index.flatten().tolist()) == set(range(81))
    assert (index + index.T == 80).all()  # There and back again.


def test_mask_by_hand() -> None:
    # Of 4x4 tokens in four windows: the roll by one brought the first row and column to the end.
    together = (shift_mask(4, 2, 1) == 0).int()
    assert together.shape == (4, 1, 4, 4)
    columns = [[1, 0, 1, 0], [0, 1, 0, 1], [1, 0, 1, 0], [0, 1, 0, 1]]
    rows = [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]]
    assert together[:, 0].tolist() == [
        [[1] * 4] * 4,
        columns,
        rows,
        torch.eye(4, dtype=torch.int).tolist(),
    ]


def test_merging_is_the_projection_of_four_neighbours() -> None:
    resolution, width = 6, 5
    module = PatchMerging(resolution, width).build()
    x = torch.randn(2, resolution**2, width)
    image = x.unflatten(1, (resolution, resolution))
    corners = [image[:, i::2, j::2] for i, j in ((0, 0), (1, 0), (0, 1), (1, 1))]
    norm, project = module.get_submodule("1"), module.get_submodule("2")
    expected = project(norm(torch.cat(corners, -1))).flatten(1, 2)
    torch.testing.assert_close(module(x), expected)


def test_stem_is_the_norm_of_projected_patches() -> None:
    module = PatchStem(3, 7, 2, 5).build()
    x = torch.randn(2, 3, 7, 7)
    conv, norm = module.get_submodule("0"), module.get_submodule("2")
    patches = [x[..., i : i + 2, j : j + 2].flatten(1) for i in (0, 2, 4) for j in (0, 2, 4)]
    expected = norm(torch.stack(patches, 1) @ conv.weight.flatten(1).T + conv.bias)
    torch.testing.assert_close(module(x), expected)


@pytest.mark.parametrize(
    ("name", "params", "gmacs"),
    [
        ("swin_t", 28_288_354, "4.491"),
        ("swin_s", 49_606_258, "8.741"),
        ("swin_b", 87_768_224, "15.431"),
    ],
)
def test_presets_have_the_published_sizes(
    name: str, params: int, gmacs: str, table: CountTable
) -> None:
    """The tables of torchvision's models; the paper prints 4.5, 8.7 and 15.4 G."""
    counts = count(preset(name), table)
    assert counts.params == params
    assert f"{counts.macs / 1e9:.3f}" == gmacs


def test_layers_of_the_tiny_preset() -> None:
    architecture = preset("swin_t")
    windows = [
        (block.resolution, block.width, block.heads, block.window, block.shift)
        for block in architecture.blocks
        if isinstance(block, WindowAttention)
    ]
    assert windows == [
        (56, 96, 3, 7, 0),
        (56, 96, 3, 7, 3),
        (28, 192, 6, 7, 0),
        (28, 192, 6, 7, 3),
        *[(14, 384, 12, 7, 0), (14, 384, 12, 7, 3)] * 3,
        *[(7, 768, 24, 7, 0)] * 2,
    ]


@pytest.mark.parametrize(
    ("patch", "width", "head_width", "window", "depths", "ratio"),
    [(2, 8, 4, 2, (2, 1), 2), (1, 12, 6, 4, (1, 3), 1.5), (2, 6, 6, 16, (2, 2), 4)],
)
def test_counts_of_a_network_by_hand(
    patch: int,
    width: int,
    head_width: int,
    window: int,
    depths: tuple[int, int],
    ratio: float,
    table: CountTable,
    references: ModuleType,
) -> None:
    space = SwinSpace(
        input_channels=3,
        resolution=16,
        classes=7,
        patch_size=(patch,),
        width=(width,),
        depth=[[depth] for depth in depths],
        head_width=(head_width,),
        window=(window,),
        mlp_ratio=(ratio,),
    )
    architecture = space.decode([0] * len(space.parameters))
    size = 16 // patch
    macs = size**2 * 3 * patch**2 * width
    params = 3 * patch**2 * width + 3 * width
    for stage, depth in enumerate(depths):
        c, tokens, side = width << stage, (size >> stage) ** 2, min(window, size >> stage)
        hidden = round(ratio * c)
        macs += depth * tokens * (4 * c * c + 2 * side**2 * c + 2 * c * hidden)
        table_rows = (2 * side - 1) ** 2
        params += depth * (4 * c * c + 4 * c + table_rows * c // head_width)
        params += depth * (4 * c + 2 * c * hidden + hidden + c)
    macs += (size // 2) ** 2 * 8 * width**2 + 2 * width * 7
    params += 8 * width**2 + 8 * width + 4 * width + 2 * width * 7 + 7
    counts = count(architecture, table)
    assert (counts.params, counts.macs) == (params, macs)
    with torch.device("meta"):
        network = Network(architecture)
    image = torch.empty(1, 3, 16, 16, device="meta")
    assert counts.macs == references.forward_macs(network, [image])


def test_elementwise_operations_and_traffic_by_hand(table: CountTable) -> None:
    size, width, heads, window = 4, 6, 2, 2
    tokens, inside = size**2, window**2
    plain, shifted = (table[WindowAttention(size, width, heads, window, s)] for s in (0, 1))
    scores = heads * tokens * inside
    macs = tokens * (4 * width**2 + 2 * inside * width)
    norm = 7 * tokens * width + 4 * tokens
    # Scaled queries, the bias, the softmax; biases of both layers, and the residual.
    elementwise = tokens * width + scores + 4 * scores - heads * tokens + 5 * tokens * width
    assert plain.macs.at(1) == shifted.macs.at(1) == macs
    assert plain.flops.at(1) == 2 * macs + norm + elementwise
    assert shifted.flops.at(1) == plain.flops.at(1) + scores
    assert shifted.params == plain.params
    mask = tokens // inside * inside**2
    assert shifted.weights == plain.weights + mask
    rolls = 2 * 2 * tokens * width
    assert shifted.access.at(1) == plain.access.at(1) + rolls + 2 * scores + mask


def test_space_makes_the_network_that_its_choices_name() -> None:
    space = SwinSpace(width=(32, 64), depth=((1, 2), (3,)), head_width=(8, 16))
    chosen = {"patch_size": 1, "width": 32, "head_width": 16, "window": 4}
    stages = {"depth_0": 2, "mlp_ratio_0": 2, "depth_1": 3, "mlp_ratio_1": 1}
    assert space.architecture({"resolution": 8} | chosen | stages).blocks == (
        PatchStem(1, 8, 1, 32),
        WindowAttention(8, 32, 2, 4, 0),
        FeedForward(64, 32, 64, 0),
        WindowAttention(8, 32, 2, 4, 2),
        FeedForward(64, 32, 64, 0),
        PatchMerging(8, 32),
        WindowAttention(4, 64, 4, 4, 0),
        FeedForward(16, 64, 64, 0),
        WindowAttention(4, 64, 4, 4, 0),  # One window covers the image: there is no shift.
        FeedForward(16, 64, 64, 0),
        WindowAttention(4, 64, 4, 4, 0),
        FeedForward(16, 64, 64, 0),
        ViTHead(16, 64, 10, "mean"),
    )


def test_a_window_larger_than_the_image_covers_it() -> None:
    small, large = (SwinSpace(resolution=4, patch_size=(1,), window=(w,)) for w in (4, 100))
    assert small.blocks == large.blocks
    assert all(b.shift == 0 for b in small.blocks if isinstance(b, WindowAttention))


def test_networks_can_be_trained() -> None:
    space = SwinSpace(resolution=(8, 16), depth=(2,), window=(2,))
    for code in space.random_codes(4, np.random.default_rng(0)):
        architecture = space.decode(code)
        network = Network(architecture)
        output = network(torch.randn(3, *architecture.input_shapes[0]))
        assert output.shape == (3, 10)
        output.sum().backward()
        for name, weight in network.named_parameters():
            assert weight.grad is not None, name
            assert weight.grad.isfinite().all(), name


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: WindowAttention(8, 32, 3, 4, 0),
            "`width` must be divisible by `heads`; got 32 and 3",
        ),
        (
            lambda: WindowAttention(8, 32, 4, 3, 0),
            "`resolution` must be divisible by `window`; got 8 and 3",
        ),
        (
            lambda: WindowAttention(8, 32, 4, 4, 4),
            "`shift` must be a whole number from 0 to below `window`; got 4 with 4",
        ),
        (lambda: WindowAttention(8, 32, 4, 4, -1), "`shift` must be .*; got -1 with 4"),
        (lambda: WindowAttention(8, 32, 4, 4, True), "`shift` must be .*; got True with 4"),
        (
            lambda: WindowAttention(4, 32, 4, 4, 2),
            "`shift` must be 0 where one window covers the image; got 2 with .* 4",
        ),
        (lambda: PatchMerging(7, 8), "`resolution` must be even to be halved; got 7"),
        (lambda: PatchStem(1, 8, 9, 8), "`patch_size` must not exceed `resolution`; got 9 and 8"),
    ],
)
def test_blocks_that_cannot_be_are_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"window": (3,)}, "`resolution` must be divisible by `window`; got 8 and 3"),
        (
            {"width": (16,), "head_width": (12,)},
            "`width` must be divisible by `head_width`; got 16 and 12",
        ),
        ({"depth": ((1,), (1,), (2,))}, "`depth` lists 3 stages, but `stages` is 2; give one"),
        ({"depth": (1, (2,))}, "`depth` mixes numbers and lists"),
        ({"depth": ()}, "`depth` must list whole numbers above 0, at least one for each stage"),
        ({"depth": ((1,), ())}, "`depth` must list whole numbers above 0, at least one"),
        ({"depth": (0,)}, r"`depth` must list whole numbers above 0, .*; got \(0,\)"),
        ({"depth": (1.5,)}, r"`depth` must list whole numbers above 0, .*; got \(1.5,\)"),
        ({"stages": 5}, "`resolution` must be even to be halved; got 1"),
        (
            {"resolution": 12, "patch_size": (4,), "window": (3,)},
            "must be even to be halved; got 3",
        ),
        ({"stages": 0}, "`stages` must be a number above 0; got 0"),
        ({"window": ()}, "`window` is empty"),
        ({"mlp_ratio": (0.001,)}, "`hidden` must be a number above 0; got 0"),
    ],
)
def test_spaces_that_cannot_be_built_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SwinSpace(**fields)
