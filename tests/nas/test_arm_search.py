"""One search of a comparison, on tables and on what fails."""

import copy
import itertools
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import nas.arm_search
from nas.arena import Answers, stored_values
from nas.arm_search import Found, Plan, first_design, search_arm
from nas.arms import make_arms
from nas.comparison import Arm
from nas.cost_aware import CostAwareSearch
from nas.problem import Codes, Floats
from nas.steered_problem import SteeredProblem
from nas.stock_search import StockSearch
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


NONE, ALL = -1, -2


@dataclass
class Charged:
    """An arena that trains: it takes time, and some of it fails."""

    inner: TableArena
    asked: list[tuple[bytes, int]] = field(default_factory=list)
    fails: int = NONE

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def evaluate(self, codes: Codes, seed: int) -> Answers:
        told = self.inner.evaluate(codes, seed).told.copy()
        for place, key in enumerate(self.inner.problem.keys(codes)):
            if self.fails in (len(self.asked) % 5, ALL):
                told[place] = np.nan
            self.asked.append((key, seed))
        seconds = 1.0 + self.inner.problem.cost_values(codes)[:, 0]
        return Answers(told, seconds, seconds / 100)


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


def test_evaluations_are_spent_to_the_last_and_no_further() -> None:
    assert [Plan("random", n, 4).initial for n in (3, 24)] == [3, 8]
    for evaluations in (3, 11):
        for name in ("macs", "random"):
            place = Charged(arena())
            found = run(name, place, evaluations=evaluations, sampler="random")
            assert len(found.codes) == len(place.asked) == evaluations


def test_an_arm_goes_on_as_its_sampler_alone_that_was_told_the_design() -> None:
    """Of the four of the design the last failed: the three others are all it begins with."""
    place = Charged(arena(), fails=3)
    design = first_design(table(), Plan("cost-aware", 18, 4), 2)[:4]
    product = WeightedProduct(np.ones(3), np.zeros(3, dtype=bool), maximize=True)
    search_arm(arm("macs"), 2, place, Plan("cost-aware", 8, 4), design, product)
    known = np.delete(design, 3, axis=0)
    alone = CostAwareSearch(SteeredProblem(table(), ("macs",)), seed=2, initial=3)
    errors = (1.0 + table().cost_values(known)[:, 0]) / 100
    alone.tell(known, -table().measured(known)["quality"], errors)
    alone.leave_out(design[3:4])
    asked = [key for key, _ in place.asked]
    assert asked[:4] == table().keys(design)
    assert asked[4:8] == table().keys(alone.ask(4))


@pytest.mark.parametrize("maximize", [False, True])
def test_a_sampler_is_made_for_its_arm_and_told_what_that_goes_by(
    monkeypatch: pytest.MonkeyPatch, maximize: bool
) -> None:
    """Of a design of five the fourth fails, and nothing is asked for after it."""
    made: list[tuple[Any, int, int]] = []
    told: list[list[float]] = []
    errors_told: list[list[float]] = []

    class Noted(CostAwareSearch):
        def __init__(self, problem: Any, *, seed: int, initial: int) -> None:
            made.append((tuple(problem.costs), seed, initial))
            super().__init__(problem, seed=seed, initial=initial)

        def tell(self, codes: Codes, quality: Floats, errors: Floats | None = None) -> None:
            assert errors is not None
            told.append(quality.tolist())
            errors_told.append(errors.tolist())
            super().tell(codes, quality, errors)

    monkeypatch.setattr("nas.arm_search.CostAwareSearch", Noted)
    product = WeightedProduct(np.array([50.0, 20, 9]), np.array([False, False, True]), maximize)
    for name, costs in (("speed", ("speed",)), ("quality", ()), ("weighted-product", ())):
        place = Charged(arena(maximize), fails=3)
        design = first_design(place.problem, Plan("cost-aware", 5, 4), 7)
        found = search_arm(arm(name), 7, place, Plan("cost-aware", 5, 4), design, product)
        assert made[-2:] == [(NAMES, 7, 5), (costs, 7, 4)]
        values = table(maximize).measured(found.codes)
        by = (values["macs"] / 50) * (values["memory"] / 20) / (values["speed"] / 9)
        sign = -1 if maximize else 1
        weight = by ** (0.07 * sign) if name == "weighted-product" else 1
        assert told[-1] == pytest.approx((sign * found.told * weight).tolist())
        # The error of a product grows as the product does.
        assert errors_told[-1] == pytest.approx((weight * found.seconds / 100).tolist())


def test_a_stock_sampler_goes_by_its_seed_and_what_it_is_told() -> None:
    """The study of the sampler alone is told the same."""
    found = run("speed", arena(), seed=3, evaluations=12, sampler="tpe")
    design = first_design(table(), Plan("tpe", 12, 4), 3)
    alone = StockSearch("tpe", SteeredProblem(table(), ("speed",)), 3, 12, 4)
    alone.tell(design, -table().measured(design)["quality"])
    assert found.codes[:5].tolist() == design.tolist()
    assert found.codes[5:9].tolist() == alone.ask(4).tolist()


def test_every_training_is_of_the_seed_of_its_search() -> None:
    place = Charged(arena())
    run("random", place, seed=4, evaluations=8)
    assert [seed for _, seed in place.asked] == [4] * 8


def test_proposing_is_timed_and_training_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.count(step=2.0)
    monkeypatch.setattr("nas.arm_search.time", SimpleNamespace(perf_counter=lambda: next(clock)))
    # The design of 8 and four batches of 4, each read at its begin and end.
    assert run("random", arena()).sampler_seconds == 5 * 2.0


def test_nothing_that_a_search_draws_stays_in_the_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    """A problem may keep what it drew, so each search has a copy of its own."""
    place, begun = arena(), np.random.default_rng(0).bit_generator.state
    used: list[tuple[str, Any]] = []
    draws: list[Any] = []
    for name in ("CostAwareSearch", "Unseen"):
        real = getattr(nas.arm_search, name)

        def noted(
            problem: Any, *rest: Any, real: Any = real, name: str = name, **named: Any
        ) -> Any:
            used.append((name, problem))
            draws.extend(g.bit_generator.state for g in rest)
            return real(problem, *rest, **named)

        monkeypatch.setattr(f"nas.arm_search.{name}", noted)
    run("random", place, evaluations=8)
    run("random", place, seed=1, evaluations=8)
    assert [name for name, _ in used] == ["CostAwareSearch", "Unseen"] * 2
    assert not any(problem is place.problem for _, problem in used)
    # Each seed draws its own, and not what the design was chosen from.
    assert draws[0] != draws[1]
    assert begun not in draws


def test_a_search_of_which_everything_fails_found_nothing() -> None:
    place = Charged(arena(), fails=ALL)
    found = run("random", place, evaluations=8)
    assert (found.codes.shape, len(found.front), len(found.failures)) == ((0, 4), 0, 8)
    assert [each.after for each in found.failures] == [0] * 8


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
        assert (len(found.failures), len(found.codes), len(place.asked)) == (5, 19, 24)
        assert len({key for key, _ in place.asked}) == 24
        assert np.isfinite(found.told).all()
        # Each fifth fails, from the fourth on; it is charged like all others.
        assert [each.after for each in found.failures] == [3, 7, 11, 15, 19]
        codes, failed = place.inner.problem.members, [k for k, _ in place.asked][3::5]
        macs = dict(
            zip(place.inner.problem.keys(codes), table().measured(codes)["macs"], strict=True)
        )
        assert [each.seconds for each in found.failures] == [1 + macs[key] for key in failed]
        assert Found.from_json(found.to_json()).failures == found.failures
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
        # What failed, one of the design among it, is gone as well.
        charged = Charged(place, fails=3)
        search_arm(one, 0, charged, plan, design, product)
        assert len({key for key, _ in charged.asked}) == len(charged.asked) == 9


def test_json_is_read_back_as_it_was() -> None:
    found = run("macs", arena())
    again = Found.from_json(copy.deepcopy(found.to_json()))
    assert again.to_json() == found.to_json()
    assert again.codes.dtype == np.int64
