"""Unions: several families as one space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search_spaces.architecture import Architecture, Choice, SharedWeight
from search_spaces.block import Block
from search_spaces.space import SearchSpace, Slot

__all__ = ["UnionSpace"]


class UnionSpace(SearchSpace):
    """Several spaces as one: which of them an architecture comes from is itself a choice.

    Args:
        members: Spaces with distinct names that read the same kind of input, none itself a union.

    Raises:
        ValueError: Names repeat, the kinds of input differ, or a member is a union.
    """

    def __init__(self, members: Sequence[SearchSpace]) -> None:
        names = [member.name for member in members]
        if len(set(names)) != len(names) or not names:
            raise ValueError(f"`members` must have distinct names, and at least one; got {names}.")
        nested = [member.name for member in members if isinstance(member, UnionSpace)]
        if nested:
            raise ValueError(f"`members` must not be unions; got {nested}; list their members.")
        # Resolutions and contexts may be searched; channels, and ids against numbers, may not.
        shapes = {member.name: member.input_shape for member in members}
        ids = {member.name: member.reads_ids for member in members}
        if (
            len(
                {
                    (ids[name], len(shape), shape[0] if len(shape) > 1 else 0)
                    for name, shape in shapes.items()
                }
            )
            > 1
        ):
            raise ValueError(
                f"`members` must read the same kind of input, with equal channels; got {shapes}"
                f"{', of which these read token ids: ' if any(ids.values()) else ''}"
                f"{', '.join(name for name, reads in ids.items() if reads)}."
            )
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
        result: list[Slot] = []
        for member in self.members.values():
            offset = len(result)
            result += [_only_in(member.name, slot, offset) for slot in member.slots]
        return tuple(result)

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


def _only_in(name: str, slot: Slot, offset: int) -> Slot:
    """A member's slot as one of the union's, where it stands ``offset`` slots later."""

    def block(space: str, *values: Choice) -> Block | None:
        return slot.block(*values) if space == name else None

    def tie(space: str, *values: Choice) -> int | None:
        source = slot.tie(*values) if slot.tie is not None else None
        return None if source is None else source + offset

    def shared(space: str, *values: Choice) -> tuple[SharedWeight, ...]:
        weights = slot.shared(*values) if slot.shared is not None else ()
        return tuple((own, source + offset, there) for own, source, there in weights)

    inputs = slot.inputs and tuple(i if i < 0 else i + offset for i in slot.inputs)
    reads = ("space", *(f"{name}.{parameter}" for parameter in slot.reads))
    return Slot(reads, block, inputs, slot.tie and tie, slot.shared and shared)
