"""Readings of a simulated device of known power."""

from bisect import bisect_right
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hw_profiles.energy import EnergyReading, IdleReading, measure_energy, measure_idle
from hw_profiles.meter import EnergyMeter, RaplMeter


class Simulated:
    """A device with a queue, and a counter that moves now and then by what it sampled.

    Each update adds the mean power of the last ``seen_s`` before it, over the whole time since the
    one before: the rest of that time goes unseen, as on an A100 or H100.

    Args:
        run_s: Seconds of a run.
        power_w: Watts over the phase of a run, from 0 to 1.
        idle_w: Watts while there is nothing to do.
        queued: Whether runs return before they are over.
        period_s: Mean time between updates.
        jitter: How much that time varies, as a share of it.
        seen_s: How much of it is sampled; ``None`` for all.
        lag_s: How long ago what an update sees was.
        noise: Standard deviation of a sample, as a share.
        speed: Seconds of a run over ``run_s`` at some time.
    """

    name, source, resolution_j = "simulated", "a simulated counter", 1e-3

    def __init__(
        self,
        run_s: float,
        power_w: Callable[[float], float],
        *,
        idle_w: float = 100.0,
        queued: bool = True,
        period_s: float = 0.1,
        jitter: float = 0.0,
        seen_s: float | None = 0.025,
        lag_s: float = 0.0,
        noise: float = 0.0,
        speed: Callable[[float], float] = lambda now_s: 1.0,
    ) -> None:
        self.run_s, self.power_w, self.idle_w, self.queued = run_s, power_w, idle_w, queued
        self.seen_s, self.lag_s, self.noise, self.speed = seen_s, lag_s, noise, speed
        self.rng = np.random.default_rng(1)
        gaps = period_s * (1 + jitter * self.rng.uniform(-1, 1, int(60 / period_s)))
        self.updates = np.cumsum(gaps)
        self.passed, self.total_j = 0, 50_000.0
        self.now_s = 0.0337
        self.starts: list[float] = []
        self.ends: list[float] = []
        self.ahead: list[float] = []
        self.reads = 0

    def clock(self) -> float:
        self.now_s += 1e-7
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds + 6e-5

    def run(self) -> None:
        start = max(self.now_s, self.ends[-1] if self.ends else 0.0)
        self.starts.append(start)
        self.ends.append(start + self.run_s * self.speed(start))
        self.now_s = self.now_s + 5e-6 if self.queued else self.ends[-1]
        self.ahead.append(self.ends[-1] - self.now_s)

    def finish(self) -> None:
        self.now_s = max(self.now_s, self.ends[-1] if self.ends else 0.0) + 2e-5

    def watts(self, at_s: float) -> float:
        index = bisect_right(self.starts, at_s) - 1
        if index < 0 or at_s >= self.ends[index]:
            return self.idle_w
        start, end = self.starts[index], self.ends[index]
        return self.power_w((at_s - start) / (end - start))

    def joules(self) -> float:
        self.reads += 1
        self.now_s += 4e-5
        while self.updates[self.passed] <= self.now_s:
            at, before = self.updates[self.passed], self.updates[self.passed - 1]
            gap = float(at - before) if self.passed else float(at)
            seen = min(self.seen_s or gap, gap)
            times = at - self.lag_s - seen * (np.arange(40) + 0.5) / 40
            sample = float(np.mean([self.watts(float(t)) for t in times]))
            self.total_j += sample * (1 + self.noise * self.rng.standard_normal()) * gap
            self.passed += 1
        return round(self.total_j, 3)


def steady(watts: float) -> Callable[[float], float]:
    return lambda phase: watts


def measured(device: Simulated, **options: float | IdleReading | None) -> EnergyReading:
    meter: EnergyMeter = device
    return measure_energy(
        device.run,
        meter,
        rng=np.random.default_rng(0),
        finish=device.finish,
        clock=device.clock,
        sleep=device.sleep,
        **options,  # type: ignore[arg-type]
    )


AWAKE = IdleReading(power_w=100.0, period_s=0.1, seconds=1.0)


@pytest.mark.parametrize("jitter", [0.0, 0.05, 0.2])
@pytest.mark.parametrize("run_s", [2e-5, 7.3e-4, 2.93e-3, 0.0193])
def test_known_power_and_time_are_found(run_s: float, jitter: float) -> None:
    device = Simulated(run_s, steady(500.0), jitter=jitter)
    reading = measured(device, seconds=1.0)
    assert reading.joules_per_run == pytest.approx(500 * run_s, rel=0.01)
    assert reading.run_s == pytest.approx(run_s, rel=0.01)
    assert reading.power_w == pytest.approx(500, rel=0.01)
    assert reading.low_j < reading.joules_per_run < reading.high_j
    assert reading.high_j - reading.low_j < 0.06 * reading.joules_per_run
    assert len(reading.windows_j) == 5
    assert reading.seconds == pytest.approx(1.0, abs=0.4)
    assert reading.runs * reading.run_s > reading.seconds


def test_idle_is_measured_before_and_after_and_taken_off_apart() -> None:
    device = Simulated(2e-3, steady(400.0), idle_w=120.0)
    reading = measured(device)
    assert [r.power_w for r in reading.idle] == pytest.approx([120.0, 120.0], rel=0.01)
    assert reading.idle_w == pytest.approx(120.0, rel=0.01)
    assert reading.joules_per_run == pytest.approx(400 * 2e-3, rel=0.01)
    assert reading.above_idle_j == pytest.approx((400 - 120) * 2e-3, rel=0.02)


def test_a_given_idle_reading_is_used_instead() -> None:
    device = Simulated(2e-3, steady(400.0), idle_w=120.0)
    reading = measured(device, idle=AWAKE, seconds=1.0)
    assert reading.idle == (AWAKE,)
    assert reading.above_idle_j == pytest.approx((400 - 100) * 2e-3, rel=0.02)
    # Half a second and a bit around the windows: settling, a phase, and the first update.
    assert device.now_s < 1.0 + 0.8


def test_idle_reading_tells_power_and_period_of_an_awake_device() -> None:
    device = Simulated(1e-3, steady(300.0), idle_w=90.0, jitter=0.05)
    idle = measure_idle(
        device.run, device, finish=device.finish, clock=device.clock, sleep=device.sleep
    )
    assert idle.power_w == pytest.approx(90.0, rel=0.01)
    assert idle.period_s == pytest.approx(0.1, rel=0.05)
    assert 0.5 <= idle.seconds < 0.7
    assert device.starts  # It was made to run first.


def test_ends_at_updates_beat_ends_at_any_time() -> None:
    """The same device, read before and after a loop of 0.4 s as is usual."""
    usual = []
    for offset in np.linspace(0, 0.1, 17):
        device = Simulated(1e-3, steady(500.0))
        device.sleep(float(offset))
        for _ in range(500):
            device.run()
        device.sleep(0.1)
        before, at = device.joules(), len(device.ends)
        for _ in range(400):
            device.run()
        device.sleep(0.4)
        usual.append((device.joules() - before) / (len(device.ends) - at))
    errors = np.abs(np.array(usual) / 0.5 - 1)
    assert errors.max() > 0.1
    aligned = measured(Simulated(1e-3, steady(500.0)), idle=AWAKE, seconds=0.4, windows=2)
    assert aligned.joules_per_run == pytest.approx(0.5, rel=0.01)


def test_queue_never_runs_dry_in_a_window_and_is_not_filled_far_ahead() -> None:
    device = Simulated(1.7e-3, steady(450.0))
    reading = measured(device, idle=AWAKE, seconds=1.0)
    gaps = np.array(device.starts[1:]) - np.array(device.ends[:-1])
    pause = 0.1 * np.random.default_rng(0).random()
    # Apart from the random phase, the device waits only for `finish` to return.
    assert np.sort(gaps)[-2:] == pytest.approx([2e-5, pause], abs=2e-4)
    # 20 ms ahead, and a tenth of a window of 0.2 s with an update more.
    assert max(device.ahead) < 0.02 + 0.1 * 0.3 + 2 * 1.7e-3
    assert reading.power_w == pytest.approx(450.0, rel=0.005)


def test_synchronous_runs_and_a_counter_of_a_millisecond() -> None:
    device = Simulated(6.1e-3, steady(65.0), idle_w=20.0, queued=False, period_s=1e-3, seen_s=None)
    reading = measured(device, seconds=1.0)
    assert reading.joules_per_run == pytest.approx(65 * 6.1e-3, rel=0.01)
    assert reading.run_s == pytest.approx(6.1e-3, rel=0.01)
    assert reading.idle_w == pytest.approx(20.0, rel=0.01)
    assert reading.idle[0].period_s < 2.5e-3
    assert reading.high_j - reading.low_j < 0.03 * reading.joules_per_run


def test_runs_longer_than_an_update() -> None:
    device = Simulated(0.31, steady(250.0), queued=False)
    reading = measured(device, idle=AWAKE, seconds=4.0)
    # Updates are seen between runs only, so each of two ends in five loops is off by up to half of
    # 0.1 s in 0.8 s, which adds up to at most 10**0.5 * 0.05 s in 4 s if they are independent.
    assert reading.joules_per_run == pytest.approx(250 * 0.31, rel=0.04)
    assert reading.high_j / reading.joules_per_run - 1 > 0.035


def test_runs_in_step_with_the_counter_are_met_at_random_phases() -> None:
    """Half a run at 600 W and half at 200 W, as long as an update, of which a quarter is seen."""

    def halves(phase: float) -> float:
        return 600.0 if phase < 0.5 else 200.0

    device = Simulated(0.1, halves)
    loops = measured(device, idle=AWAKE, seconds=8.0, windows=40)
    # One phase alone gives 200 or 600 W; the mean of 40 has a standard error of 0.17 / 40**0.5.
    assert loops.joules_per_run == pytest.approx(40.0, rel=0.2)
    assert np.ptp(loops.windows_j) > 20.0
    assert loops.low_j < 40.0 < loops.high_j


def test_phases_come_from_the_generator() -> None:
    def begin(seed: int) -> float:
        device = Simulated(1e-3, steady(300.0))
        rng = np.random.default_rng(seed)
        hooks = {"finish": device.finish, "clock": device.clock, "sleep": device.sleep}
        measure_energy(device.run, device, rng=rng, idle=AWAKE, seconds=0.4, **hooks)  # type: ignore[arg-type]
        gaps = np.array(device.starts[1:]) - np.array(device.ends[:-1])
        return float(gaps.max())

    pauses = [begin(seed) for seed in range(6)]
    expected = [0.1 * np.random.default_rng(seed).random() for seed in range(6)]
    assert pauses == pytest.approx(expected, abs=1e-3)


def test_noise_is_inside_the_interval_19_times_out_of_20() -> None:
    held, wide = 0, []
    for seed in range(40):
        device = Simulated(2e-3, steady(500.0), noise=0.02)
        device.rng = np.random.default_rng(seed)
        reading = measured(device, idle=AWAKE, seconds=1.0)
        held += reading.low_j <= 1.0 <= reading.high_j
        wide.append((reading.high_j - reading.low_j) / 2)
    # Below 33 of 40 has a probability of 1e-3 where the interval holds 95 %.
    assert held >= 33
    # Two updates a window: 2.78 * 0.02 / 2**0.5 / 5**0.5 = 0.018.
    assert 0.01 < float(np.median(wide)) < 0.03


def test_a_lag_shorter_than_settling_does_no_harm() -> None:
    device = Simulated(1e-3, steady(500.0), lag_s=0.2)
    reading = measured(device, seconds=1.0)
    assert reading.joules_per_run == pytest.approx(0.5, rel=0.01)
    assert reading.idle_w == pytest.approx(100.0, rel=0.01)


def test_wrapping_counter_of_a_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A real meter on a folder that the simulated device writes, wrapping several times a loop."""
    device = Simulated(2e-3, steady(80.0), idle_w=20.0, queued=False, period_s=0.01, seen_s=None)
    counter = tmp_path / "intel-rapl:0" / "energy_uj"
    counter.parent.mkdir()
    for name, text in (("name", "package-0"), ("max_energy_range_uj", "50000000")):
        (counter.parent / name).write_text(text)
    counter.write_text("0")
    meter = RaplMeter(tmp_path)
    read = meter.joules

    def joules() -> float:
        counter.write_text(str(round(device.joules() * 1e6) % 50_000_000))
        return read()

    monkeypatch.setattr(meter, "joules", joules)
    reading = measure_energy(
        device.run,
        meter,
        rng=np.random.default_rng(0),
        finish=device.finish,
        clock=device.clock,
        sleep=device.sleep,
    )
    assert reading.joules_per_run == pytest.approx(80 * 2e-3, rel=0.01)
    assert reading.idle_w == pytest.approx(20.0, rel=0.01)


def test_a_run_that_gets_faster_is_taken_again() -> None:
    """Slow until it is warm, so that too few runs are enqueued after that."""
    device = Simulated(1e-3, steady(500.0))
    device.speed = lambda now_s: 1.0 if device.reads else 1.5
    reading = measured(device, idle=AWAKE, seconds=1.0)
    assert reading.run_s == pytest.approx(1e-3, rel=0.01)
    assert reading.joules_per_run == pytest.approx(0.5, rel=0.01)


def test_a_run_that_only_gets_faster_is_refused() -> None:
    device = Simulated(5e-3, steady(500.0), speed=lambda now_s: 0.3**now_s)
    with pytest.raises(RuntimeError, match="about as long each time"):
        measured(device, idle=AWAKE, seconds=3.0)


def test_a_counter_that_stands_still_is_refused() -> None:
    device = Simulated(1e-3, steady(500.0))
    device.updates = np.array([1e9])
    with pytest.raises(RuntimeError, match=r"a simulated counter stood still at 50000\.0 J for 5"):
        measured(device)


def test_the_counter_is_left_alone_between_ends() -> None:
    device = Simulated(1e-3, steady(500.0))
    measured(device, idle=AWAKE, seconds=10.0)
    # Six ends, each polled for up to 1.5 updates of 100 ms every millisecond.
    assert device.reads < 6 * 150


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"windows": 1}, "`windows` must be at least 2"),
        ({"seconds": 0.0}, "`seconds` must be a number above 0; got 0.0"),
        ({"seconds": float("nan")}, "`seconds` must be a number above 0; got nan"),
        ({"settle_s": -0.1}, "`settle_s` must be a number, 0 or more; got -0.1"),
    ],
)
def test_arguments_out_of_range(options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        measured(Simulated(1e-3, steady(500.0)), **options)


def test_interval_is_students_over_the_windows_and_what_the_ends_leave_open() -> None:
    device = Simulated(1e-3, steady(500.0), noise=0.1)
    reading = measured(device, idle=AWAKE, seconds=0.6, windows=3)
    a, b, c = reading.windows_j
    mean = (a + b + c) / 3
    spread = (((a - mean) ** 2 + (b - mean) ** 2 + (c - mean) ** 2) / 2) ** 0.5
    students = 4.302653 * spread / 3**0.5  # Quantile 0.975 of Student's t with 2 degrees.
    assert reading.joules_per_run == pytest.approx(mean)
    assert students < reading.high_j - mean < students + 0.004 * mean
    assert reading.low_j == pytest.approx(max(2 * mean - reading.high_j, 0.0))
