"""Samplers by name. A new one is one entry here and its name in ``sampler_names``."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import optuna

from nas.cost_aware_sampler import CostAwareSampler
from nas.distinct_sampler import DistinctSampler
from nas.problem import Problem
from nas.problem_sampler import ProblemSampler
from nas.sampler_names import COST_AWARE, SAMPLER_NAMES

__all__ = ["initial_trials", "make_sampler"]

POPULATION = 16
"""Of the evolutionary samplers: small, since a search trains tens of candidates, not thousands."""
LEAST_INITIAL, MOST_INITIAL, INITIAL_SHARE = 5, 20, 3
"""Of the cost-aware sampler: at most every third candidate is spread before it learns."""

_STOCK: dict[str, Callable[[int], optuna.samplers.BaseSampler]] = {
    "nsga2": lambda seed: optuna.samplers.NSGAIISampler(population_size=POPULATION, seed=seed),
    "nsga3": lambda seed: optuna.samplers.NSGAIIISampler(population_size=POPULATION, seed=seed),
    "tpe": lambda seed: optuna.samplers.TPESampler(n_startup_trials=POPULATION, seed=seed),
    "random": lambda seed: optuna.samplers.RandomSampler(seed=seed),
}
assert {COST_AWARE, *_STOCK} == set(SAMPLER_NAMES)


def make_sampler(
    name: str, problem: Problem, *, seed: int, trials: int, batch: int
) -> ProblemSampler:
    """The named sampler of a problem's candidates; those of Optuna propose none twice either.

    Args:
        name: One of :data:`nas.sampler_names.SAMPLER_NAMES`.
        problem: The candidates.
        seed: Of every random choice.
        trials: How many candidates are to be evaluated.
        batch: How many are evaluated side by side.
    """
    if name == COST_AWARE:
        initial = initial_trials(trials)
        return CostAwareSampler(problem, seed=seed, initial=initial, batch=batch)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # NSGA-III.
        stock = _STOCK[name](seed)
    return DistinctSampler(stock, problem, seed=seed)


def initial_trials(trials: int) -> int:
    """How many of so many candidates the cost-aware sampler spreads over the costs.

    >>> [initial_trials(trials) for trials in (4, 8, 30, 48, 200)]
    [5, 5, 10, 16, 20]
    """
    return min(MOST_INITIAL, max(LEAST_INITIAL, trials // INITIAL_SHARE))
