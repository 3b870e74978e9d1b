"""Blocks: the unit that is built, counted, timed and shared.

A block is a frozen dataclass whose fields fix it completely, shapes included. Two equal blocks
are one row of a latency table and one row of a count table. A block knows nothing of PyTorch
until :meth:`Block.build` is called.
"""

from __future__ import annotations

import abc
import ast
import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from search_spaces.errors import UnknownNameError

if TYPE_CHECKING:
    from torch import nn

__all__ = [
    "Block",
    "Shape",
    "as_tuples",
    "block_from_json",
    "block_from_key",
    "block_key",
    "block_to_json",
]

Shape = tuple[int, ...]
"""Sizes of one example, without the batch dimension."""


class Block(abc.ABC):
    """A piece of a network, fixed completely by its dataclass fields.

    A subclass is a ``@dataclass(frozen=True, slots=True)`` that gives :attr:`input_shapes` and
    :meth:`build`; it is then counted by tracing and timed, searched and exported like any other.
    Field values are ints, floats, strings, booleans or tuples of these.
    """

    __slots__ = ()

    types: ClassVar[dict[str, type[Block]]] = {}
    """Every block type by :func:`kind`, so that a block can be read back from JSON."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        # dataclass(slots=True) makes a second class of the same name, and the later one is real.
        # No super() here: its cell would still name the first class.
        abc.ABC.__init_subclass__(**kwargs)
        Block.types[kind(cls)] = cls

    @property
    @abc.abstractmethod
    def input_shapes(self) -> tuple[Shape, ...]:
        """Shape of each tensor that the module reads, without the batch."""

    @abc.abstractmethod
    def build(self) -> nn.Module:
        """A new module with the block's weights, called as ``module(*inputs)`` on batches."""

    @property
    def token_ids(self) -> int | None:
        """How many token ids the block's inputs may hold; ``None`` where they are real numbers.

        Inputs of ids are whole numbers from 0 to below this, and need no gradient.
        """
        return None

    @property
    def inactive_params(self) -> int:
        """Trainable elements that one token does not use, as of the experts it is not sent to."""
        return 0

    @property
    def sparsity_level(self) -> float:
        """Share of each linear and convolution weight that is zero and stays so."""
        return 0.0

    @property
    def cache_elements(self) -> int:
        """Elements that generating one token at a time keeps of one example: keys and values."""
        return 0

    @property
    def remark(self) -> str | None:
        """What whoever uses the block should be told, if anything."""
        return None

    def decoding(self) -> Block | None:
        """The block for the last token alone, as when text is generated token by token.

        Its first inputs are the block's own, one token long; after them come the cached tensors of
        the earlier tokens. ``None`` where the block takes no part in that.
        """
        return None


def kind(cls: type[Block]) -> str:
    """Name of a block type: the class, with its module unless it is built in."""
    if cls.__module__.split(".")[0] == "search_spaces":
        return cls.__qualname__
    return f"{cls.__module__}:{cls.__qualname__}"


def fields_of(block: Block) -> dict[str, Any]:
    """The block's dataclass fields by name, in order."""
    return {f.name: getattr(block, f.name) for f in dataclasses.fields(block)}  # type: ignore[arg-type]


def block_key(block: Block) -> str:
    """One line that identifies the block in tables and files.

    >>> from search_spaces.trunk import ViTHead
    >>> block_key(ViTHead(tokens=17, width=32, classes=10, pool="cls"))
    "ViTHead(tokens=17, width=32, classes=10, pool='cls')"
    """
    fields = ", ".join(f"{name}={value!r}" for name, value in fields_of(block).items())
    return f"{kind(type(block))}({fields})"


def block_from_key(key: str) -> Block:
    """Reads back what :func:`block_key` wrote.

    Raises:
        UnknownNameError: The type, or a field of it, is not known.
        ValueError: The text is not a key, or the values do not make a block.
    """
    name, _, rest = key.partition("(")
    try:
        call = ast.parse(f"_({rest}", mode="eval").body
        if not isinstance(call, ast.Call):
            raise ValueError("What follows the name is not a list of fields.")
        fields = {str(k.arg): ast.literal_eval(k.value) for k in call.keywords}
    except (SyntaxError, TypeError, ValueError) as error:
        raise ValueError(f"`key` must be what `block_key` wrote; got {key!r}.") from error
    return block_from_json({"type": name} | fields)


def block_to_json(block: Block) -> dict[str, Any]:
    """The block as ``{"type": ..., field: value, ...}``."""
    return {"type": kind(type(block)), **fields_of(block)}


def block_from_json(data: Mapping[str, Any]) -> Block:
    """Reads back what :func:`block_to_json` wrote.

    Raises:
        UnknownNameError: The type, or a field of it, is not known.
        ValueError: A field is missing, or the values do not make a block.
    """
    if not isinstance(data, Mapping):
        raise ValueError(f"Expected the fields of a JSON block, got {type(data).__name__}.")
    name = str(data.get("type"))
    if name not in Block.types:
        raise UnknownNameError("block type", name, sorted(Block.types))
    cls = Block.types[name]
    known = [f.name for f in dataclasses.fields(cls)]  # type: ignore[arg-type]
    given = {key: as_tuples(value) for key, value in data.items() if key != "type"}
    for key in given:
        if key not in known:
            raise UnknownNameError(f"field of block {name}", key, known)
    try:
        return cls(**given)
    except TypeError as error:
        raise ValueError(f"Block {name} cannot be made from {given}: {error}.") from error


def as_tuples(value: Any) -> Any:
    """What JSON gives back as lists, in the tuples that it was."""
    return tuple(as_tuples(item) for item in value) if isinstance(value, list) else value
