"""Networks: wiring, shared weights and what is kept while they run."""

from types import ModuleType

import numpy as np
import pytest
import torch
from torch import nn

from search_spaces import (
    Architecture,
    FeedForward,
    MBConvSpace,
    Node,
    PatchEmbedding,
    SearchSpace,
    SelfAttention,
    ViTHead,
    ViTSpace,
    chain,
)
from search_spaces.network import Network


@pytest.mark.parametrize("space", [ViTSpace(), MBConvSpace()], ids=lambda space: space.name)
def test_a_chain_is_its_blocks_in_sequence(space: SearchSpace) -> None:
    architecture = space.decode(space.random_codes(1, np.random.default_rng(0))[0])
    network = Network(architecture).eval()
    image = torch.randn(3, *space.input_shape)
    with torch.no_grad():
        expected = nn.Sequential(*network.blocks.values())(image)
        assert torch.equal(network(image), expected)


def test_a_skip_joins_what_it_names(references: ModuleType) -> None:
    dense = references.Dense(4, 4)
    nodes = (
        Node(dense, (-1,)),
        Node(dense, (0,)),
        Node(references.AddProjected(4), (1, 0)),
        Node(references.Join(4), (2, -1)),
    )
    network = Network(Architecture("test", {}, nodes))
    first, second, third = (p.detach().T for p in network.parameters())
    x = torch.randn(5, 4)
    expected = x @ first @ second + x @ first @ third + x
    assert torch.allclose(network(x), expected, atol=1e-6)


def test_tied_nodes_share_weights_and_gradients(references: ModuleType) -> None:
    dense = references.Dense(4, 4)
    nodes = (Node(dense, (-1,)), Node(dense, (0,), tie=0), Node(dense, (1,)))
    network = Network(Architecture("test", {}, nodes))
    shared, last = (p.detach().T for p in network.parameters())
    x = torch.randn(5, 4)
    assert torch.allclose(network(x), x @ shared @ shared @ last, atol=1e-6)


def test_results_are_dropped_after_their_last_reader(references: ModuleType) -> None:
    dense = references.Dense(4, 4)
    nodes = (*chain([dense, dense, dense]), Node(references.Join(4), (2, 0)))
    network = Network(Architecture("test", {}, nodes)).eval()
    x = torch.randn(2, 4)
    tally = references.operators(network, [x])
    # The input, the result that waits for the join, and the two ends of a layer.
    assert tally.peak == 4 * x.numel()
    assert tally.names == ["mm", "mm", "mm", "add"]


@pytest.mark.parametrize("seed", [0, 1])
def test_weights_follow_the_global_generator(seed: int) -> None:
    blocks = [
        PatchEmbedding(1, 8, 4, 16, True),
        SelfAttention(5, 16, 2, 8, 2, False),
        FeedForward(5, 16, 32, 0),
        ViTHead(5, 16, 3, "cls"),
    ]
    architecture = Architecture("test", {}, chain(blocks))
    states = []
    for _ in range(2):
        torch.manual_seed(seed)
        states.append(Network(architecture).state_dict())
    torch.manual_seed(seed + 2)
    other = Network(architecture).state_dict()
    assert all(torch.equal(states[0][name], states[1][name]) for name in other)
    assert any(not torch.equal(states[0][name], other[name]) for name in other)
