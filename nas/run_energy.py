"""Energy of a run: what this machine's processor drew while it went on, where that is counted.

A counter is of the whole processor, whatever runs on it, so its joules are no training's and no
arm's: only the run as a whole has them. Without a counter the reason is kept, and never a guess.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from threading import Event, Thread
from typing import Any

from hw_profiles.meter import EnergyMeter, Unavailable, find_meter
from nas.interrupts import uninterrupted
from nas.run_folder import RunFolder

__all__ = ["RunEnergy", "metered", "run_energies"]

PERIOD_S = 20.0
"""Seconds between two readings: a counter of a processor wraps after minutes."""


@dataclass(frozen=True, slots=True)
class RunEnergy:
    """What was counted from one opening of a run to its end.

    Attributes:
        joules: How much; ``None`` where nothing was counted.
        source: What counted what, or why nothing did.
    """

    joules: float | None
    source: str

    def __post_init__(self) -> None:
        if self.joules is not None and not self.joules >= 0:
            raise ValueError(f"`joules` must be at least 0; got {self.joules}.")


@contextmanager
def metered(folder: RunFolder) -> Iterator[None]:
    """Counts the processor's energy while a block runs, and keeps it in the run's manifest."""
    end = _begin(find_meter("cpu"))
    try:
        yield
    finally:
        with uninterrupted():
            folder.add_to_manifest("energy", asdict(end()))


def run_energies(manifest: Mapping[str, Any]) -> tuple[RunEnergy, ...]:
    """What the manifest of a run has of each time that it was worked on and not killed."""
    return tuple(RunEnergy(**item) for item in manifest.get("energy", ()))


def _begin(meter: EnergyMeter | Unavailable) -> Callable[[], RunEnergy]:
    """Begins to count; what it returns ends that."""
    if isinstance(meter, Unavailable):
        return partial(RunEnergy, None, meter.reason)
    try:
        return _Counting(meter).end
    except RuntimeError as error:  # No counter is worth a search.
        return partial(RunEnergy, None, str(error))


class _Counting:
    """Reads a meter now and then, so that no wrap of its counter is missed."""

    def __init__(self, meter: EnergyMeter) -> None:
        self._meter, self._begun = meter, meter.joules()
        self._failure = ""
        self._over = Event()
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while not self._over.wait(PERIOD_S):
            try:
                self._meter.joules()
            except RuntimeError as error:
                self._failure = str(error)
                return

    def end(self) -> RunEnergy:
        self._over.set()
        self._reader.join()
        try:
            joules = self._meter.joules() - self._begun
        except RuntimeError as error:
            self._failure = self._failure or str(error)
        if self._failure:
            return RunEnergy(None, self._failure)
        return RunEnergy(joules, self._meter.source)
