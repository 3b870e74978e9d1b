"""Gauges: how a prepared network is visited for a quantity."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

import numpy as np

from hw_profiles.energy import IdleReading, measure_energy, measure_idle
from hw_profiles.errors import UnavailableError
from hw_profiles.meter import EnergyMeter, Unavailable, find_meter
from hw_profiles.quantity import Quantity
from hw_profiles.runtime import Run, Runtime
from hw_profiles.timing import Clock, Quiet, Reference, Visit, prepare_reference, visit

__all__ = ["EnergyGauge", "Gauge", "MakeGauge", "Stopwatch", "gauge_of"]

LEARN, LEARN_RUNS = 200, 16
"""Windows of the reference, and its runs in each, that first say what it takes undisturbed."""


class Gauge(Protocol):
    """Visits networks that a runtime prepared."""

    @property
    def statistic(self) -> str:
        """What of the runs of a visit the table stores: ``"p10"`` or ``"p50"``, and over what."""

    @property
    def quantile(self) -> float:
        """The same as a quantile."""

    @property
    def repeated(self) -> int:
        """Networks visited again where each is visited once, to know the noise."""

    @property
    def limit_s(self) -> float:
        """Seconds of the reference above which a visit was disturbed, by what was seen so far."""

    @property
    def conditions(self) -> dict[str, Any]:
        """What of the device it found."""

    def __call__(self, run: Run) -> Visit:
        """Visits a network."""


MakeGauge = Callable[[Runtime, Reference], Gauge]
"""Made where the process is pinned already."""


class Stopwatch:
    """Seconds of a run, in turn with the reference.

    Args:
        runtime: Prepares the networks of the reference, and times.
        reference: Its networks.
        clock: Says how long was worked, and a share of that may be waited.
    """

    quantile = 0.1
    repeated = 60

    def __init__(
        self, runtime: Runtime, reference: Reference, clock: Clock = time.monotonic
    ) -> None:
        self.runtime, self.reference = runtime, prepare_reference(runtime, reference)
        self._quiet: Quiet | None = None
        if runtime.effort.patience:
            self._quiet = Quiet(runtime.effort.patience, clock)
            for _ in range(LEARN):
                runs_s = runtime.time([self.reference], LEARN_RUNS)
                self._quiet.add(float(np.quantile(runs_s, 0.1)))
        self.conditions: dict[str, Any] = {}
        how = "in turn with the reference" if runtime.effort.alternate else "after the reference's"
        self.statistic = f"p10 of runs {how}" + (", while it is quiet" if self._quiet else "")

    @property
    def limit_s(self) -> float:
        """Seconds of an undisturbed reference at most."""
        return float("inf") if self._quiet is None else self._quiet.limit_s

    def __call__(self, run: Run) -> Visit:
        """Times the network and the reference."""
        return visit(run, self.reference, self.runtime, quiet=self._quiet)


class EnergyGauge:
    """Joules of a run, from loops of it between two updates of the device's counter.

    Nothing is divided by: the counter is absolute. The windows of a loop are the runs of a visit.

    Args:
        runtime: Prepares the reference, from which idle power is read, and says when runs are over.
        reference: Its networks.
        meter: The device's counter.
        seconds: About how long a loop is.
        windows: Into how many windows it is cut.
    """

    statistic = "p50 of windows between updates of the counter"
    quantile = 0.5
    repeated = 8
    limit_s = float("inf")

    def __init__(
        self,
        runtime: Runtime,
        reference: Reference,
        meter: EnergyMeter,
        seconds: float = 0.8,
        windows: int = 4,
    ) -> None:
        self.runtime, self.meter, self.seconds, self.windows = runtime, meter, seconds, windows
        self._rng = np.random.default_rng(0)
        self.idle: IdleReading = measure_idle(
            prepare_reference(runtime, reference), meter, finish=runtime.finish
        )

    @property
    def conditions(self) -> dict[str, Any]:
        """The counter, how often it moves, and what the idle device draws."""
        return {
            "meter": self.meter.name,
            "meter_source": self.meter.source,
            "meter_period_s": self.idle.period_s,
            "idle_w": self.idle.power_w,
            "loop_s": self.seconds,
        }

    def __call__(self, run: Run) -> Visit:
        """Runs the network in a loop."""
        reading = measure_energy(
            run,
            self.meter,
            rng=self._rng,
            seconds=self.seconds,
            windows=self.windows,
            idle=self.idle,
            finish=self.runtime.finish,
        )
        return Visit(tuple(map(float, reading.windows_j)), 1.0)


def gauge_of(of: Quantity, runtime: Runtime) -> MakeGauge:
    """How networks are visited for a quantity.

    Args:
        of: What is measured.
        runtime: Where; its device must count its energy if that is what is measured.

    Raises:
        UnavailableError: It does not; the message says why.
    """
    if of.unit != "J":
        return Stopwatch
    device: int | str = 0
    if runtime.device.kind == "gpu":
        import torch

        device = str(torch.cuda.get_device_properties(0).uuid)
    meter = find_meter("gpu" if runtime.device.kind == "gpu" else "cpu", device=device)
    if isinstance(meter, Unavailable):
        raise UnavailableError(f"`{of.name}` cannot be measured here: {meter.reason}")
    return partial(EnergyGauge, meter=meter)
