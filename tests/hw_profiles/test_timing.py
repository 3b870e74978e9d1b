"""Timing with a clock that only the runs move."""

import os
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from hw_profiles import Device, Run
from hw_profiles.runtime import Effort
from hw_profiles.timing import (
    CPU_EFFORT,
    LARGE_MACS,
    REFERENCES,
    Quiet,
    Visit,
    in_turn,
    on_one_core,
    prepare_reference,
    reference_called,
    reference_for,
    reference_id,
    visit,
)
from search_spaces import Architecture


class Bench:
    """A runtime with a clock that runs move; they leave their name."""

    effort = CPU_EFFORT

    def __init__(self) -> None:
        self.now_s = 0.0
        self.log: list[str] = []

    def run(self, name: str, seconds: Iterable[float]) -> Run:
        """A run that takes these seconds in turn."""
        remaining: Iterator[float] = iter(seconds)

        def once() -> None:
            self.now_s += next(remaining)
            self.log.append(name)

        return once

    def time(self, runs: Sequence[Run], rounds: int) -> NDArray[np.float64]:
        return in_turn(runs, rounds, lambda: self.now_s)


def steady(seconds: float) -> Iterator[float]:
    while True:
        yield seconds


def after_slow_ones(seconds: Iterable[float]) -> list[float]:
    """Each after a run that finds the caches full of something else."""
    return [each for timed in seconds for each in (9 * timed, timed)]


def test_quantiles_of_a_visit_by_hand() -> None:
    # A quantile q of 11 runs stands at position 10 q.
    timed = Visit(tuple(float(s) for s in range(20, 9, -1)), reference_s=2.0)
    assert timed.n == 11
    assert [timed.ratio(q) for q in (0.1, 0.25, 0.5, 0.9)] == [11 / 2, 12.5 / 2, 15 / 2, 19 / 2]


def test_second_of_two_runs_is_kept_beside_the_tenth_of_the_reference() -> None:
    bench = Bench()
    # Eight runs warm up, in two windows that agree, and four of the reference say how long it
    # takes; then twelve are timed beside the reference.
    timed_s = [float(s) for s in np.random.default_rng(0).permutation(np.arange(12) + 10)]
    own = [1.0] * 8 + after_slow_ones(timed_s)
    others = [1.0] * 4 + after_slow_ones(2.0 + 0.1 * i for i in range(12))
    timed = visit(bench.run("own", own), bench.run("reference", others), bench)
    # A quantile q of twelve stands at position 11 q: 1.1.
    assert timed.runs_s == pytest.approx(tuple(timed_s))
    assert timed.reference_s == pytest.approx(2.0 + 0.11)
    assert timed.ratio(0.1) == pytest.approx(11.1 / 2.11)


@pytest.mark.parametrize(
    ("run_s", "reference_s", "n"),
    [(1.0, 1.0, 12), (3e-4, 2e-4, 40), (1e-6, 1e-6, 60), (0.0, 1e-12, 60), (1.2e-3, 4e-4, 12)],
)
def test_runs_fill_the_time_between_least_and_most(
    run_s: float, reference_s: float, n: int
) -> None:
    bench = Bench()
    timed = visit(
        bench.run("own", steady(run_s)), bench.run("reference", steady(reference_s)), bench
    )
    assert abs(timed.n - n) <= (n == 40)  # 0.02 s over 0.5 ms, rounded down.
    assert 12 <= timed.n <= 60


def test_effort_that_is_given_counts_and_not_the_runtimes() -> None:
    bench = Bench()
    effort = Effort(visits=1, min_runs=3, max_runs=7, seconds=8.0)
    for seconds, n in ((2.0, 3), (1.0, 4), (0.1, 7)):
        timed = visit(
            bench.run("own", steady(seconds)),
            bench.run("reference", steady(seconds)),
            bench,
            effort,
        )
        assert timed.n == n


def test_reference_and_network_take_turns() -> None:
    bench = Bench()
    visit(bench.run("own", steady(1.0)), bench.run("reference", steady(1.0)), bench)
    assert bench.log[-48:] == ["reference", "reference", "own", "own"] * 12


def test_reference_and_network_run_apart_where_the_device_does_not_drift() -> None:
    bench = Bench()
    effort = Effort(visits=1, min_runs=5, max_runs=5, seconds=1.0, alternate=False)
    own = [1.0] * 8 + [3.0, 4.0, 5.0, 6.0, 7.0]
    others = [1.0] * 4 + [2.0, 2.5, 3.0, 3.5, 4.0]
    timed = visit(bench.run("own", own), bench.run("reference", others), bench, effort)
    assert bench.log[-10:] == ["reference"] * 5 + ["own"] * 5
    assert timed.runs_s == (3.0, 4.0, 5.0, 6.0, 7.0)
    assert timed.reference_s == pytest.approx(2.2)  # Position 0.4 of five.


def test_drift_that_both_share_drops_out() -> None:
    bench = Bench()
    drift = [1 + 0.05 * i for i in range(12)]
    own = [3.0] * 8 + after_slow_ones(3.0 * d for d in drift)
    others = [1.0] * 4 + after_slow_ones(drift)
    timed = visit(bench.run("own", own), bench.run("reference", others), bench)
    assert timed.ratio(0.1) == pytest.approx(3)


def quiet_of(reference_s: float, bench: Bench, patience: float = 10.0) -> Quiet:
    """What is known of a reference that took so long whenever it was looked at."""
    quiet = Quiet(patience, clock=lambda: bench.now_s)
    for _ in range(100):
        quiet.add(reference_s)
    return quiet


def test_limit_of_quiet_is_a_fifth_above_the_fastest_twentieth() -> None:
    quiet = Quiet()
    assert quiet.limit_s == float("inf")
    for reference_s in [9.0] * 19 + [1.0, 2.0]:
        quiet.add(reference_s)
    # Of 21 the 5 % quantile is the second.
    assert quiet.limit_s == pytest.approx(1.2 * 2.0)
    # One fast moment is no state of the machine: among 41 it is the third fastest that counts.
    for _ in range(20):
        quiet.add(9.0)
    assert quiet.limit_s == pytest.approx(1.2 * 9.0)


def test_round_is_quiet_if_the_next_one_is_too() -> None:
    bench = Bench()
    quiet = quiet_of(1.0, bench)
    rounds = quiet.rounds(np.array([1.0, 1.19, 1.21, 1.0, 1.0, 2.0, 1.0]))
    assert rounds.tolist() == [True, False, False, True, False, False, True]


def rounds_of(states: Iterable[float], own_s: float, reference_s: float) -> tuple[list[float], ...]:
    """Runs of a network and a reference that other work slows: the network less than the other."""
    states = list(states)
    return (
        after_slow_ones(own_s * (1 + 0.4 * (state - 1)) for state in states),
        after_slow_ones(reference_s * state for state in states),
    )


def test_runs_beside_a_disturbed_reference_do_not_count() -> None:
    bench = Bench()
    own, others = rounds_of([1, 1, 1, 1, 1, 1, 2, 2, 1, 1, 1, 2], own_s=3.0, reference_s=1.0)
    timed = visit(
        bench.run("own", [3.0] * 8 + own),
        bench.run("reference", [1.0] * 4 + others),
        bench,
        quiet=quiet_of(1.0, bench, patience=-1e9),
    )
    assert len(timed.runs_s) == 12
    # Seven rounds are quiet like the one after them; half of the twelve that are wanted is enough.
    assert timed.quiet_s == pytest.approx([3.0] * 7)
    assert not timed.disturbed
    assert timed.ratio(0.9) == pytest.approx(3.0)


def test_visit_waits_for_quiet_moments() -> None:
    bench = Bench()
    own, others = rounds_of([2] * 12 + [1] * 12, own_s=3e-3, reference_s=1e-3)
    # Between the two windows the reference is polled until the median of eight runs is quiet.
    polls = [2e-3] * 8 + [2e-3] * 5 + [1e-3] * 3 + [1e-3] * 8
    timed = visit(
        bench.run("own", [3e-3] * 8 + own),
        bench.run("reference", [1e-3] * 4 + others[:24] + polls + others[24:]),
        bench,
        quiet=quiet_of(1e-3, bench),
    )
    assert timed.n == 24
    assert timed.quiet_s == pytest.approx([3e-3] * 12)
    assert timed.reference_s == pytest.approx(1e-3)
    assert timed.ratio(0.1) == pytest.approx(3.0)


def test_visit_without_quiet_moments_is_disturbed_and_keeps_all_runs() -> None:
    bench = Bench()
    own, others = rounds_of([2] * 12, own_s=3.0, reference_s=1.0)
    timed = visit(
        bench.run("own", [3.0] * 8 + own),
        bench.run("reference", [1.0] * 4 + others + [2.0] * 80),
        bench,
        quiet=quiet_of(1.0, bench, patience=0.0),
    )
    assert timed.disturbed
    assert timed.quiet_s == ()
    assert timed.ratio(0.1) == pytest.approx(3.0 * 1.4 / 2.0)


def test_time_to_wait_is_a_share_of_the_work_and_at_most_a_second() -> None:
    now_s = 0.0
    quiet = Quiet(0.5, clock=lambda: now_s)

    def waits() -> float:
        nonlocal now_s
        start_s = now_s
        with quiet.waiting() as patient:
            while patient():
                now_s += 0.125
        return now_s - start_s

    # Two seconds are free, of which a visit gets one.
    assert [waits(), waits(), waits()] == [1.0, 1.0, 0.0]
    now_s += 1.5  # Half of the work, and no share of the time waited.
    assert [waits(), waits()] == [0.75, 0.0]
    now_s += 100.0
    assert waits() == 1.0


def test_reference_goes_with_the_size_of_the_networks() -> None:
    cpu, gpu = Device("a", "b", 1, 1, ""), Device("a", "b", 1, 1, "", kind="gpu")

    class Fake:
        device = cpu

    runtime = Fake()
    assert reference_for(runtime) is REFERENCES["small"]
    assert reference_for(runtime, LARGE_MACS) is REFERENCES["large"]
    runtime.device = gpu
    assert reference_for(runtime, LARGE_MACS) is REFERENCES["gpu"]
    for reference in REFERENCES.values():
        assert reference_called(reference_id(reference)) is reference
    with pytest.raises(LookupError, match="reference"):
        reference_called("of another time")


def test_warming_goes_on_until_two_windows_agree() -> None:
    bench = Bench()
    cold = [8.0] * 4 + [4.0] * 4 + [2.0] * 4 + [2.1] * 4
    visit(
        bench.run("own", [*cold, *[2.0] * 24]),
        bench.run("reference", steady(1.0)),
        bench,
    )
    assert bench.log.count("own") == 16 + 24


def test_warming_ends_when_windows_never_agree() -> None:
    bench = Bench()
    halving = [2.0 ** -(i // 4) for i in range(24)]
    visit(
        bench.run("own", [*halving, *[1.0] * 24]),
        bench.run("reference", steady(1.0)),
        bench,
    )
    assert bench.log.count("own") == 24 + 24


def test_seconds_are_by_round_and_run() -> None:
    bench = Bench()
    runs = [bench.run("a", [1.0, 2.0, 3.0]), bench.run("b", [10.0, 20.0, 30.0])]
    assert bench.time(runs, 3).tolist() == [[1.0, 10.0], [2.0, 20.0], [3.0, 30.0]]
    assert bench.log == ["a", "b"] * 3


@pytest.mark.parametrize(("kind", "name"), [("cpu", "small"), ("gpu", "gpu")])
def test_reference_is_the_networks_of_the_kind_of_device_one_after_the_other(
    kind: str, name: str
) -> None:
    bench = Bench()

    class Fake:
        device = Device("Fake 1", "any", cores=1, memory_bytes=1, features="", kind=kind)

        def prepare(self, architecture: Architecture | None) -> Run:
            assert architecture is not None
            return bench.run(architecture.id, steady(1.0))

    prepare_reference(Fake())()
    assert bench.log == [network.id for network in REFERENCES[name]]
    first, second = REFERENCES[name]
    assert {type(b).__name__ for b in first.blocks} >= {"SelfAttention", "FeedForward"}
    assert {type(b).__name__ for b in second.blocks} >= {"InvertedBottleneck"}


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="The system pins no process.")
def test_pinning_ends_with_the_block() -> None:
    before = os.sched_getaffinity(0)
    with on_one_core() as core:
        assert os.sched_getaffinity(0) == {core}
    assert os.sched_getaffinity(0) == before
    with pytest.raises(KeyError), on_one_core():
        raise KeyError
    assert os.sched_getaffinity(0) == before


def test_pinning_is_left_out_where_it_is_not_wanted_or_there_is_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with on_one_core(wanted=False) as core:
        assert core is None
    monkeypatch.delattr(os, "sched_setaffinity", raising=False)
    with on_one_core() as core:
        assert core is None
