"""Vision Transformer blocks against formulas worked by hand and published tables."""

import itertools
from typing import Any

import pytest

from search_spaces import (
    Architecture,
    Counts,
    CountTable,
    PatchEmbedding,
    PerBatch,
    TransformerLayer,
    ViTHead,
    ViTSpace,
    chain,
    count,
)


@pytest.fixture(scope="module")
def table() -> CountTable:
    return CountTable()


def build(
    table: CountTable, patch: int, depth: int, width: int, heads: int, mlp: int, classes: int
) -> Counts:
    """Counts of a ViT at 224 pixels with a class token."""
    embedding = PatchEmbedding(3, 224, patch, width, class_token=True)
    layers = [TransformerLayer(embedding.tokens, width, heads, mlp)] * depth
    head = ViTHead(embedding.tokens, width, classes, "cls")
    return count(Architecture("vit", {}, chain([embedding, *layers, head])), table)


@pytest.mark.parametrize("class_token", [True, False])
@pytest.mark.parametrize(("resolution", "patch"), [(8, 2), (9, 4), (6, 6)])
def test_patch_embedding_by_hand(
    resolution: int, patch: int, class_token: bool, table: CountTable
) -> None:
    c, d = 3, 12
    counts = table[PatchEmbedding(c, resolution, patch, d, class_token)]
    patches = (resolution // patch) ** 2
    n = patches + class_token
    kernel = c * patch * patch * d
    assert counts.params == counts.weights == kernel + d + n * d + class_token * d
    assert counts.macs == PerBatch(0, patches * kernel)
    assert counts.activations == PerBatch(0, patches * d)
    assert counts.flops == PerBatch(0, 2 * patches * kernel + patches * d + n * d)
    joined = d + patches * d + n * d if class_token else 0
    assert counts.access == PerBatch(
        kernel + d + n * d, c * resolution**2 + patches * d + joined + 2 * n * d
    )
    assert counts.train["1"].macs == PerBatch(0, 3 * patches * kernel)
    assert counts.train["0"].macs == PerBatch(0, 2 * patches * kernel)
    assert counts.output_shape == (n, d)


@pytest.mark.parametrize(
    ("n", "d", "heads", "f"), [(17, 32, 4, 64), (5, 12, 1, 7), (10, 24, 3, 96)]
)
def test_transformer_layer_by_hand(n: int, d: int, heads: int, f: int, table: CountTable) -> None:
    counts = table[TransformerLayer(n, d, heads, f)]
    scores = heads * n * n
    assert counts.params == counts.weights == 4 * (d * d + d) + 4 * d + 2 * d * f + f + d
    macs = 4 * n * d * d + 2 * n * n * d + 2 * n * d * f
    assert counts.macs == PerBatch(0, macs)
    assert counts.activations == PerBatch(0, 6 * n * d + n * f + scores)
    elementwise = 18 * n * d + 9 * n * f + 4 * n * d + 4 * scores - heads * n + 8 * n
    assert counts.flops == PerBatch(0, 2 * macs + elementwise)
    norms, residuals, projections, attention = 4 * n * d, 6 * n * d, 8 * n * d, 4 * n * d
    mlp = 2 * n * d + 4 * n * f
    assert counts.access == PerBatch(
        counts.params, norms + residuals + projections + attention + 4 * scores + mlp
    )
    assert counts.train["1"].macs == counts.train["0"].macs == PerBatch(0, 3 * macs)
    statistics = 4 * n + heads * n
    kept = {"norms": 2, "q": 1, "k": 1, "v": 1, "attended": 1, "between": 1}
    assert counts.train["1"].saved == PerBatch(
        0, statistics + sum(kept.values()) * n * d + 2 * n * f
    )
    assert counts.output_shape == (n, d)


@pytest.mark.parametrize("pool", ["cls", "mean"])
def test_head_by_hand(pool: str, table: CountTable) -> None:
    n, d, classes = 17, 32, 10
    counts = table[ViTHead(n, d, classes, pool)]
    pooled = {"cls": 0, "mean": n * d}[pool]
    assert counts.params == counts.weights == 2 * d + d * classes + classes
    assert counts.macs == PerBatch(0, d * classes)
    assert counts.activations == PerBatch(0, classes)
    assert counts.flops == PerBatch(0, 2 * d * classes + 7 * n * d + 4 * n + pooled + classes)
    mean_traffic = {"cls": 0, "mean": n * d + d}[pool]
    assert counts.access == PerBatch(counts.params, 2 * n * d + mean_traffic + d + classes)
    kept = {"cls": n * d, "mean": d}[pool]
    assert counts.train["1"].saved == PerBatch(0, 2 * n + kept)


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


@pytest.mark.parametrize(
    ("patch", "params_m", "gflops"),
    [(8, "86.58", "78.54"), (16, "86.57", "17.63"), (32, "88.22", "4.42"), (64, "95.27", "0.94")],
)
def test_vit_b_of_the_efficiency_misnomer(
    patch: int, params_m: str, gflops: str, table: CountTable
) -> None:
    """Dehghani et al. (2022) print one decimal of the parameters, and FLOPs halved.

    They cut where this rounds: 86.577 M is printed as 86.5 and 0.9396 as 0.93.
    """
    counts = build(table, patch, 12, 768, 12, 3072, 1000)
    assert f"{counts.params / 1e6:.2f}" == params_m
    assert f"{counts.flops / 2e9:.2f}" == gflops


@pytest.mark.parametrize(
    ("depth", "params_m", "gflops"),
    [
        (6, "18.89", "0.61"),
        (8, "22.44", "0.79"),
        (16, "36.63", "1.52"),
        (24, "50.83", "2.25"),
        (32, "65.03", "2.98"),
        (48, "93.42", "4.43"),
    ],
)
def test_depth_rows_of_the_efficiency_misnomer(
    depth: int, params_m: str, gflops: str, table: CountTable
) -> None:
    """Table 2 of Dehghani et al. (2022): width 384, 6 heads, a head of 18,291 classes."""
    counts = build(table, 32, depth, 384, 6, 1536, 18_291)
    assert f"{counts.params / 1e6:.2f}" == params_m
    assert f"{counts.flops / 2e9:.2f}" == gflops


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
        TransformerLayer(tokens, 48, 4, 48),
        TransformerLayer(tokens, 48, 4, 192),
        TransformerLayer(tokens, 48, 4, 96),
        ViTHead(tokens, 48, 7, pool),
    )


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
        ({"heads": (3,), "width": (32,)}, "`width` must be divisible by `heads`; got 32 and 3"),
        (
            {"patch_size": (16,), "resolution": 8},
            "`patch_size` must not exceed `resolution`; got 16 and 8",
        ),
        ({"pool": ("max",)}, r"`pool` must be one of \('cls', 'mean'\); got 'max'"),
        ({"depth": ()}, "`depth` is empty"),
        ({"pool": ()}, "`pool` is empty"),
        ({"depth": (0, 2)}, "`depth` must be a number above 0; got 0"),
        ({"mlp_ratio": (0.01,)}, "`mlp_width` must be a number above 0; got 0"),
        ({"classes": 0}, "`classes` must be a number above 0; got 0"),
        ({"depth": (1, 2.5)}, r"`depth` must list values of type int; got \(1, 2.5\)"),
    ],
)
def test_spaces_that_cannot_be_built_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ViTSpace(**fields)
