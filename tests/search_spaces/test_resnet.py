"""Residual bottlenecks against formulas worked by hand and published counts."""

import itertools
import json
import math
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from search_spaces import Architecture, ConvHead, ConvStem, CountTable, PerBatch, count
from search_spaces.network import Network
from search_spaces.resnet import PRESETS, STEMS, Bottleneck, ResNetSpace, ResNetStem


@pytest.fixture(scope="module")
def table() -> CountTable:
    return CountTable()


Layers = list[tuple[int, int]]
"""Parameters and MACs of each layer."""


def conv_norm(width_in: int, width: int, kernel: int, side: int, groups: int = 1) -> Layers:
    """A normalised convolution that puts out ``side`` squared positions."""
    weights = width_in // groups * width * kernel**2
    return [(weights + 2 * width, weights * side**2)]


def unit_by_hand(
    side: int, width_in: int, width: int, middle: int, group: int, stride: int, squeeze: bool
) -> Layers:
    after, reduced = math.ceil(side / stride), width_in // 4
    layers = conv_norm(width_in, middle, 1, side)
    layers += conv_norm(middle, middle, 3, after, groups=middle // group)
    if squeeze:
        layers += [(middle * reduced + reduced, middle * reduced)]
        layers += [(reduced * middle + middle, reduced * middle)]
    layers += conv_norm(middle, width, 1, after)
    if stride > 1 or width_in != width:
        layers += conv_norm(width_in, width, 1, after)
    return layers


def total(layers: Layers) -> tuple[int, int]:
    params, macs = zip(*layers, strict=True)
    return sum(params), sum(macs)


def test_stem_by_hand(table: CountTable) -> None:
    counts = table[ResNetStem(3, 9, 8)]
    kernel = 49 * 3 * 8
    assert counts.output_shape == (8, 3, 3)
    assert counts.params == kernel + 2 * 8
    assert counts.macs == PerBatch(0, 5**2 * kernel)
    assert counts.activations == PerBatch(0, 8 * 5**2)


@pytest.mark.parametrize(
    ("stride", "width", "group", "squeeze"),
    list(itertools.product((1, 2), (8, 16), (2, 4), (False, True))),
)
def test_bottleneck_by_hand(
    stride: int, width: int, group: int, squeeze: bool, table: CountTable
) -> None:
    middle, after = 4, {1: 7, 2: 4}[stride] ** 2
    counts = table[Bottleneck(7, 8, width, middle, group, stride, squeeze)]
    params, macs = total(unit_by_hand(7, 8, width, middle, group, stride, squeeze))
    projected = width if stride == 2 or width == 16 else 0
    assert counts.output_shape == (width, math.isqrt(after), math.isqrt(after))
    assert (counts.params, counts.macs) == (params, PerBatch(0, macs))
    assert counts.weights == params + 2 * (2 * middle + width + projected)
    assert counts.activations == PerBatch(
        0, 7**2 * middle + after * (middle + width + projected) + squeeze * (2 + middle)
    )


@pytest.mark.parametrize(("stride", "squeeze"), [(1, True), (2, False), (2, True)])
def test_bottleneck_computes_what_it_says(stride: int, squeeze: bool) -> None:
    module = Bottleneck(7, 8, 8, 4, 2, stride, squeeze).build()
    weights, x = list(module.parameters()), torch.randn(3, 8, 7, 7)

    def normalised(y: torch.Tensor, step: int = 1) -> torch.Tensor:
        kernel, scale, shift = (weights.pop(0) for _ in range(3))
        padding, groups = kernel.shape[-1] // 2, y.shape[1] // kernel.shape[1]
        y = F.conv2d(y, kernel, stride=step, padding=padding, groups=groups)
        return F.batch_norm(y, None, None, scale, shift, training=True)

    y = normalised(normalised(x).relu(), stride).relu()
    if squeeze:
        reduce, bias, expand, expand_bias = (weights.pop(0) for _ in range(4))
        gate = F.conv2d(y.mean((2, 3), keepdim=True), reduce, bias).relu()
        y = y * F.conv2d(gate, expand, expand_bias).sigmoid()
    y = normalised(y)
    expected = (y + (normalised(x, stride) if stride == 2 else x)).relu()
    assert not weights
    assert torch.allclose(module(x), expected, atol=1e-5)


REGNETY_3_2GF = PRESETS["regnety_4gf"] | {
    "width": ((72,), (216,), (576,), (1512,)),
    "depth": ((2,), (5,), (13,), (1,)),
    "group_width": (24,),
}
PUBLISHED: dict[str, tuple[dict[str, Any], list[tuple[int, ...]], int, float, float]] = {
    # Fields; width, depth, middle and group width of each stage; parameters, G MACs and millions
    # of activations. The first two are torchvision's "num_params" and "GFLOPS", the last timm's.
    "resnet50": (
        PRESETS["resnet50"],
        [(256, 3, 64, 64), (512, 4, 128, 128), (1024, 6, 256, 256), (2048, 3, 512, 512)],
        25_557_032,
        4.09,
        11.1,
    ),
    "resnext50_32x4d": (
        PRESETS["resnext50_32x4d"],
        [(256, 3, 128, 4), (512, 4, 256, 8), (1024, 6, 512, 16), (2048, 3, 1024, 32)],
        25_028_904,
        4.23,
        14.4,
    ),
    "regnet_y_3_2gf": (
        REGNETY_3_2GF,
        [(72, 2, 72, 24), (216, 5, 216, 24), (576, 13, 576, 24), (1512, 1, 1512, 24)],
        19_436_338,
        3.18,
        11.3,
    ),
    # timm's `regnety_040` has 20.65 M parameters, and 4.00 G with 2 for each normalised element.
    "regnety_4gf": (
        PRESETS["regnety_4gf"],
        [(128, 2, 128, 64), (192, 6, 192, 64), (512, 12, 512, 64), (1088, 2, 1088, 64)],
        20_646_656,
        3.97,
        12.3,
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_networks_have_their_published_counts(
    name: str, table: CountTable, references: ModuleType
) -> None:
    fields, stages, params, giga_macs, mega_activations = PUBLISHED[name]
    regnet = name.startswith("regnet")
    width_in, side = (32, 112) if regnet else (64, 56)
    layers = conv_norm(3, 32, 3, 112) if regnet else conv_norm(3, 64, 7, 112)
    for stage, (width, depth, middle, group) in enumerate(stages):
        for unit in range(depth):
            stride = 2 if unit == 0 and (regnet or stage > 0) else 1
            layers += unit_by_hand(side, width_in, width, middle, group, stride, regnet)
            width_in, side = width, side // stride
    layers += [((width_in + 1) * 1000, width_in * 1000)]
    by_hand = total(layers)

    space = ResNetSpace(**fields)
    architecture = space.decode([0] * len(space.parameters))
    counts = count(architecture, table)
    with torch.device("meta"):
        network, image = Network(architecture), torch.empty(1, 3, 224, 224)
    assert space.size == 1
    assert by_hand == (counts.params, counts.macs)
    assert counts.params == params == sum(p.numel() for p in network.parameters())
    assert counts.macs == references.forward_macs(network, [image])
    assert round(counts.macs / 1e9, 2) == giga_macs
    assert round(counts.activations / 1e6, 1) == mega_activations


@pytest.mark.parametrize(
    ("fields", "line", "units", "group_width"),
    [
        (PRESETS["regnety_4gf"], (96, 31.41, 2.24), 22, 64),
        (REGNETY_3_2GF, (80, 42.63, 2.66), 21, 24),
    ],
)
def test_widths_of_regnets_lie_on_their_quantised_line(
    fields: dict[str, Any], line: tuple[float, float, float], units: int, group_width: int
) -> None:
    """Radosavovic et al. 2020, equations 2 to 4, and widths that the groups divide."""
    start, slope, factor = line
    steps = np.round(np.log((start + slope * np.arange(units)) / start) / np.log(factor))
    widths = np.round(start * factor**steps / 8) * 8
    widths = np.round(widths / group_width) * group_width
    stages = zip(fields["width"], fields["depth"], strict=True)
    assert widths.tolist() == [width for (width,), (depth,) in stages for _ in range(depth)]


def test_space_makes_the_network_that_its_choices_name() -> None:
    space = ResNetSpace(
        input_channels=3,
        resolution=33,
        classes=5,
        stem=tuple(STEMS),
        stem_width=(8, 16),
        strides=(2, 1),
        width=((16, 24), (32, 48)),
        depth=((1, 2), (1, 3)),
        bottleneck_ratio=(0.25, 0.5, 1),
        group_width=(0, 2),
    )
    unit = {"bottleneck_ratio_0": 0.5, "group_width_0": 2, "squeeze_0": True}
    other = {"bottleneck_ratio_1": 0.25, "group_width_1": 0, "squeeze_1": False}
    chosen = {"stem_width": 16, "width_0": 24, "depth_0": 2, "width_1": 32, "depth_1": 1}
    expected: dict[str, tuple[Any, int]] = {
        "conv3x3": (ConvStem(3, 33, 16, 1, "relu"), 33),
        "conv3x3_stride2": (ConvStem(3, 33, 16, 2, "relu"), 17),
        "conv7x7_pool": (ResNetStem(3, 33, 16), 9),
    }
    assert set(expected) == set(STEMS)
    for name, (stem, side) in expected.items():
        after = math.ceil(side / 2)
        assert space.architecture({"stem": name} | chosen | unit | other).blocks == (
            stem,
            Bottleneck(side, 16, 24, 12, 2, 2, True),
            Bottleneck(after, 24, 24, 12, 2, 1, True),
            Bottleneck(after, 24, 32, 8, 8, 1, False),
            ConvHead(after, 32, 5, 0, ""),
        )


def test_members_run_and_are_read_back_from_json(table: CountTable) -> None:
    space = ResNetSpace(stem=tuple(STEMS))
    for code in space.random_codes(6, np.random.default_rng(0)):
        architecture = space.decode(code)
        assert Architecture.from_json(json.loads(json.dumps(architecture.to_json()))) == (
            architecture
        )
        network = Network(architecture)
        output = network(torch.randn(3, *space.input_shape))
        assert (output.shape, bool(output.isfinite().all())) == ((3, 10), True)
        assert count(architecture, table).params == sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"width": (24,), "bottleneck_ratio": (0.25,), "group_width": (4,)},
            "`bottleneck_width` must be divisible by `group_width`; got 6 and 4",
        ),
        ({"width": (4,), "bottleneck_ratio": (0.1,)}, "`bottleneck_width` must be a number above"),
        ({"depth": ((1,), (1,), (2,))}, "`depth` lists 3 stages, but `strides` has 2; give one"),
        ({"depth": (0, 1)}, "`depth` must list values of type int from 1; got 0"),
        ({"group_width": (-4,)}, "`group_width` must list values of type int from 0; got -4"),
        ({"group_width": (4.0,)}, "`group_width` must list values of type int from 0; got 4.0"),
        ({"bottleneck_ratio": (math.nan,)}, "must list values of type int or float .* got nan"),
        ({"bottleneck_ratio": ((), (1,))}, "`bottleneck_ratio` is empty"),
        ({"squeeze": (0,)}, "`squeeze` must list values of type bool from 0; got 0"),
        ({"stem": ("conv5x5",)}, r"`stem` must be one of \('conv3x3', .*; got 'conv5x5'"),
        ({"stem": ()}, "`stem` is empty"),
        ({"strides": (1, 2.0)}, r"`strides` must list values of type int; got \(1, 2.0\)"),
        ({"strides": ()}, "`strides` is empty"),
        ({"resolution": 0}, "`resolution` must be a number above 0; got 0"),
    ],
)
def test_spaces_that_cannot_be_built_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ResNetSpace(**fields)
