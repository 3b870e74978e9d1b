"""Timing that survives a shared machine.

Absolute times drift by a quarter within seconds on a busy host; the ratio to a fixed network timed
run for run in turn does not. So every network is timed in turn with the same reference, and its
seconds are that ratio times the reference's median over the whole session.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hw_profiles.runtime import Effort, Run, Runtime
from search_spaces import (
    Architecture,
    ConvHead,
    ConvStem,
    FeedForward,
    InvertedBottleneck,
    PatchEmbedding,
    SelfAttention,
    ViTHead,
    chain,
)

__all__ = [
    "CPU_EFFORT",
    "REFERENCES",
    "Clock",
    "Visit",
    "in_turn",
    "on_one_core",
    "prepare_reference",
    "visit",
]

Clock = Callable[[], float]
"""Seconds, monotonic."""

REFERENCES: Mapping[str, tuple[Architecture, ...]] = {
    "cpu": (
        Architecture(
            "reference",
            {},
            chain(
                [
                    PatchEmbedding(3, 16, 4, 64, class_token=False),
                    SelfAttention(
                        tokens=16, width=64, heads=4, head_width=16, kv_heads=4, causal=False
                    ),
                    FeedForward(tokens=16, width=64, hidden=128, rank=0),
                    ViTHead(tokens=16, width=64, classes=10, pool="mean"),
                ]
            ),
        ),
        Architecture(
            "reference",
            {},
            chain(
                [
                    ConvStem(3, 16, 16, stride=2, activation="silu"),
                    InvertedBottleneck(8, 16, 16, 3, 1, 4, squeeze=True, activation="silu"),
                    ConvHead(8, 16, 10, features=0, activation=""),
                ]
            ),
        ),
    ),
    "gpu": (
        Architecture(
            "reference",
            {},
            chain(
                [
                    PatchEmbedding(3, 224, 16, 384, class_token=False),
                    SelfAttention(
                        tokens=196, width=384, heads=6, head_width=64, kv_heads=6, causal=False
                    ),
                    FeedForward(tokens=196, width=384, hidden=1536, rank=0),
                    ViTHead(tokens=196, width=384, classes=1000, pool="mean"),
                ]
            ),
        ),
        Architecture(
            "reference",
            {},
            chain(
                [
                    ConvStem(3, 112, 32, stride=2, activation="silu"),
                    InvertedBottleneck(56, 32, 32, 3, 1, 4, squeeze=True, activation="silu"),
                    ConvHead(56, 32, 1000, features=0, activation=""),
                ]
            ),
        ),
    ),
}
"""What every network is timed in turn with, by the kind of device, one after the other as one.

Load on a shared host slows matrix products and convolutions by different shares (seen: 10 %), so
there is one network of each. They never change.
"""

CPU_EFFORT = Effort(visits=2, min_runs=12, max_runs=60, seconds=0.02)
"""What CPU runtimes take, on machines that other work shares."""


def prepare_reference(runtime: Runtime) -> Run:
    """The reference networks as one run."""
    runs = [runtime.prepare(network) for network in REFERENCES[runtime.device.kind]]

    def once() -> None:
        for run in runs:
            run()

    return once


WARM_WINDOW, WARM_WINDOWS, WARM_AGREE = 4, 6, 1.1


@dataclass(frozen=True, slots=True)
class Visit:
    """One network timed in turn with the reference.

    Attributes:
        runs_s: Seconds of each of its runs.
        reference_s: The reference's 10 % quantile in seconds.
    """

    runs_s: tuple[float, ...]
    reference_s: float

    def ratio(self, quantile: float) -> float:
        """A quantile of the runs over the reference's 10 % quantile."""
        return float(np.quantile(self.runs_s, quantile)) / self.reference_s

    @property
    def n(self) -> int:
        """Runs."""
        return len(self.runs_s)


def visit(run: Run, reference: Run, runtime: Runtime, effort: Effort | None = None) -> Visit:
    """Times a network in turn with the reference.

    Args:
        run: The network; warmed until two windows of runs agree.
        reference: The reference network, prepared by the same runtime.
        runtime: Times them.
        effort: How long; the runtime's own when absent.
    """
    effort = effort or runtime.effort
    previous = float("inf")
    for _ in range(WARM_WINDOWS):
        window = float(np.median(runtime.time([run], WARM_WINDOW)))
        if previous / WARM_AGREE <= window <= previous * WARM_AGREE:
            break
        previous = window
    pair = window + float(np.median(runtime.time([reference], WARM_WINDOW)))
    n = int(np.clip(effort.seconds / max(pair, 1e-9), effort.min_runs, effort.max_runs))
    if effort.alternate:
        # Of two runs the second is timed: the first finds the other network's data in the caches,
        # and the larger that network, the slower it is (seen: the reference by half and more).
        _, others, _, own = runtime.time([reference, reference, run, run], n).T
    else:
        others, own = runtime.time([reference], n)[:, 0], runtime.time([run], n)[:, 0]
    return Visit(tuple(map(float, own)), float(np.quantile(others, 0.1)))


def in_turn(runs: Sequence[Run], rounds: int, clock: Clock) -> NDArray[np.float64]:
    """Seconds of each run, ``[rounds, runs]``, where a run is over when it returns."""
    seconds = np.empty((rounds, len(runs)))
    for row in seconds:
        for column, run in enumerate(runs):
            start = clock()
            run()
            row[column] = clock() - start
    return seconds


@contextmanager
def on_one_core(wanted: bool = True) -> Iterator[int | None]:
    """Pins this process to one core it may use, where the system can; yields which.

    Args:
        wanted: Whether to.
    """
    if not wanted or not hasattr(os, "sched_setaffinity"):
        yield None
        return
    before = os.sched_getaffinity(0)
    core = max(before)
    os.sched_setaffinity(0, {core})
    try:
        yield core
    finally:
        os.sched_setaffinity(0, before)
