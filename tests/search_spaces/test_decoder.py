"""Decoder-only language models against PyTorch's own layers, hand calculations and GPT-2."""

import dataclasses
import math
from typing import Any

import pytest
import torch
from torch import nn

from search_spaces import (
    Architecture,
    Block,
    Counts,
    CountTable,
    FeedForward,
    Node,
    PatchEmbedding,
    PerBatch,
    SelfAttention,
    chain,
    count,
)
from search_spaces.decoder import (
    PRESETS,
    DecoderSpace,
    LanguageHead,
    LastTokenEmbedding,
    TokenEmbedding,
)
from search_spaces.decoding import decoding_step
from search_spaces.network import Network
from search_spaces.transformer import CachedAttention, head_features

TIED = (("score.weight", 0, "table"),)


@pytest.fixture(scope="module")
def table() -> CountTable:
    return CountTable()


def only(**fields: Any) -> Architecture:
    """The one architecture of a space in which every field has a single choice."""
    space = DecoderSpace(**fields)
    return space.decode([0] * len(space.parameters))


def small(**fields: Any) -> Architecture:
    choices = {"vocabulary": 50, "context": 9, "depth": 2, "width": 16, "heads": 4, "mlp_ratio": 2}
    return only(**{name: (choice,) for name, choice in (choices | {"tied": True} | fields).items()})


def ids_of(architecture: Architecture, batch: int = 3) -> torch.Tensor:
    (tokens,) = architecture.input_shapes[0]
    assert architecture.token_ids is not None
    return torch.randint(0, architecture.token_ids, (batch, tokens))


# Blocks


@pytest.mark.parametrize(("v", "n", "d"), [(50, 9, 16), (256, 1, 3)])
def test_embedding_by_hand(v: int, n: int, d: int, table: CountTable) -> None:
    block = TokenEmbedding(v, n, d)
    counts = table[block]
    assert (counts.params, counts.macs) == (v * d + n * d, PerBatch(0, 0))
    assert counts.output_shape == (n, d)
    assert block.token_ids == v
    assert table[LastTokenEmbedding(v, n, d)].params == counts.params
    assert table[LastTokenEmbedding(v, n, d)].output_shape == (1, d)


@pytest.mark.parametrize("dtype", [torch.int32, torch.int64])
def test_embedding_looks_up_ids_and_positions(dtype: torch.dtype) -> None:
    whole, last = TokenEmbedding(7, 4, 3).build(), LastTokenEmbedding(7, 4, 3).build()
    last.load_state_dict(whole.state_dict())
    ids = torch.tensor([[6, 0, 3, 3]], dtype=dtype)
    rows = [whole.table[i] + whole.positions[p] for p, i in enumerate((6, 0, 3, 3))]
    torch.testing.assert_close(whole(ids)[0], torch.stack(rows))
    torch.testing.assert_close(last(ids[:, 3:])[0, 0], rows[3])


@pytest.mark.parametrize(("n", "d", "v"), [(9, 16, 50), (1, 8, 3)])
def test_head_by_hand(n: int, d: int, v: int, table: CountTable) -> None:
    counts = table[LanguageHead(n, d, v)]
    assert (counts.params, counts.macs) == (2 * d + d * v, PerBatch(0, n * d * v))
    assert counts.output_shape == (n, v)


@pytest.mark.parametrize(
    ("n", "d", "heads", "each", "groups"), [(9, 16, 4, 4, 4), (9, 16, 4, 6, 2), (5, 12, 3, 8, 1)]
)
def test_cached_attention_by_hand(
    n: int, d: int, heads: int, each: int, groups: int, table: CountTable
) -> None:
    whole = SelfAttention(n, d, heads, each, groups, causal=True)
    step = whole.decoding()
    assert step == CachedAttention(n, d, heads, each, groups)
    counts = table[step]
    assert counts.params == table[whole].params
    projections = 2 * d * heads * each + 2 * d * groups * each
    assert counts.macs == PerBatch(0, projections + 2 * n * heads * each)
    assert counts.output_shape == (1, d)
    assert whole.cache_elements == 2 * groups * n * each
    assert (table[whole].decode_macs, table[whole].cache) == (
        counts.macs.per_example,
        whole.cache_elements,
    )


def test_attention_to_both_sides_does_not_generate() -> None:
    block = SelfAttention(9, 16, 4, 4, 4, causal=False)
    assert (block.decoding(), block.cache_elements) == (None, 0)


def test_one_token_has_nothing_before_it() -> None:
    block = SelfAttention(1, 16, 4, 4, 4, causal=True)
    assert block.decoding() == block
    with pytest.raises(ValueError, match=r"`context` must be above 1, .*; got 1"):
        CachedAttention(1, 16, 4, 4, 4)
    step = decoding_step(small(context=1, depth=1))
    assert step.blocks[1:3] == small(context=1, depth=1).blocks[1:3]
    assert step.input_shapes == ((1,),)


# Whole networks


def reference(network: Network, depth: int, heads: int, ids: torch.Tensor) -> torch.Tensor:
    """The network by PyTorch's own transformer layers, with its weights."""
    weights = network.state_dict()
    table, positions = weights["blocks.0.table"], weights["blocks.0.positions"]
    x = table[ids] + positions
    tokens, width = x.shape[1:]
    for layer in range(depth):
        attention, mlp = (f"blocks.{1 + 2 * layer + half}.inner" for half in (0, 1))
        hidden = len(weights[f"{mlp}.1.up.bias"])
        module = nn.TransformerEncoderLayer(
            width,
            heads,
            hidden,
            dropout=0.0,
            activation=nn.GELU(approximate="tanh"),
            batch_first=True,
            norm_first=True,
        )
        for name in ("weight", "bias"):
            projections = [weights[f"{attention}.1.{p}.{name}"] for p in ("query", "key", "value")]
            state = {
                f"self_attn.in_proj_{name}": torch.cat(projections),
                f"self_attn.out_proj.{name}": weights[f"{attention}.1.out.{name}"],
                f"norm1.{name}": weights[f"{attention}.0.{name}"],
                f"norm2.{name}": weights[f"{mlp}.0.{name}"],
                f"linear1.{name}": weights[f"{mlp}.1.up.{name}"],
                f"linear2.{name}": weights[f"{mlp}.1.down.{name}"],
            }
            assert module.load_state_dict(state, strict=False).unexpected_keys == []
        mask = nn.Transformer.generate_square_subsequent_mask(tokens)
        x = module(x, src_mask=mask, is_causal=True)
    head = f"blocks.{1 + 2 * depth}"
    norm = (weights[f"{head}.norm.weight"], weights[f"{head}.norm.bias"])
    score = weights.get(f"{head}.score.weight", table)
    return nn.functional.layer_norm(x, (width,), *norm) @ score.T


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize(("depth", "heads"), [(1, 2), (3, 4)])
def test_network_is_that_of_pytorchs_layers(depth: int, heads: int, tied: bool) -> None:
    architecture = small(depth=depth, heads=heads, tied=tied)
    network, ids = Network(architecture), ids_of(architecture)
    for weight in network.parameters():
        nn.init.normal_(weight, std=0.3)
    torch.testing.assert_close(
        network(ids), reference(network, depth, heads, ids), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("kv_heads", [0, 2, 1])
def test_a_later_token_never_changes_an_earlier_score(kv_heads: int) -> None:
    architecture = small(kv_heads=kv_heads)
    network, ids = Network(architecture).eval(), ids_of(architecture, batch=1)
    scores = network(ids)
    for position in range(9):
        changed = ids.clone()
        changed[0, position] = (changed[0, position] + 1) % 50
        same = torch.isclose(network(changed), scores, atol=1e-6).all(-1)[0]
        assert same.tolist() == [i < position for i in range(9)]


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize(("kv_heads", "head_width"), [(0, 0), (2, 0), (1, 6)])
def test_a_decoding_step_gives_the_last_row_of_the_whole(
    kv_heads: int, head_width: int, tied: bool
) -> None:
    architecture = small(kv_heads=kv_heads, head_width=head_width, tied=tied)
    step_architecture = decoding_step(architecture)
    network, step = Network(architecture).eval(), Network(step_architecture).eval()
    step.load_state_dict(network.state_dict())
    cached: list[torch.Tensor] = []

    def keep(module: nn.Module, inputs: Any, projected: torch.Tensor) -> None:
        groups, each = step_architecture.input_shapes[1][0], step_architecture.input_shapes[1][2]
        cached.append(projected.unflatten(-1, (groups, each)).transpose(1, 2)[:, :, :-1])

    for name, module in network.named_modules():
        if name.endswith((".key", ".value")):
            module.register_forward_hook(keep)
    ids = ids_of(architecture)
    with torch.no_grad():
        scores = network(ids)
        last = step(ids[:, -1:], *cached)
    assert [tensor.shape[1:] for tensor in cached] == list(step_architecture.input_shapes[1:])
    torch.testing.assert_close(last[:, 0], scores[:, -1])


def test_a_decoding_step_numbers_its_caches_and_keeps_ties_and_shared_weights() -> None:
    attention, mlp = SelfAttention(9, 16, 2, 8, 2, causal=True), FeedForward(9, 16, 24, 0)
    blocks = [TokenEmbedding(50, 9, 16), attention, mlp, attention, mlp, LanguageHead(9, 16, 50)]
    nodes = list(chain(blocks))
    for position in (3, 4):
        nodes[position] = Node(blocks[position], (position - 1,), tie=position - 2)
    nodes[5] = Node(blocks[5], (4,), shared=TIED)
    step = decoding_step(Architecture("looped", {"loops": 2}, tuple(nodes)))
    cached, one = CachedAttention(9, 16, 2, 8, 2), FeedForward(1, 16, 24, 0)
    assert step.nodes == (
        Node(LastTokenEmbedding(50, 9, 16), (-1,)),
        Node(cached, (0, -2, -3)),
        Node(one, (1,)),
        Node(cached, (2, -4, -5), tie=1),
        Node(one, (3,), tie=2),
        Node(LanguageHead(1, 16, 50), (4,), shared=TIED),
    )
    assert (step.space, step.config) == ("looped decoding", {"loops": 2})
    assert step.input_shapes == ((1,), *[(2, 8, 8)] * 4)


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        ([SelfAttention(4, 8, 2, 4, 2, causal=False)], r"node 0, SelfAttention.* causal blocks"),
        (
            [FeedForward(4, 8, 8, 0), PatchEmbedding(1, 8, 4, 8, False)],
            r"node 1, PatchEmbedding.*, has no form for the last token alone",
        ),
    ],
)
def test_networks_that_do_not_generate_are_refused(blocks: list[Block], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        decoding_step(Architecture("test", {}, chain(blocks)))


def test_a_step_costs_what_the_counts_of_the_whole_say(table: CountTable) -> None:
    architecture = small(kv_heads=2)
    whole, step = count(architecture, table), count(decoding_step(architecture), table)
    assert whole.decode_macs == step.macs
    assert whole.decode_memory_access_bytes == step.memory_access_bytes
    assert whole.kv_cache_bytes == 4 * 2 * 2 * (2 * 9 * 4)
    assert whole.params == step.params


# The space


def test_space_makes_the_network_that_its_choices_name() -> None:
    space = DecoderSpace(
        vocabulary=(50, 60),
        context=(9, 12),
        depth=(1, 3),
        width=(16, 24),
        heads=(2, 4),
        head_width=(0, 5),
        kv_heads=(0, 2),
        mlp_ratio=(1, 2.5),
    )
    chosen = {"vocabulary": 60, "context": 12, "width": 24, "heads": 4, "tied": True, "depth": 3}
    ratios = {f"mlp_ratio_{layer}": ratio for layer, ratio in enumerate((1, 2.5, 1))}
    made = space.architecture(chosen | {"head_width": 0, "kv_heads": 2} | ratios)
    attention = SelfAttention(12, 24, 4, 6, 2, causal=True)
    mlps = [FeedForward(12, 24, hidden, 0) for hidden in (24, 60, 24)]
    assert made.blocks == (
        TokenEmbedding(60, 12, 24),
        *(block for mlp in mlps for block in (attention, mlp)),
        LanguageHead(12, 24, 60),
    )
    assert [node.shared for node in made] == [()] * 7 + [TIED]
    free = space.architecture(
        chosen | {"head_width": 5, "kv_heads": 0, "tied": False, "depth": 1} | ratios
    )
    assert free.blocks[1] == SelfAttention(12, 24, 4, 5, 4, causal=True)
    assert len(free) == 4
    assert not any(node.shared for node in free)


def test_tied_weights_are_one_parameter(table: CountTable) -> None:
    tied, free = (small(tied=tied) for tied in (True, False))
    network = Network(tied)
    assert network.blocks["5"].score.weight is network.blocks["0"].table
    params = [sum(p.numel() for p in Network(a).parameters()) for a in (tied, free)]
    assert params == [count(tied, table).params, count(free, table).params]
    assert params[1] - params[0] == 50 * 16
    changed = dataclasses.asdict(count(free, table))
    for name, value in dataclasses.asdict(count(tied, table)).items():
        if name in ("macs", "flops", "activations", "sequential_depth", "train_macs"):
            assert value == changed[name]


def test_what_has_no_effect_is_left_out() -> None:
    space = DecoderSpace(depth=(1, 2), width=(16,), heads=(2,), mlp_ratio=(1, 2), tied=(True,))
    made = {
        space.architecture({"depth": 1, "mlp_ratio_0": 2, "mlp_ratio_1": ratio}).id
        for ratio in (1, 2)
    }
    assert len(made) == 1
    assert space.size == 2 + 4


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"heads": (3,)}, "`width` must be divisible by `heads` where `head_width` is 0; got 32"),
        ({"heads": (4,), "kv_heads": (3,)}, "`heads` must be divisible by `kv_heads`; got 4 and 3"),
        ({"head_width": (-1,)}, "`head_width` must be a number above 0; got -1"),
        ({"vocabulary": (0,)}, "`vocabulary` must be a number above 0; got 0"),
        ({"context": (8.0,)}, r"`context` must list values of type int; got \(8.0,\)"),
        ({"tied": (1,)}, r"`tied` must list values of type bool; got \(1,\)"),
        ({"mlp_ratio": (0.001,)}, "`hidden` must be a number above 0; got 0"),
        ({"depth": ()}, "`depth` is empty"),
    ],
)
def test_spaces_that_cannot_be_built_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DecoderSpace(**fields)


def test_features_of_a_head() -> None:
    assert [head_features(24, 4, 0), head_features(24, 5, 7)] == [6, 7]


def test_gpt2_small(table: CountTable) -> None:
    """Published: 124 M parameters (124,439,808 in the released weights)."""
    counts: Counts = count(only(**PRESETS["gpt2_small"]), table)
    v, n, d, layers = 50_257, 1024, 768, 12
    layer = (4 * d * d + 4 * d) + (8 * d * d + 4 * d + d) + 4 * d
    assert counts.params == v * d + n * d + layers * layer + 2 * d == 124_439_808
    assert counts.macs == layers * (12 * n * d * d + 2 * n * n * d) + n * d * v
    assert counts.kv_cache_bytes == 4 * 2 * layers * n * d
    assert counts.decode_macs == layers * (12 * d * d + 2 * n * d) + d * v
    # A step reads every weight but the rows of the two tables that no token names.
    assert counts.decode_memory_access_bytes > 4 * (counts.params - n * d) + counts.kv_cache_bytes


def test_a_network_can_learn() -> None:
    architecture = small(context=8, depth=1)
    network = Network(architecture)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    text = torch.arange(9).repeat(4, 1)  # Each id follows from the one before.
    for _ in range(60):
        scores = network(text[:, :-1])
        loss = nn.functional.cross_entropy(scores.flatten(0, 1), text[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1 < math.log(50)
