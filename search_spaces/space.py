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
from dataclasses import Field, dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search_spaces.architecture import (
    NETWORK_INPUT,
    SPACE_NAMES,
    Architecture,
    Choice,
    Node,
    SharedWeight,
)
from search_spaces.block import Block, Shape, block_key
from search_spaces.errors import UnknownNameError
from search_spaces.space_size import number_of_networks

__all__ = ["Placement", "SearchSpace", "Slot", "Suggest"]

Suggest = Callable[[str, Sequence[Choice]], Choice]
"""Picks one of the choices of the named parameter, as ``optuna.Trial.suggest_categorical`` does."""

Codes = NDArray[np.integer[Any]]
"""Architectures as integers, ``[n, parameters]``: the index of each parameter's choice."""

EMPTY = -1
"""The block index of a slot that holds no block."""

CHUNK = 4096
"""Architectures whose slots are looked up at once: few enough to stay in a cache."""


@dataclass(frozen=True, slots=True)
class Slot:
    """A place in the network and the parameters that decide what stands there.

    The functions are called with the values of those parameters by position. Slots are numbered in
    the order they run; the slot of -1 is the network's input, of -2 its second input, and so on.

    Attributes:
        reads: Names of the parameters it depends on.
        block: Returns the block, or ``None`` for none.
        inputs: The slots whose results it reads: of an empty slot, the last result before it.
            ``None`` for what stands right before, as in a chain.
        tie: Returns the earlier slot that holds an equal block whose weights are used in place of
            its own, or ``None``.
        shared: Returns single weights that are those of an earlier slot: own name, slot and name
            there (the embedding that a classifier shares).
    """

    reads: tuple[str, ...]
    block: Callable[..., Block | None]
    inputs: tuple[int, ...] | None = None
    tie: Callable[..., int | None] | None = None
    shared: Callable[..., tuple[SharedWeight, ...]] | None = None


@dataclass(frozen=True, slots=True)
class Placement:
    """What stands in a slot: a block, and which earlier weights it uses.

    Attributes:
        block: The block.
        tie: The slot of the equal block whose weights it uses, or ``None``.
        shared: Its single weights that are those of another slot.
    """

    block: Block
    tie: int | None = None
    shared: tuple[SharedWeight, ...] = ()


class SearchSpace(abc.ABC):
    """A family of architectures.

    A subclass gives :attr:`name`, :attr:`parameters` and :attr:`slots`.

    The parameters are a fixed superset with constant choices, as Optuna requires: those that have
    no effect on an architecture (the width of a layer that is not there) are sampled all the same
    and left out of its configuration.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        name = vars(cls).get("name")
        name = name.default if isinstance(name, Field) else name
        if isinstance(name, str):
            SPACE_NAMES.add(name)

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

    def architecture(self, config: Mapping[str, Choice]) -> Architecture:
        """The architecture of a configuration that names every parameter that has an effect.

        That is every parameter, as a search samples them, or the ``config`` of an architecture.

        Raises:
            ValueError: A parameter with an effect is missing, a name is unknown, or a value is
                not one of its parameter's choices.
        """
        codes = self.encode(config)
        if len(config) < len(self.parameters):
            effective = self._effective(codes, self.placement_indices(codes[None, :])[0])
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
        indices = self.placement_indices(codes[None, :])[0]
        effective = self._effective(codes, indices)
        config = {
            name: choices[codes[column]]
            for column, (name, choices) in enumerate(self.parameters.items())
            if effective[column]
        }
        return Architecture(self.name, config, self._wire(indices))

    def _wire(self, indices: NDArray[np.int32]) -> tuple[Node, ...]:
        nodes: list[Node] = []
        at = [NETWORK_INPUT] * len(indices)  # Of each slot, the last node up to and with it.
        for slot, index in enumerate(indices):
            before = at[slot - 1] if slot else NETWORK_INPUT
            at[slot] = before
            if index == EMPTY:
                continue
            placed, inputs = self.placements[index], self.slots[slot].inputs
            nodes.append(
                Node(
                    placed.block,
                    (before,) if inputs is None else tuple(i if i < 0 else at[i] for i in inputs),
                    None if placed.tie is None else at[placed.tie],
                    tuple((own, at[source], there) for own, source, there in placed.shared),
                )
            )
            at[slot] = len(nodes) - 1
        return tuple(nodes)

    def random_codes(self, n: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Codes ``[n, parameters]``, each parameter drawn uniformly."""
        sizes = [len(choices) for choices in self.parameters.values()]
        return rng.integers(0, sizes, size=(n, len(sizes)), dtype=np.int64)

    def block_indices(self, codes: Codes) -> NDArray[np.int32]:
        """Which of :attr:`blocks` stands in each slot: ``[n, slots]``, -1 where none does.

        This is plain integer indexing, so that a price for each block prices any number of
        architectures at once.
        """
        blocks: NDArray[np.int32] = self._block_of[self.placement_indices(codes)]
        return blocks

    def placement_indices(self, codes: Codes) -> NDArray[np.int32]:
        """Which of :attr:`placements` stands in each slot: ``[n, slots]``, -1 where none does.

        Where rows are equal, so are the networks.
        """
        codes = np.asarray(codes, dtype=np.int64)
        out = np.empty((len(codes), len(self._lookups)), dtype=np.int32)
        for at in range(0, len(codes), CHUNK):
            by_parameter = np.ascontiguousarray(codes[at : at + CHUNK].T)
            for columns, strides, slots in self._readers:
                rows = strides @ by_parameter[columns]
                for slot, lookup in slots:
                    out[at : at + CHUNK, slot] = lookup[rows]
        return out

    def place(self, block: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Where a block, given by its index, can stand: columns of the codes and their values."""
        for columns, strides, lookup in self._lookups:
            found = np.flatnonzero(self._block_of[lookup] == block)
            if len(found):
                sizes = [len(c) for c in self.parameters.values()]
                values = found[0] // strides % np.array(sizes)[columns]
                return columns, values
        raise ValueError(f"`block` must be an index into `blocks`; got {block}.")

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """Every distinct block that the space can produce."""
        return tuple(dict.fromkeys(placed.block for placed in self.placements))

    @cached_property
    def placements(self) -> tuple[Placement, ...]:
        """Every distinct block that the space can produce with the weights it takes from others."""
        return self._enumeration[0]

    @cached_property
    def _block_of(self) -> NDArray[np.int32]:
        """Of each placement the index of its block; the last entry keeps -1 what it is."""
        index = {block: i for i, block in enumerate(self.blocks)}
        return np.array([*(index[p.block] for p in self.placements), EMPTY], dtype=np.int32)

    @cached_property
    def size(self) -> int:
        """How many networks there are; choices without effect are not counted.

        For each combination of the parameters that several slots read, the product of how many
        different blocks each slot can hold; networks that several combinations make count once,
        unless the same blocks stand in other slots.
        Where there are too many combinations to list (over 2^17) each of them counts.
        """
        reads = [slot.reads for slot in self.slots]
        return number_of_networks(self.parameters, reads, self._enumeration[1])

    @cached_property
    def _first(self) -> Architecture:
        return self.decode(np.zeros(len(self.parameters), dtype=np.int64))

    @property
    def input_shape(self) -> Shape:
        """Shape of one example of the first input, in the architecture of all first choices."""
        return self._first.input_shapes[0]

    @property
    def generates(self) -> bool:
        """Whether the networks generate text token by token."""
        return self._first.generates

    @property
    def reads_ids(self) -> bool:
        """Whether the networks read token ids rather than real numbers."""
        return self._first.token_ids is not None

    def _effective(self, codes: NDArray[np.int64], indices: NDArray[np.int32]) -> list[bool]:
        """Which parameters a configuration must name, if those it leaves out take first choices.

        They are decided one after another: two that have no effect alone may have one together.
        """
        effective, codes = [], codes.copy()
        for column, choices in enumerate(self.parameters.values()):
            variants = np.repeat(codes[None, :], len(choices), axis=0)
            variants[:, column] = np.arange(len(choices))
            effective.append(bool((self.placement_indices(variants) != indices).any()))
            if not effective[-1]:
                codes[column] = 0
        return effective

    def _check_reads(self, position: int, slot: Slot) -> None:
        if isinstance(slot.reads, str):
            raise ValueError(f"`reads` of slot {position} must be a tuple; got {slot.reads!r}.")
        for name in slot.reads:
            if name not in self.parameters:
                raise UnknownNameError(
                    f"parameter in slot {position} of space {self.name}", name, self.parameters
                )
            if not self.parameters[name]:
                raise ValueError(f"Parameter `{name}` of space {self.name} has no choices.")

    @cached_property
    def _enumeration(self) -> tuple[tuple[Placement, ...], list[NDArray[np.int32]]]:
        distinct: dict[Placement, int] = {}
        lookups = []
        for position, slot in enumerate(self.slots):
            self._check_reads(position, slot)
            values = itertools.product(*(self.parameters[name] for name in slot.reads))
            held = (_placed(slot, choice) for choice in values)
            lookups.append(
                np.array(
                    [EMPTY if p is None else distinct.setdefault(p, len(distinct)) for p in held],
                    dtype=np.int32,
                )
            )
        return tuple(distinct), lookups

    @cached_property
    def _lookups(self) -> list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int32]]]:
        """For each slot: columns it reads, stride of each, and the placement by position."""
        names = list(self.parameters)
        result = []
        for slot, lookup in zip(self.slots, self._enumeration[1], strict=True):
            sizes = [len(self.parameters[name]) for name in slot.reads]
            strides = [math.prod(sizes[axis + 1 :]) for axis in range(len(sizes))]
            columns = np.array([names.index(name) for name in slot.reads], dtype=np.int64)
            result.append((columns, np.array(strides, dtype=np.int64), lookup))
        return result

    @cached_property
    def _readers(
        self,
    ) -> list[tuple[NDArray[np.int64], NDArray[np.int64], list[tuple[int, NDArray[np.int32]]]]]:
        """The same for slots that read the same: their columns and strides, then each slot."""
        result: dict[tuple[str, ...], Any] = {}
        for position, (columns, strides, lookup) in enumerate(self._lookups):
            reads = self.slots[position].reads
            result.setdefault(reads, (columns, strides, []))[2].append((position, lookup))
        return list(result.values())

    def describe(self) -> dict[str, Any]:
        """What identifies the space in files: its name and the key of every block, sorted."""
        return {"name": self.name, "blocks": sorted(block_key(block) for block in self.blocks)}


def _placed(slot: Slot, values: tuple[Choice, ...]) -> Placement | None:
    block = slot.block(*values)
    if block is None:
        return None
    if not isinstance(block, Block):
        raise TypeError(f"A slot must hold a block or None; got a {type(block).__name__}.")
    read = 1 if slot.inputs is None else len(slot.inputs)
    if len(block.input_shapes) != read:
        raise ValueError(
            f"A slot that reads {read} must hold blocks of as many inputs; got {block}, which has "
            f"{len(block.input_shapes)}. Name the slots that it reads in `inputs`."
        )
    tie = slot.tie(*values) if slot.tie is not None else None
    return Placement(block, tie, slot.shared(*values) if slot.shared is not None else ())
