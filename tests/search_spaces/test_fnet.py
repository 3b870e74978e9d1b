"""Fourier mixing against a sum over all tokens and features, and counts worked by hand."""

import cmath
import math
from typing import Any

import pytest
import torch
from torch import nn

from search_spaces import (
    CountTable,
    FeedForward,
    PatchEmbedding,
    PerBatch,
    SelfAttention,
    ViTHead,
    count,
)
from search_spaces.fnet import PRESETS, FNetSpace, FourierMixing

each_form = pytest.mark.parametrize("form", ["fft", "dft"])
each_shape = pytest.mark.parametrize(("n", "d"), [(16, 32), (17, 24), (5, 7), (1, 3)])


@pytest.fixture(scope="module")
def table() -> CountTable:
    return CountTable()


@each_form
def test_mixing_is_the_sum_that_defines_the_transform(form: str) -> None:
    n, d = 5, 6
    x = torch.randn(2, n, d)
    normed = nn.functional.layer_norm(x, (d,))
    expected = x.clone()
    for example, row, column in torch.cartesian_prod(*map(torch.arange, (2, n, d))).tolist():
        total = 0j
        for token in range(n):
            for feature in range(d):
                angle = -2 * math.pi * (row * token / n + column * feature / d)
                total += normed[example, token, feature].item() * cmath.exp(1j * angle)
        expected[example, row, column] += total.real
    torch.testing.assert_close(FourierMixing(n, d, form).build()(x), expected)


@pytest.mark.parametrize(("n", "d"), [(17, 24), (197, 768)])
def test_both_forms_are_one_function(n: int, d: int) -> None:
    x = torch.randn(2, n, d, requires_grad=True)
    results = [FourierMixing(n, d, form).build()(x) for form in ("fft", "dft")]
    scale = (n * d) ** 0.5
    torch.testing.assert_close(results[0] / scale, results[1] / scale)
    gradients = [torch.autograd.grad((y**2).sum() / scale**2, x)[0] for y in results]
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-4, atol=1e-4)


@each_shape
def test_the_fast_transform_by_hand(n: int, d: int, table: CountTable) -> None:
    counts = table[FourierMixing(n, d, "fft")]
    assert counts.params == counts.weights == 2 * d
    assert counts.macs == counts.activations == counts.train["1"].macs == PerBatch(0, 0)
    norm, transform, residual = 7 * n * d + 4 * n, round(5 * n * d * math.log2(n * d)), n * d
    assert counts.flops == PerBatch(0, norm + transform + residual)
    assert counts.output_shape == (n, d)


@each_shape
def test_the_products_by_hand(n: int, d: int, table: CountTable) -> None:
    counts = table[FourierMixing(n, d, "dft")]
    assert counts.params == 2 * d
    assert counts.weights == 2 * d + 2 * n * n + 2 * d * d
    macs = 2 * n * d * d + 2 * n * n * d
    assert counts.macs == PerBatch(0, macs)
    assert counts.train["1"].macs == PerBatch(0, 2 * macs)  # The matrices need no gradient.
    assert counts.activations == PerBatch(0, 4 * n * d)
    norm, difference, residual = 7 * n * d + 4 * n, n * d, n * d
    assert counts.flops == PerBatch(0, 2 * macs + norm + difference + residual)
    assert counts.output_shape == (n, d)


def test_space_mixes_each_layer_as_chosen() -> None:
    space = FNetSpace(
        input_channels=3,
        resolution=12,
        classes=7,
        patch_size=(2, 4),
        depth=(3, 5),
        width=(24, 32),
        heads=(2, 4),
    )
    shared = {"patch_size": 4, "pool": "cls", "width": 24, "heads": 4, "depth": 3, "mlp_ratio": 2}
    mixing = {"mixing_0": "fft", "mixing_1": "dft", "mixing_2": "attention"}
    mlp = FeedForward(10, 24, 48, 0)
    assert space.architecture(shared | mixing).blocks == (
        PatchEmbedding(3, 12, 4, 24, class_token=True),
        *(FourierMixing(10, 24, "fft"), mlp),
        *(FourierMixing(10, 24, "dft"), mlp),
        *(SelfAttention(10, 24, 4, 6, 4, causal=False), mlp),
        ViTHead(10, 24, 7, "cls"),
    )


def test_heads_have_no_say_without_attention() -> None:
    space = FNetSpace(depth=(2,), head_width=(0, 12), kv_heads=(0, 1), mixing=("fft", "attention"))
    config = {name: choices[0] for name, choices in space.parameters.items()}
    silent = ("heads", "head_width", "kv_heads")
    assert not set(silent) & set(space.architecture(config).config)
    attended = space.architecture(config | {"mixing_1": "attention"})
    assert set(silent) <= set(attended.config)


def test_fnet_b_16_by_hand(table: CountTable) -> None:
    architecture = FNetSpace(**PRESETS["fnet_b_16"]).architecture({})
    d, f, n, classes = 768, 3072, 197, 1000
    embedding, head = 3 * 16 * 16 * d + d + n * d + d, 2 * d + d * classes + classes
    layer = 2 * d + 2 * d + 2 * d * f + f + d
    counts = count(architecture, table)
    assert counts.params == embedding + 12 * layer + head
    assert counts.macs == 196 * 3 * 16 * 16 * d + 12 * 2 * n * d * f + d * classes


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ((16, 8, "dct"), r"`form` must be one of \('fft', 'dft'\); got 'dct'"),
        ((16, 8, 1), "`form` must be of type str; got 1"),
        ((0, 8, "fft"), "`tokens` must be a number above 0; got 0"),
    ],
)
def test_blocks_that_cannot_be_built_are_refused(fields: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FourierMixing(*fields)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"mixing": ("fft", "dct")}, r"`mixing` must be one of \('attention', .*; got 'dct'"),
        ({"mixing": ()}, "`mixing` is empty"),
        ({"depth": (0, 2)}, "`depth` must be a number above 0; got 0"),
    ],
)
def test_spaces_that_cannot_be_built_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FNetSpace(**fields)
