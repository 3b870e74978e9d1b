"""Convolutional blocks against formulas worked by hand."""

import itertools
import json
import math
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from search_spaces import (
    Architecture,
    ConvHead,
    ConvStem,
    CountTable,
    InvertedBottleneck,
    MBConvSpace,
    PerBatch,
    count,
)
from search_spaces.compound import CompoundScaling
from search_spaces.mbconv import ACTIVATIONS, PRESETS
from search_spaces.network import Network


@pytest.fixture(scope="module")
def table() -> CountTable:
    return CountTable()


@pytest.mark.parametrize(("resolution", "stride", "out"), [(8, 1, 8), (8, 2, 4), (9, 2, 5)])
def test_stem_by_hand(resolution: int, stride: int, out: int, table: CountTable) -> None:
    c, w = 3, 8
    counts = table[ConvStem(c, resolution, w, stride, "silu")]
    kernel, put_out = 9 * c * w, w * out**2
    assert counts.output_shape == (w, out, out)
    assert counts.params == kernel + 2 * w
    assert counts.weights == kernel + 4 * w
    assert counts.macs == PerBatch(0, out**2 * kernel)
    assert counts.activations == PerBatch(0, put_out)
    assert counts.flops == PerBatch(2 * w, 2 * out**2 * kernel + 4 * put_out)
    assert counts.access == PerBatch(kernel + 4 * w, c * resolution**2 + 5 * put_out)
    assert counts.train["1"].macs == PerBatch(0, 3 * out**2 * kernel)
    assert counts.train["0"].macs == PerBatch(0, 2 * out**2 * kernel)
    assert counts.train["1"].saved == PerBatch(2 * w, 2 * put_out)


@pytest.mark.parametrize(
    ("stride", "expansion", "squeeze", "width", "kernel"),
    list(itertools.product((1, 2), (1, 3), (False, True), (8, 12), (3, 5))),
)
def test_inverted_bottleneck_by_hand(
    stride: int, expansion: int, squeeze: bool, width: int, kernel: int, table: CountTable
) -> None:
    resolution, width_in = 7, 8
    counts = table[
        InvertedBottleneck(resolution, width_in, width, kernel, stride, expansion, squeeze, "silu")
    ]
    hidden, reduced = width_in * expansion, 2
    before, after = resolution**2, {1: 7, 2: 4}[stride] ** 2
    channels = hidden + width  # Of the two normalisations that are always there.
    params = kernel**2 * hidden + hidden * width + 2 * channels
    macs = after * hidden * (kernel**2 + width)
    activations = after * (hidden + width)
    first, middle, last = before * width_in, after * hidden, after * width
    # Norm and SiLU read and write what the depthwise convolution wrote, the last norm likewise.
    access = before * hidden + 5 * middle + middle + 3 * last
    elementwise = 4 * middle + 3 * last
    saved = 3 * middle + last
    if expansion > 1:
        expanded = before * hidden
        channels += hidden
        params += width_in * hidden + 2 * hidden
        macs += first * hidden
        activations += expanded
        access += first + 5 * expanded
        elementwise += 4 * expanded
        saved += 3 * expanded
    if squeeze:
        params += 2 * hidden * reduced + reduced + hidden
        macs += 2 * hidden * reduced
        activations += reduced + hidden
        mean, reduce, silu, expand = (
            middle + hidden,
            hidden + reduced,
            2 * reduced,
            reduced + hidden,
        )
        access += mean + reduce + silu + expand + 2 * hidden + (2 * middle + hidden)
        elementwise += middle + reduced + reduced + hidden + middle
        saved += hidden + reduced + reduced + hidden + middle
    if stride == 1 and width == width_in:
        access += 3 * last
        elementwise += last
    assert counts.params == params
    assert counts.weights == params + 2 * channels
    assert counts.macs == PerBatch(0, macs)
    assert counts.activations == PerBatch(0, activations)
    assert counts.access == PerBatch(counts.weights, access)
    assert counts.flops == PerBatch(2 * channels, 2 * macs + elementwise)
    assert counts.train["1"].macs == PerBatch(0, 3 * macs)
    first_macs = first * hidden if expansion > 1 else after * hidden * kernel**2
    assert counts.train["0"].macs == PerBatch(0, 3 * macs - first_macs)
    assert counts.train["1"].saved == PerBatch(2 * channels, saved)


def test_head_by_hand(table: CountTable) -> None:
    resolution, w, classes = 4, 8, 10
    counts = table[ConvHead(resolution, w, classes, 0, "")]
    assert counts.params == counts.weights == w * classes + classes
    assert counts.macs == PerBatch(0, w * classes)
    assert counts.activations == PerBatch(0, classes)
    assert counts.flops == PerBatch(0, 2 * w * classes + classes + w * resolution**2)
    assert counts.access == PerBatch(counts.params, w * resolution**2 + w + w + classes)
    assert counts.train["1"].macs == PerBatch(0, 3 * w * classes)
    assert counts.train["0"].macs == PerBatch(0, 2 * w * classes)
    assert counts.train["1"].saved == PerBatch(0, w)
    assert counts.train["1"].saves_input == (False,)


def test_space_makes_the_network_that_its_choices_name() -> None:
    space = MBConvSpace(
        input_channels=3,
        resolution=(8, 9),
        classes=5,
        activation=("silu", "relu"),
        stem_width=(8, 16),
        stem_stride=2,
        strides=(2, 1),
        width=((16, 24), (32, 48)),
        depth=(1, 2, 3),
        kernel_size=(3, 5),
        expansion=(2, 4),
        features=(0, 40),
    )
    chosen = {
        "resolution": 9,
        "activation": "relu",
        "features": 40,
        "stem_width": 16,
        "width_0": 24,
        "depth_0": 2,
        "kernel_size_0": 5,
        "expansion_0": 4,
        "squeeze_0": True,
        "width_1": 32,
        "depth_1": 1,
        "kernel_size_1": 3,
        "expansion_1": 2,
        "squeeze_1": False,
    }
    assert space.architecture(chosen).blocks == (
        ConvStem(3, 9, 16, 2, "relu"),
        InvertedBottleneck(5, 16, 24, 5, 2, 4, True, "relu"),
        InvertedBottleneck(3, 24, 24, 5, 1, 4, True, "relu"),
        InvertedBottleneck(3, 24, 32, 3, 1, 2, False, "relu"),
        ConvHead(3, 32, 5, 40, "relu"),
    )


@pytest.mark.parametrize(
    ("field", "given", "stages"),
    [
        ("width", (8, 16), ((8, 16), (8, 16))),
        ("width", ((8,), (16, 24)), ((8,), (16, 24))),
        ("depth", ((1, 3), (2,)), ((1, 3), (2,))),
        ("kernel_size", [[3], [5, 7]], ((3,), (5, 7))),
        ("squeeze", ((False, True), (True,)), ((False, True), (True,))),
    ],
)
def test_choices_are_one_list_for_all_stages_or_one_for_each(
    field: str, given: Any, stages: tuple[tuple[Any, ...], ...]
) -> None:
    parameters = MBConvSpace(strides=(1, 2), **{field: given}).parameters
    assert (parameters[f"{field}_0"], parameters[f"{field}_1"]) == stages


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_head_with_features_computes_what_it_says(activation: str) -> None:
    module, x = ConvHead(4, 8, 10, 12, activation).build(), torch.randn(3, 8, 4, 4)
    kernel, scale, shift, weight, bias = module.parameters()
    y = F.batch_norm(F.conv2d(x, kernel), None, None, scale, shift, training=True)
    y = getattr(F, activation)(y).mean((2, 3))
    assert torch.allclose(module(x), F.linear(y, weight, bias), atol=1e-5)


Layers = list[tuple[int, int]]
"""Parameters and MACs of each layer."""

MOBILENET_V2 = [
    # Sandler et al. 2018, table 2: expansion, width, units, stride, and the kernel of 3.
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 32, 3, 2, 3),
    (6, 64, 4, 2, 3),
    (6, 96, 3, 1, 3),
    (6, 160, 3, 2, 3),
    (6, 320, 1, 1, 3),
]
EFFICIENTNET_B0 = [
    # Tan & Le 2019, table 1.
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
]
B1_DEPTHS = (2, 3, 3, 4, 4, 5, 2)
EFFICIENTNET_B1 = [
    (expansion, width, depth, stride, kernel)
    for (expansion, width, _, stride, kernel), depth in zip(EFFICIENTNET_B0, B1_DEPTHS, strict=True)
]
B1 = PRESETS["efficientnet_b0"] | {
    "resolution": 240,
    "depth": tuple((depth,) for depth in B1_DEPTHS),
}


def conv_norm(width_in: int, width: int, kernel: int, side: int, groups: int = 1) -> Layers:
    """A normalised convolution that puts out ``side`` squared positions."""
    weights = width_in // groups * width * kernel**2
    return [(weights + 2 * width, weights * side**2)]


def network_by_hand(
    side: int, stages: list[tuple[int, int, int, int, int]], squeeze: bool
) -> tuple[int, int]:
    """Parameters and MACs, with a stem of 32 channels and a head of 1280 for 1000 classes."""
    side, width_in = math.ceil(side / 2), 32
    layers = conv_norm(3, width_in, 3, side)
    for expansion, width, depth, stride, kernel in stages:
        for step in (stride, *[1] * (depth - 1)):
            hidden, reduced = width_in * expansion, width_in // 4
            if expansion > 1:
                layers += conv_norm(width_in, hidden, 1, side)
            side = math.ceil(side / step)
            layers += conv_norm(hidden, hidden, kernel, side, groups=hidden)
            if squeeze:
                layers += [(hidden * reduced + reduced, hidden * reduced)]
                layers += [(reduced * hidden + hidden, reduced * hidden)]
            layers += conv_norm(hidden, width, 1, side)
            width_in = width
    layers += [*conv_norm(width_in, 1280, 1, side), (1281 * 1000, 1280 * 1000)]
    params, macs = zip(*layers, strict=True)
    return sum(params), sum(macs)


@pytest.mark.parametrize(
    ("fields", "stages", "params", "giga_macs"),
    [
        # The documentation of torchvision says so ("num_params", "GFLOPS").
        (PRESETS["mobilenet_v2"], MOBILENET_V2, 3_504_872, 0.30),
        (PRESETS["efficientnet_b0"], EFFICIENTNET_B0, 5_288_548, 0.39),
        (B1, EFFICIENTNET_B1, 7_794_184, 0.69),
    ],
    ids=["mobilenet_v2", "efficientnet_b0", "efficientnet_b1"],
)
def test_published_networks_have_their_published_counts(
    fields: dict[str, Any],
    stages: list[tuple[int, int, int, int, int]],
    params: int,
    giga_macs: float,
    table: CountTable,
    references: ModuleType,
) -> None:
    space = MBConvSpace(**fields)
    architecture = space.decode([0] * len(space.parameters))
    counts = count(architecture, table)
    with torch.device("meta"):
        network, image = Network(architecture), torch.empty(1, *space.input_shape)
    by_hand = network_by_hand(space.input_shape[-1], stages, squeeze=fields["squeeze"] == (True,))
    assert space.size == 1
    assert by_hand == (counts.params, counts.macs)
    assert counts.params == params == sum(p.numel() for p in network.parameters())
    assert counts.macs == references.forward_macs(network, [image])
    assert round(counts.macs / 1e9, 2) == giga_macs


def test_compound_scaling_of_efficientnet_by_hand() -> None:
    """With a coefficient of 1, depths are those of EfficientNet-B1, whose width is not scaled."""
    space = MBConvSpace(**PRESETS["efficientnet_b0"] | {"compound": (0, 1)})
    stem, *units, head = space.architecture({"compound": 1}).blocks
    assert stem == ConvStem(3, 258, 32, 2, "silu")  # 257.6 pixels, 35.2 channels.
    # 1.1 times the width: 17.6, 26.4, 44, 88, 123.2, 211.2 and 352, to multiples of 8.
    widths = (16, 24, 48, 88, 120, 208, 352)
    sides = (129, 129, 65, 33, 17, 17, 9, 9)
    expected, width_in = [], 32
    rows = zip(EFFICIENTNET_B1, widths, itertools.pairwise(sides), strict=True)
    for (expansion, _, depth, stride, kernel), width, (before, after) in rows:
        shape = (before, width_in, width, kernel, stride, expansion, True, "silu")
        again = (after, width, width, kernel, 1, expansion, True, "silu")
        expected += [InvertedBottleneck(*shape)] + [InvertedBottleneck(*again)] * (depth - 1)
        width_in = width
    assert units == expected
    assert head == ConvHead(9, 352, 1000, 1408, "silu")


@pytest.mark.parametrize(
    ("compound", "divisor", "width", "scaled"),
    [
        (0, 8, 13, 13),  # Nothing changes, multiple or not.
        (1, 1, 13, 14),  # 14.3
        (1, 8, 11, 16),  # 12.1: halfway is up, and above 12 anyway.
        (1, 8, 10, 16),  # 11: the nearest is 8, but below 9.9.
        (-1, 8, 12, 16),  # 10.9: likewise.
        (-1, 8, 3, 8),  # At least one multiple.
    ],
)
def test_scaled_widths_are_the_nearest_multiple_not_below_90_percent(
    compound: float, divisor: int, width: int, scaled: int
) -> None:
    assert CompoundScaling(compound, divisor).width(width) == scaled


def test_a_coefficient_of_zero_is_the_space_without_one() -> None:
    odd = {"stem_width": (6,), "width": (9, 13), "features": (0, 21), "depth": (1, 2)}
    plain, scaled = MBConvSpace(**odd), MBConvSpace(**odd, compound=(0, 1), width_divisor=1)
    assert set(plain.blocks) < set(scaled.blocks)
    without = [code for code in scaled.random_codes(20, np.random.default_rng(0)) if code[1] == 0]
    assert [scaled.decode(code).blocks for code in without] == [
        plain.decode(code).blocks for code in without
    ]


def test_members_run_and_are_read_back_from_json(table: CountTable) -> None:
    space = MBConvSpace(
        resolution=(6, 9),
        compound=(0, 1.5),
        activation=ACTIVATIONS,
        expansion=((1,), (2, 4)),
        features=(0, 20),
    )
    for code in space.random_codes(8, np.random.default_rng(0)):
        architecture = space.decode(code)
        assert Architecture.from_json(json.loads(json.dumps(architecture.to_json()))) == (
            architecture
        )
        network = Network(architecture)
        output = network(torch.randn(3, *architecture.blocks[0].input_shapes[0]))
        assert (output.shape, bool(output.isfinite().all())) == ((3, 10), True)
        assert count(architecture, table).params == sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ConvStem(1, 8, 4, 1, "swish"), "`activation` must be one of .* got 'swish'"),
        (lambda: ConvStem(1, 8, 4, 1, ("silu",)), "`activation` must be of type str"),
        (lambda: ConvHead(4, 8, 3, 0, "relu"), "must be empty where `features` is 0; got 'relu'"),
        (lambda: ConvHead(4, 8, 3, 16, ""), "`activation` must be one of .* got ''"),
        (lambda: ConvHead(4, 8, 3, -1, "relu"), "`features` must be a number above 0; got -1"),
        (lambda: ConvHead(4, 8, 3, False, ""), "`features` must be of type int; got False"),
        (lambda: CompoundScaling(math.inf, 8), "`compound` must be a finite number; got inf"),
        (lambda: CompoundScaling(1, 0), "`divisor` must be a number above 0; got 0"),
    ],
)
def test_values_that_cannot_be_are_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"strides": (1, 2, 2), "width": ((8,), (8,))},
            "`width` lists 2 stages, but `strides` has 3; give one list for all stages or one for",
        ),
        ({"depth": ((1,), (2,), (3,))}, "`depth` lists 3 stages, but `strides` has 2"),
        ({"width": (8, (16,))}, "`width` mixes values and lists"),
        ({"kernel_size": (3, 4)}, "`kernel_size` must be odd; got 4"),
        ({"expansion": (0,)}, "`expansion` must list values of type int from 1; got 0"),
        ({"depth": ()}, "`depth` is empty"),
        ({"depth": (0, 1)}, "`depth` must list values of type int from 1; got 0"),
        ({"width": (0,)}, "`width` must list values of type int from 1; got 0"),
        ({"width": ()}, "`width` is empty"),
        ({"width": ((8,), ())}, "`width` is empty"),
        ({"width": (8, 16.0)}, "`width` must list values of type int from 1; got 16.0"),
        ({"strides": (1, 1.5)}, r"`strides` must list values of type int; got \(1, 1.5\)"),
        ({"squeeze": (0, 1)}, "`squeeze` must list values of type bool from 0; got 0"),
        ({"resolution": ()}, "`resolution` is empty"),
        ({"resolution": 8.5}, "`resolution` must be of type int, or list them; got 8.5"),
        ({"resolution": (8, 8.5)}, "`resolution` must list values of type int"),
        ({"resolution": 0}, "`resolution` must be a number above 0; got 0"),
        ({"compound": ()}, "`compound` is empty"),
        ({"compound": (math.nan,)}, "`compound` must be a finite number; got nan"),
        ({"features": ()}, "`features` is empty"),
        ({"features": (-8,)}, "`features` must be a number above 0; got -8"),
        ({"activation": ("tanh",)}, "`activation` must be one of .* got 'tanh'"),
    ],
)
def test_spaces_that_cannot_be_built_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MBConvSpace(**fields)
