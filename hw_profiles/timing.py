"""Timing that survives a shared machine.

Absolute times drift by a quarter within seconds on a busy host; the ratio to a fixed network timed
run for run in turn does not. So every network is timed in turn with the same reference, and its
seconds are that ratio times the reference's median over the whole session.

That is not enough where another machine runs on the other thread of the same core: then the
reference takes nearly twice as long and a network half as long again, each by a share of its own
(seen: such states change every few to some hundred milliseconds). So on a CPU only the runs beside
a quiet reference count, and a visit waits for such moments within limits.
"""

from __future__ import annotations

import os
import time
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
    UnknownNameError,
    ViTHead,
    chain,
)

__all__ = [
    "CPU_EFFORT",
    "REFERENCES",
    "Clock",
    "Quiet",
    "Reference",
    "Visit",
    "in_turn",
    "on_one_core",
    "prepare_reference",
    "reference_called",
    "reference_for",
    "reference_id",
    "visit",
]

Clock = Callable[[], float]
"""Seconds, monotonic."""

Reference = tuple[Architecture, ...]
"""Networks that run one after the other as one."""

REFERENCES: Mapping[str, Reference] = {
    "small": (
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
    "large": (
        Architecture(
            "reference",
            {},
            chain(
                [
                    PatchEmbedding(3, 64, 8, 192, class_token=False),
                    SelfAttention(
                        tokens=64, width=192, heads=4, head_width=48, kv_heads=4, causal=False
                    ),
                    FeedForward(tokens=64, width=192, hidden=768, rank=0),
                    ViTHead(tokens=64, width=192, classes=10, pool="mean"),
                ]
            ),
        ),
        Architecture(
            "reference",
            {},
            chain(
                [
                    ConvStem(3, 64, 24, stride=2, activation="silu"),
                    InvertedBottleneck(32, 24, 24, 5, 1, 4, squeeze=True, activation="silu"),
                    InvertedBottleneck(32, 24, 24, 5, 1, 4, squeeze=True, activation="silu"),
                    ConvHead(32, 24, 10, features=0, activation=""),
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
"""What networks are timed in turn with: on CPUs the small one or the large one, on GPUs its own.

Load on a shared host slows matrix products and convolutions by different shares (seen: 10 %), so
there is one network of each; and networks of 0.1 ms by more than those of 1 ms (seen: 1.7 and 1.4
times), so there are two sizes. They never change.
"""

LARGE_MACS = 5e6
"""Multiply-accumulates of a run from which a network is more like the large reference."""

CPU_EFFORT = Effort(visits=2, min_runs=12, max_runs=60, seconds=0.02, patience=0.5)
"""What CPU runtimes take, on machines that other work shares."""


def reference_for(runtime: Runtime, macs: float = 0.0) -> Reference:
    """The reference for networks of about so many multiply-accumulates a run."""
    if runtime.device.kind == "gpu":
        return REFERENCES["gpu"]
    return REFERENCES["large" if macs >= LARGE_MACS else "small"]


def reference_id(reference: Reference) -> str:
    """What tables call a reference."""
    return "+".join(network.id for network in reference)


def reference_called(name: str) -> Reference:
    """The reference of a table, by what it calls it.

    Raises:
        UnknownNameError: There is no such reference any more, so that nothing can be timed beside
            the table.
    """
    known = {reference_id(reference): reference for reference in REFERENCES.values()}
    if name not in known:
        raise UnknownNameError("reference", name, tuple(known))
    return known[name]


def prepare_reference(runtime: Runtime, reference: Reference | None = None) -> Run:
    """Reference networks as one run; the small or the GPU's ones when absent."""
    runs = [runtime.prepare(network) for network in reference or reference_for(runtime)]

    def once() -> None:
        for run in runs:
            run()

    return once


WARM_WINDOW, WARM_WINDOWS, WARM_AGREE = 4, 6, 1.1
QUIET_QUANTILE, QUIET_SLOWER = 0.05, 1.2
FREE_WAIT_S, LONGEST_WAIT_S = 2.0, 1.0
"""Seconds that may be waited before any work, and at most for one network."""
POLL = 8
"""Runs of the reference that tell whether it is quiet now."""


@dataclass(frozen=True, slots=True)
class Visit:
    """One network timed in turn with the reference.

    Attributes:
        runs_s: Seconds of each of its runs.
        reference_s: The reference's 10 % quantile in seconds, over the rounds that count.
        quiet_s: Seconds of the runs that count, those beside a quiet reference; none where there
            were too few, and then all count. ``None`` where nobody looked.
    """

    runs_s: tuple[float, ...]
    reference_s: float
    quiet_s: tuple[float, ...] | None = None

    @property
    def disturbed(self) -> bool:
        """Whether other work on the machine may have slowed the network and the reference apart."""
        return self.quiet_s == ()

    def ratio(self, quantile: float) -> float:
        """A quantile of the runs that count over the reference's 10 % quantile."""
        return float(np.quantile(self.quiet_s or self.runs_s, quantile)) / self.reference_s

    @property
    def n(self) -> int:
        """Runs."""
        return len(self.runs_s)


class Quiet:
    """What an undisturbed reference takes, by what was seen so far, and how long to wait for that.

    Attributes:
        limit_s: Up to how many seconds a run of the reference counts as undisturbed: a fifth above
            the 5 % quantile of what was seen.

    Args:
        patience: Seconds that may be waited for each second of other work.
        clock: Says how much time went by.
    """

    def __init__(self, patience: float = 0.0, clock: Clock = time.monotonic) -> None:
        self._patience, self._clock = patience, clock
        self._seen: list[float] = []
        self._start, self._waited_s = clock(), 0.0
        self.limit_s = float("inf")

    def add(self, reference_s: float) -> None:
        """Adds a low quantile of runs of the reference."""
        self._seen.append(reference_s)
        self.limit_s = QUIET_SLOWER * float(np.quantile(self._seen, QUIET_QUANTILE))

    def rounds(self, reference_s: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether the reference was quiet in each round and in the one after it."""
        quiet: NDArray[np.bool_] = reference_s <= self.limit_s
        quiet[:-1] &= quiet[1:]
        return quiet

    @contextmanager
    def waiting(self) -> Iterator[Callable[[], bool]]:
        """Yields what says whether there is still time to wait."""
        start = self._clock()
        worked_s = start - self._start - self._waited_s
        left_s = min(FREE_WAIT_S + self._patience * worked_s - self._waited_s, LONGEST_WAIT_S)
        try:
            yield lambda: self._clock() - start < left_s
        finally:
            self._waited_s += self._clock() - start


def visit(
    run: Run,
    reference: Run,
    runtime: Runtime,
    effort: Effort | None = None,
    quiet: Quiet | None = None,
) -> Visit:
    """Times a network in turn with the reference.

    Args:
        run: The network; warmed until two windows of runs agree.
        reference: The reference network, prepared by the same runtime.
        runtime: Times them.
        effort: How long; the runtime's own when absent.
        quiet: What a quiet reference takes, where the two alternate; learns from this visit. All
            runs count when absent.
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
    if not effort.alternate:
        others, own = runtime.time([reference], n)[:, 0], runtime.time([run], n)[:, 0]
        return Visit(tuple(map(float, own)), float(np.quantile(others, 0.1)))
    rounds = _rounds(run, reference, runtime, n)
    if quiet is None:
        return _visit(rounds, rounds)
    quiet.add(float(np.quantile(rounds[:, 0], 0.1)))
    counted = rounds[quiet.rounds(rounds[:, 0])]
    with quiet.waiting() as patient:
        while len(counted) < effort.min_runs and patient():
            if np.median(runtime.time([reference], POLL)) > quiet.limit_s:
                continue
            more = _rounds(run, reference, runtime, effort.min_runs)
            rounds = np.concatenate([rounds, more])
            counted = np.concatenate([counted, more[quiet.rounds(more[:, 0])]])
    enough = len(counted) >= effort.min_runs / 2
    return _visit(rounds, counted if enough else rounds, quiet=enough)


def _rounds(run: Run, reference: Run, runtime: Runtime, n: int) -> NDArray[np.float64]:
    """Seconds of the reference and of the network in turn: ``[n, 2]``."""
    # Of two runs the second is timed: the first finds the other network's data in the caches,
    # and the larger that network, the slower it is (seen: the reference by half and more).
    return runtime.time([reference, reference, run, run], n)[:, 1::2]


def _visit(
    rounds: NDArray[np.float64], counted: NDArray[np.float64], quiet: bool | None = None
) -> Visit:
    runs_s, counted_s = (tuple(map(float, part[:, 1])) for part in (rounds, counted))
    return Visit(
        runs_s,
        float(np.quantile(counted[:, 0], 0.1)),
        None if quiet is None else counted_s if quiet else (),
    )


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
