"""Wiring, ties and single shared weights: from slots to networks, counts and state dicts."""

import dataclasses
import json
from collections.abc import Mapping
from types import ModuleType

import numpy as np
import pytest
import torch

from search_spaces import (
    Architecture,
    Block,
    Choice,
    CountTable,
    Node,
    SearchSpace,
    Slot,
    TrainingSetup,
    UnionSpace,
    count,
    count_codes,
)
from search_spaces.network import Network

BLOCKS: ModuleType


@pytest.fixture(autouse=True)
def _blocks(references: ModuleType) -> None:
    global BLOCKS  # Slots below are made when a test runs, of blocks that the fixture loads.
    BLOCKS = references


def dense(width_in: int, width: int) -> Block:
    block: Block = BLOCKS.Dense(width_in, width)
    return block


class Forked(SearchSpace):
    """Two branches of searched depth, joined; layers of a branch may be tied, the last shared."""

    name = "forked"
    parameters: Mapping[str, tuple[Choice, ...]] = {
        "width": (4, 6),
        "left": (1, 2, 3),
        "right": (1, 2),
        "tied": (False, True),
        "shared": (False, True),
    }

    @property
    def slots(self) -> tuple[Slot, ...]:
        def layer(at: int) -> Slot:
            return Slot(
                ("width", "left", "tied"),
                lambda width, left, tied: dense(width, width) if at <= left else None,
                tie=lambda width, left, tied: 1 if tied and at > 1 else None,
            )

        return (
            Slot(("width",), lambda width: dense(5, width)),
            *(layer(at) for at in (1, 2, 3)),
            Slot(("width",), lambda width: dense(width, width), inputs=(0,)),
            Slot(("width", "right"), lambda w, right: dense(w, w) if right > 1 else None),
            Slot(("width",), lambda width: BLOCKS.AddProjected(width), inputs=(3, 5)),
            Slot(
                ("width", "shared"),
                lambda width, shared: dense(width, width),
                shared=lambda width, shared: (("weight", 6, "project.weight"),) if shared else (),
            ),
            Slot(("width",), lambda width: BLOCKS.AddProjected(width), inputs=(7, 3)),
        )


class Plain(SearchSpace):
    """One layer."""

    name = "plain"
    parameters: Mapping[str, tuple[Choice, ...]] = {"width": (2, 3)}

    @property
    def slots(self) -> tuple[Slot, ...]:
        return (Slot(("width",), lambda width: dense(5, width)),)


CONFIG: dict[str, Choice] = {"width": 4, "left": 3, "right": 1, "tied": True, "shared": True}


def test_slots_are_wired_by_number_around_empty_ones() -> None:
    nodes = Forked().architecture(CONFIG | {"left": 1}).nodes
    assert [node.inputs for node in nodes] == [(-1,), (0,), (0,), (1, 2), (3,), (4, 1)]


def test_ties_and_shared_weights_name_nodes() -> None:
    nodes = Forked().architecture(CONFIG).nodes
    assert [node.tie for node in nodes] == [None, None, 1, 1, None, None, None, None]
    assert [node.shared for node in nodes if node.shared] == [(("weight", 5, "project.weight"),)]


@pytest.mark.parametrize("name", ["tied", "shared"])
def test_what_is_shared_makes_another_network_of_the_same_blocks(name: str) -> None:
    with_, without = (Forked().architecture(CONFIG | {name: flag}) for flag in (True, False))
    assert with_.blocks == without.blocks
    assert with_.id != without.id
    assert with_.config[name]
    assert Architecture.from_json(json.loads(json.dumps(with_.to_json()))) == with_


@pytest.mark.parametrize("union", [False, True])
def test_counting_codes_is_counting_each(union: bool) -> None:
    space = UnionSpace([Plain(), Forked()]) if union else Forked()
    table, training = CountTable(), TrainingSetup(3, "momentum")
    codes = space.random_codes(80, np.random.default_rng(0))
    arrays = count_codes(space, codes, table, training)
    for row, code in enumerate(codes):
        expected = dataclasses.asdict(count(space.decode(code), table, training))
        assert {name: int(values[row]) for name, values in arrays.items()} == expected


def test_a_union_keeps_wiring_ties_and_shares_of_its_members() -> None:
    union = UnionSpace([Plain(), Forked()])
    named = {f"forked.{name}": value for name, value in CONFIG.items()}
    made = union.architecture({"space": "forked", "plain.width": 2, **named})
    assert made.nodes == Forked().architecture(CONFIG).nodes
    through_slots = union._wire(
        union.placement_indices(union.encode({"space": "forked", "plain.width": 2, **named})[None])[
            0
        ]
    )
    assert through_slots == made.nodes


def test_size_counts_networks() -> None:
    space = Forked()
    sizes = [len(choices) for choices in space.parameters.values()]
    every = np.stack([axis.ravel() for axis in np.indices(sizes)], axis=1)
    assert space.size == len({space.decode(row).id for row in every})


def test_shared_weights_exist_once_and_learn_from_all_their_uses() -> None:
    architecture = Forked().architecture(CONFIG)
    network = Network(architecture)
    assert set(network.state_dict()) == {name for name, _ in network.named_parameters()}
    assert sum(p.numel() for p in network.parameters()) == count(architecture, CountTable()).params
    apart = Network(Forked().architecture(CONFIG | {"shared": False, "tied": False}))
    weights = {
        f"blocks.{position}.{name}": network.get_parameter(
            "blocks.{}.{}".format(*architecture.weight_of(position, name))
        )
        for position, node in enumerate(architecture)
        for name, _ in node.block.build().named_parameters()
    }
    apart.load_state_dict({name: weight.detach() for name, weight in weights.items()})
    x = torch.randn(3, 5)
    torch.testing.assert_close(network(x), apart(x))
    for net in (network, apart):
        net(x).square().sum().backward()
    for owner, weight in network.named_parameters():
        uses = [name for name, used in weights.items() if used is weight]
        total = sum(apart.get_parameter(name).grad for name in uses)  # type: ignore[misc]
        torch.testing.assert_close(weight.grad, total, msg=owner)


def test_weights_are_loaded_from_a_state_dict_that_holds_them_once() -> None:
    architecture = Forked().architecture(CONFIG)
    first, second = Network(architecture), Network(architecture)
    second.load_state_dict(first.state_dict())
    x = torch.randn(2, 5)
    assert torch.equal(first(x), second(x))
    assert len(list(second.parameters())) == len(first.state_dict())


def test_a_network_may_have_several_inputs() -> None:
    nodes = (Node(dense(5, 4), (-2,)), Node(BLOCKS.AddProjected(4), (0, -1)))
    architecture = Architecture("test", {}, nodes)
    assert architecture.input_shapes == ((4,), (5,))
    network = Network(architecture)
    first, second = torch.randn(3, 4), torch.randn(3, 5)
    inner, project = (p.detach().T for p in network.parameters())
    torch.testing.assert_close(network(first, second), second @ inner + first @ project)


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (lambda: Node(dense(4, 4), (0,), shared=(("weight", 1, "weight"),)), "earlier node"),
        (lambda: Node(dense(4, 4), (0,), 0, (("weight", 0, "weight"),)), "an untied node"),
        (lambda: Node(BLOCKS.AddProjected(4), (0, -3)), "numbered -1, -2"),
        (lambda: Node(dense(4, 4), (0,), shared=(("weight", 0, "weight"),) * 2), "each once"),
    ],
)
def test_shares_and_inputs_that_cannot_be_are_refused(node: object, message: str) -> None:
    assert callable(node)
    with pytest.raises(ValueError, match=message):
        Architecture("test", {}, (Node(dense(4, 4), (-1,)), node()))


def test_shared_weights_must_have_equal_shapes() -> None:
    nodes = (Node(dense(5, 4), (-1,)), Node(dense(4, 4), (0,), shared=(("weight", 0, "weight"),)))
    with pytest.raises(ValueError, match=r"shapes are \(4, 5\) and \(4, 4\)"):
        Network(Architecture("test", {}, nodes))


def test_parts_of_the_peak_that_wait_for_later_readers() -> None:
    """By hand, in elements: the input (5) is the caller's; the left branch waits for the join."""
    architecture = Forked().architecture(
        {"width": 4, "left": 1, "right": 1, "tied": False, "shared": False}
    )
    counts = count(architecture, CountTable())
    # At the last block: x, two branches of 4, projection and sum; weights of six 4x4 and one 5x4.
    weights = 5 * 4 + 4 * 16 + 16
    assert counts.model_bytes == 4 * weights
    assert counts.peak_memory_bytes == 4 * (weights + 5 + 4 + 4 + 4 + 4)


def test_ties_and_single_shares_of_one_node_are_refused() -> None:
    layer = dense(4, 4)
    nodes = (
        Node(layer, (-1,)),
        Node(layer, (0,), shared=(("weight", 0, "weight"),)),
        Node(layer, (1,), tie=1),
    )
    with pytest.raises(ValueError, match=r"Nodes \[1\] share single weights, and other nodes are"):
        Architecture("test", {}, nodes)


@pytest.mark.parametrize(
    "shared", [("wait", 0, "weight"), ("weight", 0, "wait"), ("weight", 1, "weight")]
)
def test_counting_refuses_shares_of_what_is_not_there(shared: tuple[str, int, str]) -> None:
    nodes = (Node(dense(4, 4), (-1,)), Node(dense(4, 6), (0,)), Node(dense(6, 4), (1,)))
    last = Node(dense(4, 4), (2,), shared=(shared,))
    with pytest.raises(ValueError, match="both must be parameters, of equal size"):
        count(Architecture("test", {}, (*nodes, last)), CountTable())


def test_a_config_names_parameters_that_only_matter_together() -> None:
    class Deeper(SearchSpace):
        name = "deeper"
        parameters: Mapping[str, tuple[Choice, ...]] = {"a": (2, 1), "b": (2, 1)}

        @property
        def slots(self) -> tuple[Slot, ...]:
            return (Slot(("a", "b"), lambda a, b: dense(4, max(a, b))),)

    space = Deeper()
    for codes in ([0, 0], [0, 1], [1, 0], [1, 1]):
        made = space.decode(codes)
        assert space.architecture(made.config).nodes == made.nodes
