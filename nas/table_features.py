"""Features of the candidates of a table, which come from the table alone.

Numbers are standardised, words are one column for each; then what several columns with equal
choices have in common, and the logarithms of the costs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from nas.structure import Structure, Values
from search_spaces import Choice

__all__ = ["table_features"]


def table_features(
    values: Values,
    parameters: Mapping[str, tuple[Choice, ...]],
    structures: Sequence[Structure],
    costs: NDArray[np.float64],
) -> NDArray[np.float64]:
    """What a table says of its candidates: ``[n, features]``.

    Args:
        values: Columns of the configuration, ``[n]`` each.
        parameters: Choices of each.
        structures: What some of the columns stand for together, in whose place they stand.
        costs: ``[n, costs]``.
    """
    covered = {name for structure in structures for name in structure.columns}
    plain = [name for name in values if name not in covered]
    groups: dict[tuple[bool, tuple[Choice, ...]], list[str]] = {}
    for name in plain:
        groups.setdefault((values[name].dtype.kind in "iuf", parameters[name]), []).append(name)
    parts: list[NDArray[np.float64]] = []
    for (numeric, choices), names in groups.items():
        table = np.stack([values[name] for name in names], axis=1)
        # As a group many alike columns weigh no more than one that stands alone.
        weight = 1 / math.sqrt(len(names))
        if numeric:
            parts.append(weight * _standardised(_spread(table.astype(float))))
        else:
            hot = [table == choice for choice in choices] if len(choices) > 1 else []
            parts += [weight * column.astype(float) for column in hot]
        if len(names) > 1 and len(choices) > 1:
            counts = [(table == choice).sum(1) for choice in choices]
            if numeric:
                numbers = _spread(table.astype(float))
                parts.append(_standardised(np.stack([numbers.mean(1), numbers.std(1)], 1)))
            if not numeric or len(choices) <= len(names):
                parts.append(_standardised(np.stack(counts, axis=1).astype(float)))
    parts += [_standardised(structure.features(values)) for structure in structures]
    if costs.size:
        logs = [np.log(c) if c.min() > 0 else c for c in costs.T]
        parts.append(_standardised(np.stack(logs, axis=1)))
    joined = np.concatenate(parts, axis=1)
    varying: NDArray[np.bool_] = np.ptp(joined, axis=0) > 0
    return joined[:, varying] if varying.any() else np.zeros((len(joined), 1))


def _spread(column: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logarithms of what is positive and spans more than a factor of 4; else the numbers."""
    if column.min() > 0 and column.max() > 4 * column.min():
        return np.log(column)
    return column


def _standardised(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """Columns of mean 0 and deviation 1; those that do not vary are 0."""
    deviation = table.std(axis=0)
    varies = deviation > 1e-12 * np.maximum(np.abs(table).max(axis=0), 1e-300)
    return np.where(varies, (table - table.mean(axis=0)) / np.where(varies, deviation, 1.0), 0.0)
