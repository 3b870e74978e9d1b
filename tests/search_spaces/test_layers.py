"""Layers against PyTorch's own modules and formulas written out."""

import pytest
import torch
from torch import nn

from search_spaces.layers import Attention, ConvNorm, Mlp, Residual, SqueezeExcitation


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("heads", [1, 2, 4])
def test_attention_is_pytorchs_multihead_attention(heads: int, causal: bool) -> None:
    width = 16
    ours = Attention(width, heads, width // heads, heads, causal=causal)
    theirs = nn.MultiheadAttention(width, heads, batch_first=True)
    projections = (ours.query, ours.key, ours.value)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([p.weight for p in projections]))
        theirs.in_proj_bias.copy_(torch.cat([p.bias for p in projections]))
        theirs.out_proj.weight.copy_(ours.out.weight)
        theirs.out_proj.bias.copy_(ours.out.bias)
    x = torch.randn(3, 7, width)
    later = torch.ones(7, 7, dtype=torch.bool).triu(1) if causal else None
    assert torch.allclose(ours(x), theirs(x, x, x, attn_mask=later)[0], atol=1e-5)


def test_mlp_by_formula() -> None:
    mlp, x = Mlp(6, 10), torch.randn(2, 4, 6)
    hidden = x @ mlp.up.weight.T + mlp.up.bias
    inner = (2 / torch.pi) ** 0.5 * (hidden + 0.044715 * hidden**3)
    expected = 0.5 * hidden * (1 + torch.tanh(inner)) @ mlp.down.weight.T + mlp.down.bias
    assert torch.allclose(mlp(x), expected, atol=1e-5)


def test_residual_adds_its_input() -> None:
    x = torch.randn(2, 3)
    assert torch.equal(Residual(nn.Identity())(x), x + x)
    assert torch.equal(Residual(nn.Identity(), nn.ReLU())(x), x + x.clamp(min=0))


@pytest.mark.parametrize("activation", ["silu", "relu6", None])
def test_conv_norm_by_formula(activation: str | None) -> None:
    layer, x = ConvNorm(4, 6, 3, stride=2, groups=2, activation=activation), torch.randn(5, 4, 7, 7)
    y = layer.conv(x)
    mean, variance = y.mean((0, 2, 3), keepdim=True), y.var((0, 2, 3), False, keepdim=True)
    expected = (y - mean) / (variance + 1e-5).sqrt()
    if activation == "silu":
        expected = expected * torch.sigmoid(expected)
    elif activation == "relu6":
        expected = expected.clamp(0, 6)
    assert layer.conv.bias is None
    assert y.shape == (5, 6, 4, 4)
    assert torch.allclose(layer(x), expected, atol=1e-5)


def test_squeeze_excitation_by_formula() -> None:
    layer, x = SqueezeExcitation(6, 2, "silu"), torch.randn(3, 6, 4, 4)
    mean = x.mean((2, 3))
    reduced = mean @ layer.reduce.weight.flatten(1).T + layer.reduce.bias
    gate = (reduced * torch.sigmoid(reduced)) @ layer.expand.weight.flatten(1).T
    gate = torch.sigmoid(gate + layer.expand.bias)
    assert torch.allclose(layer(x), x * gate[:, :, None, None], atol=1e-5)
