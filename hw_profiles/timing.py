"""Timing that survives a shared machine.

Absolute times drift by a quarter within seconds on a busy host; the ratio to a fixed network timed
run for run in turn does not. So every network is timed in turn with the same reference, and its
seconds are that ratio times the reference's median over the whole session.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from hw_profiles.runtime import Run, Runtime
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

__all__ = ["REFERENCES", "Clock", "Visit", "on_one_core", "prepare_reference", "visit"]

Clock = Callable[[], float]
"""Seconds, monotonic."""

REFERENCES = (
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
                InvertedBottleneck(8, 16, 16, 3, 1, expansion=4, squeeze=True, activation="silu"),
                ConvHead(8, 16, 10, features=0, activation=""),
            ]
        ),
    ),
)
"""What every network is timed in turn with, one after the other as one reference.

Load on a shared host slows matrix products and convolutions by different shares (seen: 10 %), so
there is one network of each. They never change.
"""


def prepare_reference(runtime: Runtime) -> Run:
    """The reference networks as one run."""
    runs = [runtime.prepare(network) for network in REFERENCES]

    def once() -> None:
        for run in runs:
            run()

    return once


MIN_RUNS, MAX_RUNS = 12, 60
WARM_WINDOW, WARM_WINDOWS, WARM_AGREE = 4, 6, 1.1


@dataclass(frozen=True, slots=True)
class Visit:
    """One network timed in turn with the reference.

    Attributes:
        p10: 10 % quantile of its runs over that of the reference's; likewise ``p50``, ``p90``,
            over the same 10 % quantile of the reference.
        p50: See ``p10``.
        p90: See ``p10``.
        reference_s: The reference's 10 % quantile in seconds.
        n: Runs.
    """

    p10: float
    p50: float
    p90: float
    reference_s: float
    n: int


def visit(
    run: Run, reference: Run, *, seconds: float = 0.02, clock: Clock = time.perf_counter
) -> Visit:
    """Times a network run for run in turn with the reference.

    Args:
        run: The network; warmed until two windows of runs agree.
        reference: The reference network, prepared by the same runtime.
        seconds: About how long to time; at least 12 and at most 60 runs of each are made.
        clock: Monotonic seconds.
    """

    def timed(function: Run) -> float:
        start = clock()
        function()
        return clock() - start

    previous = float("inf")
    for _ in range(WARM_WINDOWS):
        window = sorted(timed(run) for _ in range(WARM_WINDOW))[WARM_WINDOW // 2]
        reference()
        if previous / WARM_AGREE <= window <= previous * WARM_AGREE:
            break
        previous = window
    pair = window + timed(reference)
    n = int(np.clip(seconds / max(pair, 1e-9), MIN_RUNS, MAX_RUNS))
    own, others = np.empty(n), np.empty(n)
    for i in range(n):
        others[i] = timed(reference)
        own[i] = timed(run)
    base = float(np.quantile(others, 0.1))
    p10, p50, p90 = (float(q) / base for q in np.quantile(own, (0.1, 0.5, 0.9)))
    return Visit(p10, p50, p90, base, n)


@contextmanager
def on_one_core() -> Iterator[int | None]:
    """Pins this process to one core it may use, where the system can; yields which."""
    if not hasattr(os, "sched_setaffinity"):
        yield None
        return
    before = os.sched_getaffinity(0)
    core = max(before)
    os.sched_setaffinity(0, {core})
    try:
        yield core
    finally:
        os.sched_setaffinity(0, before)
