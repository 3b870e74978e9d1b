"""Images: their splits, and their resizing to what a network reads."""

from collections import Counter

import numpy as np
import pytest
from sklearn import datasets as reference

from nas.images import ImageDataset, load_digits
from nas.splits import Split
from search_spaces import Architecture, MBConvSpace, SearchSpace, ViTSpace


def splits(dataset: ImageDataset) -> dict[str, Split]:
    return {name: getattr(dataset, name) for name in ("train", "validation", "test")}


def raw_rows(dataset: ImageDataset) -> dict[str, list[bytes]]:
    """Each image with its label as bytes; the pixels are whole numbers once scaled back."""
    raw = reference.load_digits().images
    span = float(np.ptp(dataset.train.inputs))
    factor = float(np.ptp(raw)) / span
    floor = float(dataset.train.inputs.min())
    return {
        name: [
            np.rint((image - floor) * factor).astype(np.int8).tobytes() + bytes([label])
            for image, label in zip(split.inputs, split.labels, strict=True)
        ]
        for name, split in splits(dataset).items()
    }


def test_digits_are_split_60_20_20(digits: ImageDataset) -> None:
    sizes = {name: len(split) for name, split in splits(digits).items()}
    # 1797 images: a fifth is 359.4, rounded up; a quarter of the 1437 left is 359.25, rounded up.
    assert sizes == {"train": 1077, "validation": 360, "test": 360}
    assert sum(sizes.values()) == len(reference.load_digits().target)


def test_every_image_of_digits_is_in_exactly_one_split(digits: ImageDataset) -> None:
    data = reference.load_digits()
    expected = Counter(
        image.astype(np.int8).tobytes() + bytes([label])
        for image, label in zip(data.images, data.target, strict=True)
    )
    assert max(expected.values()) == 1  # No image comes twice, so equal counts mean disjoint.
    found = Counter(row for rows in raw_rows(digits).values() for row in rows)
    assert found == expected


def test_digits_are_stratified(digits: ImageDataset) -> None:
    whole = np.bincount(reference.load_digits().target) / 1797
    for split in splits(digits).values():
        share = np.bincount(split.labels, minlength=10) / len(split)
        # One image more or less of a label.
        assert np.abs(share - whole).max() <= 1.01 / len(split)


def test_digits_are_standardised_by_the_training_split_alone(digits: ImageDataset) -> None:
    assert digits.train.inputs.mean() == pytest.approx(0, abs=1e-5)
    assert digits.train.inputs.std() == pytest.approx(1, abs=1e-5)
    rows = raw_rows(digits)
    raw = np.array([np.frombuffer(row[:-1], dtype=np.int8) for row in rows["train"]], dtype=float)
    for name, split in splits(digits).items():
        pixels = np.array([np.frombuffer(row[:-1], np.int8) for row in rows[name]], dtype=float)
        expected = (pixels - raw.mean()) / raw.std()
        assert split.inputs.reshape(len(split), -1) == pytest.approx(expected, abs=1e-4)


def test_digits_are_the_same_every_time(digits: ImageDataset) -> None:
    again = load_digits()
    for name, split in splits(digits).items():
        assert np.array_equal(split.inputs, splits(again)[name].inputs)
        assert np.array_equal(split.labels, splits(again)[name].labels)


def test_digits_are_what_they_say(digits: ImageDataset) -> None:
    assert digits.name == "digits"
    assert digits.space_fields == {"input_channels": 1, "resolution": 8, "classes": 10}
    for split in splits(digits).values():
        assert split.inputs.shape[1:] == (1, 8, 8)
        assert split.inputs.dtype == np.float32
        assert split.labels.dtype == np.int64
        assert set(split.labels) == set(range(10))
        assert len(split.inputs) == len(split.labels) == len(split) == split.size


def first_of(space: SearchSpace) -> Architecture:
    return space.decode(np.zeros(len(space.parameters), int))


def test_images_of_the_networks_resolution_stay_as_they_are(digits: ImageDataset) -> None:
    fitted = digits.fitted(first_of(ViTSpace()))
    for name, split in splits(digits).items():
        assert getattr(fitted, name) is split


@pytest.mark.parametrize("resolution", [4, 12, 16])
def test_images_of_another_resolution_are_resized(digits: ImageDataset, resolution: int) -> None:
    architecture = first_of(ViTSpace(resolution=resolution))
    fitted = digits.fitted(architecture)
    assert digits.fitted(architecture) is fitted  # Kept, not made again for each candidate.
    other = first_of(MBConvSpace(resolution=resolution))
    assert digits.fitted(other) is fitted
    for name, split in splits(digits).items():
        resized = getattr(fitted, name)
        assert resized.inputs.shape == (len(split), 1, resolution, resolution)
        assert resized.inputs.dtype == np.float32
        assert resized.labels is split.labels
        # Weights of an interpolation sum to 1: the mean stays, but for the pixels at the edge.
        assert resized.inputs.mean() == pytest.approx(split.inputs.mean(), abs=0.1)


def test_halving_is_antialiased() -> None:
    column = np.array([0, 0, 1, 0, 0, 0, 0, 0], np.float32)
    split = Split(np.broadcast_to(column, (1, 1, 8, 8)).copy(), np.zeros(1, np.int64))
    fitted = ImageDataset("x", 10, split, split, split).fitted(first_of(ViTSpace(resolution=4)))
    # A triangle of radius 2 over column 2, at centres 1, 3, 5 and 7: weights 3/8 at distance 1/2,
    # 1/8 at 3/2. At the edge the weights 3, 3, 1 that are left are scaled to sum to 1.
    assert fitted.train.inputs[0, 0, 1] == pytest.approx([1 / 7, 3 / 8, 0, 0], abs=1e-6)


@pytest.mark.parametrize(
    ("space", "said"),
    [
        (ViTSpace(input_channels=3), "holds images of 1 channels"),
        (ViTSpace(classes=7), "has 10 classes"),
    ],
    ids=["channels", "classes"],
)
def test_a_network_for_other_images_is_refused(
    digits: ImageDataset, space: SearchSpace, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        digits.fitted(first_of(space))
