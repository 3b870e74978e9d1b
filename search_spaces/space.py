"""Search spaces: a fixed set of parameters, and slots that turn their values into blocks.

A space is described once, by its parameters and its slots. Sampling one architecture, coding a
million of them as integers, listing every block the space can produce and counting its members
all follow from that description.
"""

from __future__ import annotations

import abc
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search_spaces.architecture import Architecture, Choice, Node, chain
from search_spaces.block import Block, Shape, block_key

__all__ = ["SearchSpace", "Slot", "Suggest", "UnionSpace"]

Suggest = Callable[[str, Sequence[Choice]], Choice]
"""Picks one of the choices of the named parameter, as ``optuna.Trial.suggest_categorical`` does."""

Codes = NDArray[np.integer[Any]]
"""Architectures as integers, ``[n, parameters]``: the index of each parameter's choice."""

EMPTY = -1
"""The block index of a slot that holds no block."""


@dataclass(frozen=True, slots=True)
class Slot:
    """A place in the network and the parameters that decide what stands there.

    Attributes:
        reads: Names of the parameters it depends on.
        block: Called with their values by position; returns the block, or ``None`` for none.
    """

    reads: tuple[str, ...]
    block: Callable[..., Block | None]


class SearchSpace(abc.ABC):
    """A family of architectures.

    A subclass gives :attr:`name`, :attr:`parameters` and :attr:`slots`; where the network is not
    a chain it overrides :meth:`wire`.

    The parameters are a fixed superset with constant choices, as Optuna requires: those that have
    no effect on an architecture (the width of a layer that is not there) are sampled all the same
    and left out of its configuration.
    """

    @property
    @abc.abstractmethod
    def name(self) -> str:
        """What an experiment file calls the space."""

    @property
    @abc.abstractmethod
    def parameters(self) -> Mapping[str, tuple[Choice, ...]]:
        """Choices of each parameter, in order."""

    @property
    @abc.abstractmethod
    def slots(self) -> tuple[Slot, ...]:
        """The places of the network, in the order they run."""

    def wire(self, blocks: Sequence[Block]) -> tuple[Node, ...]:
        """Wires the blocks that are present; a chain unless overridden."""
        return chain(blocks)

    def architecture(self, config: Mapping[str, Choice]) -> Architecture:
        """The architecture of a configuration that names every parameter that has an effect.

        That is every parameter, as a search samples them, or the ``config`` of an architecture.

        Raises:
            ValueError: A parameter with an effect is missing, a name is unknown, or a value is
                not one of its parameter's choices.
        """
        codes = self.encode(config)
        if len(config) < len(self.parameters):
            effective = self._effective(codes, self.block_indices(codes[None, :])[0])
            names = itertools.compress(self.parameters, effective)
            missing = [name for name in names if name not in config]
            if missing:
                raise ValueError(
                    f"`config` of space {self.name!r} does not say {', '.join(missing)}; "
                    "name every parameter that has an effect."
                )
        return self.decode(codes)

    def sample(self, suggest: Suggest) -> Architecture:
        """Draws an architecture by asking ``suggest`` for every parameter, in order."""
        return self.architecture({n: suggest(n, c) for n, c in self.parameters.items()})

    def encode(self, config: Mapping[str, Choice]) -> NDArray[np.int64]:
        """Integer codes ``[parameters]`` of a configuration; the inverse of :meth:`decode`.

        Parameters that the configuration leaves out take their first choice, so that the
        ``config`` of an architecture, which omits those without effect, can be given.

        Raises:
            ValueError: A value is not one of its parameter's choices, or a name is unknown.
        """
        for name in config:
            if name not in self.parameters:
                raise ValueError(
                    f"`{name}` is not a parameter of space {self.name!r}; "
                    f"it has {', '.join(self.parameters)}."
                )
        row = np.zeros(len(self.parameters), dtype=np.int64)
        for column, (name, choices) in enumerate(self.parameters.items()):
            if name not in config:
                continue
            if config[name] not in choices:
                raise ValueError(f"`{name}` is {config[name]!r}; it must be one of {choices}.")
            row[column] = choices.index(config[name])
        return row

    def decode(self, row: Sequence[int] | NDArray[np.integer[Any]]) -> Architecture:
        """The architecture of one row of codes ``[parameters]``."""
        codes = np.asarray(row, dtype=np.int64)
        indices = self.block_indices(codes[None, :])[0]
        blocks = [self.blocks[index] for index in indices if index != EMPTY]
        effective = self._effective(codes, indices)
        config = {
            name: choices[codes[column]]
            for column, (name, choices) in enumerate(self.parameters.items())
            if effective[column]
        }
        return Architecture(self.name, config, self.wire(blocks))

    def random_codes(self, n: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Codes ``[n, parameters]``, each parameter drawn uniformly."""
        sizes = [len(choices) for choices in self.parameters.values()]
        return rng.integers(0, sizes, size=(n, len(sizes)), dtype=np.int64)

    def block_indices(self, codes: Codes) -> NDArray[np.int32]:
        """Which of :attr:`blocks` stands in each slot: ``[n, slots]``, -1 where none does.

        This is plain integer indexing, so that a price for each block prices any number of
        architectures at once.
        """
        out = np.empty((len(codes), len(self._lookups)), dtype=np.int32)
        for slot, (columns, strides, lookup) in enumerate(self._lookups):
            out[:, slot] = lookup[codes[:, columns] @ strides]
        return out

    def place(self, block: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Where a block, given by its index, can stand: columns of the codes and their values."""
        for columns, strides, lookup in self._lookups:
            found = np.flatnonzero(lookup == block)
            if len(found):
                sizes = [len(c) for c in self.parameters.values()]
                values = found[0] // strides % np.array(sizes)[columns]
                return columns, values
        raise ValueError(f"`block` must be an index into `blocks`; got {block}.")

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """Every distinct block that the space can produce."""
        return self._enumeration[0]

    @cached_property
    def size(self) -> int:
        """How many configurations differ; parameters without effect are not counted.

        Sums, over the parameters that several slots share, the product of how many different
        blocks each slot can hold. Exact below 2^53, and correctly rounded above.
        """
        readers: dict[str, int] = {}
        for slot in self.slots:
            for name in slot.reads:
                readers[name] = readers.get(name, 0) + 1
        shared = [name for name in self.parameters if readers.get(name, 0) > 1]
        operands: list[Any] = []
        for slot, (_, _, lookup) in zip(self.slots, self._lookups, strict=True):
            dims = [len(self.parameters[name]) for name in slot.reads]
            grid = lookup.reshape(dims)
            private = [axis for axis, name in enumerate(slot.reads) if name not in shared]
            common = [axis for axis, name in enumerate(slot.reads) if name in shared]
            flat = grid.transpose(common + private).reshape([dims[a] for a in common] + [-1])
            ordered = np.sort(flat, axis=-1)
            distinct = 1.0 + (ordered[..., 1:] != ordered[..., :-1]).sum(axis=-1)
            operands += [distinct, [shared.index(slot.reads[axis]) for axis in common]]
        total = float(np.einsum(*operands, [], optimize="greedy")) if operands else 1.0
        return round(total)

    @property
    def input_shape(self) -> Shape:
        """Shape of one example that every network of the space reads."""
        return self.decode(np.zeros(len(self.parameters), dtype=np.int64)).blocks[0].input_shapes[0]

    def _effective(self, codes: NDArray[np.int64], indices: NDArray[np.int32]) -> list[bool]:
        effective = []
        for column, choices in enumerate(self.parameters.values()):
            variants = np.repeat(codes[None, :], len(choices), axis=0)
            variants[:, column] = np.arange(len(choices))
            effective.append(bool((self.block_indices(variants) != indices).any()))
        return effective

    @cached_property
    def _enumeration(self) -> tuple[tuple[Block, ...], list[NDArray[np.int32]]]:
        distinct: dict[Block, int] = {}
        lookups = []
        for slot in self.slots:
            values = itertools.product(*(self.parameters[name] for name in slot.reads))
            held = (slot.block(*choice) for choice in values)
            lookups.append(
                np.array(
                    [EMPTY if b is None else distinct.setdefault(b, len(distinct)) for b in held],
                    dtype=np.int32,
                )
            )
        return tuple(distinct), lookups

    @cached_property
    def _lookups(self) -> list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int32]]]:
        """For each slot: columns it reads, stride of each, and the block index by position."""
        names = list(self.parameters)
        result = []
        for slot, lookup in zip(self.slots, self._enumeration[1], strict=True):
            sizes = [len(self.parameters[name]) for name in slot.reads]
            strides = [math.prod(sizes[axis + 1 :]) for axis in range(len(sizes))]
            columns = np.array([names.index(name) for name in slot.reads], dtype=np.int64)
            result.append((columns, np.array(strides, dtype=np.int64), lookup))
        return result

    def describe(self) -> dict[str, Any]:
        """What identifies the space in files: its name and the key of every block, sorted."""
        return {"name": self.name, "blocks": sorted(block_key(block) for block in self.blocks)}


class UnionSpace(SearchSpace):
    """Several spaces as one: which of them an architecture comes from is itself a choice.

    Args:
        members: Spaces with distinct names and equal input shapes, none itself a union.

    Raises:
        ValueError: Names repeat, the input shapes differ, or a member is a union.
    """

    def __init__(self, members: Sequence[SearchSpace]) -> None:
        names = [member.name for member in members]
        if len(set(names)) != len(names) or not names:
            raise ValueError(f"`members` must have distinct names, and at least one; got {names}.")
        nested = [member.name for member in members if isinstance(member, UnionSpace)]
        if nested:
            raise ValueError(f"`members` must not be unions; got {nested}; list their members.")
        shapes = {member.name: member.input_shape for member in members}
        if len(set(shapes.values())) > 1:
            raise ValueError(f"`members` must read the same input shape; got {shapes}.")
        self.members = {member.name: member for member in members}

    @property
    def name(self) -> str:
        return "+".join(self.members)

    @cached_property
    def parameters(self) -> Mapping[str, tuple[Choice, ...]]:
        inner = {
            f"{member.name}.{name}": choices
            for member in self.members.values()
            for name, choices in member.parameters.items()
        }
        return {"space": tuple(self.members)} | inner

    @cached_property
    def slots(self) -> tuple[Slot, ...]:
        return tuple(
            Slot(
                ("space", *(f"{member.name}.{name}" for name in slot.reads)),
                _only_in(member.name, slot.block),
            )
            for member in self.members.values()
            for slot in member.slots
        )

    @cached_property
    def size(self) -> int:
        """The sum of the members' sizes."""
        return sum(member.size for member in self.members.values())

    def decode(self, row: Sequence[int] | NDArray[np.integer[Any]]) -> Architecture:
        """The architecture of one row; its space and config are those of the member."""
        member, columns = self._member_columns[int(row[0])]
        return member.decode(np.asarray(row)[columns])

    def codes_of(self, architecture: Architecture) -> NDArray[np.int64]:
        """Codes ``[parameters]`` of an architecture that a member made."""
        return self.encode(
            {"space": architecture.space}
            | {f"{architecture.space}.{name}": v for name, v in architecture.config.items()}
        )

    @cached_property
    def _member_columns(self) -> list[tuple[SearchSpace, slice]]:
        result, start = [], 1
        for member in self.members.values():
            result.append((member, slice(start, start + len(member.parameters))))
            start += len(member.parameters)
        return result


def _only_in(name: str, block: Callable[..., Block | None]) -> Callable[..., Block | None]:
    def choose(space: str, *values: Choice) -> Block | None:
        return block(*values) if space == name else None

    return choose
