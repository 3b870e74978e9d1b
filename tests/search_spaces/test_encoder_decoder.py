"""Encoder-decoder models against loops in double precision, hand calculations and T5's sizes."""

import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import nn

from search_spaces import Architecture, CountTable, PerBatch, count
from search_spaces.decoder import DecoderSpace
from search_spaces.encoder_decoder import PRESETS, EncoderDecoderSpace
from search_spaces.network import Network
from search_spaces.t5 import (
    CrossAttention,
    EncoderNorm,
    RelativeAttention,
    SpanEmbedding,
    SwitchFeedForward,
    T5FeedForward,
    T5Head,
)
from search_spaces.text_layers import relative_buckets

SMALL = {
    "vocabulary": 40,
    "source": 8,
    "target": 5,
    "encoder_depth": 2,
    "decoder_depth": 3,
    "width": 16,
    "heads": 2,
    "mlp_ratio": 2,
    "gated": False,
    "tied": True,
}
BUCKETS = 32


@pytest.fixture(scope="module")
def table() -> CountTable:
    return CountTable()


def only(**fields: Any) -> Architecture:
    """The one architecture of a space in which every field has a single choice."""
    space = EncoderDecoderSpace(**fields)
    return space.decode([0] * len(space.parameters))


def small(**fields: Any) -> Architecture:
    return only(**{name: (choice,) for name, choice in (SMALL | fields).items()})


def varied(module: nn.Module, std: float = 0.3) -> nn.Module:
    """The module in double precision, no weight of which is what another would be."""
    for weight in module.parameters():
        nn.init.normal_(weight, mean=0.1, std=std)
    return module.double().eval()


# Blocks, counted by hand


def test_span_embedding(table: CountTable) -> None:
    block = SpanEmbedding(40, length=13, start=8, tokens=5, width=16)
    counts = table[block]
    assert (counts.params, counts.macs) == (40 * 16, PerBatch(0, 0))
    assert counts.output_shape == (5, 16)
    assert block.token_ids == 40
    module, ids = block.build(), torch.randint(0, 40, (3, 13), dtype=torch.int32)
    assert torch.equal(module(ids), module.table[ids[:, 8:13].long()])


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize(("n", "d", "heads", "each"), [(9, 16, 2, 12), (1, 8, 3, 4)])
def test_relative_attention_by_hand(
    n: int, d: int, heads: int, each: int, causal: bool, table: CountTable
) -> None:
    counts = table[RelativeAttention(n, d, heads, each, causal)]
    inner = heads * each
    assert counts.params == counts.weights == d + 4 * d * inner + BUCKETS * heads
    assert counts.macs == PerBatch(0, 4 * n * d * inner + 2 * n * n * inner)
    assert counts.output_shape == (n, d)


def test_cross_attention_by_hand(table: CountTable) -> None:
    n, m, d, heads, each = 7, 9, 16, 2, 12
    counts = table[CrossAttention(n, m, d, heads, each)]
    inner = heads * each
    assert counts.params == d + 4 * d * inner
    assert counts.macs == PerBatch(0, 2 * (n + m) * d * inner + 2 * n * m * inner)
    assert counts.output_shape == (n, d)


@pytest.mark.parametrize(("gated", "matrices"), [(False, 2), (True, 3)])
def test_feed_forward_by_hand(gated: bool, matrices: int, table: CountTable) -> None:
    n, d, f = 9, 16, 40
    counts = table[T5FeedForward(n, d, f, gated)]
    assert counts.params == d + matrices * d * f
    assert counts.macs == PerBatch(0, matrices * n * d * f)


@pytest.mark.parametrize(("experts", "capacity"), [(4, 3), (2, 9), (1, 9)])
def test_experts_by_hand(experts: int, capacity: int, table: CountTable) -> None:
    n, d, f = 9, 16, 40
    block = SwitchFeedForward(n, d, f, experts, capacity)
    counts = table[block]
    assert counts.params == d + d * experts + experts * 2 * d * f
    assert counts.params - block.inactive_params == d + d * experts + 2 * d * f
    assert counts.macs == PerBatch(0, n * d * experts + experts * capacity * 2 * d * f)


@pytest.mark.parametrize("scaled", [True, False])
def test_ends_by_hand(scaled: bool, table: CountTable) -> None:
    n, d, v = 9, 16, 40
    counts = table[T5Head(n, d, v, scaled)]
    assert (counts.params, counts.macs) == (d + d * v, PerBatch(0, n * d * v))
    assert counts.output_shape == (n, v)
    norm = table[EncoderNorm(n, d)]
    assert (norm.params, norm.macs, norm.output_shape) == (d, PerBatch(0, 0), (n, d))


# Blocks, against independent implementations


def bucket(key: int, query: int, *, causal: bool, buckets: int = 32, limit: int = 128) -> int:
    """The bucket of one distance, in whole numbers alone."""
    ahead, offset = key - query, 0
    if causal:
        distance = max(-ahead, 0)
    else:
        buckets //= 2
        offset, distance = buckets * (ahead > 0), abs(ahead)
    exact = wide = buckets // 2
    if distance < exact:
        return offset + distance
    steps = 0  # The most for which (distance / exact)^wide >= (limit / exact)^steps.
    while distance**wide * exact ** (steps + 1) >= limit ** (steps + 1) * exact**wide:
        steps += 1
    return offset + min(exact + steps, buckets - 1)


@pytest.mark.parametrize("causal", [True, False])
def test_buckets_are_those_of_the_rule(causal: bool) -> None:
    n = 200
    made = relative_buckets(n, buckets=32, max_distance=128, causal=causal)
    expected = [[bucket(key, query, causal=causal) for key in range(n)] for query in range(n)]
    assert made.tolist() == expected


def test_buckets_by_hand() -> None:
    sees_all = relative_buckets(300, buckets=32, max_distance=128, causal=False)[150]
    distances = [0, 1, 7, 8, 11, 12, 16, 32, 64, 91, 127, 128, 149]
    assert [int(sees_all[150 - d]) for d in distances] == [
        *(0, 1, 7, 8, 8, 9, 10, 12, 14, 15, 15, 15, 15)
    ]
    assert [int(sees_all[150 + d]) for d in distances[1:]] == [
        16 + int(sees_all[150 - d]) for d in distances[1:]
    ]
    sees_past = relative_buckets(300, buckets=32, max_distance=128, causal=True)[299]
    assert [int(sees_past[299 - d]) for d in (0, 15, 16, 32, 64, 112, 113, 128, 299)] == [
        *(0, 15, 16, 21, 26, 30, 31, 31, 31)
    ]


def rms(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return x / (x.square().mean(-1, keepdim=True) + 1e-6).sqrt() * weight


def attended(
    x: torch.Tensor,
    memory: torch.Tensor,
    weights: dict[str, torch.Tensor],
    heads: int,
    bias: Sequence[Sequence[Sequence[float]]],
) -> torch.Tensor:
    """Attention of one example, one head and one query at a time; ``bias[head][query][key]``."""
    query, key, value = (
        (source @ weights[f"inner.1.{name}.weight"].T).chunk(heads, -1)
        for name, source in (("query", x), ("key", memory), ("value", memory))
    )
    mixed = [
        torch.cat(
            [
                (key[h] @ query[h][i] + torch.tensor(bias[h][i])).softmax(0) @ value[h]
                for h in range(heads)
            ]
        )
        for i in range(len(x))
    ]
    return torch.stack(mixed) @ weights["inner.1.out.weight"].T


@pytest.mark.parametrize("causal", [True, False])
def test_relative_attention_is_that_of_a_loop(causal: bool) -> None:
    n, d, heads, each = 40, 8, 2, 3
    module = varied(RelativeAttention(n, d, heads, each, causal).build())
    weights, x = module.state_dict(), torch.randn(2, n, d, dtype=torch.float64)
    by_bucket = weights["inner.1.position_bias"].tolist()
    bias = [
        [
            [
                -math.inf if causal and k > q else by_bucket[bucket(k, q, causal=causal)][h]
                for k in range(n)
            ]
            for q in range(n)
        ]
        for h in range(heads)
    ]
    for example, y in zip(x, module(x), strict=True):
        normed = rms(example, weights["inner.0.weight"])
        torch.testing.assert_close(y, example + attended(normed, normed, weights, heads, bias))


def test_cross_attention_is_that_of_a_loop_and_of_pytorch() -> None:
    n, m, d, heads = 5, 7, 8, 2
    module = varied(CrossAttention(n, m, d, heads, d // heads).build())
    weights = module.state_dict()
    x = torch.randn(2, n, d, dtype=torch.float64)
    memory = torch.randn(2, m, d, dtype=torch.float64)
    outputs, normed = module(x, memory), rms(x, weights["inner.0.weight"])
    none = [[[0.0] * m] * n] * heads
    for example, read, y, start in zip(normed, memory, outputs, x, strict=True):
        torch.testing.assert_close(y, start + attended(example, read, weights, heads, none))
    pytorchs = nn.MultiheadAttention(d, heads, bias=False, batch_first=True).double()
    parts = [weights[f"inner.1.{name}.weight"] for name in ("query", "key", "value")]
    parts[0] = parts[0] * (d // heads) ** 0.5  # Its scores are divided by this.
    pytorchs.load_state_dict(
        {"in_proj_weight": torch.cat(parts), "out_proj.weight": weights["inner.1.out.weight"]}
    )
    torch.testing.assert_close(outputs, x + pytorchs(normed, memory, memory)[0])


@pytest.mark.parametrize("gated", [True, False])
def test_feed_forward_is_its_formula(gated: bool) -> None:
    module = varied(T5FeedForward(3, 8, 12, gated).build())
    weights, x = module.state_dict(), torch.randn(2, 3, 8, dtype=torch.float64)
    normed = rms(x, weights["inner.0.weight"])
    between = normed @ weights["inner.1.up.weight"].T
    if gated:
        z = normed @ weights["inner.1.gate.weight"].T
        between *= z / 2 * (1 + torch.tanh((2 / math.pi) ** 0.5 * (z + 0.044715 * z**3)))
    else:
        between = between.clamp(min=0)
    torch.testing.assert_close(module(x), x + between @ weights["inner.1.down.weight"].T)


@pytest.mark.parametrize("capacity", [1, 2, 6])
def test_experts_take_tokens_in_turn_until_they_are_full(capacity: int) -> None:
    n, d, experts = 6, 8, 3
    module = varied(SwitchFeedForward(n, d, 12, experts, capacity).build())
    weights, x = module.state_dict(), torch.randn(4, n, d, dtype=torch.float64)
    dropped = 0
    for example, y in zip(x, module(x), strict=True):
        taken = [0] * experts
        for token, result in zip(example, y, strict=True):
            normed = rms(token, weights["inner.0.weight"])
            gate, expert = (weights["inner.1.router.weight"] @ normed).softmax(0).max(0)
            taken[expert] += 1
            expected = token
            if taken[expert] <= capacity:
                up, down = (weights[f"inner.1.experts.{name}"][expert] for name in ("up", "down"))
                expected = token + gate * ((normed @ up).clamp(min=0) @ down)
            else:
                dropped += 1
            torch.testing.assert_close(result, expected, rtol=1e-6, atol=1e-6)
    assert (dropped > 0) == (capacity < 6)


@pytest.mark.parametrize("scaled", [True, False])
def test_head_is_its_formula(scaled: bool) -> None:
    module = varied(T5Head(3, 16, 5, scaled).build())
    weights, x = module.state_dict(), torch.randn(2, 3, 16, dtype=torch.float64)
    factor = 1 / 4 if scaled else 1
    expected = factor * rms(x, weights["norm.weight"]) @ weights["score.weight"].T
    torch.testing.assert_close(module(x), expected)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SpanEmbedding(40, 13, 9, 5, 16), "`start` must be .*; got 9 with 5 and 13"),
        (lambda: SpanEmbedding(40, 13, -1, 5, 16), "`start` must be at least 0 .*; got -1"),
        (lambda: RelativeAttention(9, 16, 0, 8, True), "`heads` must be a number above 0; got 0"),
        (lambda: RelativeAttention(9, 16, 2, 8, 1), "`causal` must be of type bool; got 1"),
        (lambda: CrossAttention(9, 0, 16, 2, 8), "`memory_tokens` must be a number above 0"),
        (lambda: T5FeedForward(9, 16, 8, 1), "`gated` must be of type bool; got 1"),
        (
            lambda: SwitchFeedForward(9, 16, 8, 2, 10),
            "`capacity` must not exceed `tokens`; got 10 and 9",
        ),
        (lambda: T5Head(9, 16, 40, 1), "`scaled` must be of type bool; got 1"),
        (lambda: EncoderNorm(9, 0), "`width` must be a number above 0; got 0"),
    ],
)
def test_blocks_that_cannot_be_built_are_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


# Whole networks


def test_space_makes_the_network_that_its_choices_name() -> None:
    space = EncoderDecoderSpace(
        vocabulary=(40, 50),
        source=(8, 12),
        target=(5, 6),
        encoder_depth=(1, 3),
        decoder_depth=(2, 4),
        width=(16, 24),
        heads=(2, 4),
        head_width=(0, 5),
        mlp_ratio=(1, 2.5),
        gated=(False, True),
        tied=(False, True),
        experts=(0, 4),
        expert_every=(1, 2),
        capacity_factor=(1, 1.5),
    )
    made = space.architecture(
        {"vocabulary": 50, "source": 12, "target": 6, "encoder_depth": 3, "decoder_depth": 2}
        | {"width": 24, "heads": 4, "head_width": 5, "mlp_ratio": 2.5, "gated": True, "tied": True}
        | {"experts": 4, "expert_every": 2, "capacity_factor": 1.5}
    )
    bias = "inner.1.position_bias"
    wired = [(node.block, node.inputs, node.shared) for node in made]
    reads = RelativeAttention(12, 24, 4, 5, causal=False)
    writes = RelativeAttention(6, 24, 4, 5, causal=True)
    assert wired == [
        (SpanEmbedding(50, 18, 0, 12, 24), (-1,), ()),
        (reads, (0,), ()),
        (T5FeedForward(12, 24, 60, True), (1,), ()),
        (reads, (2,), ((bias, 1, bias),)),
        (SwitchFeedForward(12, 24, 60, 4, 5), (3,), ()),  # Room for 1.5 * 12 / 4, rounded up.
        (reads, (4,), ((bias, 1, bias),)),
        (T5FeedForward(12, 24, 60, True), (5,), ()),
        (EncoderNorm(12, 24), (6,), ()),
        (SpanEmbedding(50, 18, 12, 6, 24), (-1,), (("table", 0, "table"),)),
        (writes, (8,), ()),
        (CrossAttention(6, 12, 24, 4, 5), (9, 7), ()),
        (T5FeedForward(6, 24, 60, True), (10,), ()),
        (writes, (11,), ((bias, 9, bias),)),
        (CrossAttention(6, 12, 24, 4, 5), (12, 7), ()),
        (SwitchFeedForward(6, 24, 60, 4, 3), (13,), ()),
        (T5Head(6, 24, 50, True), (14,), (("score.weight", 0, "table"),)),
    ]
    shallow = space.architecture(
        {"vocabulary": 40, "source": 8, "target": 5, "encoder_depth": 1, "decoder_depth": 2}
        | {"width": 16, "heads": 2, "head_width": 0, "mlp_ratio": 1, "gated": False}
        | {"tied": False, "experts": 0}
    )
    assert [node.inputs for node in shallow if len(node.inputs) == 2] == [(5, 3), (8, 3)]
    assert shallow.nodes[-1].shared == ()
    assert shallow.blocks[-1] == T5Head(5, 16, 40, False)


def test_shared_weights_are_one_parameter(table: CountTable) -> None:
    architecture = small()
    network = Network(architecture)
    attention = {position: network.blocks[str(position)].inner[1] for position in (1, 3, 7, 10, 13)}
    bias = {position: id(module.position_bias) for position, module in attention.items()}
    assert bias[1] == bias[3] != bias[7] == bias[10] == bias[13]
    embedding = network.blocks["0"].table
    assert embedding is network.blocks["6"].table is network.blocks["16"].score.weight
    d, f, v = 16, 32, 40
    layer = 4 * d * d + d + 2 * d * f + d
    cross = 4 * d * d + d
    params = v * d + 2 * layer + d + 3 * (layer + cross) + d + 2 * BUCKETS * 2
    assert params == sum(p.numel() for p in network.parameters())
    assert params == count(architecture, table).params
    assert count(small(tied=False), table).params == params + v * d


@pytest.mark.parametrize("experts", [0, 4])
def test_what_each_score_depends_on(experts: int) -> None:
    architecture = small(experts=experts, expert_every=1, capacity_factor=4.0)
    network, ids = Network(architecture).eval(), torch.randint(0, 40, (1, 13))
    assert architecture.input_shapes == ((13,),)
    assert architecture.token_ids == 40
    scores = network(ids)
    assert scores.shape == (1, 5, 40)
    for position in range(13):
        changed = ids.clone()
        changed[0, position] = (changed[0, position] + 1) % 40
        same = torch.isclose(network(changed), scores, atol=1e-6).all(-1)[0]
        assert same.tolist() == [8 + i < position for i in range(5)]


@pytest.mark.parametrize("capacity_factor", [0.5, 1.25])
def test_no_example_depends_on_its_batch(capacity_factor: float) -> None:
    network = Network(small(experts=4, expert_every=2, capacity_factor=capacity_factor)).eval()
    ids = torch.randint(0, 40, (6, 13))
    alone = torch.cat([network(row[None]) for row in ids])
    torch.testing.assert_close(network(ids), alone, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(network(ids[[3, 3, 0]]), alone[[3, 3, 0]], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"heads": (3,)}, "`width` must be divisible by `heads` where `head_width` is 0; got 32"),
        (
            {"experts": (4,), "expert_every": (4, 5)},
            r"`expert_every` must not exceed every depth .*; got \(4, 5\) and depths up to 3",
        ),
        ({"experts": (-2,)}, "`experts` must be a number above 0; got -2"),
        ({"experts": (2.0,)}, r"`experts` must list values of type int; got \(2.0,\)"),
        ({"expert_every": (0,)}, "`expert_every` must be a number above 0; got 0"),
        ({"capacity_factor": (-1,)}, "`capacity_factor` must be a number above 0; got -1"),
        ({"source": (0,)}, "`source` must be a number above 0; got 0"),
        ({"decoder_depth": (0, 1)}, "`decoder_depth` must be a number above 0; got 0"),
        ({"gated": ("no",)}, r"`gated` must list values of type bool; got \('no',\)"),
        ({"target": ()}, "`target` is empty"),
    ],
)
def test_spaces_that_cannot_be_built_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EncoderDecoderSpace(**fields)


# Published sizes


def by_hand(
    vocabulary: int,
    width: int,
    mlp: int,
    layers: tuple[int, int],
    heads: int,
    *,
    matrices: int = 2,
    tied: bool = True,
    experts: int = 0,
) -> int:
    """Parameters of a T5 with heads of 64 features; with experts, half of the layers have them."""
    attention = 4 * width * 64 * heads
    encoder, decoder = layers
    dense = (encoder + decoder) * matrices * width * mlp
    if experts:
        sparse = (encoder + decoder) // 2
        dense += sparse * ((experts - 1) * matrices * width * mlp + width * experts)
    norms = (2 * encoder + 1) + (3 * decoder + 1)
    return (
        (1 if tied else 2) * vocabulary * width
        + (encoder + 2 * decoder) * attention
        + dense
        + norms * width
        + 2 * BUCKETS * heads
    )


@pytest.mark.parametrize(
    ("name", "fields", "expected", "published"),
    [
        ("t5_small", {}, by_hand(32_128, 512, 2048, (6, 6), 8), 60_506_624),
        (
            "byt5_small",
            {},
            by_hand(384, 1472, 3584, (12, 4), 6, matrices=3, tied=False),
            299_637_760,
        ),
        (
            "switch_base_8",
            {"experts": (0,)},  # T5-base.
            by_hand(32_128, 768, 3072, (12, 12), 12),
            222_903_552,
        ),
        (
            "switch_base_8",
            {},
            by_hand(32_128, 768, 3072, (12, 12), 12, experts=8),
            619_339_008,
        ),
    ],
)
def test_published_models(
    name: str, fields: dict[str, Any], expected: int, published: int, table: CountTable
) -> None:
    """Raffel et al. (2020) print 60 M and 220 M, Xue et al. (2022) 300 M for ByT5-small.

    To the element these are the parameters of the released weights' configurations.
    """
    architecture = only(**PRESETS[name] | fields)
    counts = count(architecture, table)
    assert counts.params == expected == published
    with torch.device("meta"):
        network = Network(architecture)
    assert sum(p.numel() for p in network.parameters()) == published


def test_a_token_uses_one_expert_of_a_switch_transformer(table: CountTable) -> None:
    dense = only(**PRESETS["switch_base_8"] | {"experts": (0,)})
    sparse = count(only(**PRESETS["switch_base_8"]), table)
    assert sparse.active_params == count(dense, table).params + 12 * 768 * 8


def test_twice_the_layers_at_the_same_price(table: CountTable) -> None:
    """An encoder and a decoder of L layers have the parameters of 2 L layers, and half the MACs.

    For each token passes one of the two stacks only. Cross-attention comes on top, heads and
    embeddings are left out, and of the scores there are fewer, as no stack sees the whole text.
    """
    n, d, f, heads, layers = 64, 32, 64, 2, 3
    ours = small(
        vocabulary=1, source=n, target=n, width=d, encoder_depth=layers, decoder_depth=layers
    )
    choices = {
        "context": 2 * n,
        "depth": 2 * layers,
        "width": d,
        "heads": heads,
        "mlp_ratio": f // d,
    }
    theirs = DecoderSpace(
        vocabulary=(1,), tied=(True,), **{name: (choice,) for name, choice in choices.items()}
    )
    decoder = theirs.decode([0] * len(theirs.parameters))

    def stacks(architecture: Architecture) -> tuple[int, int]:
        counts = [
            table[block]
            for block in architecture.blocks[1:-1]
            if not isinstance(block, CrossAttention | SpanEmbedding)
        ]
        return sum(c.params for c in counts), sum(c.macs.at(1) for c in counts)

    (params, macs), (others_params, others_macs) = stacks(ours), stacks(decoder)
    assert params == pytest.approx(others_params, rel=0.05)
    linear = 2 * layers * n * (4 * d * d + 2 * d * f)
    assert macs == linear + 2 * layers * 2 * n * n * d
    assert others_macs == 2 * linear + 2 * layers * 2 * (2 * n) ** 2 * d
    assert 0.3 < macs / others_macs <= 0.5


def test_bytes_leave_the_parameters_to_the_layers(table: CountTable) -> None:
    """ByT5 (Xue et al. 2022): the tables take most of a small T5 and next to nothing of a ByT5."""
    shares = {}
    for name, tables in (("t5_small", 1), ("byt5_small", 2)):
        architecture = only(**PRESETS[name])
        embedding = table[architecture.blocks[0]].params
        shares[name] = tables * embedding / count(architecture, table).params
    assert shares["t5_small"] == pytest.approx(0.27, abs=0.01)
    assert shares["byt5_small"] < 0.004


def test_a_network_can_learn() -> None:
    """To repeat the source, which takes cross-attention."""
    network = Network(small(vocabulary=6, source=4, target=4, encoder_depth=1, decoder_depth=1))
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    losses = []
    for _ in range(150):
        source = torch.randint(0, 6, (32, 5))
        row = torch.cat((source[:, :4], source[:, :4]), 1)  # The k-th target predicts the next.
        scores = network(row)[:, :3]
        loss = nn.functional.cross_entropy(scores.flatten(0, 1), row[:, 5:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[0] > 1.5
    assert losses[-1] < 0.3
