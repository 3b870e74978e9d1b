"""How many networks a space has, where choices have an effect only beside others."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["number_of_networks"]

LISTED = 2**17
"""Combinations of parameters that are listed to see which of them differ."""


def number_of_networks(
    parameters: Mapping[str, Sequence[Any]],
    reads: Sequence[Sequence[str]],
    lookups: Sequence[NDArray[np.int32]],
) -> int:
    """Counts the rows of placements that the slots of a space can hold.

    Args:
        parameters: Choices of each parameter.
        reads: The parameters that each slot reads.
        lookups: For each slot, what it holds for each combination of those, the last fastest.
    """
    readers: dict[str, int] = {}
    for names in reads:
        for name in names:
            readers[name] = readers.get(name, 0) + 1
    common = [name for name in parameters if readers.get(name, 0) > 1]
    sizes = [len(parameters[name]) for name in common]
    kinds, held = zip(
        *(
            _options(names, [len(parameters[n]) for n in names], lookup, common)
            for names, lookup in zip(reads, lookups, strict=True)
        ),
        strict=True,
    )
    axes = [[common.index(n) for n in names if n in common] for names in reads]
    if math.prod(sizes) > LISTED:
        operands: list[Any] = []
        for of_slot, sets, axis in zip(kinds, held, axes, strict=True):
            operands += [np.array([float(len(s)) for s in sets])[of_slot], axis]
        return round(float(np.einsum(*operands, [], optimize="greedy")))
    at = np.indices(sizes).reshape(len(sizes), math.prod(sizes))
    columns = [
        np.broadcast_to(of_slot[tuple(at[axis])], at.shape[1])
        for of_slot, axis in zip(kinds, axes, strict=True)
    ]
    rows = np.unique(np.stack(columns, axis=1), axis=0)
    apart = [sum(map(len, sets)) == len(frozenset().union(*sets)) for sets in held]
    # Combinations that differ in a slot whose sets share no block have no network in common.
    groups: dict[tuple[int, ...], list[tuple[int, ...]]] = {}
    for row, group in zip(rows.tolist(), rows[:, apart].tolist(), strict=True):
        groups.setdefault(tuple(group), []).append(tuple(row))
    return sum(_networks(group, held) for group in groups.values())


def _options(
    reads: Sequence[str], dims: Sequence[int], lookup: NDArray[np.int32], common: Sequence[str]
) -> tuple[NDArray[np.int64], tuple[frozenset[int], ...]]:
    """The sets of placements that a slot's own parameters choose from, and which of them it is
    for each combination of the common parameters that the slot reads."""
    own = [axis for axis, name in enumerate(reads) if name not in common]
    others = [axis for axis, name in enumerate(reads) if name in common]
    shape = [dims[axis] for axis in others]
    choices = lookup.reshape(dims).transpose(others + own).reshape(math.prod(shape), -1)
    held: dict[frozenset[int], int] = {}
    kinds = [held.setdefault(frozenset(row), len(held)) for row in choices.tolist()]
    return np.array(kinds).reshape(shape), tuple(held)


def _networks(rows: list[tuple[int, ...]], held: Sequence[Sequence[frozenset[int]]]) -> int:
    """How many networks there are whose slots all hold what one of the rows allows.

    A row gives for each slot the index of a set in ``held``. Networks are told apart slot by slot,
    and those that agree so far go on with all rows that allow them.
    """
    if len(rows) == 1:
        return math.prod(len(sets[kind]) for sets, kind in zip(held, rows[0], strict=True))
    ways = {tuple(rows): 1}
    for slot, sets in enumerate(held):
        following: dict[tuple[tuple[int, ...], ...], int] = {}
        for state, n in ways.items():
            present = {row[slot] for row in state}
            allowed = Counter(
                frozenset(kind for kind in present if block in sets[kind])
                for block in frozenset().union(*(sets[kind] for kind in present))
            )
            for kinds, blocks in allowed.items():
                rest = tuple(row for row in state if row[slot] in kinds)
                following[rest] = following.get(rest, 0) + n * blocks
        ways = following
    return sum(ways.values())
