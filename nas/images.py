"""Image data sets, resized to the resolution that a network reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.quality import ERROR, Measure
from nas.splits import Split, Splits, output_shape
from search_spaces import Architecture, SearchSpace, Shape

__all__ = ["ImageDataset", "load_digits"]


@dataclass(frozen=True, slots=True, eq=False)
class ImageDataset:
    """Images to classify; quality is the share that is misclassified.

    Attributes:
        name: What an experiment file calls it.
        classes: Labels.
        train: What weights are fitted to: ``[n, channels, height, width]``, standardised.
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
        return int(self.train.inputs.shape[1])

    @property
    def resolution(self) -> int:
        """Height and width of an image in pixels, as stored."""
        return int(self.train.inputs.shape[2])

    @property
    def measure(self) -> Measure:
        """The share that is misclassified."""
        return ERROR

    @property
    def space_fields(self) -> Mapping[str, int]:
        """Channels, resolution and classes."""
        return {
            "input_channels": self.channels,
            "resolution": self.resolution,
            "classes": self.classes,
        }

    def check(self, space: SearchSpace) -> None:
        """Raises ValueError if the networks of a space read token ids."""
        if space.reads_ids:
            raise ValueError(
                f"its networks read token ids, but the data set {self.name} holds images; set "
                "`task.dataset` to one of text, or search an image family."
            )

    def fitted(self, architecture: Architecture) -> Splits:
        """The splits at the resolution that a network reads.

        Images of another resolution are resized bilinearly, antialiased where they shrink.

        Raises:
            ValueError: The network does not read such images, or not put out the classes.
        """
        read, put_out = architecture.input_shapes, output_shape(architecture)
        if len(read) != 1 or len(read[0]) != 3 or read[0][0] != self.channels:
            raise ValueError(
                f"The data set {self.name} holds images of {self.channels} channels, but the "
                f"network reads {read}."
            )
        if put_out != (self.classes,):
            raise ValueError(
                f"The data set {self.name} has {self.classes} classes, but the network puts out "
                f"{put_out}."
            )
        return _resized(self, read[0])


@lru_cache(maxsize=16)
def _resized(dataset: ImageDataset, shape: Shape) -> Splits:
    def resized(split: Split) -> Split:
        if split.inputs.shape[1:] == shape:
            return split
        import torch
        import torch.nn.functional as F

        images = F.interpolate(
            torch.from_numpy(split.inputs), shape[1:], mode="bilinear", antialias=True
        )
        return Split(images.numpy(), split.labels)

    return Splits(*(resized(split) for split in (dataset.train, dataset.validation, dataset.test)))


def load_digits() -> ImageDataset:
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

    return ImageDataset("digits", 10, split(train), split(validation), split(test))
