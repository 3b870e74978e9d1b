"""Energy of a run, where the device counts it.

A counter is read, never a rated power. NVIDIA's counter moves about every 100 ms and on an A100 or
H100 it sees the board a quarter of that time (Yang, Adamek & Armour 2024, arXiv:2312.02741), so a
run of milliseconds is repeated for a second or more, and:

- A window of the loop starts and ends where the counter moves, which is found by polling. Read at
  any other time, each end is off by up to a whole update: the error of a window of ``T`` seconds
  stays below ``0.78 * period / T`` 19 times out of 20, so ±3 % takes 2.6 s at 100 ms. At updates
  it is the polls' distance, 0.1 % of a second, and what remains is how much the windows differ:
  five of 0.2 s that spread by 2.4 % give ±3 %.
- The queue of an asynchronous device is kept a little ahead of it, and emptied once a window, for
  some 20 µs, to know how many runs are over. Energy of a run is the window's power times the
  seconds of a run in the same stretch, so it does not matter which run an update cut.
- A run longer than what the counter sees of each update would be caught in the same phase again and
  again. Its windows are loops of their own, each begun at a random moment.
- Idle power is measured before and after, on the device that was just busy, and kept apart.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hw_profiles.meter import EnergyMeter
from hw_profiles.runtime import Run

__all__ = ["EnergyReading", "IdleReading", "measure_energy", "measure_idle"]

IDLE_S = 0.5
POLL_S = 1e-3
"""How often the counter is read near the end of a window."""
PATIENCE_S = 5.0
"""A counter that has not moved for this long does not count."""
CHUNK_S = 0.05
"""Warming runs are enqueued for about this long at a time."""
LEAD_S, FEED = 0.02, 1.1
"""The queue is filled this much ahead of the device, and this much faster than the device empties
it, so that no preemption of the host and no speed-up below 10 % lets it run dry."""
SEEN_SHARE = 0.25
"""Share of an update that the counter of an A100 or H100 samples."""
RETAKES = 3
"""At most this many windows are taken for each that is wanted."""


@dataclass(frozen=True, slots=True)
class IdleReading:
    """A device that waits for work, awake.

    Attributes:
        power_w: What it draws.
        period_s: Median time between two updates of the counter; no less than it was polled.
        seconds: How long it was watched.
    """

    power_w: float
    period_s: float
    seconds: float


@dataclass(frozen=True, slots=True)
class EnergyReading:
    """What a run draws, everything included that the counter sees.

    Attributes:
        joules_per_run: Mean over the windows.
        low_j: Lower end of its 95 % interval: Student's t over the windows, plus what the ends of
            the loops are uncertain by. It tells how well the loop repeats, not a sensor's error,
            which no reading shows.
        high_j: Upper end.
        windows_j: Joules of a run in each window.
        run_s: Mean seconds of a run in the loop.
        runs: Runs of the loop.
        seconds: Length of the windows together.
        idle: Idle readings: the given one, or one before and one after.
    """

    joules_per_run: float
    low_j: float
    high_j: float
    windows_j: tuple[float, ...]
    run_s: float
    runs: int
    seconds: float
    idle: tuple[IdleReading, ...]

    @property
    def power_w(self) -> float:
        """What the device draws in the loop."""
        return self.joules_per_run / self.run_s

    @property
    def idle_w(self) -> float:
        """What it draws when it waits: the mean of the idle readings."""
        return float(np.mean([reading.power_w for reading in self.idle]))

    @property
    def above_idle_j(self) -> float:
        """Joules of a run less what the device would have drawn in that time while it waited."""
        return self.joules_per_run - self.idle_w * self.run_s


def measure_energy(
    run: Run,
    meter: EnergyMeter,
    *,
    rng: np.random.Generator,
    seconds: float = 2.0,
    windows: int = 5,
    settle_s: float = 0.3,
    idle: IdleReading | None = None,
    finish: Callable[[], None] = lambda: None,
    clock: Callable[[], float] = time.perf_counter,
    sleep: Callable[[float], None] = time.sleep,
) -> EnergyReading:
    """Energy of one run, from a loop of it.

    What the device draws while it waits for the host is part of it: a run that is over sooner than
    the host can start the next has that wait in its seconds and joules.

    It takes ``seconds``, an update more for each window at most, the settling, and twice 1 s for
    the idle readings unless one is given, as it is for all but the first of many networks.

    Args:
        run: Runs once; on a device of its own, it may return before the run ends.
        meter: The device's counter.
        rng: Draws when loops begin.
        seconds: About how long the windows are together.
        windows: Into how many, at least two.
        settle_s: How long the device is busy before a window, or idle before an idle reading:
            longer than the counter lags behind.
        idle: An idle reading of this device from before; without it, one is made before and after.
        finish: Waits until every run is over.
        clock: Monotonic seconds.
        sleep: Waits for so many seconds.

    Raises:
        ValueError: An argument is out of range.
        RuntimeError: The counter stands still, or the run speeds up by a tenth again and again.
    """
    if windows < 2:
        raise ValueError(f"`windows` must be at least 2, to tell their spread; got {windows}.")
    _check_seconds(seconds, settle_s)
    watch = _Watch(meter, clock, sleep)
    run_s = _warm(run, finish, 0.0 if idle else settle_s, clock)
    readings = [idle or watch.idle(IDLE_S, settle_s)]
    watch.period_s = readings[0].period_s
    loops = windows if run_s > SEEN_SHARE * watch.period_s else 1
    taken: list[_Window] = []
    ends: list[_Edge] = []
    for _ in range(loops):
        sleep(rng.random() * max(watch.period_s, run_s))
        feed = _Feed(run, finish, clock, sleep, _warm(run, finish, settle_s, clock))
        loop = _take(watch, feed, windows // loops, seconds / windows)
        taken += loop
        ends += loop[0].start, loop[-1].end
    if idle is None:
        readings.append(watch.idle(IDLE_S, settle_s))
    return _reading(taken, ends, meter.resolution_j, tuple(readings))


def measure_idle(
    run: Run,
    meter: EnergyMeter,
    *,
    seconds: float = IDLE_S,
    settle_s: float = 0.3,
    finish: Callable[[], None] = lambda: None,
    clock: Callable[[], float] = time.perf_counter,
    sleep: Callable[[float], None] = time.sleep,
) -> IdleReading:
    """Power of a device that was just busy, and how often its counter moves.

    Args:
        run: What it was busy with.
        meter: Its counter.
        seconds: How long it is watched at least.
        settle_s: How long it is busy before that, and then idle.
        finish: Waits until every run is over.
        clock: Monotonic seconds.
        sleep: Waits for so many seconds.

    Raises:
        ValueError: An argument is out of range.
        RuntimeError: The counter stands still.
    """
    _check_seconds(seconds, settle_s)
    _warm(run, finish, settle_s, clock)
    return _Watch(meter, clock, sleep).idle(seconds, settle_s)


def _check_seconds(seconds: float, settle_s: float) -> None:
    if not 0 < seconds < math.inf:
        raise ValueError(f"`seconds` must be a number above 0; got {seconds!r}.")
    if not 0 <= settle_s < math.inf:
        raise ValueError(f"`settle_s` must be a number, 0 or more; got {settle_s!r}.")


def _warm(
    run: Run, finish: Callable[[], None], seconds: float, clock: Callable[[], float]
) -> float:
    """Runs for so long; seconds of a run at the end of it."""
    begun, n = clock(), 1
    while True:
        start = clock()
        for _ in range(n):
            run()
        finish()
        now = clock()
        if now - begun >= seconds and now - start >= CHUNK_S / 2:
            return (now - start) / n
        n = min(8 * n, max(1, round(CHUNK_S * n / max(now - start, 1e-9))))


@dataclass(frozen=True, slots=True)
class _Edge:
    """An update of the counter, at ``at_s`` ± ``slack_s``."""

    at_s: float
    slack_s: float
    joules: float


@dataclass(slots=True)
class _Watch:
    """Finds the moments at which a counter moves."""

    meter: EnergyMeter
    clock: Callable[[], float]
    sleep: Callable[[float], None]
    period_s: float = math.inf

    def edge(self, after_s: float, step: Callable[[], None]) -> _Edge:
        """The first update after some time; meanwhile ``step`` is called over and over."""
        while self.clock() < after_s:
            step()
        begun = low = self.clock()
        last = self.meter.joules()
        due = self.clock() + POLL_S
        while True:
            step()
            now = self.clock()
            if now < due:
                continue
            joules = self.meter.joules()
            high = self.clock()
            if joules != last:
                # A counter that moves more often than it was read has moved since then.
                slack = min(high - low, self.period_s) / 2
                return _Edge(high - slack, slack, joules)
            if high - begun > PATIENCE_S:
                raise RuntimeError(
                    f"The counter must move; {self.meter.source} stood still at {joules} J for "
                    f"{high - begun:.1f} s, so it does not count here."
                )
            low, due = now, high + POLL_S

    def idle(self, seconds: float, settle_s: float) -> IdleReading:
        """Watches a device that nothing is asked of."""
        self.sleep(settle_s)

        def wait() -> None:
            self.sleep(POLL_S)

        edges = [self.edge(self.clock(), wait)]
        while len(edges) < 3 or edges[-1].at_s - edges[0].at_s < seconds:
            edges.append(self.edge(self.clock(), wait))
        watched_s = edges[-1].at_s - edges[0].at_s
        return IdleReading(
            power_w=(edges[-1].joules - edges[0].joules) / watched_s,
            period_s=float(np.median(np.diff([edge.at_s for edge in edges]))),
            seconds=watched_s,
        )


@dataclass(slots=True)
class _Feed:
    """Runs again and again, so that an asynchronous device always has some left to do.

    How many are over is not known before the queue is empty, so it is filled by the clock: ahead
    by ``LEAD_S``, and faster than ``run_s`` says by the factor ``FEED``. A synchronous run is
    simply run again.
    """

    run: Run
    finish: Callable[[], None]
    clock: Callable[[], float]
    sleep: Callable[[float], None]
    run_s: float
    start_s: float = 0.0
    runs: int = 0
    dry: bool = False

    def begin(self) -> None:
        """Counts from here on."""
        self.start_s, self.runs = self.clock(), 0

    def step(self) -> None:
        """Runs, or waits for a moment if enough is enqueued."""
        passed_s = self.clock() - self.start_s
        if self.runs * self.run_s < FEED * passed_s + LEAD_S:
            self.run()
            self.runs += 1
        else:
            self.sleep(POLL_S)

    def end(self) -> None:
        """Waits for the queue; learns the seconds of a run, and whether it may have been empty."""
        self.finish()
        seen_s = (self.clock() - self.start_s) / self.runs
        self.dry = FEED * seen_s <= self.run_s
        self.run_s = seen_s


@dataclass(frozen=True, slots=True)
class _Window:
    start: _Edge
    end: _Edge
    runs: int
    run_s: float

    @property
    def seconds(self) -> float:
        return self.end.at_s - self.start.at_s

    @property
    def joules(self) -> float:
        return self.end.joules - self.start.joules


def _take(watch: _Watch, feed: _Feed, count: int, length_s: float) -> list[_Window]:
    """So many windows of a loop, each of about that length and starting where the last one ends."""
    feed.begin()
    edge = watch.edge(watch.clock(), feed.step)
    feed.end()
    taken: list[_Window] = []
    for _ in range(RETAKES * count):
        feed.begin()
        # Half an update early, so that the nearest one ends the window.
        end = watch.edge(edge.at_s + length_s - watch.period_s / 2, feed.step)
        feed.end()
        if not feed.dry:
            taken.append(_Window(edge, end, feed.runs, feed.run_s))
        if len(taken) == count:
            return taken
        edge = end
    raise RuntimeError(
        f"A run must take about as long each time; it got a tenth faster in more than "
        f"{RETAKES * count - count} of {RETAKES * count} windows, down to {feed.run_s:.3g} s. "
        "Raise `settle_s`, or wait until the machine is less busy."
    )


def _reading(
    taken: list[_Window], ends: list[_Edge], step_j: float, idle: tuple[IdleReading, ...]
) -> EnergyReading:
    from scipy.stats import t

    values = np.array([w.joules / w.seconds * w.run_s for w in taken])
    seconds, joules = sum(w.seconds for w in taken), sum(w.joules for w in taken)
    mean, n = float(values.mean()), len(values)
    half = float(t.ppf(0.975, n - 1) * values.std(ddof=1) / math.sqrt(n))
    # Ends inside a loop cancel; those of the loops are off by as much as this, each its own way.
    half += mean * math.hypot(*(end.slack_s for end in ends)) / seconds
    half += mean * step_j * math.sqrt(len(ends)) / joules
    return EnergyReading(
        joules_per_run=mean,
        low_j=max(mean - half, 0.0),
        high_j=mean + half,
        windows_j=tuple(values.tolist()),
        run_s=float(np.mean([w.run_s for w in taken])),
        runs=sum(w.runs for w in taken),
        seconds=seconds,
        idle=idle,
    )
