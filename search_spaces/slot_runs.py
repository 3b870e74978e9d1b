"""Runs of slots that few parameters decide, so that what they come to is found by one look-up.

A candidate of a space of dozens of slots then costs a handful of look-ups, whatever is counted.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from search_spaces.space import Codes, SearchSpace

__all__ = ["SlotRun", "slot_runs"]

LIMIT = 4096
"""Combinations of parameters that a run of slots is listed for at most."""


@dataclass(frozen=True)
class SlotRun:
    """Consecutive slots of a space.

    Attributes:
        slots: Their positions.
        codes: Every combination of the parameters that they read, the others at their first
            choice: ``[combinations, parameters]``.
        columns: Which parameters those are.
        strides: What the code of each is multiplied by for the position of a combination.
    """

    slots: Sequence[int]
    codes: NDArray[np.int64]
    columns: NDArray[np.int64]
    strides: NDArray[np.int64]

    def rows(self, codes: Codes) -> NDArray[np.int64]:
        """The combination of each architecture: ``[n]`` from codes ``[n, parameters]``."""
        row = np.zeros(len(codes), dtype=np.int64)
        for column, stride in zip(self.columns, self.strides, strict=True):
            row += stride * codes[:, column]
        return row


def slot_runs(space: SearchSpace) -> list[SlotRun]:
    """The slots of a space as runs, in order."""
    choices = {name: len(values) for name, values in space.parameters.items()}
    runs: list[list[int]] = []
    read: set[str] = set()
    for position, slot in enumerate(space.slots):
        together = read | set(slot.reads)
        if runs and math.prod(choices[name] for name in together) <= LIMIT:
            runs[-1].append(position)
            read = together
        else:
            runs.append([position])
            read = set(slot.reads)
    return [_listed(space, slots) for slots in runs]


def _listed(space: SearchSpace, slots: Sequence[int]) -> SlotRun:
    names = list(space.parameters)
    columns = sorted({names.index(n) for s in slots for n in space.slots[s].reads})
    sizes = [len(space.parameters[names[column]]) for column in columns]
    strides = [math.prod(sizes[axis + 1 :]) for axis in range(len(sizes))]
    codes = np.zeros((math.prod(sizes), len(names)), dtype=np.int64)
    codes[:, columns] = list(itertools.product(*map(range, sizes)))
    ints = np.int64
    return SlotRun(slots, codes, np.array(columns, dtype=ints), np.array(strides, dtype=ints))
