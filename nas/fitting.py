"""Whether a space makes networks of the data set, asked before anything is measured."""

from __future__ import annotations

import numpy as np

from nas.errors import ExperimentError
from nas.splits import Dataset
from search_spaces import CountTable, UnionSpace, count

__all__ = ["check_fit"]

DRAWN = 20
"""Random networks of each family that are looked at, beside its first and its last."""


def check_fit(space: UnionSpace, dataset: Dataset, counts: CountTable, seed: int) -> None:
    """Counts some networks of each family and holds what they put out against the data set.

    Args:
        space: The families.
        dataset: What their networks read and put out.
        counts: Counts of the blocks.
        seed: Of the networks that are drawn.

    Raises:
        ExperimentError: The blocks of a network do not fit each other, or not the data set.
    """
    for name, member in space.members.items():
        last = np.array([len(choices) - 1 for choices in member.parameters.values()])
        drawn = member.random_codes(DRAWN, np.random.default_rng(seed))
        for row in np.stack([np.zeros_like(last), last, *drawn]):
            try:
                architecture = member.decode(row)
                count(architecture, counts)
                dataset.fitted(architecture)
            except ValueError as error:
                choices = zip(member.parameters.items(), row, strict=True)
                config = ", ".join(f"{key}={values[code]}" for (key, values), code in choices)
                raise ExperimentError(
                    f"The space {name} makes a network that does not fit ({config}): {error}"
                ) from error
