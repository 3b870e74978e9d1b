"""The splits of the data sets."""

from collections import Counter

import numpy as np
import pytest
from sklearn import datasets as reference

from nas.datasets import DATASETS, Dataset, Split, load_digits


def splits(dataset: Dataset) -> dict[str, Split]:
    return {name: getattr(dataset, name) for name in ("train", "validation", "test")}


def raw_rows(dataset: Dataset) -> dict[str, list[bytes]]:
    """Each image with its label as bytes; the pixels are whole numbers once scaled back."""
    raw = reference.load_digits().images
    span = float(np.ptp(dataset.train.images))
    factor = float(np.ptp(raw)) / span
    floor = float(dataset.train.images.min())
    return {
        name: [
            np.rint((image - floor) * factor).astype(np.int8).tobytes() + bytes([label])
            for image, label in zip(split.images, split.labels, strict=True)
        ]
        for name, split in splits(dataset).items()
    }


def test_digits_are_split_60_20_20(digits: Dataset) -> None:
    sizes = {name: len(split) for name, split in splits(digits).items()}
    # 1797 images: a fifth is 359.4, rounded up; a quarter of the 1437 left is 359.25, rounded up.
    assert sizes == {"train": 1077, "validation": 360, "test": 360}
    assert sum(sizes.values()) == len(reference.load_digits().target)


def test_every_image_of_digits_is_in_exactly_one_split(digits: Dataset) -> None:
    data = reference.load_digits()
    expected = Counter(
        image.astype(np.int8).tobytes() + bytes([label])
        for image, label in zip(data.images, data.target, strict=True)
    )
    assert max(expected.values()) == 1  # No image comes twice, so equal counts mean disjoint.
    found = Counter(row for rows in raw_rows(digits).values() for row in rows)
    assert found == expected


def test_digits_are_stratified(digits: Dataset) -> None:
    whole = np.bincount(reference.load_digits().target) / 1797
    for split in splits(digits).values():
        share = np.bincount(split.labels, minlength=10) / len(split)
        # One image more or less of a label.
        assert np.abs(share - whole).max() <= 1.01 / len(split)


def test_digits_are_standardised_by_the_training_split_alone(digits: Dataset) -> None:
    assert digits.train.images.mean() == pytest.approx(0, abs=1e-5)
    assert digits.train.images.std() == pytest.approx(1, abs=1e-5)
    rows = raw_rows(digits)
    raw = np.array([np.frombuffer(row[:-1], dtype=np.int8) for row in rows["train"]], dtype=float)
    for name, split in splits(digits).items():
        pixels = np.array([np.frombuffer(row[:-1], np.int8) for row in rows[name]], dtype=float)
        expected = (pixels - raw.mean()) / raw.std()
        assert split.images.reshape(len(split), -1) == pytest.approx(expected, abs=1e-4)


def test_digits_are_the_same_every_time(digits: Dataset) -> None:
    again = load_digits()
    for name, split in splits(digits).items():
        assert np.array_equal(split.images, splits(again)[name].images)
        assert np.array_equal(split.labels, splits(again)[name].labels)


@pytest.mark.parametrize("name", list(DATASETS))
def test_a_data_set_is_what_it_says(name: str) -> None:
    dataset = DATASETS[name]()
    assert dataset.name == name
    for split in splits(dataset).values():
        assert split.images.shape[1:] == (dataset.channels, dataset.resolution, dataset.resolution)
        assert split.images.dtype == np.float32
        assert split.labels.dtype == np.int64
        assert set(split.labels) == set(range(dataset.classes))
        assert len(split.images) == len(split.labels) == len(split)
