"""What is measured in the time that there is."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hw_profiles import make_runtime
from hw_profiles.journal import Journal
from hw_profiles.quantity import quantity
from nas.errors import ExperimentError
from nas.planning import Planner, Sizes, certificate_size, interrupted_sizes, plan_digest
from nas.pricer import Pricer
from search_spaces import MBConvSpace, UnionSpace, ViTSpace

Make = Callable[..., Planner]


@pytest.fixture
def planner(tiny_space: UnionSpace, tiny_pricer: Pricer) -> Make:
    def make(of: str = "latency_s", max_blocks: int = 400, certificate: int = 20) -> Planner:
        runtime = make_runtime("onnxruntime")
        counts = tiny_pricer.counts
        return Planner(tiny_space, counts, runtime, quantity(of), max_blocks, certificate)

    return make


def test_a_certificate_is_of_so_many_networks_of_each_family() -> None:
    few = ViTSpace(patch_size=(4,), depth=(1,), width=(8,), heads=(1,), mlp_ratio=(1, 2))
    many = MBConvSpace()
    assert few.size == 4
    assert certificate_size(many, 100) == 100
    assert certificate_size(few, 100) == 4
    assert certificate_size(UnionSpace([few, many]), 100) == 104


def test_all_that_may_be_is_planned_where_there_is_time(
    planner: Make, tiny_space: UnionSpace
) -> None:
    made = planner()
    assert made.most == Sizes(len(tiny_space.blocks), 40)
    assert set(made.plan(made.most).blocks) == set(tiny_space.blocks)
    assert planner(max_blocks=10).most == Sizes(10, 40)
    assert len(planner(max_blocks=10).plan(Sizes(10, 40)).blocks) == 10


def test_an_energy_is_planned_of_whole_networks_and_reckoned_by_the_visit(planner: Make) -> None:
    made = planner("energy_j")
    plan = made.plan(made.most)
    assert made.most.whole == 100
    assert len(plan.networks) <= 100
    assert all(network.space in {"vit", "mbconv"} for network in plan.networks)
    # A second and a half for each network, and twice for the 20 + 16 of the certificate.
    assert made.estimate_s(plan) == 1.5 * (len(plan.networks) + 2 * 36)
    assert len(made.plan(Sizes(400, 8)).networks) == 8


def test_sizes_fall_until_they_fit(planner: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def a_second_a_network(plan: Any, runtime: Any, certificate: int) -> float:
        asked.append(len(plan.networks))
        return float(len(plan.networks))

    monkeypatch.setattr("hw_profiles.measurement.estimate_s", a_second_a_network)
    made = planner()
    everything = len(made.plan(made.most).networks)
    sizes, seconds = made.within(everything / 60)
    assert (sizes, seconds) == (made.most, everything)
    for limit in (everything - 1, everything // 2):
        asked.clear()
        sizes, seconds = made.within(limit / 60)
        assert seconds <= limit
        assert asked[0] == everything
        assert sorted(asked, reverse=True) == asked
        assert len(made.plan(sizes).networks) == seconds
    with pytest.raises(ExperimentError, match=r"`minutes` is 0\.05, .*give at least 1, or fewer"):
        made.within(0.05)


def test_a_measurement_that_was_interrupted_keeps_its_plan(tmp_path: Path) -> None:
    path = tmp_path / "x.journal"
    conditions = {"quantity": "latency_s", "minutes": 5.0, "device": {"name": "x"}}
    assert interrupted_sizes(path, conditions) is None
    Journal(path, conditions | {"sizes": Sizes(17, 9), "plan": "abc"})
    assert interrupted_sizes(path, conditions) == Sizes(17, 9)
    assert interrupted_sizes(path, conditions | {"minutes": 6.0}) is None
    for header in ("", "{", "[]", "{}", json.dumps({"conditions": {"plan": "abc", "sizes": 3}})):
        path.write_text(header + "\n")
        assert interrupted_sizes(path, conditions) is None


def test_plans_are_told_apart_by_their_networks(planner: Make) -> None:
    made = planner()
    one, same, other = (made.plan(Sizes(43, whole)) for whole in (40, 40, 9))
    assert plan_digest(one) == plan_digest(same) != plan_digest(other)
