"""One search of a comparison, on tables and on what fails."""

import copy
import itertools
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from nas.arena import Answers, stored_values
from nas.arm_search import Found, Plan, first_design, search_arm
from nas.arms import make_arms
from nas.comparison import Arm
from nas.problem import Codes
from nas.table_arena import TableArena
from nas.table_experiment import TableExperiment
from nas.table_problem import TableProblem
from nas.weighted_product import WeightedProduct

NAMES = ("macs", "memory", "speed")


def table(maximize: bool = True) -> TableProblem:
    """240 networks: accuracy grows with macs, an operation is slow, and width takes memory."""
    grid = list(itertools.product(("conv", "shift"), (1, 2, 3, 4, 5, 6), range(4, 44, 4), (0, 1)))
    op, depth, width, skip = (np.array(column) for column in zip(*grid, strict=True))
    macs = depth * width * np.where(op == "conv", width, 3)
    accuracy = 90 - 60 / (1 + np.sqrt(depth * width)) - 2 * (op == "shift") + skip * depth / 6
    return TableProblem(
        {"op": op, "depth": depth, "width": width, "skip": skip},
        accuracy if maximize else 100 - accuracy,
        {"macs": macs, "memory": width * (1 + skip), "speed": 1e4 / (macs + 300 * (op != "conv"))},
        maximize=["speed", *(["quality"] if maximize else [])],
    )


@dataclass
class Charged:
    """An arena that trains: it takes time, and some of it fails."""

    inner: TableArena
    asked: list[tuple[bytes, int]] = field(default_factory=list)
    fails: int = -1

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def evaluate(self, codes: Codes, seed: int) -> Answers:
        told = self.inner.evaluate(codes, seed).told.copy()
        for place, key in enumerate(self.inner.problem.keys(codes)):
            if len(self.asked) % 5 == self.fails:
                told[place] = np.nan
            self.asked.append((key, seed))
        return Answers(told, 1.0 + self.inner.problem.cost_values(codes)[:, 0])


EXPERIMENT = TableExperiment.from_data(
    {
        "name": "t",
        "table": {
            "file": "t.csv",
            "quality": "quality:max",
            "costs": ["macs", "memory", "speed:max"],
            "config": ["op"],
        },
    }
)


def arena(maximize: bool = True) -> TableArena:
    return TableArena(EXPERIMENT, table(maximize))


def arm(name: str) -> Arm:
    return make_arms((name,), (), NAMES, ())[0]


def run(
    name: str, place: Any, seed: int = 0, evaluations: int = 24, sampler: str = "cost-aware"
) -> Found:
    plan = Plan(sampler, evaluations, 4)
    values = stored_values(place, place.problem.members)
    more = np.array([item.maximize for item in place.indicators])
    product = WeightedProduct.of_population(values, more, place.maximize)
    design = first_design(place.problem, plan, seed)
    return search_arm(arm(name), seed, place, plan, design, product)


def beaten(points: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which rows another one is nowhere worse and somewhere better than."""
    no_worse = (points[:, None] <= points[None]).all(axis=2)
    better = (points[:, None] < points[None]).any(axis=2)
    result: NDArray[np.bool_] = (no_worse & better).any(axis=0)
    return result


EVERY = ["macs", "memory", "speed", "all", "random", "quality", "weighted-product"]


@pytest.fixture(scope="module")
def runs() -> dict[str, Found]:
    place = arena()
    return {name: run(name, place) for name in EVERY}


def test_every_arm_begins_with_the_same_design_and_goes_on_by_itself(
    runs: dict[str, Found],
) -> None:
    initial = Plan("cost-aware", 24, 4).initial
    assert initial == 8
    begun = {runs[name].codes[:initial].tobytes() for name in EVERY}
    assert len(begun) == 1
    assert len({runs[name].codes[initial:].tobytes() for name in EVERY}) == len(EVERY)


def test_the_design_is_another_one_of_another_seed_and_spread_over_all_costs() -> None:
    problem, plan = table(), Plan("cost-aware", 60, 4)
    first, again, other = (first_design(problem, plan, seed) for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    costs = problem.cost_values(problem.members)
    ranks = (problem.cost_values(first)[:, None] >= costs[None]).mean(axis=1)
    assert (ranks.min(axis=0) < 0.1).all()
    assert (ranks.max(axis=0) > 0.9).all()


def test_nothing_is_evaluated_twice_and_all_evaluations_are_spent(runs: dict[str, Found]) -> None:
    problem = table()
    for found in runs.values():
        assert len(set(problem.keys(found.codes))) == len(found.codes) == 24
        assert np.array_equal(found.told, problem.measured(found.codes)["quality"])


@pytest.mark.parametrize(
    ("name", "columns"),
    [("macs", [0]), ("speed", [2]), ("all", [0, 1, 2]), ("random", [0, 1, 2]), ("quality", [])],
)
def test_the_set_of_an_arm_is_what_nothing_beats_in_what_it_goes_by(
    runs: dict[str, Found], name: str, columns: list[int]
) -> None:
    found = runs[name]
    costs = table().cost_values(found.codes)[:, columns]
    expected = np.flatnonzero(~beaten(np.column_stack([-found.told, costs])))
    assert found.front.tolist() == expected.tolist()


@pytest.mark.parametrize("sampler", ["cost-aware", "tpe"])
def test_an_arm_is_good_at_what_it_goes_by(sampler: str) -> None:
    """The quality alone is found better than by chance."""
    place = arena()
    found = {
        name: np.mean([run(name, place, seed, sampler=sampler).told.max() for seed in range(4)])
        for name in ("quality", "random")
    }
    assert found["quality"] > found["random"]


def test_the_product_is_found_better_than_by_chance() -> None:
    place = arena(maximize=False)
    values = stored_values(place, place.problem.members)
    more = np.array([False, False, True])
    product = WeightedProduct.of_population(values, more, maximize=False)

    def best(name: str, seed: int) -> float:
        found = run(name, place, seed)
        return float(product.loss(found.told, stored_values(place, found.codes)).min())

    seeds = range(3)
    weighted, chance = (np.mean([best(name, s) for s in seeds]) for name in EVERY[6:3:-2])
    assert weighted < chance


def test_random_search_repeats_with_its_seed_and_draws_evenly() -> None:
    place = arena()
    first, again, other = (run("random", place, seed).codes for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    drawn = np.concatenate([run("random", place, seed).codes[8:] for seed in range(40)])
    operations = np.bincount(drawn[:, 0], minlength=2) / len(drawn)
    assert operations == pytest.approx([0.5, 0.5], abs=0.06)


def test_searches_do_not_depend_on_what_ran_before() -> None:
    place = arena()
    alone = run("all", place, 3)
    run("memory", place, 3)
    after = run("all", place, 3)
    assert np.array_equal(alone.codes, after.codes)


def test_every_evaluation_is_charged_what_its_training_took() -> None:
    place = Charged(arena())
    found = run("macs", place)
    assert found.seconds.tolist() == (1 + table().measured(found.codes)["macs"]).tolist()
    assert [seed for _, seed in place.asked] == [0] * 24


def test_what_fails_is_an_evaluation_but_not_of_the_set_and_is_not_tried_again() -> None:
    for name in ("all", "quality", "random"):
        place = Charged(arena(), fails=3)
        found = run(name, place)
        assert (found.failed, len(found.codes), len(place.asked)) == (5, 19, 24)
        assert len({key for key, _ in place.asked}) == 24
        assert np.isfinite(found.told).all()
        assert set(found.front.tolist()) <= set(range(19))


def test_a_search_ends_where_nothing_is_left() -> None:
    small = TableProblem({"w": list(range(9))}, np.arange(9.0), {"macs": np.arange(9.0) + 1})
    place = TableArena(EXPERIMENT, small)
    plan = Plan("cost-aware", 30, 4)
    product = WeightedProduct(np.ones(1), np.array([False]), maximize=False)
    design = first_design(small, plan, 0)
    for name in ("macs", "random", "quality", "all"):
        one = make_arms((name,), (), ("macs",), ())[0]
        found = search_arm(one, 0, place, plan, design, product)
        assert sorted(found.told.tolist()) == list(range(9))


def test_json_is_read_back_as_it_was() -> None:
    found = run("macs", arena())
    again = Found.from_json(copy.deepcopy(found.to_json()))
    assert again.to_json() == found.to_json()
    assert again.codes.dtype == np.int64
