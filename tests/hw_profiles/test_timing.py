"""Timing with a clock that only the runs move."""

import os
from collections.abc import Iterable, Iterator

import numpy as np
import pytest

from hw_profiles.runtime import Run, Setting
from hw_profiles.timing import REFERENCES, on_one_core, prepare_reference, visit
from search_spaces import Architecture


class Bench:
    """A clock, and runs that move it and leave their name."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.log: list[str] = []

    def clock(self) -> float:
        return self.now_s

    def run(self, name: str, seconds: Iterable[float]) -> Run:
        """A run that takes these seconds in turn."""
        remaining: Iterator[float] = iter(seconds)

        def once() -> None:
            self.now_s += next(remaining)
            self.log.append(name)

        return once


def steady(seconds: float) -> Iterator[float]:
    while True:
        yield seconds


def test_quantiles_are_over_the_tenth_of_the_reference() -> None:
    bench = Bench()
    # Eight runs warm up, in two windows that agree; then twelve are timed beside the reference.
    own = [1.0] * 8 + [float(s) for s in np.random.default_rng(0).permutation(np.arange(12) + 10)]
    others = [1.0] * 3 + [2.0 + 0.1 * i for i in range(12)]
    timed = visit(
        bench.run("own", own), bench.run("reference", others), seconds=0.02, clock=bench.clock
    )
    # A quantile q of twelve stands at position 11 q: 1.1, 5.5 and 9.9.
    reference = 2.0 + 0.11
    assert timed.n == 12
    assert timed.reference_s == pytest.approx(reference)
    assert timed.p10 == pytest.approx(11.1 / reference)
    assert timed.p50 == pytest.approx(15.5 / reference)
    assert timed.p90 == pytest.approx(19.9 / reference)


@pytest.mark.parametrize(
    ("run_s", "reference_s", "n"),
    [(1.0, 1.0, 12), (3e-4, 2e-4, 40), (1e-6, 1e-6, 60), (0.0, 1e-12, 60), (1.2e-3, 4e-4, 12)],
)
def test_runs_fill_the_time_between_12_and_60(run_s: float, reference_s: float, n: int) -> None:
    bench = Bench()
    timed = visit(
        bench.run("own", steady(run_s)),
        bench.run("reference", steady(reference_s)),
        clock=bench.clock,
    )
    assert abs(timed.n - n) <= (n == 40)  # 0.02 s over 0.5 ms, rounded down.
    assert 12 <= timed.n <= 60


def test_reference_and_network_take_turns() -> None:
    bench = Bench()
    visit(bench.run("own", steady(1.0)), bench.run("reference", steady(1.0)), clock=bench.clock)
    assert bench.log[-24:] == ["reference", "own"] * 12


def test_drift_that_both_share_drops_out() -> None:
    bench = Bench()
    drift = [1 + 0.05 * i for i in range(40)]
    own = [3.0] * 8 + [3.0 * d for d in drift]
    others = [1.0] * 3 + drift
    timed = visit(bench.run("own", own), bench.run("reference", others), clock=bench.clock)
    assert timed.p10 == pytest.approx(3)


def test_warming_goes_on_until_two_windows_agree() -> None:
    bench = Bench()
    cold = [8.0] * 4 + [4.0] * 4 + [2.0] * 4 + [2.1] * 4
    visit(
        bench.run("own", [*cold, *[2.0] * 12]),
        bench.run("reference", steady(1.0)),
        clock=bench.clock,
    )
    assert bench.log.count("own") == 16 + 12


def test_warming_ends_when_windows_never_agree() -> None:
    bench = Bench()
    halving = [2.0 ** -(i // 4) for i in range(24)]
    visit(
        bench.run("own", [*halving, *[1.0] * 12]),
        bench.run("reference", steady(1.0)),
        clock=bench.clock,
    )
    assert bench.log.count("own") == 24 + 12


def test_reference_is_its_networks_one_after_the_other() -> None:
    bench = Bench()

    class Fake:
        setting = Setting("fake", "1")

        def prepare(self, architecture: Architecture | None) -> Run:
            assert architecture is not None
            return bench.run(architecture.id, steady(1.0))

    prepare_reference(Fake())()
    assert bench.log == [network.id for network in REFERENCES]


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="The system pins no process.")
def test_pinning_ends_with_the_block() -> None:
    before = os.sched_getaffinity(0)
    with on_one_core() as core:
        assert os.sched_getaffinity(0) == {core}
    assert os.sched_getaffinity(0) == before
    with pytest.raises(KeyError), on_one_core():
        raise KeyError
    assert os.sched_getaffinity(0) == before


def test_pinning_is_left_out_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_setaffinity", raising=False)
    with on_one_core() as core:
        assert core is None
