"""Candidates and by how much they miss budgets."""

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from nas.candidates import Candidate, violations
from nas.quality import ERROR
from predictors import Value


def test_violations_by_hand() -> None:
    values = {"macs": 150.0, "params": 10.0, "flops": 100.0}
    budgets = {"macs": 100.0, "params": 20.0, "flops": 100.0}
    # 150 / 100 - 1; 10 is below 20; exactly on a budget is within it.
    assert violations(values, budgets) == {"macs": 0.5}


def test_a_budget_of_what_is_maximised_is_the_least() -> None:
    values = {"throughput_per_s@local": 150.0, "max_batch@moon:fast": 64.0}
    budgets = {"throughput_per_s@local": 200.0, "max_batch@moon:fast": 64.0}
    # 50 of 200 are missing; exactly on a budget is within it.
    assert violations(values, budgets) == {"throughput_per_s@local": 0.25}


def test_no_budget_no_violation() -> None:
    assert violations({"macs": 1e30}, {}) == {}


def test_a_budget_on_what_has_no_value_is_an_error() -> None:
    with pytest.raises(KeyError):
        violations({"macs": 1.0}, {"params": 1.0})


def test_the_quality_is_stated_as_an_error_to_minimise(
    make_candidate: Callable[..., Candidate],
) -> None:
    assert make_candidate(1, 0.25, macs=3.0).to_json()["quality"] == {
        "name": "validation_error",
        "value": 0.25,
        "direction": "minimize",
    }


def test_a_candidate_round_trips_through_json(make_candidate: Callable[..., Candidate]) -> None:
    candidate = replace(
        make_candidate(3, 0.5, macs=3.0, params=4.0),
        feasible=False,
        violations={"macs": 0.5},
        feasibility={"macs": 0.0, "latency_s@local": 0.9, "energy_j@local": None},
        test_quality=ERROR.quality("test", 0.25),
        measured={"latency_s@local": Value(1e-3, 9e-4, 1.1e-3, "measured")},
    )
    again = Candidate.from_json(json.loads(json.dumps(candidate.to_json())))
    assert again == candidate
    assert again.id == candidate.architecture.id
