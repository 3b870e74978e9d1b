"""Convolutional blocks against formulas worked by hand."""

import itertools
from typing import Any

import pytest

from search_spaces import (
    ConvHead,
    ConvStem,
    CountTable,
    InvertedBottleneck,
    MBConvSpace,
    PerBatch,
)


@pytest.fixture(scope="module")
def table() -> CountTable:
    return CountTable()


@pytest.mark.parametrize(("resolution", "stride", "out"), [(8, 1, 8), (8, 2, 4), (9, 2, 5)])
def test_stem_by_hand(resolution: int, stride: int, out: int, table: CountTable) -> None:
    c, w = 3, 8
    counts = table[ConvStem(c, resolution, w, stride)]
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
        InvertedBottleneck(resolution, width_in, width, kernel, stride, expansion, squeeze)
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
    counts = table[ConvHead(resolution, w, classes)]
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
        resolution=9,
        classes=5,
        stem_width=(8, 16),
        stem_stride=2,
        strides=(2, 1),
        width=((16, 24), (32, 48)),
        depth=(1, 2, 3),
        kernel_size=(3, 5),
        expansion=(2, 4),
    )
    chosen = {
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
        ConvStem(3, 9, 16, 2),
        InvertedBottleneck(5, 16, 24, 5, 2, 4, True),
        InvertedBottleneck(3, 24, 24, 5, 1, 4, True),
        InvertedBottleneck(3, 24, 32, 3, 1, 2, False),
        ConvHead(3, 32, 5),
    )


@pytest.mark.parametrize(
    ("width", "stages"),
    [((8, 16), ((8, 16), (8, 16))), (((8,), (16, 24)), ((8,), (16, 24)))],
)
def test_widths_are_one_list_for_all_stages_or_one_for_each(
    width: Any, stages: tuple[tuple[int, ...], ...]
) -> None:
    space = MBConvSpace(strides=(1, 2), width=width)
    assert (space.parameters["width_0"], space.parameters["width_1"]) == stages


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"strides": (1, 2, 2), "width": ((8,), (8,))},
            "`width` lists 2 stages, but `strides` has 3",
        ),
        ({"width": (8, (16,))}, "`width` mixes numbers and lists"),
        ({"kernel_size": (3, 4)}, "`kernel_size` must be odd; got 4"),
        ({"expansion": (0,)}, "`expansion` must be a number above 0; got 0"),
        ({"depth": ()}, "`depth` is empty"),
        ({"width": (0,)}, "`width` must be a number above 0; got 0"),
        ({"width": ()}, "`width` is empty"),
        ({"kernel_size": ()}, "`kernel_size` is empty"),
        ({"squeeze": ()}, "`squeeze` is empty"),
        ({"width": ((8,), ())}, "`width` is empty"),
        ({"width": (8, 16.0)}, "`width` must be of type int; got 16.0"),
        ({"strides": (1, 1.5)}, r"`strides` must list values of type int; got \(1, 1.5\)"),
        ({"squeeze": (0, 1)}, r"`squeeze` must list values of type bool; got \(0, 1\)"),
    ],
)
def test_spaces_that_cannot_be_built_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MBConvSpace(**fields)
