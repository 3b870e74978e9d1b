"""Plans: which networks are timed, and what they show."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pytest
import torch
from torch import nn

from hw_profiles import QUANTITIES
from hw_profiles.plan import (
    COPIES,
    Plan,
    features,
    plan_cover,
    plan_measurement,
    shortened,
    with_copies,
)
from search_spaces import (
    Architecture,
    Block,
    Choice,
    CountTable,
    FeedForward,
    Node,
    SearchSpace,
    SelfAttention,
    Shape,
    Slot,
    UnionSpace,
    ViTSpace,
    chain,
    preset,
)
from search_spaces.decoder import DecoderSpace
from search_spaces.decoding import decoding_step
from search_spaces.network import Network


def repeatable(block: Block, counts: CountTable) -> bool:
    """Whether the output can be the input."""
    return block.input_shapes == (counts[block].output_shape,)


def check_wiring(network: Architecture, counts: CountTable) -> None:
    """Every node reads what the node before it puts out."""
    for node in network.nodes[1:]:
        (source,) = node.inputs
        produced = counts[network.nodes[source].block].output_shape
        assert node.block.input_shapes == (produced,)


@pytest.fixture(scope="module")
def plan(union: UnionSpace, counts: CountTable) -> Plan:
    return plan_measurement(union, counts)


@pytest.fixture(scope="module")
def decoder() -> DecoderSpace:
    return DecoderSpace(
        vocabulary=(64,), context=(8,), depth=(1, 2), width=(16,), heads=(2,), mlp_ratio=(1, 2)
    )


def test_plan_shows_every_block_and_repeats_those_it_can(
    union: UnionSpace, counts: CountTable, plan: Plan
) -> None:
    assert plan.blocks == union.blocks
    assert plan.unmeasured == ()
    ids = [network.id for network in plan.networks]
    assert len(set(ids)) == len(ids)
    holds = [{block: n.blocks.count(block) for block in n.blocks} for n in plan.networks]
    for block in union.blocks:
        uses = [held for held in holds if block in held]
        assert uses
        if repeatable(block, counts):
            # One network is another of the plan with three more of this block.
            assert any(
                {**held, block: held[block] + COPIES} == more for held in uses for more in uses
            )


def test_networks_of_the_plan_fit_together(counts: CountTable, plan: Plan) -> None:
    for network in plan.networks:
        check_wiring(network, counts)


@pytest.mark.parametrize("limit", [3, 20, 41])
def test_limit_is_how_many_blocks_are_entered(
    union: UnionSpace, counts: CountTable, limit: int
) -> None:
    plan = plan_measurement(union, counts, max_blocks=limit, whole=5)
    assert len(plan.blocks) == limit
    assert set(plan.blocks) | set(plan.unmeasured) == set(union.blocks)
    assert set(plan.blocks).isdisjoint(plan.unmeasured)
    held = {block for network in plan.networks for block in network.blocks}
    assert held.issuperset(plan.blocks)


def test_limited_sample_has_every_type(union: UnionSpace, counts: CountTable) -> None:
    plan = plan_measurement(union, counts, max_blocks=8, whole=5)
    assert {type(block) for block in plan.blocks} == {type(block) for block in union.blocks}


def test_limited_sample_has_the_smallest_and_the_largest_of_a_type(counts: CountTable) -> None:
    space = ViTSpace(
        patch_size=(2, 4), depth=(2,), width=(16, 32, 48, 64, 96, 128), heads=(2,), mlp_ratio=(1, 2)
    )
    plan = plan_measurement(space, counts, max_blocks=12, whole=0)
    assert len(space.blocks) > 60
    for cls in (SelfAttention, FeedForward):
        every = sorted(
            (b for b in space.blocks if isinstance(b, cls)), key=lambda b: counts[b].macs.at(1)
        )
        # Of blocks that differ by a token in size, either may stand for both.
        assert any(block in plan.blocks for block in every[:2])
        assert any(block in plan.blocks for block in every[-2:])


def test_blocks_stand_in_networks_that_cost_little_besides(
    union: UnionSpace, counts: CountTable
) -> None:
    def macs(network: Architecture) -> int:
        return sum(counts[block].macs.at(1) for block in network.blocks)

    hosts = plan_measurement(union, counts, whole=0).networks
    random = list(map(union.decode, union.random_codes(400, np.random.default_rng(3))))
    for block in union.blocks:
        others = [macs(network) for network in random if block in network.blocks]
        assert min(macs(h) for h in hosts if block in h.blocks) <= np.quantile(others, 0.25)


def test_plan_follows_its_seed(union: UnionSpace, counts: CountTable, plan: Plan) -> None:
    assert plan_measurement(union, counts) == plan
    assert plan_measurement(union, counts, seed=1).networks != plan.networks


def test_small_space_keeps_networks_back_for_the_certificate(counts: CountTable) -> None:
    space = ViTSpace(
        patch_size=(4,), depth=(3,), width=(32,), heads=(2,), mlp_ratio=(1, 2), pool=("cls",)
    )
    plan = plan_measurement(space, counts)
    fitted = {network.id for network in plan.networks}
    members = {space.decode(row).id for row in space.random_codes(500, np.random.default_rng(0))}
    assert len(members) == space.size == 8
    assert len(members - fitted) >= 2


@dataclass(frozen=True, slots=True)
class Activation(Block):
    """One of several activations, which no count tells apart."""

    name: str

    @property
    def input_shapes(self) -> tuple[Shape, ...]:
        return ((4,),)

    def build(self) -> nn.Module:
        modules = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "silu": nn.SiLU}
        module: nn.Module = modules[self.name]()
        return module


RELU, TANH = Activation("relu"), Activation("tanh")


class ActivationSpace(SearchSpace):
    """One or two activations in a row."""

    name = "activations"
    choices: tuple[Choice, ...] = ("relu", "tanh", "sigmoid", "silu")

    @cached_property
    def parameters(self) -> Mapping[str, tuple[Choice, ...]]:
        return {"first": self.choices, "second": ("none", *self.choices)}

    @cached_property
    def slots(self) -> tuple[Slot, ...]:
        return (
            Slot(("first",), Activation),
            Slot(("second",), lambda name: None if name == "none" else Activation(name)),
        )


def test_blocks_of_equal_counts_are_sampled_once_each(counts: CountTable) -> None:
    plan = plan_measurement(ActivationSpace(), counts, max_blocks=3, whole=1)
    assert len(plan.blocks) == 3


@dataclass(frozen=True, slots=True)
class Sum(Block):
    """The sum of two activations."""

    @property
    def input_shapes(self) -> tuple[Shape, ...]:
        return ((4,), (4,))

    def build(self) -> nn.Module:
        return _Sum()


class _Sum(nn.Module):
    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return x + y


class OneNetwork(SearchSpace):
    """A single network that skips one block and uses it again with the same weights."""

    name = "one network"
    parameters: Mapping[str, tuple[Choice, ...]] = {"only": (0,)}
    slots = (
        Slot((), lambda: RELU),
        Slot((), lambda: TANH),
        Slot((), Sum, inputs=(0, 1)),
        Slot((), lambda: TANH, tie=lambda: 1),
    )


HOST = (Node(RELU, (-1,)), Node(TANH, (0,)), Node(Sum(), (0, 1)), Node(TANH, (2,), tie=1))


def test_copies_follow_their_block_and_leave_the_wiring(counts: CountTable) -> None:
    plan = plan_measurement(OneNetwork(), counts, whole=3)
    more_relu = (
        Node(RELU, (-1,)),
        *(Node(RELU, (i,)) for i in range(3)),
        Node(TANH, (3,)),
        Node(Sum(), (3, 4)),
        Node(TANH, (5,), tie=4),
    )
    more_tanh = (
        Node(RELU, (-1,)),
        *(Node(TANH, (i,)) for i in range(4)),
        Node(Sum(), (0, 4)),
        Node(TANH, (5,), tie=1),
    )
    assert [network.nodes for network in plan.networks] == [HOST, more_relu, more_tanh]


@dataclass(frozen=True, slots=True)
class Dense(Block):
    """A linear layer."""

    width: int
    out: int

    @property
    def input_shapes(self) -> tuple[Shape, ...]:
        return ((self.width,),)

    def build(self) -> nn.Module:
        return nn.Linear(self.width, self.out)


def test_shared_weights_move_with_the_node_they_are_of(counts: CountTable) -> None:
    square = Dense(4, 4)
    weight = ("weight", 1, "weight")
    host = Architecture("dense", {}, (Node(RELU, (-1,)), Node(square, (0,)), Node(TANH, (1,))))
    shared = Architecture("dense", {}, (*host, Node(square, (2,), shared=(weight,))))
    more = with_copies(shared, RELU, counts, 2)
    assert more is not None
    assert more.blocks == (RELU, RELU, RELU, square, TANH, square)
    assert more.nodes[-1] == Node(square, (4,), shared=(("weight", 3, "weight"),))
    # Copies have weights of their own, and stand before what reads them.
    more = with_copies(shared, square, counts, 1)
    assert more is not None
    assert [node.shared for node in more] == [(), (), (), (), (weight,)]


def test_block_whose_output_is_not_its_input_has_no_copies(
    decoder: DecoderSpace, counts: CountTable
) -> None:
    host = decoder.decode([0] * len(decoder.parameters))
    embedding, *_, head = host.blocks
    assert with_copies(host, embedding, counts, 2) is None
    assert with_copies(host, head, counts, 2) is None


LARGER = ViTSpace(patch_size=(2,), depth=(4,), width=(64,), heads=(4,), mlp_ratio=(1,))


def test_further_networks_bring_their_blocks(
    union: UnionSpace, counts: CountTable, plan: Plan
) -> None:
    larger = LARGER.decode([0] * len(LARGER.parameters))
    theirs = dict.fromkeys(larger.blocks)
    assert set(theirs).isdisjoint(union.blocks)
    wider = plan_measurement(union, counts, also=[larger])
    assert wider.blocks == (*union.blocks, *theirs)
    assert wider.unmeasured == ()
    kept = {network.id for network in plan.networks}
    assert kept <= {network.id for network in wider.networks}
    more = [network for network in wider.networks if network.id not in kept]
    # One of each block, and for the attention and the MLP one with three further copies of it.
    assert sorted(map(len, more)) == [4, 7, 7]
    for network in more:
        assert set(network.blocks) == set(theirs)
        check_wiring(network, counts)


def test_further_networks_of_the_space_bring_what_the_limit_left_out(
    union: UnionSpace, vit: ViTSpace, counts: CountTable
) -> None:
    member = vit.decode([0] * len(vit.parameters))
    plan = plan_measurement(union, counts, max_blocks=5, whole=0, also=[member])
    assert set(member.blocks) <= set(plan.blocks)
    assert set(plan.unmeasured) == set(union.blocks) - set(plan.blocks)


def test_shortened_has_each_block_once(vit: ViTSpace) -> None:
    network = LARGER.decode([0] * len(LARGER.parameters))
    stem, attention, mlp, *_, head = network.blocks
    assert len(network) == 10
    assert shortened(network).nodes == chain([stem, attention, mlp, head])
    assert shortened(shortened(network)) == shortened(network)


def test_only_chains_are_shortened() -> None:
    network = Architecture("one network", {}, HOST)
    said = rf"must hold chains; {network.id} is none: its node 2 reads \(0, 1\)"
    with pytest.raises(ValueError, match=said):
        shortened(network)


def test_head_keeps_the_weight_of_the_embedding(counts: CountTable) -> None:
    network = preset("gpt2_small")
    embedding, attention, mlp, *_, head = network.nodes
    assert len(network) == 26
    short = shortened(network)
    assert short.nodes[:3] == (embedding, attention, mlp)
    assert short.nodes[3:] == (replace(head, inputs=(2,)),)
    assert short.weight_of(3, "score.weight") == (0, "table")
    assert shortened(short).nodes == short.nodes
    # What is left is a network, and a table of other spaces may have its blocks.
    check_wiring(short, counts)
    with torch.device("meta"):
        built = Network(short)
    own = {counts[b].params for b in short.blocks}
    table = 50_257 * 768
    assert sum(p.numel() for p in built.parameters()) == sum(own) - table
    plan = plan_measurement(ActivationSpace(), counts, whole=0, also=[network])
    assert set(network.blocks) <= set(plan.blocks)
    tied = [n for n in plan.networks if head.block in n.blocks]
    assert [n.weight_of(len(n) - 1, "score.weight") for n in tied] == [(0, "table")] * 3


def test_shared_weight_is_that_of_the_first_use() -> None:
    """Of a chain ``a b a c``, the last node's weight is the second use's of ``a``."""
    a, b, c = Dense(4, 4), TANH, RELU
    first = ("weight", 0, "weight")
    nodes = (
        Node(a, (-1,)),
        Node(b, (0,)),
        Node(a, (1,)),
        Node(c, (2,), shared=(("weight", 2, "weight"),)),
    )
    short = shortened(Architecture("dense", {}, nodes))
    assert short.nodes == (Node(a, (-1,)), Node(b, (0,)), Node(c, (1,), shared=(first,)))


def test_shared_weight_is_followed_to_the_node_that_holds_it() -> None:
    """The first use of the second block has the first block's weight, its second use its own."""
    a, b, c = Dense(4, 4), TANH, RELU
    first = ("weight", 0, "weight")
    nodes = (
        Node(a, (-1,)),
        Node(b, (0,), shared=(first,)),
        Node(b, (1,)),
        Node(c, (2,), shared=(("weight", 2, "weight"),)),
    )
    short = shortened(Architecture("dense", {}, nodes))
    assert [node.shared for node in short] == [(), (first,), (first,)]


def test_chain_that_does_not_fit_without_its_repeats_is_not_shortened() -> None:
    up, down, end = Dense(4, 8), Dense(8, 4), Dense(8, 2)
    network = Architecture("dense", {}, chain([up, down, up, end]))
    with pytest.raises(ValueError, match=r"Dense\(width=8, out=2\) reads \(\(8,\),\), and .*4"):
        shortened(network)


def test_quantities_of_the_network_itself_take_the_plan_as_it_is(plan: Plan) -> None:
    for name in ("latency_s", "energy_j", "train_step_s"):
        assert plan.of(QUANTITIES[name]) is plan


def test_decoding_plan_runs_the_last_token(decoder: DecoderSpace, counts: CountTable) -> None:
    plan = plan_measurement(decoder, counts, whole=6)
    decoding = plan.of(QUANTITIES["decode_step_s"])
    expected = {decoding_step(network).id for network in plan.networks}
    assert {network.id for network in decoding.networks} == expected
    assert len(decoding.networks) == len(expected)
    assert set(decoding.blocks) == {block.decoding() for block in decoder.blocks}
    assert decoding.unmeasured == ()


def test_decoding_plan_is_made_once(decoder: DecoderSpace, counts: CountTable) -> None:
    decoding = plan_measurement(decoder, counts, whole=6).of(QUANTITIES["decode_step_s"])
    assert decoding.of(QUANTITIES["decode_step_s"]) is decoding
    with pytest.raises(ValueError, match="decode_step_s does not have the networks of latency_s"):
        decoding.of(QUANTITIES["latency_s"])


def test_decoding_plan_leaves_out_what_the_plan_left_out(
    decoder: DecoderSpace, counts: CountTable
) -> None:
    plan = plan_measurement(decoder, counts, max_blocks=4, whole=6)
    decoding = plan.of(QUANTITIES["decode_step_s"])
    assert set(decoding.blocks) == {block.decoding() for block in plan.blocks}
    held = {block for network in decoding.networks for block in network.blocks}
    assert set(decoding.unmeasured) == held - set(decoding.blocks)
    assert decoding.unmeasured


def test_images_are_not_decoded(plan: Plan) -> None:
    with pytest.raises(ValueError, match="one token at a time"):
        plan.of(QUANTITIES["decode_step_s"])


def test_cover_holds_every_block_in_few_networks(union: UnionSpace) -> None:
    plan = plan_cover(union, tries=300)
    assert plan.blocks == union.blocks
    assert plan.unmeasured == ()
    seen: set[Block] = set()
    gained = []
    for network in plan.networks:
        gained.append(len(set(network.blocks) - seen))
        seen.update(network.blocks)
    assert seen == set(union.blocks)
    # The first holds the most that a network can; each later one brings no more than the last.
    assert gained[0] == max(len(set(a.blocks)) for a in plan.networks)
    assert gained == sorted(gained, reverse=True)
    assert gained[-1] >= 1
    assert len(plan.networks) < len(union.blocks) / 2


def test_cover_of_few_networks_says_what_it_leaves_out(union: UnionSpace) -> None:
    plan = plan_cover(union, networks=2, tries=300)
    assert len(plan.networks) == 2
    held = {block for network in plan.networks for block in network.blocks}
    assert set(plan.blocks) == held
    assert set(plan.unmeasured) == set(union.blocks) - held


def test_features_are_operators_macs_and_traffic_at_a_batch(counts: CountTable) -> None:
    dense = Dense(4, 8)
    # Reads 4 numbers an example, 32 weights and 8 biases, and writes 8.
    expected = [[1, 32, 12 + 40], [1, 0, 4 + 4]]
    assert features([dense, RELU], counts).tolist() == expected
    assert features([dense], counts, batch=3).tolist() == [[1, 96, 36 + 40]]
    assert features([], counts).shape == (0, 3)
