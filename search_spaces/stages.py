"""Stages of a convolutional network: runs of units at one width and resolution."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeVar

__all__ = ["Staged", "side_after", "stage_choices"]

T = TypeVar("T")

Staged = Sequence[T] | Sequence[Sequence[T]]
"""Choices of a stage's field: one list for all stages, or one list for each stage."""


def stage_choices(
    owner: Any, name: str, *kinds: type, minimum: int = 1
) -> tuple[tuple[Any, ...], ...]:
    """The choices of a :data:`Staged` field for each stage; ``owner.strides`` has one item a stage.

    Args:
        owner: The space.
        name: Its field.
        kinds: Types that a choice may have, exactly: ``True`` is no int.
        minimum: The least that a choice may be.

    Raises:
        ValueError: A list is empty, lists and values are mixed, there are more or fewer lists than
            stages, or a choice is not one that the field can have.
    """
    given, stages = getattr(owner, name), len(owner.strides)
    lists = [item for item in given if isinstance(item, Sequence)]
    if lists and len(lists) < len(given):
        raise ValueError(f"`{name}` mixes values and lists: {given}; give one kind.")
    if lists and len(lists) != stages:
        raise ValueError(
            f"`{name}` lists {len(lists)} stages, but `strides` has {stages}; "
            "give one list for all stages or one for each."
        )
    choices = tuple(map(tuple, lists)) or (tuple(given),) * stages
    for value in (value for stage in choices for value in stage):
        if type(value) not in kinds or not minimum <= value < math.inf:
            expected = " or ".join(kind.__name__ for kind in kinds)
            raise ValueError(
                f"`{name}` must list values of type {expected} from {minimum}; got {value!r}."
            )
    if not all(choices):
        raise ValueError(f"`{name}` is empty; give at least one choice for each stage.")
    return choices


def side_after(resolution: int, strides: Sequence[int]) -> int:
    """Height and width after padded convolutions with these steps, which round up.

    >>> side_after(9, (2, 2))
    3
    """
    return -(-resolution // math.prod(strides))
