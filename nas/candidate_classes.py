"""Which configurations of a table are one candidate, and what it is taken to cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.errors import ExperimentError
from nas.structure import Structure, Values

__all__ = ["candidate_classes", "class_labels", "class_medians"]


def candidate_classes(
    values: Values, structures: Sequence[Structure], labels: Sequence[Any] | None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Candidate of each configuration, and of each candidate its first configuration."""
    covered = {name for structure in structures for name in structure.columns}
    plain = [column.tolist() for name, column in values.items() if name not in covered]
    structured = [structure.keys(values) for structure in structures]
    # A class says by itself what is one candidate, whatever the columns hold.
    parts: list[Sequence[Any]] = [*plain, *structured] if labels is None else [labels]
    numbers: dict[tuple[Any, ...], int] = {}
    of = [numbers.setdefault(key, len(numbers)) for key in zip(*parts, strict=True)]
    candidate_of = np.array(of, dtype=np.int64)
    return candidate_of, np.unique(candidate_of, return_index=True)[1]


def class_labels(
    classes: Sequence[Any] | NDArray[Any] | Callable[[Values], Sequence[Any]],
    config: Mapping[str, Sequence[Any] | NDArray[Any]],
) -> Sequence[Any]:
    """The key of each row that makes configurations one candidate.

    Args:
        classes: The keys, or a function from the columns of the configuration to them.
        config: Columns of the configuration, ``[rows]`` each.

    Raises:
        ExperimentError: There is not one for each row.
    """
    if callable(classes):
        classes = classes({name: np.asarray(column) for name, column in config.items()})
    rows = len(next(iter(config.values())))
    if len(classes) != rows:
        raise ExperimentError(
            f"`classes` has {len(classes)} keys for {rows} rows; give one for each."
        )
    return list(classes)


def class_medians(values: NDArray[np.float64], groups: NDArray[np.int64]) -> NDArray[np.float64]:
    """Medians ``[groups, columns]`` over the rows of each group."""
    order = np.argsort(groups, kind="stable")
    parts = np.split(values[order], np.flatnonzero(np.diff(groups[order])) + 1)
    return np.stack([np.median(part, axis=0) for part in parts])
