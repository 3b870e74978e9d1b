"""Every data set keeps the same promises."""

import numpy as np
import pytest

from nas.datasets import DATASETS, FROM_FILES
from search_spaces import SPACES, Architecture, SearchSpace


def spaces_of(name: str) -> list[SearchSpace]:
    """The spaces that can read a data set, each as small as it comes."""
    dataset, read = DATASETS[name](), []
    for cls in SPACES.values():
        space = cls()
        try:
            dataset.check(space)
        except ValueError:
            continue
        read.append(space)
    return read


@pytest.mark.parametrize("name", list(DATASETS))
class TestContract:
    """What the search relies on."""

    def test_it_is_called_what_it_is_called(self, name: str) -> None:
        assert DATASETS[name]().name == name

    def test_some_family_reads_it_and_another_does_not(self, name: str) -> None:
        assert 0 < len(spaces_of(name)) < len(SPACES)

    def test_it_is_fitted_to_every_network_of_the_families_that_read_it(self, name: str) -> None:
        dataset = DATASETS[name]()
        rng = np.random.default_rng(0)
        for space in spaces_of(name):
            architecture: Architecture = space.decode(space.random_codes(1, rng)[0])
            fitted = dataset.fitted(architecture)
            for split in (fitted.train, fitted.validation, fitted.test):
                assert split.inputs.shape[1:] == architecture.input_shapes[0]
                assert len(split.inputs) == len(split.labels) == len(split) > 0
                ids = architecture.token_ids
                assert split.inputs.dtype == (np.float32 if ids is None else np.int64)
                assert split.labels.dtype == np.int64
            assert dataset.fitted(architecture) is fitted

    def test_it_is_the_same_every_time(self, name: str) -> None:
        (space, *_) = spaces_of(name)
        architecture = space.decode(np.zeros(len(space.parameters), int))
        first, second = (DATASETS[name]().fitted(architecture) for _ in range(2))
        for split in ("train", "validation", "test"):
            one, two = getattr(first, split), getattr(second, split)
            assert np.array_equal(one.inputs, two.inputs)
            assert np.array_equal(one.labels, two.labels)
            assert one.size == two.size


def test_data_sets_from_files_are_data_sets() -> None:
    assert set(FROM_FILES) <= set(DATASETS)
