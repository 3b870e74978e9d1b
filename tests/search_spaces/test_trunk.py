"""The ends of image transformers worked by hand, and what all of their families search."""

import itertools
from typing import Any

import pytest
import torch

from search_spaces import (
    Architecture,
    CountTable,
    FeedForward,
    PatchEmbedding,
    PerBatch,
    SelfAttention,
    SparseBlock,
    ViTHead,
    ViTSpace,
    block_key,
)
from search_spaces.fnet import FNetSpace
from search_spaces.moe import ExpertFeedForward, MoESpace
from search_spaces.swin import PatchStem
from search_spaces.trunk import ImageTrunk
from search_spaces.universal import UniversalSpace

FIELDS: dict[str, Any] = {
    "resolution": (8, 12),
    "patch_size": (4,),
    "depth": (2,),
    "width": (24,),
    "heads": (2, 4),
    "head_width": (0, 6),
    "kv_heads": (0, 1),
    "mlp_ratio": (1.6,),
    "mlp_rank": (0, 5),
    "pool": ("mean",),
}
SPACES: dict[str, ImageTrunk] = {
    "vit": ViTSpace(**FIELDS),
    "universal": UniversalSpace(**FIELDS, groups=(1, 2)),
    "moe": MoESpace(**FIELDS, experts=(2,), active=(1,), capacity_factor=(1,), expert_every=(2,)),
    "fnet": FNetSpace(**FIELDS, mixing=("attention",)),
}

each_space = pytest.mark.parametrize("space", SPACES.values(), ids=list(SPACES))


@pytest.fixture(scope="module")
def table() -> CountTable:
    return CountTable()


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


@pytest.mark.parametrize(("resolution", "patch", "dropped"), [(9, 4, 1), (8, 4, 0), (19, 10, 9)])
def test_pixels_that_no_patch_covers(resolution: int, patch: int, dropped: int) -> None:
    block = PatchEmbedding(1, resolution, patch, 8, class_token=False)
    assert (block.remark is None) == (dropped == 0)
    assert f"the last {dropped} rows" in (block.remark or "the last 0 rows")
    key = SparseBlock(block_key(block), 0.5)
    assert key.remark == PatchStem(1, resolution, patch, 8).remark == block.remark
    image = torch.randn(1, 1, resolution, resolution)
    kept = image.clone()
    kept[..., resolution - dropped :, :] = kept[..., resolution - dropped :] = 0
    module = block.build()
    assert torch.equal(module(image), module(kept))


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


def made(space: ImageTrunk, **changes: Any) -> Architecture:
    """The architecture of the first choices but those that are given."""
    first = {name: choices[0] for name, choices in space.parameters.items()}
    return space.architecture(first | changes)


def layers(architecture: Architecture) -> set[Any]:
    return set(architecture.blocks[1:-1])


@each_space
def test_every_family_searches_what_a_vision_transformer_does(space: ImageTrunk) -> None:
    own = [name for name in space.parameters if name not in SPACES["vit"].parameters]
    shared = [name for name in space.parameters if name not in own and "ratio" not in name]
    assert shared == [n for n in SPACES["vit"].parameters if "ratio" not in n]
    searched = {n for n, choices in space.parameters.items() if len(choices) > 1}
    assert searched - set(own) == {"resolution", "heads", "head_width", "kv_heads", "mlp_rank"}


@each_space
@pytest.mark.parametrize("resolution", [8, 12])
@pytest.mark.parametrize(
    ("chosen", "attention"),
    [
        ({"heads": 2}, (2, 12, 2)),
        ({"heads": 4}, (4, 6, 4)),
        ({"heads": 2, "head_width": 6}, (2, 6, 2)),
        ({"heads": 4, "kv_heads": 1}, (4, 6, 1)),
    ],
)
def test_choices_reach_every_attention_and_both_ends(
    space: ImageTrunk, resolution: int, chosen: dict[str, int], attention: tuple[int, int, int]
) -> None:
    architecture = made(space, resolution=resolution, **chosen)
    tokens = (resolution // 4) ** 2
    expected = SelfAttention(tokens, 24, *attention, causal=False)
    assert {b for b in layers(architecture) if isinstance(b, SelfAttention)} == {expected}
    assert architecture.blocks[0] == PatchEmbedding(1, resolution, 4, 24, class_token=False)
    assert architecture.blocks[-1] == ViTHead(tokens, 24, 10, "mean")


@each_space
@pytest.mark.parametrize("rank", [0, 5])
def test_a_rank_reaches_every_mlp_but_those_of_experts(space: ImageTrunk, rank: int) -> None:
    mlps = {b for b in layers(made(space, mlp_rank=rank)) if not isinstance(b, SelfAttention)}
    experts = {b for b in mlps if isinstance(b, ExpertFeedForward)}
    assert mlps - experts == {FeedForward(4, 24, 38, rank)}
    assert experts == (
        {ExpertFeedForward(4, 24, 38, 2, 1, 2)} if isinstance(space, MoESpace) else set()
    )


@each_space
def test_two_ways_to_say_one_network_are_one(space: ImageTrunk) -> None:
    """Heads of 24 / 4 features, said as 0 or as 6."""
    one, other = (made(space, heads=4, head_width=said) for said in (0, 6))
    assert one == other
    assert one.id == other.id


@each_space
def test_size_counts_networks_and_not_ways_to_say_them(space: ImageTrunk) -> None:
    choices = itertools.product(*(range(len(c)) for c in space.parameters.values()))
    ids = {space.decode(codes).id for codes in choices}
    assert space.size == len(ids)
    groups = 2 if isinstance(space, UniversalSpace) else 1
    # Two resolutions, 2 heads of 12 or 6 features or 4 of 6, as many keys or one, two ranks.
    assert len(ids) == 2 * 3 * 2 * 2 * groups


@each_space
def test_a_slot_reads_only_what_decides_it(space: ImageTrunk) -> None:
    first, *halves, last = space.slots
    assert set(first.reads) == set(last.reads) == {"resolution", "patch_size", "pool", "width"}
    for attention, mlp in zip(halves[::2], halves[1::2], strict=True):
        assert not {"mlp_rank", "mlp_ratio", "experts"} & set(attention.reads)
        assert not {"heads", "head_width", "kv_heads"} & set(mlp.reads)


@each_space
@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"width": (32,), "heads": (3,)}, "`width` must be divisible by `heads` where"),
        ({"kv_heads": (4,)}, "`heads` must be divisible by `kv_heads`; got 2 and 4"),
        ({"head_width": (8.0,)}, r"`head_width` must list values of type int; got \(8.0,\)"),
        ({"kv_heads": ()}, "`kv_heads` is empty; give at least one choice"),
        ({"mlp_rank": (24,)}, "`rank` must be 0, .* got 24 with 24 and 38"),
        ({"resolution": (8, 0)}, "`resolution` must be a number above 0; got 0"),
        ({"patch_size": (9,)}, "`patch_size` must not exceed `resolution`; got 9 and 8"),
        ({"pool": ("max",)}, r"`pool` must be one of \('cls', 'mean'\); got 'max'"),
    ],
)
def test_spaces_that_cannot_be_built_are_refused(
    space: ImageTrunk, fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        type(space)(**FIELDS | fields)
