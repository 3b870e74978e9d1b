"""What a data set is: three splits, fitted to what an architecture reads and puts out."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from nas.quality import Measure
from search_spaces import Architecture, SearchSpace, Shape

__all__ = ["Dataset", "Split", "Splits", "output_shape"]

PART_ROWS = 256
PART_ELEMENTS = 2**24
"""Outputs held at once at most, so that a large vocabulary does not fill the memory."""


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Examples and their labels.

    Attributes:
        inputs: ``[n, *shape]``: float32, or int64 where they are token ids.
        labels: ``[n]`` or ``[n, positions]``, int64.
        text_bytes: Bytes of text that the labels stand for; ``None`` where they are no text.
    """

    inputs: NDArray[Any]
    labels: NDArray[np.int64]
    text_bytes: int | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def size(self) -> int:
        """What a loss summed over the split is divided by: its examples, or its bytes of text."""
        return len(self) if self.text_bytes is None else self.text_bytes

    def parts(self, outputs: Shape) -> Iterator[tuple[NDArray[Any], NDArray[np.int64]]]:
        """Inputs and labels in parts whose outputs, of that shape each, fit in memory."""
        rows = max(1, min(PART_ROWS, PART_ELEMENTS // math.prod(outputs)))
        for start in range(0, len(self), rows):
            yield self.inputs[start : start + rows], self.labels[start : start + rows]


@dataclass(frozen=True, slots=True, eq=False)
class Splits:
    """The same three splits for every architecture that reads and puts out the same shapes.

    Attributes:
        train: What weights are fitted to.
        validation: What a search sees.
        test: What nothing sees until the final set is chosen.
    """

    train: Split
    validation: Split
    test: Split


class Dataset(Protocol):
    """A task: data, and how good outputs are on it."""

    @property
    def name(self) -> str:
        """What an experiment file calls it."""

    @property
    def measure(self) -> Measure:
        """What it minimises."""

    @property
    def space_fields(self) -> Mapping[str, int]:
        """Fields of a search space that it decides, where the space has them."""

    def check(self, space: SearchSpace) -> None:
        """Raises ValueError unless the networks of a space can read it."""

    def fitted(self, architecture: Architecture) -> Splits:
        """The splits in the shapes that a network reads and puts out.

        Raises:
            ValueError: They do not go together.
        """


def output_shape(architecture: Architecture) -> Shape:
    """Shape of what a network puts out for one example."""
    from search_spaces.tracing import traces

    return traces(architecture.nodes[-1].block)[0].output.shape[1:]
