"""Memory that a network takes on a device, from exact counts at a batch and number format.

It is the device-independent peak (:class:`search_spaces.Counts`) in elements of the format: weights
plus the most that is alive at once. A runtime's own workspace is not in it.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hw_profiles.cache import WEIGHT_BYTES
from search_spaces import Architecture, CountTable, SearchSpace, count, count_codes

__all__ = ["largest_batch", "largest_batches", "peak_bytes", "peak_bytes_of_codes"]

COUNTED_BYTES = 4
"""Bytes of an element where peaks are counted."""
GROWTH = 64
"""How many times larger the next batch is that is looked at, from the second on."""

Peaks = NDArray[np.int64]


def peak_bytes(architecture: Architecture, counts: CountTable, batch: int, dtype: str) -> float:
    """Peak bytes of one run of an architecture.

    Args:
        architecture: What runs.
        counts: Counts of its blocks.
        batch: Examples in a run.
        dtype: Number format of weights and activations.
    """
    return float(_in_format(count(architecture, counts, batch=batch).peak_memory_bytes, dtype))


def peak_bytes_of_codes(
    space: SearchSpace, codes: NDArray[Any], counts: CountTable, batch: int, dtype: str
) -> NDArray[np.float64]:
    """Peak bytes of many architectures: ``[n]`` from codes ``[n, parameters]``."""
    peaks = count_codes(space, codes, counts, batch=batch)["peak_memory_bytes"]
    return np.asarray(_in_format(peaks, dtype), dtype=np.float64)


def largest_batch(
    architecture: Architecture, counts: CountTable, memory_bytes: float, dtype: str
) -> int:
    """The largest batch of an architecture whose peak fits in a memory; 0 if not even one does."""

    def peak(batch: int) -> int:
        return count(architecture, counts, batch=batch).peak_memory_bytes

    limit = _counted(memory_bytes, dtype)
    return int(_largest(lambda batch: np.array([peak(batch)]), limit, lambda _, b: peak(b))[0])


def largest_batches(
    space: SearchSpace, codes: NDArray[Any], counts: CountTable, memory_bytes: float, dtype: str
) -> NDArray[np.int64]:
    """The same for many architectures: ``[n]`` from codes ``[n, parameters]``."""

    def peaks(batch: int) -> Peaks:
        return count_codes(space, codes, counts, batch=batch)["peak_memory_bytes"]

    def peak(row: int, batch: int) -> int:
        return count(space.decode(codes[row]), counts, batch=batch).peak_memory_bytes

    return _largest(peaks, _counted(memory_bytes, dtype), peak)


def _in_format(peak: Any, dtype: str) -> Any:
    return peak * (WEIGHT_BYTES[dtype] / COUNTED_BYTES)


def _counted(memory_bytes: float, dtype: str) -> int:
    """A memory as counted peaks are: the same number of elements."""
    return int(memory_bytes * COUNTED_BYTES // WEIGHT_BYTES[dtype])


def _largest(
    peaks: Callable[[int], Peaks], limit: int, peak: Callable[[int, int], int]
) -> NDArray[np.int64]:
    """Largest batches whose peaks are within a limit.

    A peak is the most of several lines over the batch, so it grows ever faster. Where it grows
    alike in two neighbouring ranges of batches it is a line over both, and the batch is divided
    out; elsewhere it is searched for.

    Args:
        peaks: Of every network at a batch: ``[n]``.
        limit: What they may reach.
        peak: Of one network, by its index, at a batch.
    """
    batches, reached = [1, 2], [peaks(1), peaks(2)]
    while (reached[-1] <= limit).any():
        batches.append(GROWTH ** (len(batches) - 1))
        reached.append(peaks(batches[-1]))
    result = np.where(reached[0] <= limit, 1, 0)
    steps = [(b, c, q - p) for (b, p), (c, q) in pairwise(zip(batches, reached, strict=True))]
    for (earlier, start, before), (_, end, after), low, high in zip(
        steps, steps[1:], reached[1:], reached[2:], strict=False
    ):
        slope, rest = np.divmod(after, end - start)
        linear = (rest == 0) & (before == slope * (start - earlier))
        inside = (low <= limit) & (high > limit)
        result = np.where(inside, start + (limit - low) // np.maximum(slope, 1), result)
        for row in np.flatnonzero(inside & ~linear):
            result[row] = _bisect(peak, int(row), limit, start, end)
    return result


def _bisect(
    peak: Callable[[int, int], int], row: int, limit: int, fits: int, too_large: int
) -> int:
    while too_large - fits > 1:
        middle = (fits + too_large) // 2
        if peak(row, middle) <= limit:
            fits = middle
        else:
            too_large = middle
    return fits
