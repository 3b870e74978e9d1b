"""Vision Transformers against formulas worked by hand, published tables and PyTorch's encoder."""

import itertools
import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from search_spaces import (
    Architecture,
    Counts,
    CountTable,
    FeedForward,
    PatchEmbedding,
    SelfAttention,
    ViTHead,
    ViTSpace,
    chain,
    count,
)
from search_spaces.network import Network
from search_spaces.vit import PRESETS


@pytest.fixture(scope="module")
def table() -> CountTable:
    return CountTable()


def preset(name: str, **changes: Any) -> Architecture:
    """The one architecture of a preset."""
    space = ViTSpace(**PRESETS[name] | changes)
    assert space.size == 1
    return space.architecture({})


def build(
    table: CountTable, patch: int, depth: int, width: int, heads: int, mlp: int, classes: int
) -> Counts:
    """Counts of a ViT at 224 pixels with a class token."""
    embedding = PatchEmbedding(3, 224, patch, width, class_token=True)
    tokens = embedding.tokens
    attention = SelfAttention(tokens, width, heads, width // heads, heads, causal=False)
    layers = [attention, FeedForward(tokens, width, mlp, 0)] * depth
    head = ViTHead(tokens, width, classes, "cls")
    return count(Architecture("vit", {}, chain([embedding, *layers, head])), table)


@pytest.mark.parametrize(
    ("patch", "depth", "width", "heads", "mlp", "classes"),
    [(32, 2, 64, 4, 128, 10), (16, 1, 48, 1, 100, 7), (56, 3, 96, 12, 96, 1000)],
)
def test_elementwise_operations_of_a_whole_network(
    patch: int, depth: int, width: int, heads: int, mlp: int, classes: int, table: CountTable
) -> None:
    counts = build(table, patch, depth, width, heads, mlp, classes)
    n = (224 // patch) ** 2 + 1
    layer = 18 * n * width + 9 * n * mlp + 4 * n * width + 4 * heads * n**2 - heads * n + 8 * n
    ends = 9 * n * width + 4 * n - width + classes
    assert counts.flops == 2 * counts.macs + depth * layer + ends


CUT = {"86.5", "0.93"}
"""What Table 1 prints of 86.577 and 0.9396; every other figure is rounded."""


def printed(value: float, like: str) -> str:
    """The value with as many decimals as the printed figure, rounded or cut as it was."""
    decimals = len(like.partition(".")[2])
    shown = math.floor(value * 10**decimals) / 10**decimals if like in CUT else value
    return f"{shown:.{decimals}f}"


@pytest.mark.parametrize(
    ("name", "params_m", "gflops"),
    [
        ("vit_b_8", "86.5", "78.54"),
        ("vit_b_16", "86.6", "17.63"),
        ("vit_b_32", "88.2", "4.42"),
        ("vit_b_64", "95.3", "0.93"),
        ("misnomer_d6", "18.89", "0.61"),
        ("misnomer_d8", "22.44", "0.79"),
        ("misnomer_d16", "36.63", "1.52"),
        ("misnomer_d24", "50.83", "2.25"),
        ("misnomer_d32", "65.03", "2.98"),
        ("misnomer_d48", "93.42", "4.43"),
        ("misnomer_w768", "9.47", "0.31"),
        ("misnomer_w1024", "24.81", "0.92"),
        ("misnomer_w1536", "42.51", "1.70"),
        ("misnomer_w3072", "101.52", "4.44"),
        ("misnomer_w4096", "173.10", "7.80"),
    ],
)
def test_tables_of_the_efficiency_misnomer(
    name: str, params_m: str, gflops: str, table: CountTable
) -> None:
    """Tables 1 and 2 of Dehghani et al. (2022), which print FLOPs halved."""
    counts = count(preset(name), table)
    assert printed(counts.params / 1e6, params_m) == params_m
    assert printed(counts.flops / 2e9, gflops) == gflops


@pytest.mark.parametrize(("mlp_width", "width"), [(1024, 384), (1536, 512), (4096, 1024)])
def test_rows_of_table_2_are_named_by_the_width_of_the_mlp(mlp_width: int, width: int) -> None:
    blocks = preset(f"misnomer_w{mlp_width}").blocks
    heads = width // 64
    assert blocks[1:3] * 12 == blocks[1:-1]
    assert blocks[1] == SelfAttention(50, width, heads, 64, heads, causal=False)
    assert blocks[2] == FeedForward(50, width, mlp_width, 0)
    assert blocks[-1] == ViTHead(50, width, 18_291, "cls")


@pytest.mark.parametrize(
    ("name", "changes", "params", "params_m", "gmacs", "activations_m"),
    [
        ("vit_ti_16", {}, 5_717_416, 5.72, 1.26, 5.97),
        ("vit_s_16", {}, 22_050_664, 22.05, 4.61, 11.95),
        ("deit_s", {}, 22_050_664, 22.05, 4.61, 11.95),
        ("vit_b_16", {}, 86_567_656, 86.57, 17.58, 23.9),
        ("vit_l_16", {}, 304_326_632, 304.33, 61.6, 63.52),
        ("vit_s_32", {}, 22_878_952, 22.88, 1.15, 2.5),
        ("vit_b_32", {}, 88_224_232, 88.22, 4.41, 5.01),
        ("vit_l_32", {}, 306_535_400, 306.54, None, None),
        ("vit_l_32", {"classes": 21_843}, 327_899_475, 327.9, 15.41, 13.32),
    ],
)
def test_figures_of_timm(
    name: str,
    changes: dict[str, int],
    params: int,
    params_m: float,
    gmacs: float | None,
    activations_m: float | None,
    table: CountTable,
) -> None:
    """What timm prints of its models, with five operations for each element of a LayerNorm."""
    architecture = preset(name, **changes)
    counts = count(architecture, table)
    norms = 1 + 2 * PRESETS[name]["depth"][0]
    normalised = norms * math.prod(architecture.blocks[1].input_shapes[0])
    assert counts.params == params
    assert round(params / 1e6, 2) == params_m
    if gmacs is not None:
        assert round((counts.macs + 5 * normalised) / 1e9, 2) == gmacs
        assert round(counts.activations / 1e6, 2) == activations_m


@pytest.mark.parametrize("name", PRESETS)
def test_heads_of_every_preset_have_64_features(name: str) -> None:
    assert {b.head_width for b in preset(name).blocks if isinstance(b, SelfAttention)} == {64}


@torch.no_grad()
@pytest.mark.parametrize("pool", ["cls", "mean"])
def test_network_equals_one_of_pytorchs_encoder(pool: str) -> None:
    width, heads, depth, classes = 24, 3, 2, 7
    space = ViTSpace(
        3, 12, classes, (4,), (depth,), (width,), (heads,), mlp_ratio=(2,), pool=(pool,)
    )
    ours = Network(space.architecture({})).eval()
    embedding, *halves, head = ours.blocks.values()
    for parameter in ours.parameters():
        parameter.add_(0.2 * torch.randn_like(parameter))
    layer = nn.TransformerEncoderLayer(
        width,
        heads,
        2 * width,
        dropout=0.0,
        activation=lambda x: F.gelu(x, approximate="tanh"),
        batch_first=True,
        norm_first=True,
    )
    theirs = nn.TransformerEncoder(layer, depth, nn.LayerNorm(width), enable_nested_tensor=False)
    for theirs_layer, attention, mlp in zip(theirs.layers, halves[::2], halves[1::2], strict=True):
        (norm1, attend), (norm2, dense) = attention.inner, mlp.inner
        parts = (norm1, attend.out, norm2, dense.up, dense.down)
        names = ("norm1", "self_attn.out_proj", "norm2", "linear1", "linear2")
        for name, part in zip(names, parts, strict=True):
            theirs_layer.get_submodule(name).load_state_dict(part.state_dict())
        projections = (attend.query, attend.key, attend.value)
        theirs_layer.self_attn.in_proj_weight.copy_(torch.cat([p.weight for p in projections]))
        theirs_layer.self_attn.in_proj_bias.copy_(torch.cat([p.bias for p in projections]))
    theirs.norm.load_state_dict(head[0].state_dict())

    images = torch.randn(2, 3, 12, 12)
    cut = F.unfold(images, 4, stride=4).transpose(1, 2)  # One row of pixels for each patch.
    tokens = cut @ embedding.patches.weight.flatten(1).T + embedding.patches.bias
    if pool == "cls":
        tokens = torch.cat((embedding.token.expand(2, 1, width), tokens), dim=1)
    encoded = theirs.eval()(tokens + embedding.positions)
    pooled = encoded[:, 0] if pool == "cls" else encoded.mean(1)
    expected = pooled @ head[2].weight.T + head[2].bias
    torch.testing.assert_close(ours(images), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("pool", ["cls", "mean"])
def test_space_makes_the_network_that_its_choices_name(pool: str) -> None:
    space = ViTSpace(
        input_channels=3,
        resolution=12,
        classes=7,
        patch_size=(2, 4),
        depth=(3, 6),
        width=(32, 48),
        heads=(2, 4),
        mlp_ratio=(1, 2, 4),
    )
    ratios = {f"mlp_ratio_{layer}": ratio for layer, ratio in enumerate((1, 4, 2, 1, 1, 1))}
    chosen = {"patch_size": 4, "pool": pool, "width": 48, "heads": 4, "depth": 3}
    tokens = 9 + (pool == "cls")
    assert space.architecture(chosen | ratios).blocks == (
        PatchEmbedding(3, 12, 4, 48, pool == "cls"),
        SelfAttention(tokens, 48, 4, 12, 4, causal=False),
        FeedForward(tokens, 48, 48, 0),
        SelfAttention(tokens, 48, 4, 12, 4, causal=False),
        FeedForward(tokens, 48, 192, 0),
        SelfAttention(tokens, 48, 4, 12, 4, causal=False),
        FeedForward(tokens, 48, 96, 0),
        ViTHead(tokens, 48, 7, pool),
    )


FIELDS: dict[str, Any] = {
    "resolution": (8, 12),
    "patch_size": (4,),
    "depth": (1,),
    "width": (36,),
    "heads": (4, 6),
    "head_width": (0, 10),
    "kv_heads": (0, 2),
    "mlp_ratio": (1.6,),
    "mlp_rank": (0, 5),
    "pool": ("mean",),
}


@pytest.mark.parametrize(
    ("changes", "attention", "mlp"),
    [
        ({}, SelfAttention(4, 36, 4, 9, 4, causal=False), FeedForward(4, 36, 58, 0)),
        ({"resolution": 12}, SelfAttention(9, 36, 4, 9, 4, False), FeedForward(9, 36, 58, 0)),
        ({"head_width": 10}, SelfAttention(4, 36, 4, 10, 4, False), FeedForward(4, 36, 58, 0)),
        ({"kv_heads": 2}, SelfAttention(4, 36, 4, 9, 2, False), FeedForward(4, 36, 58, 0)),
        ({"mlp_rank": 5}, SelfAttention(4, 36, 4, 9, 4, False), FeedForward(4, 36, 58, 5)),
        (
            {"resolution": 12, "heads": 6, "head_width": 10, "kv_heads": 2, "mlp_rank": 5},
            SelfAttention(9, 36, 6, 10, 2, causal=False),
            FeedForward(9, 36, 58, 5),
        ),
    ],
)
def test_every_choice_reaches_its_block(
    changes: dict[str, int], attention: SelfAttention, mlp: FeedForward, table: CountTable
) -> None:
    space = ViTSpace(**FIELDS)
    first = {name: choices[0] for name, choices in space.parameters.items()}
    architecture = space.architecture(first | changes)
    assert architecture.blocks[1:-1] == (attention, mlp)
    assert architecture.blocks[0].input_shapes == ((1, *[changes.get("resolution", 8)] * 2),)
    assert set(architecture.config) == {"resolution", "heads", "head_width", "kv_heads", "mlp_rank"}
    assert count(architecture, table).params > 0


def test_a_head_width_lets_heads_not_divide_the_width() -> None:
    space = ViTSpace(width=(32,), heads=(3,), head_width=(8,))
    assert all(b.head_width == 8 for b in space.blocks if isinstance(b, SelfAttention))


def test_layers_that_are_not_there_have_no_say() -> None:
    space = ViTSpace(patch_size=(2,), depth=(2, 4), width=(32,), heads=(2,), mlp_ratio=(1, 2, 4))
    chosen = {"patch_size": 2, "pool": "cls", "width": 32, "heads": 2, "depth": 2}
    made = [
        space.architecture(
            chosen | {"mlp_ratio_0": 1, "mlp_ratio_1": 2, "mlp_ratio_2": a, "mlp_ratio_3": b}
        )
        for a, b in itertools.product((1, 2, 4), repeat=2)
    ]
    assert len({architecture.id for architecture in made}) == 1
    assert made[0].config == {
        "pool": "cls",
        "depth": 2,
        "mlp_ratio_0": 1,
        "mlp_ratio_1": 2,
    }


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"heads": (3,), "width": (32,)},
            "`width` must be divisible by `heads` where `head_width` is 0; got 32 and 3",
        ),
        ({"kv_heads": (2, 4)}, "`heads` must be divisible by `kv_heads`; got 2 and 4"),
        ({"kv_heads": (-1,)}, "`kv_heads` must be a number above 0; got -1"),
        ({"head_width": (-8,)}, "`head_width` must be a number above 0; got -8"),
        ({"head_width": (8.0,)}, r"`head_width` must list values of type int; got \(8.0,\)"),
        ({"mlp_rank": (32,)}, "`rank` must be 0, .* got 32 with 32 and 32"),
        ({"resolution": (8, 0)}, "`resolution` must be a number above 0; got 0"),
        ({"resolution": (8.0,)}, "`resolution` must be of type int; got 8.0"),
        ({"resolution": ()}, "`resolution` is empty"),
        (
            {"patch_size": (16,), "resolution": 8},
            "`patch_size` must not exceed `resolution`; got 16 and 8",
        ),
        ({"pool": ("max",)}, r"`pool` must be one of \('cls', 'mean'\); got 'max'"),
        ({"depth": ()}, "`depth` is empty"),
        ({"pool": ()}, "`pool` is empty"),
        ({"depth": (0, 2)}, "`depth` must be a number above 0; got 0"),
        ({"mlp_ratio": (0.01,)}, "`hidden` must be a number above 0; got 0"),
        ({"classes": 0}, "`classes` must be a number above 0; got 0"),
        ({"depth": (1, 2.5)}, r"`depth` must list values of type int; got \(1, 2.5\)"),
    ],
)
def test_spaces_that_cannot_be_built_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ViTSpace(**fields)
