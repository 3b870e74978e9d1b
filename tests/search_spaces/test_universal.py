"""Tied layers: what sharing changes, what it leaves as it is, and counts worked by hand."""

import dataclasses
import itertools
from typing import Any

import numpy as np
import pytest
import torch

from search_spaces import (
    Architecture,
    CountTable,
    FeedForward,
    Node,
    PatchEmbedding,
    SelfAttention,
    ViTHead,
    chain,
    count,
)
from search_spaces.network import Network
from search_spaces.universal import PRESETS, UniversalSpace, first_of, group_of

SPACE = UniversalSpace(depth=(3, 5, 8), groups=(1, 2, 3), width=(16,), heads=(2,))


@pytest.fixture(scope="module")
def table() -> CountTable:
    return CountTable()


def drawn(n: int) -> list[Architecture]:
    return [SPACE.decode(code) for code in SPACE.random_codes(n, np.random.default_rng(0))]


def untied(architecture: Architecture) -> Architecture:
    """The same blocks, each with weights of its own."""
    return Architecture("test", {}, chain(architecture.blocks))


def owners(architecture: Architecture) -> list[int]:
    """For each layer, the layer whose weights it uses; both its halves use the same one's."""
    layers = architecture.nodes[1:-1]
    used = [
        position if node.tie is None else node.tie for position, node in enumerate(layers, start=1)
    ]
    attention, mlp = used[::2], used[1::2]
    assert mlp == [position + 1 for position in attention]
    return [(position - 1) // 2 for position in attention]


@pytest.mark.parametrize("depth", range(1, 13))
def test_groups_are_runs_of_all_but_equal_length(depth: int) -> None:
    for groups in range(1, depth + 1):
        of = [group_of(position, depth, groups) for position in range(depth)]
        assert of == sorted(of)
        runs = [of.count(group) for group in range(groups)]
        assert min(runs) >= 1
        assert max(runs) - min(runs) <= 1
        assert [first_of(group, depth, groups) for group in of] == [of.index(g) for g in of]


@pytest.mark.parametrize(
    ("depth", "groups", "layers"),
    [
        (3, 1, [0, 0, 0]),
        (3, 3, [0, 1, 2]),
        (5, 2, [0, 0, 0, 3, 3]),
        (8, 3, [0, 0, 0, 3, 3, 3, 6, 6]),
    ],
)
def test_a_group_uses_the_weights_of_its_first_layer(
    depth: int, groups: int, layers: list[int]
) -> None:
    config = {name: choices[0] for name, choices in SPACE.parameters.items()}
    ratios = {"mlp_ratio_0": 1, "mlp_ratio_1": 2, "mlp_ratio_2": 4}
    made = SPACE.architecture(config | ratios | {"depth": depth, "groups": groups})
    assert owners(made) == layers
    widths = [16 * 2 ** group_of(position, depth, groups) for position in range(depth)]
    assert made.blocks[2:-1:2] == tuple(FeedForward(17, 16, width, 0) for width in widths)
    assert set(made.blocks[1:-1:2]) == {SelfAttention(17, 16, 2, 8, 2, causal=False)}


def test_ratios_of_groups_that_are_not_there_have_no_say() -> None:
    config = {name: choices[0] for name, choices in SPACE.parameters.items()}
    made = [
        SPACE.architecture(config | {"mlp_ratio_1": a, "mlp_ratio_2": b})
        for a, b in itertools.product((1, 2, 4), repeat=2)
    ]
    assert len({architecture.id for architecture in made}) == 1
    assert "mlp_ratio_1" not in made[0].config


def test_groups_of_equal_layers_are_still_different_networks() -> None:
    config = {name: choices[0] for name, choices in SPACE.parameters.items()}
    one, two = (SPACE.architecture(config | {"groups": groups}) for groups in (1, 2))
    assert one.blocks == two.blocks
    assert one.id != two.id
    assert (one.config["groups"], two.config["groups"]) == (1, 2)


def test_one_group_has_the_params_of_one_layer_and_the_ends(table: CountTable) -> None:
    config = {name: choices[0] for name, choices in SPACE.parameters.items()}
    for depth in (3, 5, 8):
        architecture = SPACE.architecture(config | {"groups": 1, "depth": depth})
        embedding, attention, mlp, *_, head = architecture.blocks
        expected = sum(table[block].params for block in (embedding, attention, mlp, head))
        assert count(architecture, table).params == expected


def test_sharing_changes_what_is_stored_and_nothing_that_is_computed(table: CountTable) -> None:
    stored = {
        *("params", "active_params", "model_bytes", "peak_memory_bytes", "train_memory_bytes")
    }
    for architecture in drawn(10):
        tied, free = (
            dataclasses.asdict(count(a, table)) for a in (architecture, untied(architecture))
        )
        assert {n: v for n, v in tied.items() if n not in stored} == {
            n: v for n, v in free.items() if n not in stored
        }
        repeats = [n.block for n in architecture if n.tie is not None]
        assert free["params"] - tied["params"] == sum(table[block].params for block in repeats)


def test_the_state_dict_holds_tied_weights_once(table: CountTable) -> None:
    for architecture in drawn(5):
        state = Network(architecture).state_dict()
        params = count(architecture, table).params
        assert sum(tensor.numel() for tensor in state.values()) == params
        positions = {int(name.split(".")[1]) for name in state}
        assert positions == {i for i, node in enumerate(architecture) if node.tie is None}


def test_a_tied_network_is_the_untied_one_with_equal_weights() -> None:
    """Its outputs are the same, and a gradient is the sum of those of the copies."""
    config = {name: choices[0] for name, choices in SPACE.parameters.items()}
    architecture = SPACE.architecture(config | {"groups": 2, "depth": 5})
    tied, free = Network(architecture), Network(untied(architecture))
    owner = {i: i if node.tie is None else node.tie for i, node in enumerate(architecture)}
    shared = tied.state_dict()

    def source(name: str) -> str:
        blocks, position, rest = name.split(".", maxsplit=2)
        return f"{blocks}.{owner[int(position)]}.{rest}"

    free.load_state_dict({name: shared[source(name)] for name in free.state_dict()})
    images = torch.randn(3, 1, 8, 8)
    torch.testing.assert_close(tied(images), free(images))
    for network in (tied, free):
        network(images).square().sum().backward()
    sums: dict[str, torch.Tensor] = {}
    for name, weight in free.named_parameters():
        assert weight.grad is not None
        sums[source(name)] = sums.get(source(name), torch.tensor(0.0)) + weight.grad
    for name, weight in tied.named_parameters():
        torch.testing.assert_close(weight.grad, sums.pop(name))
    assert not sums


def test_universal_transformer_base_by_hand(table: CountTable) -> None:
    architecture = UniversalSpace(**PRESETS["universal_transformer_base"]).architecture({})
    d, f, n, classes, steps = 1024, 4096, 197, 1000, 6
    embedding, head = 3 * 16 * 16 * d + d + n * d + d, 2 * d + d * classes + classes
    layer = 4 * (d * d + d) + 2 * d + 2 * d * f + f + d + 2 * d
    counts = count(architecture, table)
    assert counts.params == embedding + layer + head
    macs = 4 * n * d * d + 2 * n * n * d + 2 * n * d * f
    assert counts.macs == 196 * 3 * 16 * 16 * d + steps * macs + d * classes


def test_space_makes_the_network_that_its_choices_name() -> None:
    space = UniversalSpace(
        input_channels=3,
        resolution=12,
        classes=7,
        patch_size=(2, 4),
        depth=(2, 4),
        width=(24, 32),
        heads=(2, 4),
    )
    chosen = {"patch_size": 4, "pool": "mean", "width": 24, "heads": 4, "depth": 4, "groups": 2}
    architecture = space.architecture(chosen | {"mlp_ratio_0": 2, "mlp_ratio_1": 4})
    attention = SelfAttention(9, 24, 4, 6, 4, causal=False)
    narrow, wide = FeedForward(9, 24, 48, 0), FeedForward(9, 24, 96, 0)
    assert architecture.nodes == (
        Node(PatchEmbedding(3, 12, 4, 24, class_token=False), (-1,)),
        Node(attention, (0,)),
        Node(narrow, (1,)),
        Node(attention, (2,), tie=1),
        Node(narrow, (3,), tie=2),
        Node(attention, (4,)),
        Node(wide, (5,)),
        Node(attention, (6,), tie=5),
        Node(wide, (7,), tie=6),
        Node(ViTHead(9, 24, 7, "mean"), (8,)),
    )


def test_layers_of_a_group_are_tied_whatever_they_are() -> None:
    space = UniversalSpace(
        resolution=(8, 12),
        patch_size=(4,),
        depth=(3,),
        width=(24,),
        heads=(4,),
        head_width=(0, 8),
        kv_heads=(0, 2),
        mlp_ratio=(1, 2),
        mlp_rank=(0, 5),
        pool=("mean",),
        groups=(2,),
    )
    chosen = {"resolution": 12, "head_width": 8, "kv_heads": 2, "mlp_rank": 5}
    architecture = space.architecture(chosen | {"mlp_ratio_0": 2, "mlp_ratio_1": 1})
    attention = SelfAttention(9, 24, 4, 8, 2, causal=False)
    wide, narrow = FeedForward(9, 24, 48, 5), FeedForward(9, 24, 24, 5)
    assert architecture.nodes[1:-1] == (
        Node(attention, (0,)),
        Node(wide, (1,)),
        Node(attention, (2,), tie=1),
        Node(wide, (3,), tie=2),
        Node(attention, (4,)),
        Node(narrow, (5,)),
    )


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"depth": (2, 6), "groups": (1, 3)}, "`groups` must not exceed `depth`.*; got 3 and 2"),
        ({"groups": (0,)}, "`groups` must be a number above 0; got 0"),
        ({"groups": (1.0,)}, r"`groups` must list values of type int; got \(1.0,\)"),
        ({"depth": ()}, "`depth` is empty"),
        ({"mlp_ratio": (0.01,)}, "`hidden` must be a number above 0; got 0"),
    ],
)
def test_spaces_that_cannot_be_built_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        UniversalSpace(**fields)
