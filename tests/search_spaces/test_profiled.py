"""Spaces that profiles are measured over."""

import numpy as np
import pytest

from search_spaces import Block, UnknownNameError
from search_spaces.families import SPACES
from search_spaces.presets import PRESETS, preset
from search_spaces.profiled import PROFILED, profiled_space
from search_spaces.space import SearchSpace


@pytest.fixture(scope="module")
def spaces() -> dict[str, SearchSpace]:
    return {name: profiled_space(name) for name in PROFILED}


def missing(space: SearchSpace, name: str) -> list[Block]:
    """Blocks of a preset that a space cannot make."""
    return [block for block in dict.fromkeys(preset(name).blocks) if block not in space.blocks]


def test_every_name_is_a_space_of_its_family(spaces: dict[str, SearchSpace]) -> None:
    for name, (family, _) in PROFILED.items():
        assert type(spaces[name]) is SPACES[family]
        assert spaces[name].name == family
        assert name not in SPACES


def test_families_are_spaces_of_their_defaults() -> None:
    for name, cls in SPACES.items():
        assert profiled_space(name) == cls()


def test_unknown_one_lists_the_known() -> None:
    with pytest.raises(UnknownNameError, match=r"space 'vit_225'\. Did you mean 'vit_224'.*resnet"):
        profiled_space("vit_225")


def test_language_models_read_as_many_tokens_as_the_name_says(
    spaces: dict[str, SearchSpace],
) -> None:
    space = spaces["decoder_512"]
    for row in space.random_codes(20, np.random.default_rng(0)):
        network = space.decode(row)
        assert network.input_shapes == ((512,),)
        assert network.token_ids == 50_257


@pytest.mark.parametrize("name", [name for name in PROFILED if name != "decoder_512"])
def test_networks_read_images_of_the_size_in_the_name(
    spaces: dict[str, SearchSpace], name: str
) -> None:
    resolution = int(name.rpartition("_")[2])
    channels, classes = {224: (3, 1000), 96: (3, 100), 8: (1, 10)}[resolution]
    space = spaces[name]
    for row in space.random_codes(20, np.random.default_rng(0)):
        network = space.decode(row)
        assert network.input_shapes == ((channels, resolution, resolution),)
        head = network.blocks[-1]
        assert head.classes == classes  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("name", "blocks"), [("vit_224", 400), ("mbconv_224", 200), ("vit_96", 100), ("mbconv_96", 100)]
)
def test_each_has_hundreds_of_blocks_and_far_more_networks(
    spaces: dict[str, SearchSpace], name: str, blocks: int
) -> None:
    space = spaces[name]
    assert len(space.blocks) >= blocks
    # Enough for a certificate that no network of the plan is in.
    assert space.size > 100 * len(space.blocks)


def test_published_vits_are_in_the_space(spaces: dict[str, SearchSpace]) -> None:
    sizes = [f"vit_{size}_{patch}" for size in ("ti", "s", "b", "l") for patch in (16, 32, 64)]
    for name in (*sizes, "deit_s", "universal_transformer_base"):
        assert missing(spaces["vit_224"], name) == []


def test_the_papers_models_lack_their_own_heads_and_one_mlp(
    spaces: dict[str, SearchSpace],
) -> None:
    """Their 18,291 classes, and the MLP of W1024, which is 2.67 times the width."""
    rows = [name for name in PRESETS if name.startswith("misnomer_")]
    assert len(rows) == 11
    for name in rows:
        *others, head = missing(spaces["vit_224"], name)
        assert head == preset(name).blocks[-1]
        assert head.classes == 18_291  # type: ignore[attr-defined]
        assert [b.hidden for b in others] == ([1024] if name == "misnomer_w1024" else [])  # type: ignore[attr-defined]


def test_most_of_efficientnet_is_in_the_space(spaces: dict[str, SearchSpace]) -> None:
    # It has a stage more, so the widths of the last three meet at other resolutions.
    left = missing(spaces["mbconv_224"], "efficientnet_b0")
    widths = [(b.width_in, b.width) for b in left]  # type: ignore[attr-defined]
    assert widths == [(80, 112), (112, 192), (192, 320)]
    assert len(set(preset("efficientnet_b0").blocks)) == 14
