"""Data sets with fixed splits, as arrays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["DATASETS", "Dataset", "Split"]


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Examples and their labels.

    Attributes:
        images: ``[n, channels, height, width]``, float32, standardised.
        labels: ``[n]``, int64.
    """

    images: NDArray[np.float32]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """A classification task.

    Attributes:
        name: What an experiment file calls it.
        classes: Labels.
        train: What weights are fitted to.
        validation: What a search sees.
        test: What nothing sees until the final set is chosen.
    """

    name: str
    classes: int
    train: Split
    validation: Split
    test: Split

    @property
    def channels(self) -> int:
        """Channels of an image."""
        return int(self.train.images.shape[1])

    @property
    def resolution(self) -> int:
        """Height and width of an image in pixels."""
        return int(self.train.images.shape[2])


def load_digits() -> Dataset:
    """Scikit-learn's handwritten digits (Alpaydin & Kaynak 1998): 1,797 grey images of 8x8.

    Split 60/20/20, stratified by label, the same every time. Pixels are standardised with the
    mean and deviation of the training split.
    """
    from sklearn.datasets import load_digits as load
    from sklearn.model_selection import train_test_split

    data = load()
    indices = np.arange(len(data.target))
    rest, test = train_test_split(indices, test_size=0.2, stratify=data.target, random_state=0)
    train, validation = train_test_split(
        rest, test_size=0.25, stratify=data.target[rest], random_state=0
    )
    pixels = data.images[:, None].astype(np.float32)
    mean, deviation = pixels[train].mean(), pixels[train].std()

    def split(rows: NDArray[Any]) -> Split:
        images = ((pixels[rows] - mean) / deviation).astype(np.float32)
        return Split(images, data.target[rows].astype(np.int64))

    return Dataset("digits", 10, split(train), split(validation), split(test))


DATASETS: dict[str, Callable[[], Dataset]] = {"digits": load_digits}
"""Data sets by the name that an experiment file uses."""
