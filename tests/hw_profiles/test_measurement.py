"""Tables made with a runtime whose costs are known exactly."""

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from hw_profiles import LatencyTable, Run, Setting
from hw_profiles import measurement as module
from hw_profiles.measurement import (
    COPIES,
    Plan,
    certify,
    estimate_s,
    measure_table,
    plan_measurement,
    time_networks,
)
from hw_profiles.timing import REFERENCES, Visit
from search_spaces import (
    Architecture,
    Block,
    Choice,
    CountTable,
    Node,
    SearchSpace,
    Shape,
    Slot,
    UnionSpace,
    ViTSpace,
    block_key,
)

OVERHEAD_S = 2e-4


class FakeRuntime:
    """Runs that move a clock by an overhead and what each block costs."""

    def __init__(self, counts: CountTable, noise: float = 0.0) -> None:
        self.setting = Setting("fake", "1")
        self.now_s = 0.0
        self.prepared: list[str] = []
        self._counts, self._noise = counts, noise
        self._rng = np.random.default_rng(0)

    def clock(self) -> float:
        return self.now_s

    def cost_s(self, block: Block) -> float:
        """A third more or less than operators, MACs and traffic say, at random by block."""
        c = self._counts[block]
        expected = 3e-6 * c.operators + 1e-10 * c.macs.at(1) + 4e-10 * c.access.at(1)
        seed = hashlib.sha256(block_key(block).encode()).digest()[0]
        return float(expected * np.random.default_rng(seed).uniform(0.67, 1.33))

    def total_s(self, architecture: Architecture | None) -> float:
        """The exact time of a run."""
        blocks = () if architecture is None else architecture.blocks
        return OVERHEAD_S + sum(self.cost_s(block) for block in blocks)

    def prepare(self, architecture: Architecture | None) -> Run:
        self.prepared.append("nothing" if architecture is None else architecture.id)
        seconds = self.total_s(architecture)

        def once() -> None:
            self.now_s += seconds * (1 + self._noise * self._rng.standard_normal())

        return once


def price(table: LatencyTable, architecture: Architecture) -> float:
    """The table's sum."""
    return table.overhead.value_s + sum(table[block].value_s for block in architecture.blocks)


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
def table(union: UnionSpace, counts: CountTable, plan: Plan) -> LatencyTable:
    """Measured without noise."""
    runtime = FakeRuntime(counts)
    return measure_table(union, runtime, counts, plan=plan, clock=runtime.clock)


def test_plan_shows_every_block_and_repeats_those_it_can(
    union: UnionSpace, counts: CountTable, plan: Plan
) -> None:
    assert plan.blocks == union.blocks
    assert plan.unmeasured == ()
    ids = [network.id for network in plan.networks]
    assert len(set(ids)) == len(ids)
    holds = [{block: n.blocks.count(block) for block in n.blocks} for n in plan.networks]
    for block in union.blocks:
        uses = [held for held in holds if block in held]
        assert uses
        if repeatable(block, counts):
            # One network is another of the plan with three more of this block.
            assert any(
                {**held, block: held[block] + COPIES} == more for held in uses for more in uses
            )


def test_networks_of_the_plan_fit_together(counts: CountTable, plan: Plan) -> None:
    for network in plan.networks:
        for node in network.nodes[1:]:
            (source,) = node.inputs
            produced = counts[network.nodes[source].block].output_shape
            assert node.block.input_shapes == (produced,)


@pytest.mark.parametrize("limit", [3, 20, 41])
def test_limit_is_how_many_blocks_are_entered(
    union: UnionSpace, counts: CountTable, limit: int
) -> None:
    plan = plan_measurement(union, counts, max_blocks=limit, whole=5)
    assert len(plan.blocks) == limit
    assert set(plan.blocks) | set(plan.unmeasured) == set(union.blocks)
    assert set(plan.blocks).isdisjoint(plan.unmeasured)
    held = {block for network in plan.networks for block in network.blocks}
    assert held.issuperset(plan.blocks)


def test_limited_sample_has_every_type(union: UnionSpace, counts: CountTable) -> None:
    plan = plan_measurement(union, counts, max_blocks=8, whole=5)
    assert {type(block) for block in plan.blocks} == {type(block) for block in union.blocks}


def test_plan_follows_its_seed(union: UnionSpace, counts: CountTable, plan: Plan) -> None:
    assert plan_measurement(union, counts) == plan
    assert plan_measurement(union, counts, seed=1).networks != plan.networks


@dataclass(frozen=True, slots=True)
class Activation(Block):
    """One of several activations, which no count tells apart."""

    name: str

    @property
    def input_shapes(self) -> tuple[Shape, ...]:
        return ((4,),)

    def build(self) -> nn.Module:
        modules = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "silu": nn.SiLU}
        module: nn.Module = modules[self.name]()
        return module


RELU, TANH = Activation("relu"), Activation("tanh")


class ActivationSpace(SearchSpace):
    """One or two activations in a row."""

    name = "activations"
    choices: tuple[Choice, ...] = ("relu", "tanh", "sigmoid", "silu")

    @cached_property
    def parameters(self) -> Mapping[str, tuple[Choice, ...]]:
        return {"first": self.choices, "second": ("none", *self.choices)}

    @cached_property
    def slots(self) -> tuple[Slot, ...]:
        return (
            Slot(("first",), Activation),
            Slot(("second",), lambda name: None if name == "none" else Activation(name)),
        )


def test_blocks_of_equal_counts_are_sampled_once_each(counts: CountTable) -> None:
    plan = plan_measurement(ActivationSpace(), counts, max_blocks=3, whole=1)
    assert len(plan.blocks) == 3


@dataclass(frozen=True, slots=True)
class Sum(Block):
    """The sum of two activations."""

    @property
    def input_shapes(self) -> tuple[Shape, ...]:
        return ((4,), (4,))

    def build(self) -> nn.Module:
        return _Sum()


class _Sum(nn.Module):
    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return x + y


class OneNetwork(SearchSpace):
    """A single network that skips one block and uses it again with the same weights."""

    name = "one network"
    parameters: Mapping[str, tuple[Choice, ...]] = {"only": (0,)}
    slots = (
        Slot((), lambda: RELU),
        Slot((), lambda: TANH),
        Slot((), Sum, inputs=(0, 1)),
        Slot((), lambda: TANH, tie=lambda: 1),
    )


def test_copies_follow_their_block_and_leave_the_wiring(counts: CountTable) -> None:
    plan = plan_measurement(OneNetwork(), counts, whole=3)
    host = (Node(RELU, (-1,)), Node(TANH, (0,)), Node(Sum(), (0, 1)), Node(TANH, (2,), tie=1))
    more_relu = (
        Node(RELU, (-1,)),
        *(Node(RELU, (i,)) for i in range(3)),
        Node(TANH, (3,)),
        Node(Sum(), (3, 4)),
        Node(TANH, (5,), tie=4),
    )
    more_tanh = (
        Node(RELU, (-1,)),
        *(Node(TANH, (i,)) for i in range(4)),
        Node(Sum(), (0, 4)),
        Node(TANH, (5,), tie=1),
    )
    assert [network.nodes for network in plan.networks] == [host, more_relu, more_tanh]


def test_sums_of_unseen_networks_are_recovered(
    union: UnionSpace, counts: CountTable, plan: Plan, table: LatencyTable
) -> None:
    runtime = FakeRuntime(counts)
    networks = unseen(union, plan, 60)
    errors = [price(table, a) / runtime.total_s(a) - 1 for a in networks]
    assert {a.space for a in networks} == {"vit", "mbconv"}
    assert np.abs(errors).max() < 0.01


def test_entries_of_repeatable_blocks_are_recovered(
    union: UnionSpace, counts: CountTable, table: LatencyTable
) -> None:
    runtime = FakeRuntime(counts)
    blocks = [block for block in union.blocks if repeatable(block, counts)]
    errors = [table[block].value_s / runtime.cost_s(block) - 1 for block in blocks]
    assert len(errors) > 10
    assert np.abs(errors).max() < 0.05


def test_overhead_is_recovered(table: LatencyTable) -> None:
    assert table.overhead.value_s == pytest.approx(OVERHEAD_S, rel=0.02)


def test_noise_of_two_percent_stays_small(
    union: UnionSpace, counts: CountTable, plan: Plan
) -> None:
    runtime = FakeRuntime(counts, noise=0.02)
    noisy = measure_table(union, runtime, counts, plan=plan, clock=runtime.clock)
    quantile = 1 - 1.2816 * 0.02  # What is stored is the 10 % quantile of the normal noise.
    networks = unseen(union, plan, 60)
    errors = [price(noisy, a) / (quantile * runtime.total_s(a)) - 1 for a in networks]
    assert np.abs(errors).max() < 0.03
    assert abs(np.mean(errors)) < 0.01


def test_table_says_how_it_was_made(
    union: UnionSpace, counts: CountTable, plan: Plan, table: LatencyTable
) -> None:
    runtime = FakeRuntime(counts)
    reference_s = sum(runtime.total_s(network) for network in REFERENCES)
    said = table.conditions
    assert table.setting == runtime.setting
    assert table.space == "vit+mbconv"
    assert table.certificate is None
    assert said["reference_s"] == pytest.approx(reference_s)
    assert said["reference_drift"] == pytest.approx(1)
    assert said["networks"] == len(plan.networks) + 1
    assert said["fitted"] == sorted(network.id for network in plan.networks)
    assert said["fit_error"] < 0.01
    for timing in table.entries.values():
        assert timing.p10_s <= timing.p50_s <= timing.p90_s
        assert timing.low_s <= timing.value_s <= timing.high_s


def test_limited_table_has_exactly_the_entries_of_the_plan(
    union: UnionSpace, counts: CountTable
) -> None:
    runtime = FakeRuntime(counts)
    plan = plan_measurement(union, counts, max_blocks=12, whole=5)
    table = measure_table(union, runtime, counts, plan=plan, clock=runtime.clock)
    assert set(table.entries) == {block_key(block) for block in plan.blocks}
    assert table.conditions["blocks_unmeasured"] == len(union.blocks) - 12


def test_networks_are_visited_in_shuffled_rounds(vit: ViTSpace, counts: CountTable) -> None:
    runtime = FakeRuntime(counts)
    jobs = [None, *drawn(vit, 6, seed=0)]
    told: list[tuple[int, int]] = []
    visits, _ = time_networks(
        jobs, runtime, clock=runtime.clock, progress=lambda done, n, left: told.append((done, n))
    )
    references = len(REFERENCES)
    first, second = runtime.prepared[references:][:7], runtime.prepared[references:][7:]
    assert sorted(first) == sorted(second)
    assert first != second
    assert told == [(done, 14) for done in range(1, 15)]
    reference_s = sum(runtime.total_s(network) for network in REFERENCES)
    for job, pair in zip(jobs, visits, strict=True):
        expected = runtime.total_s(job) / reference_s
        assert [visit.p10 for visit in pair] == pytest.approx([expected] * 2)


def test_certificate_is_drawn_by_the_table_from_networks_it_was_not_fitted_to(
    union: UnionSpace, counts: CountTable, table: LatencyTable
) -> None:
    runtime = FakeRuntime(counts)
    asked: list[str] = []

    def double(architecture: Architecture) -> float:
        asked.append(architecture.id)
        return 2 * runtime.total_s(architecture)

    def ids(of: LatencyTable) -> list[str]:
        made = certify(of, union, runtime, double, networks=15, clock=runtime.clock)
        assert made.seed == of.sha256
        assert made.families["all"].bias == pytest.approx(1)
        assert made.families["all"].aa_within_5 == 1
        for network in made.measured:
            assert network.predicted_s == pytest.approx(2 * np.mean(network.measured_s))
        return [network.architecture for network in made.measured]

    first = ids(table)
    assert asked == first
    assert len(set(first)) == 15
    assert set(first).isdisjoint(table.conditions["fitted"])
    assert ids(table) == first
    other = replace(table, conditions={**table.conditions, "date": "another"})
    assert ids(other) != first


def test_certificate_of_an_exact_table_has_no_error(
    union: UnionSpace, counts: CountTable, table: LatencyTable
) -> None:
    runtime = FakeRuntime(counts)
    made = certify(table, union, runtime, runtime.total_s, networks=8, clock=runtime.clock)
    assert made.families["all"].mape == pytest.approx(0, abs=1e-9)


def small_table(counts: CountTable) -> LatencyTable:
    """A table of a space of 20 networks, most of which it was fitted to."""
    space, runtime = ActivationSpace(), FakeRuntime(counts)
    plan = plan_measurement(space, counts, whole=12)
    return measure_table(space, runtime, counts, plan=plan, clock=runtime.clock)


def test_certificate_has_fewer_networks_where_the_space_has_no_more(counts: CountTable) -> None:
    table, space, runtime = small_table(counts), ActivationSpace(), FakeRuntime(counts)
    left = {a.id for a in drawn(space, 2000, seed=0)} - set(table.conditions["fitted"])
    made = certify(table, space, runtime, runtime.total_s, networks=40, clock=runtime.clock)
    assert {network.architecture for network in made.measured} == left
    assert made.families["all"].n == len(left)


def test_space_whose_networks_were_all_fitted_cannot_be_certified(counts: CountTable) -> None:
    space, runtime = ActivationSpace(), FakeRuntime(counts)
    everything = [a.id for a in drawn(space, 2000, seed=0)]
    table = small_table(counts)
    spent = replace(table, conditions={**table.conditions, "fitted": everything})
    assert certify(spent, space, runtime, runtime.total_s, clock=runtime.clock) is None


def test_small_space_keeps_networks_back_for_the_certificate(counts: CountTable) -> None:
    space = ViTSpace(
        patch_size=(4,), depth=(3,), width=(32,), heads=(2,), mlp_ratio=(1, 2), pool=("cls",)
    )
    plan = plan_measurement(space, counts)
    fitted = {network.id for network in plan.networks}
    members = {space.decode(row).id for row in space.random_codes(500, np.random.default_rng(0))}
    assert len(members) == space.size == 8
    assert len(members - fitted) >= 2


def test_estimate_follows_networks_and_blocks(
    plan: Plan, counts: CountTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = FakeRuntime(counts)
    known: set[Block] = set()
    sampled: list[int] = []

    def time_some(jobs: Sequence[Architecture], *args: Any) -> tuple[list[Visit], None]:
        """Two seconds a network, and a tenth for each block that is new."""
        blocks = {block for network in jobs for block in network.blocks}
        runtime.now_s += 2.0 * len(jobs) + 0.1 * len(blocks - known)
        known.update(blocks)
        sampled.append(len(jobs))
        return [], None

    class Time:
        monotonic: Callable[[], float] = staticmethod(runtime.clock)

    monkeypatch.setattr(module, "time_networks", time_some)
    monkeypatch.setattr(module, "time", Time)
    expected = 2.0 * (len(plan.networks) + 40) + 0.1 * len(plan.blocks)
    assert estimate_s(plan, runtime, 40) == pytest.approx(expected)
    assert max(sampled) <= 12


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="The system pins no process.")
@pytest.mark.parametrize("threads", [1, 2])
def test_only_a_single_thread_is_pinned(vit: ViTSpace, counts: CountTable, threads: int) -> None:
    runtime = FakeRuntime(counts)
    runtime.setting = Setting("fake", "1", threads=threads)
    _, core = time_networks(list(drawn(vit, 1, seed=0)), runtime, clock=runtime.clock)
    assert core == (max(os.sched_getaffinity(0)) if threads == 1 else None)
