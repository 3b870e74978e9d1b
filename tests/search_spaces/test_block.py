"""Blocks as keys and as JSON."""

import json
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import pytest

from search_spaces import (
    Block,
    ConvHead,
    ConvStem,
    FeedForward,
    InvertedBottleneck,
    PatchEmbedding,
    SelfAttention,
    Shape,
    UnknownNameError,
    ViTHead,
    block_from_json,
    block_from_key,
    block_key,
    block_to_json,
)

BUILT_IN: list[Block] = [
    PatchEmbedding(3, 8, 2, 32, class_token=True),
    SelfAttention(17, 32, 4, 8, 2, causal=True),
    FeedForward(17, 32, 64, 8),
    ViTHead(17, 32, 10, "cls"),
    ConvStem(3, 9, 8, 2, "silu"),
    InvertedBottleneck(8, 8, 8, 3, 1, 2, squeeze=False, activation="relu6"),
    ConvHead(4, 8, 10, 0, ""),
    ConvHead(4, 8, 10, 16, "relu6"),
]


@dataclass(frozen=True, slots=True)
class Nested(Block):
    """A block whose field is a tuple of tuples."""

    sizes: tuple[tuple[int, ...], ...]

    @property
    def input_shapes(self) -> tuple[Shape, ...]:
        return self.sizes

    def build(self) -> Any:
        raise NotImplementedError


@pytest.mark.parametrize("block", [*BUILT_IN, Nested(((1, 2), (3,)))], ids=block_key)
def test_json_and_back_is_the_identity(block: Block) -> None:
    again = block_from_json(json.loads(json.dumps(block_to_json(block))))
    assert again == block
    assert type(again) is type(block)
    assert block_key(again) == block_key(block)


@pytest.mark.parametrize("block", [*BUILT_IN, Nested(((1, 2), (3,)))], ids=block_key)
def test_key_and_back_is_the_identity(block: Block) -> None:
    again = block_from_key(block_key(block))
    assert again == block
    assert type(again) is type(block)


@pytest.mark.parametrize(
    ("key", "error", "message"),
    [
        ("ConvHead", ValueError, "`key` must be what `block_key` wrote; got 'ConvHead'"),
        ("ConvHead(resolution=", ValueError, "`key` must be what `block_key` wrote"),
        ("ConvHead(resolution=4) + 1", ValueError, "`key` must be what `block_key` wrote"),
        ("ConvHead(resolution=open('x'))", ValueError, "`key` must be what `block_key` wrote"),
        ("ConvHead(resolution=4)", ValueError, "Block ConvHead cannot be made"),
        ("ConvHat(resolution=4)", UnknownNameError, "Unknown block type 'ConvHat'"),
        ("ConvHead(size=4)", UnknownNameError, "Unknown field of block ConvHead 'size'"),
    ],
)
def test_keys_that_name_no_block_are_refused(
    key: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        block_from_key(key)


def test_key_names_type_and_fields() -> None:
    assert (
        block_key(ConvStem(3, 9, 8, 2, "relu"))
        == "ConvStem(channels=3, resolution=9, width=8, stride=2, activation='relu')"
    )
    assert block_key(Nested(((1,),))) == f"{Nested.__module__}:Nested(sizes=((1,),))"


def test_json_names_type_and_fields() -> None:
    assert block_to_json(ViTHead(17, 32, 10, "cls")) == {
        "type": "ViTHead",
        "tokens": 17,
        "width": 32,
        "classes": 10,
        "pool": "cls",
    }


def test_a_users_type_is_known_by_its_module(references: ModuleType) -> None:
    dense = references.Dense(3, 4)
    name = f"{references.__name__}:Dense"
    assert Block.types[name] is references.Dense
    assert block_from_json({"type": name, "width_in": 3, "width": 4}) == dense


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"type": "ConvSteam"}, "Unknown block type 'ConvSteam'. Did you mean 'ConvStem'"),
        ({}, "Unknown block type 'None'"),
        ({"type": "ConvStem", "withd": 3}, "field of block ConvStem 'withd'. Did you mean 'width'"),
    ],
)
def test_unknown_names_are_refused(data: dict[str, Any], message: str) -> None:
    with pytest.raises(UnknownNameError, match=message):
        block_from_json(data)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"resolution": 4, "width": 8}, "Block ConvHead cannot be made from .*'classes'"),
        (
            {"resolution": 4, "width": 8, "classes": -1},
            "`classes` must be a number above 0; got -1",
        ),
        (
            {"resolution": 4, "width": "8", "classes": 3},
            "`width` must be a number above 0; got '8'",
        ),
    ],
)
def test_values_that_make_no_block_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        block_from_json({"type": "ConvHead", "features": 0, "activation": "", **fields})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: SelfAttention(5, 32, 3, 8, 2, False),
            "`heads` must be divisible by `kv_heads`; got 3 and 2",
        ),
        (lambda: PatchEmbedding(1, 8, 9, 4, True), "`patch_size` must not exceed .* got 9 and 8"),
        (
            lambda: InvertedBottleneck(8, 4, 4, 2, 1, 1, False, "silu"),
            "`kernel_size` must be odd; got 2",
        ),
        (lambda: ViTHead(5, 8, 3, "sum"), r"`pool` must be one of \('cls', 'mean'\); got 'sum'"),
        (lambda: ConvStem(1, 8, 4, 0, "silu"), "`stride` must be a number above 0; got 0"),
    ],
)
def test_blocks_that_cannot_be_built_are_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("width", [8.0, 8.5, (8,)])
def test_a_width_that_is_not_whole_is_refused(width: Any) -> None:
    """A width of 8.0 would equal a width of 8 under another key."""
    with pytest.raises(ValueError, match="`width` must be"):
        ConvHead(4, width, 3, 0, "")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PatchEmbedding(1, 8, 4, 8, 1), "`class_token` must be of type bool; got 1"),
        (
            lambda: InvertedBottleneck(8, 4, 4, 3, 1, 1, 0, "silu"),
            "`squeeze` must be of type bool; got 0",
        ),
        (lambda: ViTHead(5, 8, 3, ("cls",)), r"`pool` must be of type str; got \('cls',\)"),
    ],
)
def test_equal_blocks_have_one_key(make: Any, message: str) -> None:
    """Fields of another type that would compare equal are refused."""
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("data", ["ConvHead", ["ConvHead"], None])
def test_data_that_is_no_mapping_is_refused(data: Any) -> None:
    with pytest.raises(ValueError, match="Expected the fields of a JSON block, got"):
        block_from_json(data)


def test_a_block_without_shapes_and_module_cannot_be_made() -> None:
    with pytest.raises(TypeError, match="abstract"):
        Block()  # type: ignore[abstract]
