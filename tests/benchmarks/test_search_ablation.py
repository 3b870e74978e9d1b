"""Variants of the search that knows the costs: each is what it says, and nothing else changes."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import nas.quality_model
from benchmarks.search_ablation import (
    VARIANTS,
    MeanAlone,
    OneHot,
    PredictedCosts,
    Replaced,
    Scalarised,
    WithoutCostFeatures,
)
from benchmarks.search_optuna import cost_aware
from benchmarks.search_rivals import INITIAL
from nas.function_problem import FunctionProblem
from nas.table_problem import TableProblem

ERROR = 0.5
"""What every evaluation is said to be off by."""


@pytest.fixture(scope="module")
def usual(larger: TableProblem, proposals: Callable[..., list[list[int]]]) -> list[list[int]]:
    return proposals(cost_aware(larger, 5), larger, 40, ERROR)


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_proposes_new_candidates_other_than_the_search(
    larger: TableProblem,
    usual: list[list[int]],
    name: str,
    proposals: Callable[..., list[list[int]]],
) -> None:
    rows = proposals(VARIANTS[name](larger, 5), larger, 40, ERROR)
    assert larger.exist(np.array(rows)).all()
    assert len({tuple(row) for row in rows}) == len(rows)
    # Nothing is narrowed of a function so rough: see the test of that variant.
    assert (rows[:40] != usual[:40]) == (name != "not-narrowed")
    if not name.startswith("batch"):
        other_start = name in ("costs-predicted", "scalarised", "random-start")
        assert (rows[:INITIAL] != usual[:INITIAL]) == other_start


def test_features_without_the_costs_keep_all_others() -> None:
    class Given(FunctionProblem):
        def features(self, codes: Any) -> np.ndarray:
            cost = self.cost_values(codes)[:, 0]
            columns = [codes[:, 0], cost, 7 - 2 * np.log(cost), np.sqrt(cost), np.ones(len(codes))]
            return np.stack(columns, axis=1).astype(float)

    problem = Given(
        {"a": list(range(20)), "b": list(range(20))},
        lambda config: {"cost": 10.0 ** (0.1 + int(config["b"]) % 7)},
    )
    assert WithoutCostFeatures(problem).kept.tolist() == [True, False, False, True, True]
    codes = np.array([[3, 5], [4, 6]])
    assert WithoutCostFeatures(problem).features(codes)[:, 0].tolist() == [3, 4]


def test_one_hot_columns_by_hand() -> None:
    problem = FunctionProblem(
        {"a": ["x", "y"], "b": [1, 2, 3]}, lambda config: {"cost": float(config["b"])}
    )
    codes = np.array([[0, 2], [1, 0]])
    assert OneHot(problem, costs=False).features(codes).tolist() == [
        [1, 0, 0, 0, 1],
        [0, 1, 1, 0, 0],
    ]
    assert OneHot(problem, costs=True).features(codes)[:, 5] == pytest.approx(np.log([3, 1]))


def test_predicted_costs_are_exact_where_known_and_near_elsewhere(larger: TableProblem) -> None:
    rng = np.random.default_rng(0)
    predicted, codes = PredictedCosts(larger), rng.permutation(larger.members)
    known, others = codes[:60], codes[60:]
    predicted.learn(known)
    assert np.array_equal(predicted.cost_values(known), larger.cost_values(known))
    error = predicted.cost_values(others) - larger.cost_values(others)
    spread = larger.cost_values(others).std(axis=0)
    assert (np.abs(error).max(axis=0) > 0).all()  # They are not told.
    assert (error.std(axis=0) < 0.3 * spread).all()


def test_a_name_is_replaced_while_the_search_proposes(
    larger: TableProblem, proposals: Callable[..., list[list[int]]]
) -> None:
    used = []

    class Noted(MeanAlone):
        def predict(self, features: np.ndarray) -> Any:
            belief = super().predict(features)
            used.append(float(belief.spread.max(initial=0.0)))
            return belief

    search = Replaced(nas.cost_aware, "QualityModel", Noted, larger, 0)
    proposals(search, larger, INITIAL + 5)
    assert used
    assert max(used) < 0.01
    assert nas.cost_aware.QualityModel is nas.quality_model.QualityModel


def test_trees_take_the_place_of_the_process(
    larger: TableProblem,
    monkeypatch: pytest.MonkeyPatch,
    proposals: Callable[..., list[list[int]]],
) -> None:
    def never(*arguments: Any, **named: Any) -> Any:
        raise AssertionError("a process was fitted")

    monkeypatch.setattr("nas.quality_model.fit_kernel", never)
    assert len(proposals(VARIANTS["trees"](larger, 0), larger, INITIAL + 5)) == INITIAL + 5
    with pytest.raises(AssertionError, match="a process was fitted"):
        proposals(cost_aware(larger, 0), larger, INITIAL + 5)


def test_nothing_is_narrowed_by_that_variant(
    larger: TableProblem,
    monkeypatch: pytest.MonkeyPatch,
    proposals: Callable[..., list[list[int]]],
) -> None:
    def never(process: Any) -> float:
        raise AssertionError("it was asked for")

    monkeypatch.setattr("nas.quality_model._narrowing", never)
    rows = proposals(VARIANTS["not-narrowed"](larger, 0), larger, INITIAL + 5)
    assert len(rows) == INITIAL + 5
    with pytest.raises(AssertionError, match="it was asked for"):
        proposals(cost_aware(larger, 0), larger, INITIAL + 5)


def test_scalarised_improvement_by_hand() -> None:
    """Against draws: of max(w q, c) below d, with q normal."""
    from benchmarks.search_ablation import _below
    from nas.quality_model import Belief

    rng, weight, part, best = np.random.default_rng(0), 0.6, 0.4, 0.7
    draws = np.maximum(weight * rng.normal(0.9, 0.5, size=400_000), part)
    belief = Belief(np.array([weight * 0.9]), np.array([weight * 0.5]))
    expected = _below(best, belief) - _below(part, belief)
    assert float(expected[0]) == pytest.approx(np.maximum(best - draws, 0).mean(), rel=0.01)


def test_scalarised_search_is_better_than_chance(larger: TableProblem) -> None:
    from benchmarks.search_problems import table_subject
    from benchmarks.search_runs import run

    subject = table_subject("small", larger)
    own = [run(subject, "scalarised", seed, 40).shares[-1] for seed in range(3)]
    chance = [run(subject, "random", seed, 40).shares[-1] for seed in range(3)]
    assert isinstance(VARIANTS["scalarised"](larger, 0), Scalarised)
    assert np.mean(own) > np.mean(chance)
