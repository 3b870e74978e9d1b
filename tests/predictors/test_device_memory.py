"""The largest batch that fits: against a search through every batch, whatever the peak's shape."""

from typing import Any

import numpy as np
import pytest

from predictors import device_memory
from predictors.device_memory import largest_batch, largest_batches, peak_bytes, peak_bytes_of_codes
from search_spaces import SPACES, CountTable, UnionSpace, count, count_codes

COUNTS = CountTable()


@pytest.mark.parametrize("name", ["vit", "mbconv", "swin", "decoder", "encoder_decoder"])
@pytest.mark.parametrize("memory", [1e5, 3e6, 4.1e7, 8e9])
def test_the_largest_batch_fits_and_the_next_does_not(name: str, memory: float) -> None:
    space = SPACES[name]()
    codes = space.random_codes(10, np.random.default_rng(0))
    found = largest_batches(space, codes, COUNTS, memory, "fp16")
    for row, batch in zip(codes, found, strict=True):
        network = space.decode(row)
        assert largest_batch(network, COUNTS, memory, "fp16") == batch
        fits = batch == 0 or peak_bytes(network, COUNTS, int(batch), "fp16") <= memory
        assert fits
        assert peak_bytes(network, COUNTS, int(batch) + 1, "fp16") > memory


def test_nothing_fits_in_nothing() -> None:
    space = SPACES["vit"]()
    codes = space.random_codes(3, np.random.default_rng(0))
    assert largest_batches(space, codes, COUNTS, 10.0, "fp32").tolist() == [0, 0, 0]


@pytest.mark.parametrize("limit", [*range(95, 150), 1_000, 12_345])
def test_peaks_of_several_lines(limit: int) -> None:
    """Networks whose peaks change slope at batches 5, 9 and 100, and one that does not."""
    lines = [
        [(90, 1)],
        [(90, 1), (80, 3)],
        [(90, 1), (86, 1.5), (76, 2.5)],
        [(0, 2), (-900, 11)],
    ]

    def peak(row: int, batch: int) -> int:
        return int(max(fixed + slope * batch for fixed, slope in lines[row]))

    def peaks(batch: int) -> Any:
        return np.array([peak(row, batch) for row in range(len(lines))])

    found = device_memory._largest(peaks, limit, peak)
    for row, batch in enumerate(found.tolist()):
        fitting = [b for b in range(1, limit + 2) if peak(row, b) <= limit]
        assert batch == max(fitting, default=0)


def test_peaks_of_codes_are_those_of_their_architectures() -> None:
    space = UnionSpace([SPACES[name]() for name in ("vit", "mbconv", "swin")])
    codes = space.random_codes(30, np.random.default_rng(1))
    for batch in (1, 7, 300):
        columns = count_codes(space, codes, COUNTS, batch=batch)
        peaks = peak_bytes_of_codes(space, codes, COUNTS, batch, "bf16")
        for index, row in enumerate(codes):
            counted = count(space.decode(row), COUNTS, batch=batch)
            assert columns["peak_memory_bytes"][index] == counted.peak_memory_bytes
            assert columns["macs"][index] == counted.macs
            assert columns["memory_access_bytes"][index] == counted.memory_access_bytes
            assert peaks[index] == counted.peak_memory_bytes / 2
