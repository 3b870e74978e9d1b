"""The halves of a transformer layer against formulas worked by hand and PyTorch's own layers."""

import dataclasses
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from search_spaces import Block, CountTable, FeedForward, PerBatch, SelfAttention

ATTENTION = SelfAttention(9, 24, heads=4, head_width=6, kv_heads=4, causal=False)
MLP = FeedForward(9, 24, hidden=40, rank=0)

SHAPES = {
    "as wide as a token": (17, 32, 4, 8, 4),
    "one head": (5, 12, 1, 12, 1),
    "wider than a token": (10, 24, 3, 16, 3),
    "narrower than a token": (6, 24, 2, 5, 2),
    "grouped": (7, 32, 4, 8, 2),
    "one key and value": (7, 20, 6, 8, 1),
}
"""Tokens, width, heads, features of a head and key-value heads."""


@pytest.fixture(scope="module")
def table() -> CountTable:
    return CountTable()


def built(block: Block) -> Any:
    """The norm and the layer inside the residual, with weights that are nowhere 0 or 1."""
    torch.manual_seed(0)
    inner: Any = block.build().inner
    with torch.no_grad():
        for weight in inner.parameters():
            weight.add_(0.2 * torch.randn_like(weight))
    return inner


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=list(SHAPES))
def test_attention_by_hand(
    shape: tuple[int, int, int, int, int], causal: bool, table: CountTable
) -> None:
    n, d, heads, each, groups = shape
    counts = table[SelfAttention(n, d, heads, each, groups, causal)]
    q, kv = heads * each, groups * each
    scores = heads * n * n
    weights = d * q + 2 * d * kv + q * d
    assert counts.params == counts.weights == 2 * d + weights + q + 2 * kv + d
    macs = n * weights + 2 * n * n * q
    assert counts.macs == PerBatch(0, macs)
    assert counts.activations == PerBatch(0, n * (q + 2 * kv + q + d) + scores)
    norm, biases, residual = 7 * n * d + 4 * n, n * (q + 2 * kv + d), n * d
    masked = scores if causal else 0  # The mask is added to the full square.
    softmax = n * q + masked + 4 * scores - heads * n
    assert counts.flops == PerBatch(0, 2 * macs + norm + biases + softmax + residual)
    projections = n * (3 * d + q + 2 * kv) + n * (q + d)
    attention = n * (q + 2 * kv + q) + 4 * scores + 2 * masked
    norm_and_residual = 5 * n * d
    assert counts.access == PerBatch(counts.params, norm_and_residual + projections + attention)
    assert counts.train["1"].macs == counts.train["0"].macs == PerBatch(0, 3 * macs)
    statistics = 2 * n + heads * n
    assert counts.train["1"].saved == PerBatch(0, statistics + n * (d + q + 2 * kv + q))
    assert counts.output_shape == (n, d)


@pytest.mark.parametrize("rank", [0, 1, 5])
@pytest.mark.parametrize(("n", "d", "f"), [(17, 32, 64), (5, 12, 7), (10, 24, 96)])
def test_feed_forward_by_hand(n: int, d: int, f: int, rank: int, table: CountTable) -> None:
    counts = table[FeedForward(n, d, f, rank)]
    weights = 2 * rank * (d + f) if rank else 2 * d * f
    assert counts.params == counts.weights == 2 * d + weights + f + d
    assert counts.macs == PerBatch(0, n * weights)
    assert counts.activations == PerBatch(0, n * (f + d + 2 * rank))
    norm, gelu, biases, residual = 7 * n * d + 4 * n, 8 * n * f, n * (f + d), n * d
    assert counts.flops == PerBatch(0, 2 * n * weights + norm + gelu + biases + residual)
    products = 2 * n * (d + f + 2 * rank)
    assert counts.access == PerBatch(counts.params, 5 * n * d + products + 2 * n * f)
    assert counts.train["1"].macs == counts.train["0"].macs == PerBatch(0, 3 * n * weights)
    assert counts.train["1"].saved == PerBatch(0, 2 * n + n * (d + 2 * f + 2 * rank))
    assert counts.output_shape == (n, d)


@torch.no_grad()
def test_both_halves_are_pytorchs_encoder_layer() -> None:
    attention, mlp = ATTENTION.build(), MLP.build()
    (norm1, attend), (norm2, dense) = built(ATTENTION), built(MLP)
    theirs = nn.TransformerEncoderLayer(
        ATTENTION.width,
        ATTENTION.heads,
        MLP.hidden,
        dropout=0.0,
        activation=lambda x: F.gelu(x, approximate="tanh"),
        batch_first=True,
        norm_first=True,
    )
    projections = (attend.query, attend.key, attend.value)
    theirs.load_state_dict(
        {
            "self_attn.in_proj_weight": torch.cat([p.weight for p in projections]),
            "self_attn.in_proj_bias": torch.cat([p.bias for p in projections]),
        }
        | {
            f"{name}.{key}": weight
            for name, layer in {
                "self_attn.out_proj": attend.out,
                "linear1": dense.up,
                "linear2": dense.down,
                "norm1": norm1,
                "norm2": norm2,
            }.items()
            for key, weight in layer.state_dict().items()
        }
    )
    attention.inner, mlp.inner = nn.Sequential(norm1, attend), nn.Sequential(norm2, dense)
    x = torch.randn(3, ATTENTION.tokens, ATTENTION.width)
    for train in (False, True):
        torch.testing.assert_close(mlp(attention(x)), theirs.train(train)(x), rtol=1e-5, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("groups", [1, 2, 3])
def test_grouped_queries_are_heads_with_repeated_keys_and_values(groups: int, causal: bool) -> None:
    heads, each = 6, 5
    grouped = SelfAttention(8, 20, heads, each, groups, causal)
    few = built(grouped)
    many = built(dataclasses.replace(grouped, kv_heads=heads))
    weights = few.state_dict()
    for name in ("1.key", "1.value"):
        for part in ("weight", "bias"):
            split = weights[f"{name}.{part}"].unflatten(0, (groups, each))
            repeated = split.repeat_interleave(heads // groups, dim=0).flatten(0, 1)
            weights[f"{name}.{part}"] = repeated
    many.load_state_dict(weights)
    x = torch.randn(2, 8, 20)
    torch.testing.assert_close(few(x), many(x))


@torch.no_grad()
def test_a_causal_token_sees_itself_and_those_before_it() -> None:
    attend = built(dataclasses.replace(ATTENTION, causal=True))
    x = torch.randn(1, ATTENTION.tokens, ATTENTION.width)
    for position in range(ATTENTION.tokens):
        changed = x.clone()
        changed[:, position] = torch.randn(ATTENTION.width)
        moved = (attend(changed) - attend(x)).abs().amax(-1)[0] > 1e-4
        assert moved.tolist() == [other >= position for other in range(ATTENTION.tokens)]


@torch.no_grad()
def test_low_rank_weights_are_products() -> None:
    low = built(dataclasses.replace(MLP, rank=3))
    dense = built(MLP)
    weights = dense.state_dict()
    for name in ("1.up", "1.down"):
        inner, outer = low.get_submodule(name)
        weights[f"{name}.weight"], weights[f"{name}.bias"] = outer.weight @ inner.weight, outer.bias
        assert inner.bias is None
        assert torch.linalg.matrix_rank(weights[f"{name}.weight"]) == 3
    weights |= {name: weight for name, weight in low.state_dict().items() if name.startswith("0.")}
    dense.load_state_dict(weights)
    x = torch.randn(2, MLP.tokens, MLP.width)
    torch.testing.assert_close(low(x), dense(x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("block", "fields", "message"),
    [
        (ATTENTION, {"kv_heads": 3}, "`heads` must be divisible by `kv_heads`; got 4 and 3"),
        (ATTENTION, {"kv_heads": 8}, "`heads` must be divisible by `kv_heads`; got 4 and 8"),
        (ATTENTION, {"kv_heads": 0}, "`kv_heads` must be a number above 0; got 0"),
        (ATTENTION, {"head_width": 0}, "`head_width` must be a number above 0; got 0"),
        (ATTENTION, {"heads": 4.0}, "`heads` must be of type int; got 4.0"),
        (ATTENTION, {"causal": 1}, "`causal` must be of type bool; got 1"),
        (MLP, {"hidden": 0}, "`hidden` must be a number above 0; got 0"),
        (MLP, {"rank": 24}, "`rank` must be 0, .* below `width` and `hidden`; got 24 with 24 and"),
        (MLP, {"rank": 12, "hidden": 12}, "`rank` must be 0, .*; got 12 with 24 and 12"),
        (MLP, {"rank": -1}, "`rank` must be 0, .*; got -1 with 24 and 40"),
        (MLP, {"rank": False}, "`rank` must be of type int; got False"),
    ],
)
def test_blocks_that_cannot_be_built_are_refused(
    block: Block, fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(block, **fields)
