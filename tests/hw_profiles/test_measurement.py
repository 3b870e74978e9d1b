"""Tables made with a runtime whose costs are known exactly."""

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hw_profiles import QUANTITIES, BlockTable, Device, Run, Setting
from hw_profiles import measurement as module
from hw_profiles.cache import Weights
from hw_profiles.journal import Journal
from hw_profiles.measurement import (
    certificate_networks,
    certify,
    estimate_s,
    measure_table,
    time_networks,
    whole,
)
from hw_profiles.plan import Plan, plan_cover, plan_measurement
from hw_profiles.runtime import Effort
from hw_profiles.timing import CPU_EFFORT, REFERENCES, Reference, Visit, on_one_core
from search_spaces import (
    Architecture,
    Block,
    CountTable,
    SearchSpace,
    UnionSpace,
    ViTSpace,
    block_key,
)
from search_spaces.decoder import DecoderSpace
from search_spaces.decoding import decoding_step
from search_spaces.space_fields import space_of_fields

OVERHEAD_S = 2e-4


class FakeRuntime:
    """Runs that take an overhead, what each block costs, and what its weights beyond a cache do.

    Args:
        counts: Counts of the blocks.
        noise: Relative standard deviation of a run.
        visit_noise: Of all runs of a visit together; the same for the same visit of a network.
        spill: Bytes of weights up to which all and from which none stay in the cache, and seconds
            of each large tensor that does not.
        effort: Of its timings.
        threads: Of its setting.
        drift: What all runs take longer by the n-th preparation.
        seed: Of all noise.
    """

    versions: Mapping[str, str] = {"fake": "1.2.3"}
    device = Device("Fake 1", "x86_64", cores=4, memory_bytes=8 << 30, features="abc")

    def __init__(
        self,
        counts: CountTable,
        *,
        noise: float = 0.0,
        visit_noise: float = 0.0,
        spill: tuple[float, float, float] | None = None,
        effort: Effort = CPU_EFFORT,
        threads: int = 0,
        drift: Callable[[int], float] = lambda n: 1.0,
        seed: int = 0,
    ) -> None:
        self.setting = Setting("fake", "1", threads=threads)
        self.effort = effort
        self.prepared: list[str] = []
        self._counts, self._noise, self._visit_noise = counts, noise, visit_noise
        self._spill, self._drift = spill, drift
        self._seed, self._rng = seed, np.random.default_rng(seed)
        self._elapsed_s = 0.0

    def cost_s(self, block: Block) -> float:
        """A third more or less than operators, MACs and traffic say, at random by block."""
        c = self._counts[block]
        expected = 3e-6 * c.operators + 1e-10 * c.macs.at(1) + 4e-10 * c.access.at(1)
        seed = hashlib.sha256(block_key(block).encode()).digest()[0]
        return float(expected * np.random.default_rng(seed).uniform(0.67, 1.33))

    def total_s(self, architecture: Architecture | None) -> float:
        """The exact time of a run."""
        blocks = () if architecture is None else architecture.blocks
        total = OVERHEAD_S + sum(self.cost_s(block) for block in blocks)
        if self._spill is not None:
            low, high, each = self._spill
            weights = Weights.of(architecture, self._counts)
            share = min(max((4 * weights.elements - low) / (high - low), 0.0), 1.0)
            total += share * each * weights.tensors
        return total

    def prepare(self, architecture: Architecture | None) -> Run:
        name = "nothing" if architecture is None else architecture.id
        visit_number = self.prepared.count(name)
        self.prepared.append(name)
        seconds = self.total_s(architecture)
        if name not in REFERENCE_IDS:
            digest = hashlib.sha256(f"{name} {visit_number} {self._seed}".encode()).digest()
            normal = np.random.default_rng(list(digest)).standard_normal()
            seconds *= 1 + self._visit_noise * normal

        def once() -> None:
            noise = self._noise * self._rng.standard_normal() if self._noise else 0.0
            self._elapsed_s += seconds * (1 + noise) * self._drift(len(self.prepared))

        return once

    def time(self, runs: Sequence[Run], rounds: int) -> NDArray[np.float64]:
        seconds = np.empty((rounds, len(runs)))
        for row in range(rounds):
            for column, run in enumerate(runs):
                self._elapsed_s = 0.0
                run()
                seconds[row, column] = self._elapsed_s
        return seconds

    def finish(self) -> None:
        pass

    def pinned(self) -> AbstractContextManager[int | None]:
        return on_one_core(self.setting.threads == 1)


REFERENCE_IDS = [network.id for network in REFERENCES["small"]]


def price(table: BlockTable, architecture: Architecture) -> float:
    """The table's sum."""
    return table.overhead.value + sum(table[block].value for block in architecture.blocks)


def drawn(space: SearchSpace, n: int, seed: int) -> Iterator[Architecture]:
    """Random networks."""
    return map(space.decode, space.random_codes(n, np.random.default_rng(seed)))


def unseen(space: SearchSpace, plan: Plan, n: int) -> list[Architecture]:
    """Random networks that are not in a plan."""
    planned = {network.id for network in plan.networks}
    return list(islice((a for a in drawn(space, 50 * n, seed=99) if a.id not in planned), n))


def repeatable(block: Block, counts: CountTable) -> bool:
    """Whether the output can be the input."""
    return block.input_shapes == (counts[block].output_shape,)


@pytest.fixture(scope="module")
def plan(union: UnionSpace, counts: CountTable) -> Plan:
    return plan_measurement(union, counts)


@pytest.fixture(scope="module")
def table(union: UnionSpace, counts: CountTable, plan: Plan) -> BlockTable:
    """Measured without noise."""
    return measure_table(union, FakeRuntime(counts), counts, plan=plan)


@pytest.fixture(scope="module")
def small() -> ViTSpace:
    """ViTs of 12 networks."""
    return ViTSpace(
        patch_size=(4,), depth=(2, 3), width=(32,), heads=(2,), mlp_ratio=(1, 2), pool=("cls",)
    )


def test_sums_of_unseen_networks_are_recovered(
    union: UnionSpace, counts: CountTable, plan: Plan, table: BlockTable
) -> None:
    runtime = FakeRuntime(counts)
    networks = unseen(union, plan, 60)
    errors = [price(table, a) / runtime.total_s(a) - 1 for a in networks]
    assert {a.space for a in networks} == {"vit", "mbconv"}
    assert np.abs(errors).max() < 0.01


def test_entries_of_repeatable_blocks_are_recovered(
    union: UnionSpace, counts: CountTable, table: BlockTable
) -> None:
    runtime = FakeRuntime(counts)
    blocks = [block for block in union.blocks if repeatable(block, counts)]
    errors = [table[block].value / runtime.cost_s(block) - 1 for block in blocks]
    assert len(errors) > 10
    assert np.abs(errors).max() < 0.05


def test_overhead_is_recovered(table: BlockTable) -> None:
    assert table.overhead.value == pytest.approx(OVERHEAD_S, rel=0.02)


def test_no_cache_is_found_where_there_is_none(table: BlockTable) -> None:
    assert table.cache is None


def test_noise_of_two_percent_stays_small(
    union: UnionSpace, counts: CountTable, plan: Plan
) -> None:
    runtime = FakeRuntime(counts, noise=0.02)
    noisy = measure_table(union, runtime, counts, plan=plan)
    quantile = 1 - 1.2816 * 0.02  # What is stored is the 10 % quantile of the normal noise.
    networks = unseen(union, plan, 60)
    errors = [price(noisy, a) / (quantile * runtime.total_s(a)) - 1 for a in networks]
    assert np.abs(errors).max() < 0.03
    assert abs(np.mean(errors)) < 0.01


def test_table_says_how_it_was_made(
    union: UnionSpace, counts: CountTable, plan: Plan, table: BlockTable
) -> None:
    runtime = FakeRuntime(counts)
    reference_s = sum(runtime.total_s(network) for network in REFERENCES["small"])
    said = table.conditions
    assert (table.quantity, table.setting, table.device) == (
        "latency_s",
        runtime.setting,
        runtime.device,
    )
    assert table.space == "vit+mbconv"
    assert table.certificate is None
    assert said["reference_s"] == pytest.approx(reference_s)
    assert said["reference"] == "+".join(REFERENCE_IDS)
    assert said["reference_drift"] == pytest.approx(1)
    assert said["networks"] == len(plan.networks) + 1
    assert said["fitted"] == sorted(network.id for network in plan.networks)
    assert said["fit_error"] < 0.01
    assert said["repeat_90"] == pytest.approx(0, abs=1e-9)
    assert said["noisy"] is False
    assert said["versions"] == {"fake": "1.2.3"}
    assert said["effort"] == {
        "visits": 2,
        "min_runs": 12,
        "max_runs": 60,
        "seconds": 0.02,
        "alternate": True,
        "patience": 0.5,
    }
    assert said["disturbed"] == 0
    assert space_of_fields(table.spaces).describe() == union.describe()
    for entry in (table.overhead, *table.entries.values()):
        assert entry.p10 <= entry.p50 <= entry.p90
        assert entry.low < entry.value < entry.high
        if entry.low > 0:
            assert entry.value - entry.low == pytest.approx(entry.high - entry.value, rel=0.01)


def test_runs_of_an_entry_are_those_of_the_networks_that_hold_it(
    small: ViTSpace, counts: CountTable
) -> None:
    effort = Effort(visits=2, min_runs=5, max_runs=5, seconds=1.0)
    plan = plan_measurement(small, counts)
    table = measure_table(small, FakeRuntime(counts, effort=effort), counts, plan=plan)
    for block in small.blocks:
        holding = sum(block in network.blocks for network in plan.networks)
        assert table[block].n == 2 * 5 * holding
    assert table.overhead.n == 2 * 5 * (len(plan.networks) + 1)


def test_limited_table_has_exactly_the_entries_of_the_plan(
    union: UnionSpace, counts: CountTable
) -> None:
    plan = plan_measurement(union, counts, max_blocks=12, whole=5)
    table = measure_table(union, FakeRuntime(counts), counts, plan=plan)
    assert set(table.entries) == {block_key(block) for block in plan.blocks}
    assert table.conditions["blocks_unmeasured"] == len(union.blocks) - 12


@pytest.mark.parametrize(
    ("runtime", "noisy"),
    [
        ({"visit_noise": 0.01}, False),
        ({"visit_noise": 0.2}, True),
        ({"drift": lambda n: 1 + 0.004 * n}, False),
        ({"drift": lambda n: 1 + 0.04 * n}, True),
    ],
)
def test_busy_machine_is_noted(
    small: ViTSpace, counts: CountTable, runtime: dict[str, Any], noisy: bool
) -> None:
    table = measure_table(small, FakeRuntime(counts, **runtime), counts)
    assert table.conditions["noisy"] is noisy
    over = [
        table.conditions["reference_drift"] > module.MAX_DRIFT,
        table.conditions["repeat_90"] > module.MAX_REPEAT,
    ]
    assert over == [noisy and "drift" in runtime, noisy and "visit_noise" in runtime]


@pytest.mark.parametrize("visits", [1, 2])
def test_noise_is_that_of_the_mean_over_the_visits(
    union: UnionSpace, counts: CountTable, plan: Plan, visits: int
) -> None:
    effort = replace(CPU_EFFORT, visits=visits)
    found = []
    for seed in range(6):
        runtime = FakeRuntime(counts, visit_noise=0.02, effort=effort, seed=seed)
        table = measure_table(union, runtime, counts, plan=plan)
        assert table.conditions["networks"] > 60
        found.append(table.conditions["timing_noise"])
    # The median of 60 normal differences or more has a standard deviation of 15 % at most, and the
    # mean of six a standard deviation of 6 %.
    assert np.mean(found) == pytest.approx(0.02 / visits**0.5, rel=0.15)


@pytest.fixture(scope="module")
def large() -> ViTSpace:
    """ViTs whose weights are 0.2 to 5 MB."""
    return ViTSpace(
        patch_size=(4,), depth=(1, 2, 3, 4, 6), width=(96, 128, 192), heads=(2,), mlp_ratio=(1, 2)
    )


SPILL = (1.0e6, 2.5e6, 2e-5)
"""Of networks of :func:`large`, half a tensor's own time."""


@pytest.mark.parametrize("noise", [0.0, 0.005])
def test_cache_that_ends_is_found_with_its_price(
    large: ViTSpace, counts: CountTable, noise: float
) -> None:
    from predictors import TablePredictor

    runtime = FakeRuntime(counts, visit_noise=noise, spill=SPILL)
    plan = plan_measurement(large, counts)
    table = measure_table(large, runtime, counts, plan=plan)
    assert table.cache is not None
    assert table.cache.low_bytes == pytest.approx(SPILL[0], rel=0.35)
    assert table.cache.high_bytes == pytest.approx(SPILL[1], rel=0.35)
    assert table.cache.per_tensor == pytest.approx(SPILL[2], rel=0.2)
    networks = unseen(large, plan, 60)
    predictor = TablePredictor(table, counts)
    errors = [predictor.price(a).value / runtime.total_s(a) - 1 for a in networks]
    # Without the cache they are 6 % in the mean and up to 25 %.
    assert np.abs(errors).mean() < 0.015
    assert np.abs(errors).max() < 0.06


def test_decoding_step_is_measured_on_the_network_of_the_last_token(counts: CountTable) -> None:
    space = DecoderSpace(
        vocabulary=(64,), context=(8, 16), depth=(1, 2, 3), width=(16, 24), heads=(2,)
    )
    runtime, plan = FakeRuntime(counts), plan_measurement(space, counts)
    table = measure_table(space, runtime, counts, of="decode_step_s", plan=plan)
    given = plan.of(QUANTITIES["decode_step_s"])
    same = measure_table(space, FakeRuntime(counts), counts, of="decode_step_s", plan=given)
    assert same.entries == table.entries
    assert table.quantity == "decode_step_s"
    assert set(table.entries) == {block_key(b.decoding()) for b in space.blocks}
    steps = {decoding_step(network).id for network in plan.networks}
    assert set(runtime.prepared) == {"nothing", *REFERENCE_IDS, *steps}
    networks = [a for a in drawn(space, 200, seed=9) if decoding_step(a).id not in steps]
    errors = [
        price(table, step) / runtime.total_s(step) - 1 for step in map(decoding_step, networks)
    ]
    assert len(errors) > 20
    assert np.abs(errors).max() < 0.01
    made = certify(table, space, runtime, lambda a: price(table, decoding_step(a)), networks=10)
    assert made is not None
    assert set(made.families) == {"decoder", "all"}
    assert made.families["decoder"].mape < 0.01
    steps_of = {a.id: decoding_step(a).id for a in certificate_networks(table, space, 10)}
    assert [m.architecture for m in made.measured] == list(steps_of)
    assert steps.isdisjoint(steps_of.values())


class TripleGauge:
    """A gauge that reads three times the seconds of a run, and its median rather than its p10."""

    statistic, quantile, repeated, limit_s = "p50 of loops", 0.5, 8, float("inf")

    def __init__(self, runtime: FakeRuntime, reference: Reference) -> None:
        self.runtime = runtime
        self.conditions: dict[str, Any] = {"idle_w": 70.0}

    def __call__(self, run: Run) -> Visit:
        seconds = self.runtime.time([run], 1)[0, 0]
        return Visit(tuple(3 * seconds * f for f in (0.8, 1.0, 1.1)), 1.0)


def test_quantity_beside_another_is_entered_for_blocks_that_no_network_held(
    union: UnionSpace, counts: CountTable
) -> None:
    runtime = FakeRuntime(counts, effort=replace(CPU_EFFORT, visits=1))
    plan = plan_cover(union, networks=6, tries=300)
    assert len(plan.unmeasured) > 5

    def measured(**options: Any) -> BlockTable:
        return measure_table(
            union, runtime, counts, of="energy_j", plan=plan, make_gauge=TripleGauge, **options
        )

    table = measured(beside=runtime.cost_s)
    assert set(table.entries) == {block_key(block) for block in union.blocks}
    for block in union.blocks:
        entry = table[block]
        assert (entry.n == 0) == (block in plan.unmeasured)
        # All joules are three times the seconds; the networks are too few to say so otherwise.
        assert entry.value == pytest.approx(3 * runtime.cost_s(block), rel=0.05)
    # What rests on no run has the interval of a guess.
    widths = {b: (table[b].high - table[b].low) / table[b].value for b in union.blocks}
    assert min(widths[b] for b in plan.unmeasured) > 1.5
    for network in unseen(union, plan, 30):
        assert price(table, network) == pytest.approx(3 * runtime.total_s(network), rel=0.02)
    said = table.conditions
    assert (said["statistic"], said["idle_w"], said["reference_s"]) == ("p50 of loops", 70.0, 1.0)
    alone = measured()
    assert set(alone.entries) == {block_key(block) for block in plan.blocks}


def test_statistic_of_the_gauge_is_the_value(small: ViTSpace, counts: CountTable) -> None:
    runtime = FakeRuntime(counts, effort=replace(CPU_EFFORT, visits=1))
    table = measure_table(small, runtime, counts, of="energy_j", make_gauge=TripleGauge)
    assert all(entry.value == entry.p50 for entry in table.entries.values())
    for network in drawn(small, 10, seed=3):
        entries = [table.overhead, *(table[block] for block in network.blocks)]
        joules = 3 * runtime.total_s(network)
        # Of three runs 0.8, 1 and 1.1 the 10 % quantile is 0.84, the median 1, the 90 % 1.08.
        assert sum(e.value for e in entries) == pytest.approx(joules, rel=0.01)
        assert sum(e.p10 for e in entries) == pytest.approx(0.84 * joules, rel=0.01)
        assert sum(e.p90 for e in entries) == pytest.approx(1.08 * joules, rel=0.01)
    made = certify(
        table, small, runtime, lambda a: price(table, a), networks=2, make_gauge=TripleGauge
    )
    assert made is not None
    assert made.families["all"].mape < 0.01


def test_networks_are_visited_in_shuffled_rounds(vit: ViTSpace, counts: CountTable) -> None:
    runtime = FakeRuntime(counts)
    jobs = [None, *drawn(vit, 6, seed=0)]
    told: list[tuple[int, int]] = []
    visits, _ = time_networks(jobs, runtime, progress=lambda done, n, left: told.append((done, n)))
    references = len(REFERENCE_IDS)
    first, second = runtime.prepared[references:][:7], runtime.prepared[references:][7:]
    assert sorted(first) == sorted(second)
    assert first != second
    assert told == [(done, 14) for done in range(1, 15)]
    reference_s = sum(runtime.total_s(network) for network in REFERENCES["small"])
    for job, pair in zip(jobs, visits, strict=True):
        expected = runtime.total_s(job) / reference_s
        assert [visit.ratio(0.1) for visit in pair] == pytest.approx([expected] * 2)


def test_networks_are_visited_once_and_some_again_where_timings_repeat(
    union: UnionSpace, counts: CountTable
) -> None:
    jobs = list({a.id: a for a in drawn(union, 120, seed=0)}.values())[:70]
    runtime = FakeRuntime(counts, effort=replace(CPU_EFFORT, visits=1))
    visits, _ = time_networks(jobs, runtime)
    assert len(jobs) == 70
    assert Counter(map(len, visits)) == {2: 60, 1: 10}
    visits, _ = time_networks(jobs, runtime, visits=1)
    assert Counter(map(len, visits)) == {1: 70}


class Interrupted(Exception):
    """What stops a measurement."""


def stop_after(n: int) -> Callable[[int, int, float], None]:
    """Progress that stops after some visits."""

    def tell(done: int, total: int, left_s: float) -> None:
        if done == n:
            raise Interrupted

    return tell


@pytest.mark.parametrize("visits", [2, 1])
def test_interrupted_measurement_goes_on_and_gives_the_same_table(
    small: ViTSpace, counts: CountTable, tmp_path: Path, visits: int
) -> None:
    effort = replace(CPU_EFFORT, visits=visits)
    path, conditions = tmp_path / "table.journal", {"setting": "fake"}
    plan = plan_measurement(small, counts)

    def measured(runtime: FakeRuntime, **options: Any) -> BlockTable:
        return measure_table(small, runtime, counts, plan=plan, **options)

    at_once, by_parts = (FakeRuntime(counts, visit_noise=0.03, effort=effort) for _ in range(2))
    expected = measured(at_once)
    for stop in (1, len(plan.networks) // 2, len(plan.networks) + 3):
        with pytest.raises(Interrupted):
            measured(by_parts, journal=Journal(path, conditions), progress=stop_after(stop))
    # A process that is killed while it writes leaves half a line.
    with path.open("a") as file:
        file.write('["table 0 0123456789ab", [0.1, 0.')
    again = measured(by_parts, journal=Journal(path, conditions))
    assert replace(again, conditions=dict(again.conditions, date="")) == replace(
        expected, conditions=dict(expected.conditions, date="")
    )
    timed = Counter(by_parts.prepared)
    for name in REFERENCE_IDS:  # Prepared once each time.
        assert timed.pop(name) == 4
    assert timed == Counter(at_once.prepared) - Counter(REFERENCE_IDS)


def test_visit_after_half_a_line_is_kept(
    small: ViTSpace, counts: CountTable, tmp_path: Path
) -> None:
    runtime, path = FakeRuntime(counts), tmp_path / "table.journal"
    plan = plan_measurement(small, counts)
    for stop in (2, 4, 6):
        with pytest.raises(Interrupted):
            measure_table(
                small,
                runtime,
                counts,
                plan=plan,
                journal=Journal(path),
                progress=stop_after(stop),
            )
        with path.open("a") as file:
            file.write('["table')
    # Two visits each time, none of them twice.
    assert len(runtime.prepared) == 3 * len(REFERENCE_IDS) + 6


def test_journal_of_a_table_is_none_of_its_certificate(
    small: ViTSpace, counts: CountTable, tmp_path: Path
) -> None:
    runtime, journal = FakeRuntime(counts), Journal(tmp_path / "table.journal")
    table = measure_table(small, runtime, counts, journal=journal)
    before = len(runtime.prepared)
    first, same, other = (
        certify(table, small, runtime, runtime.total_s, journal=journal, salt=salt)
        for salt in ("", "", "again")
    )
    assert first is not None
    assert same is not None
    assert other is not None
    assert same.measured == first.measured
    # The same draw is timed once; each network of a draw is visited twice.
    timed = len(runtime.prepared) - before - 3 * len(REFERENCE_IDS)
    assert timed == 2 * len(first.measured) + 2 * len(other.measured)


def test_certificate_is_drawn_by_the_table_from_networks_it_was_not_fitted_to(
    union: UnionSpace, counts: CountTable, table: BlockTable
) -> None:
    runtime = FakeRuntime(counts)
    asked: list[str] = []

    def double(architecture: Architecture) -> float:
        asked.append(architecture.id)
        return 2 * runtime.total_s(architecture)

    def ids(of: BlockTable, salt: str = "") -> list[str]:
        made = certify(of, union, runtime, double, networks=8, salt=salt)
        assert made is not None
        assert made.seed == of.sha256 + salt
        assert made.families["all"].bias == pytest.approx(1, abs=1e-4)
        assert made.families["all"].aa_within_5 == 1
        for network in made.measured:
            assert network.predicted == pytest.approx(2 * np.mean(network.measured), rel=1e-5)
        assert Counter(network.family for network in made.measured) == {"vit": 8, "mbconv": 8}
        return [network.architecture for network in made.measured]

    first = ids(table)
    assert asked == first
    assert len(set(first)) == 16
    assert set(first).isdisjoint(table.conditions["fitted"])
    assert ids(table) == first
    other = replace(table, conditions={**table.conditions, "date": "another"})
    assert ids(other) != first
    assert ids(table, salt="validation") != first


def test_certificate_of_an_exact_table_has_no_error(
    union: UnionSpace, counts: CountTable, table: BlockTable
) -> None:
    runtime = FakeRuntime(counts)
    made = certify(table, union, runtime, runtime.total_s, networks=8)
    assert made is not None
    # Figures are kept to six digits.
    assert made.families["all"].mape == pytest.approx(0, abs=1e-5)


def test_salted_draw_leaves_out_the_networks_of_the_certificate(
    union: UnionSpace, counts: CountTable, table: BlockTable
) -> None:
    runtime = FakeRuntime(counts)
    certified = replace(
        table, certificate=certify(table, union, runtime, runtime.total_s, networks=10)
    )
    first = {a.id for a in certificate_networks(certified, union, 10)}
    again = {a.id for a in certificate_networks(certified, union, 10, salt="validation")}
    assert first == {m.architecture for m in certified.certificate.measured}
    assert len(again) == 20
    assert first.isdisjoint(again)


def test_salted_draw_of_decoders_leaves_them_out_too(counts: CountTable) -> None:
    space = DecoderSpace(vocabulary=(64,), context=(8,), depth=(1, 2), width=(16,), heads=(2,))
    runtime = FakeRuntime(counts)
    plan = plan_measurement(space, counts, whole=4)
    table = measure_table(space, runtime, counts, of="decode_step_s", plan=plan)
    made = certify(table, space, runtime, lambda a: 1.0, networks=6)
    assert made is not None
    certified = replace(table, certificate=made)
    again = {a.id for a in certificate_networks(certified, space, 6, salt="again")}
    assert again
    assert again.isdisjoint(m.architecture for m in made.measured)


def test_certificate_has_fewer_networks_where_the_space_has_no_more(
    small: ViTSpace, counts: CountTable
) -> None:
    runtime = FakeRuntime(counts)
    table = measure_table(small, runtime, counts)
    left = {a.id for a in drawn(small, 300, seed=0)} - set(table.conditions["fitted"])
    made = certify(table, small, runtime, runtime.total_s, networks=40)
    assert made is not None
    assert {network.architecture for network in made.measured} == left
    assert made.families["all"].n == len(left) >= 2


def test_space_whose_networks_were_all_fitted_cannot_be_certified(
    small: ViTSpace, counts: CountTable
) -> None:
    runtime = FakeRuntime(counts)
    everything = [a.id for a in drawn(small, 300, seed=0)]
    table = measure_table(small, runtime, counts)
    spent = replace(table, conditions={**table.conditions, "fitted": everything})
    assert certify(spent, small, runtime, runtime.total_s) is None


def test_whole_network_by_hand(small: ViTSpace) -> None:
    network = small.decode([0] * len(small.parameters))
    # Eleven runs each: a quantile q is at position 10 q, and of both together at 21 q.
    first = Visit(tuple(float(i) for i in range(10, 21)), reference_s=2.0)
    second = Visit(tuple(float(i) for i in range(21, 32)), reference_s=4.0)
    made = whole(network, 1 / 3, [first, second], reference_s=3.0)
    assert (made.architecture, made.family) == (network.id, "vit")
    assert made.predicted == 0.333333
    assert made.measured == (11 / 2 * 3, 22 / 4 * 3)
    # The tail is in seconds as they passed: 10 to 31.
    assert made.tail == pytest.approx((10 + 0.5 * 21, 10 + 0.9 * 21, 10 + 0.99 * 21))
    assert made.n == 22


def test_estimate_follows_networks_and_blocks(
    plan: Plan, counts: CountTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = FakeRuntime(counts)
    now_s = 0.0
    known: set[Block] = set()
    sampled: list[int] = []

    def time_some(jobs: Sequence[Architecture], *_: Any, visits: int) -> None:
        """Two seconds a visit, and a tenth for each block that is new."""
        nonlocal now_s
        assert visits == 1
        blocks = {block for network in jobs for block in network.blocks}
        now_s += 2.0 * len(jobs) + 0.1 * len(blocks - known)
        known.update(blocks)
        sampled.append(len(jobs))

    class Time:
        @staticmethod
        def monotonic() -> float:
            return now_s

    monkeypatch.setattr(module, "time_networks", time_some)
    monkeypatch.setattr(module, "time", Time)
    # Each network is visited twice, for the table and for the certificate.
    expected = 2.0 * 2 * (len(plan.networks) + 40) + 0.1 * len(plan.blocks)
    assert estimate_s(plan, runtime, 40) == pytest.approx(expected)
    assert max(sampled) <= 12


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="The system pins no process.")
@pytest.mark.parametrize("threads", [1, 2])
def test_core_is_the_one_that_the_runtime_pins(
    vit: ViTSpace, counts: CountTable, threads: int
) -> None:
    runtime = FakeRuntime(counts, threads=threads)
    _, core = time_networks(list(drawn(vit, 1, seed=0)), runtime)
    assert core == (max(os.sched_getaffinity(0)) if threads == 1 else None)


class BusyGauge:
    """Visits are 40 % off while the machine is busy: each network's first so many times.

    Args:
        times: How often; by the digest of the network, half of them are never.
    """

    statistic, quantile, repeated = "p10 of runs", 0.1, 8

    def __init__(self, runtime: FakeRuntime, reference: Reference, times: int) -> None:
        self.runtime, self.times, self.limit_s = runtime, times, 1.2
        self.conditions: dict[str, Any] = {}
        self.before: dict[float, int] = {}

    def __call__(self, run: Run) -> Visit:
        seconds = float(self.runtime.time([run], 1)[0, 0])
        before = self.before[seconds] = self.before.get(seconds, 0) + 1
        if before > self.times or hash(seconds) % 2:
            return Visit((seconds,), 1.0, (seconds,))
        # One that knew that it was disturbed, and one that learns of it by the reference.
        return Visit((1.4 * seconds,), 1.0, ()) if before % 2 else Visit((2.1 * seconds,), 1.5)


@pytest.mark.parametrize("times", [0, 1, 2])
def test_disturbed_visits_are_made_again(
    union: UnionSpace, counts: CountTable, plan: Plan, tmp_path: Path, times: int
) -> None:
    runtime = FakeRuntime(counts)
    journal = Journal(tmp_path / "journal")
    table = measure_table(
        union,
        runtime,
        counts,
        plan=plan,
        journal=journal,
        make_gauge=partial(BusyGauge, times=times),
    )
    assert table.conditions["disturbed"] == 0
    assert table.conditions["noisy"] is False
    again = [line for line in (tmp_path / "journal").read_text().splitlines() if " again " in line]
    assert bool(again) == bool(times)
    for network in unseen(union, plan, 30):
        assert price(table, network) == pytest.approx(runtime.total_s(network), rel=0.03)


def test_networks_that_were_never_quiet_weigh_little_and_are_said(
    union: UnionSpace, counts: CountTable, plan: Plan
) -> None:
    runtime = FakeRuntime(counts)
    table = measure_table(
        union, runtime, counts, plan=plan, make_gauge=partial(BusyGauge, times=1000)
    )
    assert 0.3 < table.conditions["disturbed"] < 0.7
    errors = [
        price(table, network) / runtime.total_s(network) - 1 for network in unseen(union, plan, 60)
    ]
    # Those visits are 40 % off, and with all of one weight the networks would be 20 %.
    assert np.mean(np.abs(errors)) < 0.1
