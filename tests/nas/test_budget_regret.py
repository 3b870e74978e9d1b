import math
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

import nas.budget_regret
from nas.budget_regret import BudgetUsers, draw_budgets
from nas.comparison import Arm, ArmRun, Comparison, Model, own_front
from nas.indicators import Indicator

COST, YIELD = (
    Indicator("cost", "", "inference", "", "cost"),
    Indicator("yield", "", "inference", "", "yield", maximize=True),
)
ONE, ALL = Arm("cost", ("cost",)), Arm("all", ("cost", "yield"))
LIMITS = np.array([[4.0, -1], [2, -2], [1, -4], [1, -8], [0.5, -1]])
"""Of cost and yield, what is maximised negated; nobody meets the last."""


def run(arm: str, models: list[int], told: list[float], front: list[int], seed: int = 0) -> ArmRun:
    return ArmRun(
        arm, seed, np.array(models), np.array(told), np.zeros(len(models)), np.array(front)
    )


def four_models() -> Comparison:
    """A, B, C, D by loss; D was the first of both arms."""
    return Comparison(
        name="four",
        quality="error",
        maximize=False,
        indicators=(COST, YIELD),
        models=tuple(Model(name, name) for name in "ABCD"),
        values=np.array([[4.0, 1], [2, 2], [1, 4], [1, 8]]),
        scored=np.array([1.0, 2, 3, 5]),
        arms=(ONE, ALL),
        runs=(
            run("cost", [3, 2, 0], [5, 3, 1], [1, 2]),
            run("all", [3, 1, 0], [5, 2, 1], [0, 1, 2]),
        ),
        evaluations=3,
        initial=1,
        population=np.array([[1.0, 8.0]]),
    )


@pytest.fixture
def users(monkeypatch: pytest.MonkeyPatch) -> BudgetUsers:
    monkeypatch.setattr(nas.budget_regret, "draw_budgets", lambda *_: LIMITS)
    return BudgetUsers(four_models(), 5)


def test_four_models_by_hand(users: BudgetUsers) -> None:
    assert (users.left_out, users.first_loss, users.least_loss, users.gain) == (1, 5, 1, 4)
    assert users.best.tolist() == [0, 1, 2, 3]
    # A answers the first, C the second (1 worse than B) and third, nobody the fourth.
    found = users.regret(ONE, np.array([2, 0]), np.array([3.0, 1]))
    assert found.mean == (0 + 1 + 0 + 4) / 4
    assert found.met == pytest.approx(1 / 3)
    assert found.none == 1 / 4
    # By cost alone C is taken under the fourth, and its yield is 4 where 8 is asked for.
    assert found.broken == 1 / 4
    assert found.alone.tolist() == [1 / 4, (0 + 1 + 0 + 4) / 4]
    every = users.regret(ALL, np.array([3, 1, 0]), np.array([5.0, 2, 1]))
    assert (every.mean, every.none, every.broken) == (2 / 4, 0, 0)


def test_who_knows_no_indicator_breaks_what_is_not_met(users: BudgetUsers) -> None:
    found = users.regret(Arm("quality", (), True), np.array([0]), np.array([1.0]))
    assert (found.none, found.broken) == (3 / 4, 3 / 4)
    shown = users.regret(Arm("random", (), True), np.array([0]), np.array([1.0]))
    assert (shown.none, shown.broken) == (3 / 4, 0)


def test_selection_is_by_what_was_told_and_regret_by_what_was_scored(users: BudgetUsers) -> None:
    # Told that D is best, users take it wherever it is feasible.
    found = users.regret(ALL, np.array([0, 1, 2, 3]), np.array([1.0, 2, 3, 0]))
    assert found.mean == (4 + 3 + 2 + 0) / 4


def test_more_than_the_gain_is_lost_unless_it_is_capped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nas.budget_regret, "draw_budgets", lambda *_: LIMITS[:1])
    bad = replace(four_models(), scored=np.array([1.0, 9, 3, 5]))
    found = BudgetUsers(bad, 1).regret(ALL, np.array([1]), np.array([9.0]))
    assert (found.mean, found.capped) == (8, 4)


def test_what_is_not_scored_is_left_to_the_best_that_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nas.budget_regret, "draw_budgets", lambda *_: LIMITS)
    trained = replace(four_models(), scored=np.array([math.nan, 2, 3, 5]))
    users = BudgetUsers(trained, 5)
    assert users.best.tolist() == [1, 1, 2, 3]
    found = users.regret(ALL, np.array([0, 1, 2, 3]), np.array([1.0, 2, 3, 5]))
    assert found.mean == 0
    assert found.unscored == 1 / 4  # A, under the first budget.


def test_the_first_design_is_as_told_where_it_is_not_scored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(nas.budget_regret, "draw_budgets", lambda *_: LIMITS[:3])
    known = replace(four_models(), scored=np.array([1.0, 2, 3, math.nan]))
    runs = (run("cost", [3, 2], [7, 3], [1]), run("all", [3, 1], [7, 2], [1]))
    assert BudgetUsers(replace(known, runs=runs), 3).first_loss == 7


def test_budgets_are_a_members_costs_and_a_slack_each() -> None:
    comparison = replace(four_models(), population=np.array([[3.0, 10.0], [300.0, 1000.0]]))
    limits = draw_budgets(comparison, 4_000, 0)
    shares = limits / np.where(limits[:, :1] < 10, [3.0, -10.0], [300.0, -1000.0])
    # A cost may grow to twice, and a yield may shrink to half.
    logs = np.log2(shares)
    assert ((logs[:, 0] >= 0) & (logs[:, 0] <= 1)).all()
    assert ((logs[:, 1] <= 0) & (logs[:, 1] >= -1)).all()
    assert np.abs(logs).mean(axis=0) == pytest.approx([0.5, 0.5], abs=0.03)  # Log-uniform.
    assert abs(np.corrcoef(logs.T)[0, 1]) < 0.06  # Of each its own.
    assert (limits[:, 0] < 10).mean() == pytest.approx(0.5, abs=0.04)
    np.testing.assert_array_equal(draw_budgets(comparison, 50, 3), draw_budgets(comparison, 50, 3))


def random_comparison(seed: int, n: int = 30, indicators: int = 3) -> Comparison:
    rng = np.random.default_rng(seed)
    columns = tuple(
        Indicator(f"i{i}", "", "inference", "", f"i{i}", maximize=i == 1) for i in range(indicators)
    )
    names = [column.name for column in columns]
    arms = (*(Arm(name, (name,)) for name in names), Arm("all", tuple(names)))
    values, scored = rng.lognormal(0, 1, (n, indicators)), rng.integers(0, 12, n).astype(float)
    costs = values * [-1.0 if column.maximize else 1.0 for column in columns]
    runs = []
    for arm in arms:
        models = rng.permutation(n)[:12]
        told = scored[models] + rng.normal(0, 1, 12).round(1)
        front = own_front(arm, names, told, costs[models])
        runs.append(ArmRun(arm.name, 0, models, told, np.zeros(12), front))
    models_ = tuple(Model(f"m{i}", f"m{i}") for i in range(n))
    return Comparison(
        "r", "error", False, columns, models_, values, scored, arms, tuple(runs), 12, 3,
        rng.lognormal(0, 1, (50, indicators)),
    )  # fmt: skip


def slow_regret(
    comparison: Comparison, limits: NDArray[np.float64], gain: float, models: list[int],
    told: list[float], columns: list[int],
) -> tuple[float, float]:  # fmt: skip
    """Regret and share without an answer, one budget after another."""
    costs, lost, none = comparison.costs, [], 0
    for limit in limits:
        meets = [all(cost[c] <= limit[c] for c in columns) for cost in costs]
        best = min(q for q, met in zip(comparison.loss, meets, strict=True) if met)
        mine = [
            (t, *costs[m], m) for m, t in zip(models, told, strict=True) if meets[m]
        ]  # Ties by costs.
        none += not mine
        lost.append(comparison.loss[min(mine)[-1]] - best if mine else gain)
    return float(np.mean(lost)), none / len(limits)


@pytest.mark.parametrize("seed", range(6))
def test_regret_is_that_of_one_budget_after_another(seed: int) -> None:
    comparison = random_comparison(seed)
    users = BudgetUsers(comparison, 60, seed)
    for arm, found in zip(comparison.arms, comparison.runs, strict=True):
        for held in (found.front, np.arange(12)):
            models, told = found.models[held], found.told[held]
            regret = users.regret(arm, models, told)
            given = (comparison, users.limits, users.gain, models.tolist(), told.tolist())
            assert (regret.mean, regret.none) == pytest.approx(slow_regret(*given, [0, 1, 2]))
            for column in range(3):
                assert regret.alone[column] == pytest.approx(slow_regret(*given, [column])[0])


def test_order_changes_nothing() -> None:
    comparison = random_comparison(8)
    users, found = BudgetUsers(comparison, 80), comparison.runs[1]
    mixed = np.random.default_rng(0).permutation(12)
    first = users.regret(comparison.arms[1], found.models, found.told)
    second = users.regret(comparison.arms[1], found.models[mixed], found.told[mixed])
    assert (first.mean, first.broken) == (second.mean, second.broken)
    # Nor does the order of all models.
    places = np.random.default_rng(1).permutation(30)
    to = np.argsort(places)
    moved = replace(
        comparison,
        models=tuple(comparison.models[i] for i in places),
        values=comparison.values[places],
        scored=comparison.scored[places],
        runs=tuple(replace(r, models=to[r.models]) for r in comparison.runs),
    )
    third = BudgetUsers(moved, 80).regret(comparison.arms[1], to[found.models], found.told)
    assert first.mean == third.mean
    np.testing.assert_array_equal(first.alone, third.alone)


def test_a_quality_that_is_maximised_is_the_same_turned_around() -> None:
    comparison = random_comparison(4)
    turned = replace(
        comparison,
        maximize=True,
        scored=-comparison.scored,
        runs=tuple(replace(r, told=-r.told) for r in comparison.runs),
    )
    for arm, one, other in zip(comparison.arms, comparison.runs, turned.runs, strict=True):
        first = BudgetUsers(comparison, 50).regret(arm, one.models, one.told)
        second = BudgetUsers(turned, 50).regret(arm, other.models, turned.told_loss(other))
        assert first.mean == second.mean


def test_what_cannot_be_asked_is_refused() -> None:
    comparison = four_models()
    with pytest.raises(ValueError, match="must be at least 1"):
        BudgetUsers(comparison, 0)
    with pytest.raises(ValueError, match="is known of no model"):
        BudgetUsers(replace(comparison, scored=np.full(4, np.nan)), 5)
    with pytest.raises(ValueError, match="must be finite"):
        BudgetUsers(replace(comparison, values=np.full((4, 2), np.inf)), 5)
    with pytest.raises(ValueError, match="No model known meets"):
        BudgetUsers(replace(comparison, population=np.array([[1e-9, 1e9]])), 5)
