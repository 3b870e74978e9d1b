"""Samplers by name."""

from collections.abc import Mapping
from typing import Any

import optuna
import pytest

from nas.cost_aware_sampler import CostAwareSampler
from nas.distinct_sampler import DistinctSampler
from nas.function_problem import FunctionProblem
from nas.sampler_names import SAMPLER_NAMES
from nas.samplers import initial_trials, make_sampler

STOCK = {
    "nsga2": optuna.samplers.NSGAIISampler,
    "nsga3": optuna.samplers.NSGAIIISampler,
    "tpe": optuna.samplers.TPESampler,
    "random": optuna.samplers.RandomSampler,
}
CHOICES = {"x": list(range(10)), "y": list(range(10))}


def cost(config: Mapping[str, Any]) -> dict[str, float]:
    return {"cost": float(config["x"] + 1)}


def drawn(name: str, seed: int) -> list[tuple[int, int]]:
    sampler = make_sampler(name, FunctionProblem(CHOICES, cost), seed=seed, trials=24, batch=3)
    study = optuna.create_study(directions=["minimize"] * 2, sampler=sampler)
    values = []
    for _ in range(24):
        trial = study.ask()
        x, y = (trial.suggest_categorical(name, choices) for name, choices in CHOICES.items())
        study.tell(trial, [float(y - x), float(x + 1)])
        values.append((x, y))
    return values


def test_every_name_has_a_sampler() -> None:
    assert set(SAMPLER_NAMES) == {"cost-aware", *STOCK}


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.parametrize("name", SAMPLER_NAMES)
def test_a_sampler_is_what_it_is_called_and_seeded_and_repeats_nothing(name: str) -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = make_sampler(name, FunctionProblem(CHOICES, cost), seed=0, trials=30, batch=3)
    if name in STOCK:
        assert isinstance(sampler, DistinctSampler)
        assert type(sampler.sampler) is STOCK[name]
    else:
        assert isinstance(sampler, CostAwareSampler)
        assert (sampler.initial, sampler.batch) == (10, 3)
    first = drawn(name, 0)
    assert len(set(first)) == 24
    assert drawn(name, 0) == first
    assert drawn(name, 1) != first


@pytest.mark.parametrize(
    ("trials", "initial"), [(1, 5), (8, 5), (17, 5), (18, 6), (48, 16), (60, 20), (1000, 20)]
)
def test_a_short_search_learns_too(trials: int, initial: int) -> None:
    assert initial_trials(trials) == initial
