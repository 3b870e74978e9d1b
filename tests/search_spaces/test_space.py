"""What every search space holds, the built-in ones and a union of them."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from search_spaces import (
    SPACES,
    Architecture,
    Choice,
    MBConvSpace,
    SearchSpace,
    Slot,
    UnionSpace,
    ViTHead,
    ViTSpace,
)
from search_spaces.network import Network

TINY_VIT = ViTSpace(patch_size=(4,), depth=(1, 2), width=(8, 16), heads=(1, 2), mlp_ratio=(1, 2))
TINY_MBCONV = MBConvSpace(
    stem_width=(4, 8), width=((4, 8), (8,)), depth=(1, 2), kernel_size=(3,), expansion=(1, 2)
)
TINY_STAGE = MBConvSpace(
    stem_width=(4,), strides=(2,), width=(4, 8), depth=(1, 3), kernel_size=(1,), expansion=(2,)
)
TINY: dict[str, SearchSpace] = {
    "vit": TINY_VIT,
    "vit_with_equal_roundings": ViTSpace(
        patch_size=(4, 8), depth=(1, 3), width=(8,), heads=(1,), mlp_ratio=(1, 1.01, 2)
    ),
    "mbconv": TINY_MBCONV,
    "mbconv_of_one_depth": MBConvSpace(
        strides=(1, 1), width=(4, 8), depth=(2,), kernel_size=(3, 5), expansion=(1,)
    ),
    "union": UnionSpace([TINY_VIT, TINY_STAGE]),
    # Layers without attention are the same whatever the heads are, in some of the networks.
    "fnet": SPACES["fnet"](
        patch_size=(4,), depth=(1, 3), width=(8,), heads=(1, 2), mlp_ratio=(1, 1.01)
    ),
}
DEFAULT: dict[str, SearchSpace] = {name: space() for name, space in SPACES.items()}
DEFAULT["union"] = UnionSpace([space for space in DEFAULT.values() if not space.reads_ids])

each_tiny = pytest.mark.parametrize("space", TINY.values(), ids=list(TINY))
each_default = pytest.mark.parametrize("space", DEFAULT.values(), ids=list(DEFAULT))


def all_codes(space: SearchSpace) -> list[tuple[int, ...]]:
    return list(itertools.product(*(range(len(c)) for c in space.parameters.values())))


def codes_of(space: SearchSpace, architecture: Architecture) -> Any:
    if isinstance(space, UnionSpace):
        return space.codes_of(architecture)
    return space.encode(architecture.config)


@each_tiny
def test_size_is_the_number_of_distinct_networks(space: SearchSpace) -> None:
    assert space.size == len({space.decode(codes).id for codes in all_codes(space)})


def test_size_of_a_vit_space_by_hand() -> None:
    # Patch, pool, width and heads, then one ratio in three for each of 2 to 6 layers.
    space = ViTSpace(
        patch_size=(2, 4),
        depth=(2, 3, 4, 5, 6),
        width=(32, 48, 64),
        heads=(2, 4),
        mlp_ratio=(1, 2, 4),
    )
    assert space.size == 2 * 2 * 3 * 2 * sum(3**depth for depth in range(2, 7))


def test_size_of_a_union_is_the_sum() -> None:
    union = UnionSpace([ViTSpace(), MBConvSpace()])
    assert union.size == ViTSpace().size + MBConvSpace().size


@each_default
def test_decode_then_encode_gives_the_same_network(space: SearchSpace) -> None:
    for codes in space.random_codes(20, np.random.default_rng(0)):
        architecture = space.decode(codes)
        again = space.decode(codes_of(space, architecture))
        assert again == architecture
        assert again.id == architecture.id


@each_default
def test_encode_of_every_parameter_is_the_inverse_of_decode(space: SearchSpace) -> None:
    for codes in space.random_codes(20, np.random.default_rng(1)):
        config = {n: c[i] for (n, c), i in zip(space.parameters.items(), codes, strict=True)}
        assert space.encode(config).tolist() == codes.tolist()
        assert space.architecture(config) == space.decode(codes)


@each_default
def test_config_holds_exactly_the_choices_that_have_an_effect(space: SearchSpace) -> None:
    for codes in space.random_codes(5, np.random.default_rng(2)):
        architecture = space.decode(codes)
        prefix = f"{architecture.space}." if isinstance(space, UnionSpace) else ""
        for column, (name, choices) in enumerate(space.parameters.items()):
            ids = set()
            for code in range(len(choices)):
                other = codes.copy()
                other[column] = code
                ids.add(space.decode(other).id)
            if name != "space":
                kept = name.removeprefix(prefix) in architecture.config
                assert kept == (len(ids) > 1), name


@each_default
def test_block_indices_name_the_blocks_of_the_network(space: SearchSpace) -> None:
    codes = space.random_codes(30, np.random.default_rng(3))
    indices = space.block_indices(codes)
    assert indices.shape == (30, len(space.slots))
    for row, present in zip(codes, indices, strict=True):
        blocks = tuple(space.blocks[index] for index in present if index != -1)
        assert blocks == space.decode(row).blocks


@each_tiny
def test_blocks_are_those_of_all_networks_once(space: SearchSpace) -> None:
    used = {block for codes in all_codes(space) for block in space.decode(codes).blocks}
    assert len(space.blocks) == len(set(space.blocks))
    assert set(space.blocks) == used


@each_default
def test_place_says_where_a_block_stands(space: SearchSpace) -> None:
    codes = space.random_codes(1, np.random.default_rng(4))
    for block in range(len(space.blocks)):
        columns, values = space.place(block)
        placed = codes.copy()
        placed[:, columns] = values
        assert block in space.block_indices(placed)[0]


def test_place_refuses_a_block_that_is_not_there() -> None:
    beyond = len(TINY_VIT.blocks)
    with pytest.raises(ValueError, match=f"`block` must be an index into `blocks`; got {beyond}"):
        TINY_VIT.place(beyond)


@each_tiny
def test_every_block_builds_and_takes_its_input_shapes(space: SearchSpace) -> None:
    for block in space.blocks:
        inputs = [torch.empty((2, *shape), device="meta") for shape in block.input_shapes]
        with torch.device("meta"):
            assert block.build()(*inputs).shape[0] == 2


@each_default
def test_random_codes_are_seeded_and_reach_every_choice(space: SearchSpace) -> None:
    codes = space.random_codes(300, np.random.default_rng(5))
    assert (codes == space.random_codes(300, np.random.default_rng(5))).all()
    assert (codes != space.random_codes(300, np.random.default_rng(6))).any()
    for column, choices in enumerate(space.parameters.values()):
        assert set(codes[:, column]) == set(range(len(choices)))


@each_default
def test_sampling_asks_for_every_parameter_in_order(space: SearchSpace) -> None:
    asked: list[tuple[str, Sequence[Choice]]] = []

    def last(name: str, choices: Sequence[Choice]) -> Choice:
        asked.append((name, choices))
        return choices[-1]

    architecture = space.sample(last)
    assert asked == list(space.parameters.items())
    assert architecture == space.decode([len(c) - 1 for c in space.parameters.values()])


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_union_gives_back_what_its_members_make(seed: int) -> None:
    union = DEFAULT["union"]
    assert isinstance(union, UnionSpace)
    for member in union.members.values():
        architecture = member.decode(member.random_codes(1, np.random.default_rng(seed))[0])
        assert union.decode(union.codes_of(architecture)) == architecture


@each_default
def test_all_networks_read_the_input_shape(space: SearchSpace) -> None:
    for codes in space.random_codes(20, np.random.default_rng(7)):
        assert space.decode(codes).blocks[0].input_shapes == (space.input_shape,)


def test_describe_names_the_space_and_its_blocks() -> None:
    space = MBConvSpace(
        resolution=4,
        stem_width=(4,),
        strides=(1,),
        width=(4,),
        depth=(1,),
        kernel_size=(3,),
        expansion=(2,),
        squeeze=(False,),
    )
    unit = (
        "resolution=4, width_in=4, width=4, kernel_size=3, stride=1, expansion=2, squeeze=False, "
        "activation='silu'"
    )
    assert space.describe() == {
        "name": "mbconv",
        "blocks": [
            "ConvHead(resolution=4, width=4, classes=10, features=0, activation='')",
            "ConvStem(channels=1, resolution=4, width=4, stride=1, activation='silu')",
            f"InvertedBottleneck({unit})",
        ],
    }


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"width": 7}, r"`width` is 7; it must be one of \(8, 16\)"),
        ({"kernel": 3}, "`kernel` is not a parameter of space 'vit'; it has .*patch_size, pool"),
    ],
)
def test_choices_that_a_space_does_not_have_are_refused(
    config: Mapping[str, Choice], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        TINY_VIT.encode(config)


def test_architecture_wants_a_name_for_every_parameter() -> None:
    config = {name: choices[0] for name, choices in TINY_VIT.parameters.items()}
    assert TINY_VIT.architecture(config) == TINY_VIT.decode([0] * len(config))
    del config["width"]
    with pytest.raises(ValueError, match="width"):
        TINY_VIT.architecture(config)


@each_default
def test_architecture_takes_the_config_of_an_architecture(space: SearchSpace) -> None:
    for codes in space.random_codes(20, np.random.default_rng(9)):
        made = space.decode(codes)
        config = made.config
        if isinstance(space, UnionSpace):
            config = {"space": made.space} | {f"{made.space}.{n}": v for n, v in config.items()}
        assert space.architecture(config) == made
        for name in config:
            with pytest.raises(ValueError, match=f"does not say .*{name}"):
                space.architecture({n: v for n, v in config.items() if n != name})


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([], r"`members` must have distinct names, and at least one; got \[\]"),
        ([ViTSpace(), TINY_VIT], r"distinct names, and at least one; got \['vit', 'vit'\]"),
        ([ViTSpace(input_channels=3), MBConvSpace()], r"equal channels; got .*\(3, 8, 8\)"),
        ([ViTSpace(), SPACES["decoder"]()], "of which these read token ids: decoder"),
        (
            [ViTSpace(), UnionSpace([MBConvSpace()])],
            r"`members` must not be unions; got \['mbconv'\]; list their members",
        ),
    ],
)
def test_unions_that_cannot_be_made_are_refused(members: list[SearchSpace], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        UnionSpace(members)


class Fixed(SearchSpace):
    """A space of a user's own with one network, which has no choices."""

    name = "fixed"
    parameters: Mapping[str, tuple[Choice, ...]] = {}
    slots = (Slot((), lambda: ViTHead(4, 8, 3, "mean")),)


def test_a_space_without_choices_has_one_network() -> None:
    space = Fixed()
    assert space.size == 1
    assert space.decode([]).blocks == (ViTHead(4, 8, 3, "mean"),)
    assert space.random_codes(4, np.random.default_rng(0)).shape == (4, 0)


@each_tiny
def test_networks_train(space: SearchSpace) -> None:
    for codes in space.random_codes(4, np.random.default_rng(8)):
        network = Network(space.decode(codes)).train()
        output = network(torch.randn(3, *space.input_shape))
        assert output.shape == (3, 10)
        output.square().mean().backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


@pytest.mark.parametrize(
    ("slot", "message"),
    [
        (
            Slot("width", lambda width: ViTHead(4, 8, 3, "mean")),
            "`reads` of slot 0 must be a tuple",
        ),  # type: ignore[arg-type]
        (Slot(("widht",), lambda width: ViTHead(4, 8, 3, "mean")), "'widht'.*Did you mean 'width'"),
        (Slot(("empty",), lambda width: ViTHead(4, 8, 3, "mean")), "`empty` .* has no choices"),
    ],
)
def test_slots_that_read_what_is_not_there_are_refused(slot: Slot, message: str) -> None:
    class Wrong(SearchSpace):
        name = "wrong"
        parameters: Mapping[str, tuple[Choice, ...]] = {"width": (8,), "empty": ()}
        slots = (slot,)

    with pytest.raises(ValueError, match=message):
        _ = Wrong().blocks


def test_a_slot_that_holds_no_block_is_refused() -> None:
    class Wrong(SearchSpace):
        name = "wrong"
        parameters: Mapping[str, tuple[Choice, ...]] = {}
        slots = (Slot((), lambda: torch.nn.Linear(2, 2)),)

    with pytest.raises(TypeError, match="must hold a block or None; got a Linear"):
        _ = Wrong().blocks
