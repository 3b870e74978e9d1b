"""Conditions on dataclass fields, worded as: the condition, the value, the way out."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from typing import Any

__all__ = [
    "check_at_most",
    "check_choices",
    "check_items",
    "check_multiple",
    "check_odd",
    "check_one_of",
    "check_positive",
    "check_type",
    "check_whole",
    "choice_fields",
]


def _values(owner: Any, name: str) -> Sequence[Any]:
    value = getattr(owner, name)
    if isinstance(value, Sequence) and not isinstance(value, str):
        if not value:
            raise ValueError(f"`{name}` is empty; give at least one choice.")
        return value
    return (value,)


def choice_fields(cls: type) -> dict[str, bool]:
    """Fields of a space's class that list choices, each with whether a single int will do too.

    They are told by their annotation: as a sequence, or as ``int | Sequence[int]``.
    """
    if not dataclasses.is_dataclass(cls):
        return {}
    kinds = {field.name: str(field.type) for field in dataclasses.fields(cls)}
    listed = {n: kind for n, kind in kinds.items() if "Sequence" in kind or "Staged" in kind}
    return {name: kind.startswith("int |") for name, kind in listed.items()}


def check_choices(owner: Any) -> None:
    """Raises ValueError unless each of a space's :func:`choice_fields` lists choices."""
    for name, single in choice_fields(type(owner)).items():
        value = getattr(owner, name)
        if isinstance(value, Sequence) and not isinstance(value, str):
            continue
        if not single:
            raise ValueError(
                f"`{name}` must list its choices; got {value!r}, so write [{value!r}]."
            )
        if type(value) is not int:
            raise ValueError(f"`{name}` must be of type int, or list them; got {value!r}.")


def check_positive(owner: Any, *names: str) -> None:
    """Raises ValueError unless each named field, or each of its choices, is above zero."""
    for name in names:
        for value in _values(owner, name):
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not number or not 0 < value < math.inf:
                raise ValueError(f"`{name}` must be a number above 0; got {value!r}.")


def check_type(owner: Any, kind: type, *names: str) -> None:
    """Raises ValueError unless each named field is of exactly that type: True is no int."""
    for name in names:
        value = getattr(owner, name)
        if type(value) is not kind:
            raise ValueError(f"`{name}` must be of type {kind.__name__}; got {value!r}.")


def check_items(owner: Any, kind: type, *names: str) -> None:
    """Raises ValueError unless each named field is a sequence of items of exactly that type."""
    for name in names:
        value = getattr(owner, name)
        if not isinstance(value, Sequence) or any(
            type(item) is not kind for item in _values(owner, name)
        ):
            raise ValueError(f"`{name}` must list values of type {kind.__name__}; got {value!r}.")


def check_whole(owner: Any, *names: str) -> None:
    """Raises ValueError unless each named field is a single whole number above zero."""
    check_positive(owner, *names)
    check_type(owner, int, *names)


def check_at_most(owner: Any, name: str, limit: str) -> None:
    """Raises ValueError if field ``name`` is above field ``limit``."""
    value, most = getattr(owner, name), getattr(owner, limit)
    if value > most:
        raise ValueError(f"`{name}` must not exceed `{limit}`; got {value} and {most}.")


def check_multiple(owner: Any, name: str, divisor: str) -> None:
    """Raises ValueError unless field ``divisor`` divides field ``name``."""
    value, by = getattr(owner, name), getattr(owner, divisor)
    if value % by:
        raise ValueError(f"`{name}` must be divisible by `{divisor}`; got {value} and {by}.")


def check_odd(owner: Any, name: str) -> None:
    """Raises ValueError unless the field is an odd number above zero."""
    check_positive(owner, name)
    for value in _values(owner, name):
        if value % 2 == 0:
            raise ValueError(f"`{name}` must be odd; got {value}.")


def check_one_of(owner: Any, name: str, known: Iterable[Any]) -> None:
    """Raises ValueError unless the field, or each of its choices, is one of ``known``."""
    known = tuple(known)
    for value in _values(owner, name):
        if value not in known:
            raise ValueError(f"`{name}` must be one of {known}; got {value!r}.")
