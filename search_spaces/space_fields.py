"""Spaces as data, so that a file can say which one it was made over.

A space is its family and its fields, and a union is a list of them. A space of a user's own has the
place of its class too.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from search_spaces.block import as_tuples
from search_spaces.families import SPACES
from search_spaces.space import SearchSpace
from search_spaces.sparse import SparseSpace
from search_spaces.union import UnionSpace

__all__ = ["space_fields", "space_of_fields"]


def space_fields(space: SearchSpace) -> list[dict[str, Any]]:
    """What :func:`space_of_fields` makes a space of again, as JSON holds it; a member each.

    >>> from search_spaces import MBConvSpace
    >>> (fields,) = space_fields(MBConvSpace(depth=(2,)))
    >>> fields["space"], fields["depth"], space_of_fields([fields]) == MBConvSpace(depth=(2,))
    ('mbconv', [2], True)
    """
    if isinstance(space, UnionSpace):
        return [fields for member in space.members.values() for fields in space_fields(member)]
    if isinstance(space, SparseSpace):
        return [space_fields(space.dense)[0] | {"sparsity": list(space.levels)}]
    made: dict[str, Any] = {"space": space.name}
    if SPACES.get(space.name) is not type(space):
        made["class"] = _reference(type(space))
    if dataclasses.is_dataclass(space):
        for field in dataclasses.fields(space):
            value = _as_lists(getattr(space, field.name))
            if field.init and _known_to_json(value):  # The others keep the class's defaults.
                made[field.name] = value
    return [made]


def space_of_fields(
    members: Sequence[Mapping[str, Any]], load: Callable[[str], type[SearchSpace]] | None = None
) -> SearchSpace:
    """The space that :func:`space_fields` described.

    Args:
        members: What it gave, before or after a file.
        load: Gives the class of a user's own from its place; spaces of such are refused when
            absent.

    Raises:
        ValueError: A family is not known any more, or does not take these fields.
    """
    spaces = []
    for member in members:
        given = {key: as_tuples(value) for key, value in member.items()}
        name, place = given.pop("space"), given.pop("class", None)
        sparsity = given.pop("sparsity", None)
        if place is not None and load is not None:
            cls = load(place)
        elif place is None and name in SPACES:
            cls = SPACES[name]
        else:
            raise ValueError(f"Space {name} is not built in; load its class ({place}).")
        try:
            space = cls(**given)
        except TypeError as error:
            raise ValueError(f"Space {name} cannot be made of {given}: {error}.") from error
        spaces.append(space if sparsity is None else SparseSpace(space, sparsity))
    return spaces[0] if len(spaces) == 1 else UnionSpace(spaces)


def _reference(cls: type) -> str:
    """Place of a class: ``"package.module:Class"``, or ``"path/to/file.py:Class"``."""
    file = getattr(sys.modules.get(cls.__module__), "__file__", None)
    where = cls.__module__ if "." in cls.__module__ or file is None else file
    return f"{where}:{cls.__qualname__}"


def _known_to_json(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(_known_to_json, value))
    return value is None or isinstance(value, str | int | float)


def _as_lists(value: Any) -> Any:
    listed = isinstance(value, Sequence) and not isinstance(value, str)
    return [_as_lists(item) for item in value] if listed else value
