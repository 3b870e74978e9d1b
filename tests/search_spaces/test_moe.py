"""Mixtures of experts against a loop over tokens and experts, and sums worked by hand."""

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from search_spaces import (
    CountTable,
    FeedForward,
    PatchEmbedding,
    PerBatch,
    SelfAttention,
    ViTHead,
    count,
)
from search_spaces.expert_layers import ExpertMlp
from search_spaces.moe import PRESETS, ExpertFeedForward, MoESpace, expert_capacity


@pytest.fixture(scope="module")
def table() -> CountTable:
    return CountTable()


def mlp(
    tokens: int, experts: int, active: int, capacity: int, *, width: int = 6, bias: bool = True
) -> ExpertMlp:
    return ExpertMlp(
        tokens, width, 2 * width, experts, active, capacity, activation=F.relu, bias=bias
    )


def one_by_one(module: ExpertMlp, x: torch.Tensor) -> tuple[torch.Tensor, int]:
    """What the module puts out for an example ``[tokens, width]``, and how often it drops a token.

    A token and an expert at a time, with plain lists; nothing is gathered.
    """
    own = module.experts
    probabilities = F.softmax(x @ module.router.weight.T, dim=-1)
    ranked = [
        sorted(range(len(p)), key=p.__getitem__, reverse=True) for p in probabilities.tolist()
    ]
    load, dropped, y = [0] * len(ranked[0]), 0, torch.zeros_like(x)
    for choice in range(module.active):
        for token, (p, experts) in enumerate(zip(probabilities, ranked, strict=True)):
            expert = experts[choice]
            if load[expert] == module.capacity:
                dropped += 1
                continue
            load[expert] += 1
            total = sum(p[e] for e in experts[: module.active]) if module.active > 1 else 1
            up_bias, down_bias = (
                0 if b is None else b[expert, 0] for b in (own.up_bias, own.down_bias)
            )
            between = F.relu(x[token] @ own.up[expert] + up_bias)
            out = p[expert] / total * (between @ own.down[expert] + down_bias)
            y = y.index_add(0, torch.tensor([token]), out[None])
    return y, dropped


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    ("experts", "active", "capacity", "drops"),
    [
        (4, 1, 1, True),
        (4, 1, 3, True),
        (4, 1, 11, False),
        (4, 2, 2, True),
        (4, 2, 6, True),
        (4, 2, 11, False),
        (3, 3, 4, True),
        (1, 1, 11, False),
    ],
)
def test_layer_is_a_loop_over_tokens_and_experts(
    experts: int, active: int, capacity: int, drops: bool, bias: bool
) -> None:
    module, x = mlp(11, experts, active, capacity, bias=bias), 3 * torch.randn(5, 11, 6)
    expected, dropped = zip(*(one_by_one(module, example) for example in x), strict=True)
    torch.testing.assert_close(module(x), torch.stack(expected))
    assert any(dropped) == drops


def routed(active: int, capacity: int, logits: list[list[float]]) -> torch.Tensor:
    """How much each token gets of each expert ``[tokens, experts]``, by the router's logits."""
    tokens, experts = len(logits), len(logits[0])
    module = mlp(tokens, experts, active, capacity, width=experts)
    with torch.no_grad():
        module.router.weight.copy_(torch.eye(experts))  # A token is its own row of logits.
        for weight in module.experts.parameters():
            weight.zero_()
        assert module.experts.down_bias is not None
        module.experts.down_bias[:, 0] = torch.eye(experts)  # Expert i puts out feature i.
        amounts: torch.Tensor = module(torch.tensor([logits]))[0]
    return amounts


def test_earlier_tokens_go_first_and_the_gate_is_the_probability() -> None:
    three, four = math.log(3), math.log(4)
    amounts = routed(1, 1, [[three, 0], [four, 0], [0, three]])
    torch.testing.assert_close(amounts, torch.tensor([[0.75, 0], [0, 0], [0, 0.75]]))


def test_first_choices_go_before_second_ones_and_gates_are_shares_of_the_chosen() -> None:
    six, two = math.log(6), math.log(2)
    amounts = routed(2, 2, [[six, two, 0], [two, six, 0], [two, six, 0]])
    # Expert 0 takes its one first choice and the earlier of two second ones; expert 1 takes the two
    # tokens whose first choice it is, so that the earlier second one finds no room.
    expected = torch.tensor([[0.75, 0, 0], [0.25, 0.75, 0], [0, 0.75, 0]])
    torch.testing.assert_close(amounts, expected)


@pytest.mark.parametrize("active", [1, 2])
def test_an_output_does_not_depend_on_the_rest_of_the_batch(active: int) -> None:
    module, x = mlp(9, 4, active, 2), torch.randn(4, 9, 6)
    alone = torch.cat([module(example[None]) for example in x])
    torch.testing.assert_close(module(x), alone)
    crowded = torch.cat([x[:1], x[:1].expand(6, -1, -1), 100 * x[1:]])
    torch.testing.assert_close(module(crowded)[:1], alone[:1])


@pytest.mark.parametrize("active", [1, 2])
def test_gradients_reach_the_router_and_the_experts_that_have_tokens(active: int) -> None:
    module = mlp(5, 4, active, 3)
    with torch.no_grad():
        module.router.weight.copy_(torch.tensor([[2.0], [1.0], [0.0], [0.0]]).expand(4, 6))
    x = torch.rand(3, 5, 6).requires_grad_()  # Above 0, so that experts 0 and 1 are preferred.
    module(x).square().sum().backward()
    assert x.grad is not None
    assert x.grad.any(dim=-1)[:, :3].all()
    assert module.router.weight.grad is not None
    assert module.router.weight.grad.any(dim=-1).all()
    for weight in module.experts.parameters():
        assert weight.grad is not None
        assert weight.grad.flatten(1).any(dim=1).tolist() == [True, active == 2, False, False]


@pytest.mark.parametrize("active", [1, 2])
def test_gradients_are_those_of_the_loop(active: int) -> None:
    module, x = mlp(7, 3, active, 3), torch.randn(2, 7, 6, requires_grad=True)
    by_loop = torch.stack([one_by_one(module, example)[0] for example in x])
    direction, weights = torch.randn(2, 7, 6), [x, *module.parameters()]
    own, expected = (
        torch.autograd.grad((y * direction).sum(), weights) for y in (module(x), by_loop)
    )
    for gradient, other in zip(own, expected, strict=True):
        torch.testing.assert_close(gradient, other)


def test_expert_weights_begin_as_those_of_linear_layers() -> None:
    """Even between minus and plus one over the root of what a linear layer reads."""
    module = ExpertMlp(4, 64, 256, 8, 1, 1, activation=F.relu, bias=True).experts
    layers = (nn.Linear(64, 256), nn.Linear(256, 64))
    own = (module.up, module.up_bias, module.down, module.down_bias)
    others = [weight for layer in layers for weight in (layer.weight, layer.bias)]
    for weight, other, reads in zip(own, others, (64, 64, 256, 256), strict=True):
        assert weight is not None
        for tensor in (weight.detach(), other.detach()):
            assert 0.9 < tensor.abs().max() * reads**0.5 <= 1
            assert float(tensor.std() * reads**0.5) == pytest.approx(3**-0.5, rel=0.2)


@pytest.mark.parametrize(
    ("tokens", "experts", "active", "factor", "capacity"),
    [
        (16, 4, 1, 1, 4),
        (16, 4, 2, 1.25, 10),
        (17, 4, 1, 1, 5),
        (40, 4, 1, 1.1, 11),
        (197, 8, 2, 1.05, 52),
        (4, 8, 1, 1, 1),
        (4, 2, 2, 8, 4),
        (9, 3, 1, 1e-05, 1),
    ],
)
def test_capacity_is_the_even_share_times_the_factor_rounded_up(
    tokens: int, experts: int, active: int, factor: float, capacity: int
) -> None:
    assert expert_capacity(tokens, experts, active, factor) == capacity


@pytest.mark.parametrize(
    ("n", "d", "f", "e", "k", "c"), [(16, 8, 12, 4, 1, 5), (17, 12, 24, 8, 2, 6)]
)
def test_block_by_hand(n: int, d: int, f: int, e: int, k: int, c: int, table: CountTable) -> None:
    block = ExpertFeedForward(n, d, f, e, k, c)
    counts = table[block]
    expert = 2 * d * f + f + d
    assert counts.params == 2 * d + d * e + e * expert
    assert counts.inactive_params == (e - k) * expert
    macs = n * d * e + 2 * e * c * d * f
    assert counts.macs == PerBatch(0, macs)
    assert counts.train["1"].macs == PerBatch(0, 3 * macs)
    assert counts.activations == PerBatch(0, n * e + e * c * (f + d))
    assert counts.output_shape == (n, d)


def test_twice_the_experts_cost_params_and_nothing_else_but_routing(table: CountTable) -> None:
    fields: dict[str, Any] = {"patch_size": (2,), "pool": ("mean",), "depth": (4,), "width": (32,)}
    fields |= {"heads": (2,), "mlp_ratio": (2,), "active": (1,), "capacity_factor": (1,)}
    counts = []
    for experts in (2, 4, 8):
        space = MoESpace(**fields, experts=(experts,), expert_every=(2,))
        counts.append(count(space.architecture({}), table))
    expert, tokens, layers = 2 * 32 * 64 + 64 + 32, 16, 2
    for extra, few, many in ((2, counts[0], counts[1]), (4, counts[1], counts[2])):
        router = layers * 32 * extra
        assert many.params - few.params == layers * extra * expert + router
        assert many.active_params - few.active_params == router
        assert many.macs - few.macs == tokens * router


def test_space_puts_experts_into_every_so_many_layers() -> None:
    space = MoESpace(
        input_channels=3,
        resolution=12,
        classes=7,
        patch_size=(2, 4),
        depth=(3, 5),
        width=(24, 32),
        heads=(2, 4),
        experts=(2, 4),
        active=(1, 2),
        capacity_factor=(1, 2),
        expert_every=(1, 2, 3),
    )
    chosen = {"patch_size": 4, "pool": "cls", "width": 24, "heads": 4, "depth": 5, "mlp_ratio": 2}
    routing = {"experts": 4, "active": 2, "capacity_factor": 1, "expert_every": 2}
    attention = SelfAttention(10, 24, 4, 6, 4, causal=False)
    dense, sparse = FeedForward(10, 24, 48, 0), ExpertFeedForward(10, 24, 48, 4, 2, 5)
    assert space.architecture(chosen | routing).blocks == (
        PatchEmbedding(3, 12, 4, 24, class_token=True),
        *(attention, dense, attention, sparse),
        *(attention, dense, attention, sparse),
        *(attention, dense),
        ViTHead(10, 24, 7, "cls"),
    )


def test_experts_that_are_not_there_have_no_say() -> None:
    space = MoESpace(depth=(1, 2), expert_every=(2,))
    config = {name: choices[0] for name, choices in space.parameters.items()}
    dense = space.architecture(config)
    assert set(dense.config) == {"patch_size", "pool", "width", "heads", "depth", "mlp_ratio"}


def test_layers_that_have_no_experts_read_nothing_of_them() -> None:
    space = MoESpace(depth=(5,), expert_every=(2, 3))
    mlps = space.slots[2:-1:2]
    assert ["experts" in slot.reads for slot in mlps] == [False, True, True, True, False]


def test_v_moe_b_16_by_hand(table: CountTable) -> None:
    architecture = MoESpace(**PRESETS["vmoe_b_16"]).architecture({})
    d, f, n, classes, experts, chosen, room = 768, 3072, 197, 21_843, 8, 2, 52
    attention, mlp = 4 * (d * d + d) + 2 * d, 2 * d * f + f + d
    embedding, head = 3 * 16 * 16 * d + d + n * d + d, 2 * d + d * classes + classes
    shared = embedding + head + 12 * (attention + 2 * d) + 6 * (mlp + d * experts)
    counts = count(architecture, table)
    assert counts.params == shared + 6 * experts * mlp
    assert counts.active_params == shared + 6 * chosen * mlp
    assert counts.macs == (
        196 * 3 * 16 * 16 * d
        + 12 * (4 * n * d * d + 2 * n * n * d)
        + 6 * (2 * n * d * f)
        + 6 * (n * d * experts + experts * room * 2 * d * f)
        + d * classes
    )


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ((16, 8, 8, 2, 3, 4), "`active` must not exceed `experts`; got 3 and 2"),
        ((16, 8, 8, 2, 1, 17), "`capacity` must not exceed `tokens`.*; got 17 and 16"),
        ((16, 8, 8, 2, 1, 0), "`capacity` must be a number above 0; got 0"),
        ((16, 8, 8, 2.0, 1, 4), "`experts` must be of type int; got 2.0"),
    ],
)
def test_blocks_that_cannot_be_built_are_refused(fields: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ExpertFeedForward(*fields)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"experts": (1, 2), "active": (2,)}, "`active` must not exceed `experts`; got 2 and 1"),
        ({"experts": (2.0,)}, r"`experts` must list values of type int; got \(2.0,\)"),
        ({"capacity_factor": (0,)}, "`capacity_factor` must be a number above 0; got 0"),
        ({"expert_every": (5, 6)}, "`expert_every` must not exceed every depth.*; got 5 and 4"),
        ({"expert_every": ()}, "`expert_every` is empty"),
        (
            {"width": (32,), "heads": (3,)},
            "`width` must be divisible by `heads` where .*; got 32 and 3",
        ),
        ({"patch_size": (9,)}, "`patch_size` must not exceed `resolution`; got 9 and 8"),
    ],
)
def test_spaces_that_cannot_be_built_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MoESpace(**fields)


@pytest.mark.parametrize("active", [1, 2])
def test_half_precision_stays_half(active: int) -> None:
    torch.manual_seed(0)
    module, x = mlp(9, 4, active, 5), torch.randn(3, 9, 6)
    whole = module(x)
    half = module.to(torch.float16)(x.to(torch.float16))
    assert half.dtype == torch.float16
    # Routing may differ where two experts are nearly as probable: most tokens agree.
    agree = torch.isclose(half.float(), whole, atol=0.05).all(dim=-1)
    assert agree.float().mean() > 0.8
