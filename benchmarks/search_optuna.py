"""Samplers of Optuna, this project's own among them, each in a study that is asked and told."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from benchmarks.search_rivals import BATCH, INITIAL, Floats, Ints, Search, population
from nas.problem import Problem

__all__ = ["STOCK", "OptunaSearch", "cost_aware", "stock_sampler"]


class OptunaSearch:
    """A study that is asked and told, one trial at a time or as many as a batch.

    Args:
        problem: The problem.
        sampler: A :class:`nas.problem_sampler.ProblemSampler`.
        batch: Trials that are asked for before any of them is told.
    """

    def __init__(self, problem: Problem, sampler: Any, batch: int = 1) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.problem, self.sampler, self.batch = problem, sampler, batch
        self.trials: list[Any] = []
        self.distributions = {
            name: optuna.distributions.CategoricalDistribution(choices)
            for name, choices in problem.parameters.items()
        }
        directions = ["minimize"] * (1 + len(problem.costs))
        self.study = optuna.create_study(directions=directions, sampler=sampler)

    def ask(self) -> Ints:
        """The parameters of new trials, as codes; none once the sampler is exhausted."""
        self.trials = []
        rows = []
        while len(rows) < self.batch and not self.sampler.exhausted(self.study):
            trial = self.study.ask(self.distributions)
            self.trials.append(trial)
            pairs = self.problem.parameters.items()
            rows.append([choices.index(trial.params[name]) for name, choices in pairs])
        return np.array(rows, dtype=np.int64).reshape(len(rows), len(self.distributions))

    def tell(self, codes: Ints, quality: Floats, error: float = 0.0) -> None:
        """Tells the trials every objective, and the error of the quality if there is one."""
        from nas.cost_aware_sampler import QUALITY_ERROR

        costs = self.problem.cost_values(codes)
        for trial, value, priced in zip(self.trials, quality, costs, strict=True):
            if error:
                trial.set_user_attr(QUALITY_ERROR, error)
            self.study.tell(trial, [float(value), *priced.tolist()])


def cost_aware(problem: Problem, seed: int, batch: int = BATCH) -> OptunaSearch:
    """The sampler that knows the costs."""
    from nas.cost_aware_sampler import CostAwareSampler

    sampler = CostAwareSampler(problem, seed=seed, initial=INITIAL, batch=batch)
    return OptunaSearch(problem, sampler, batch)


def stock_sampler(name: str, problem: Problem, seed: int) -> Any:
    """The named sampler of Optuna, kept from repeating itself.

    Args:
        name: One of :data:`STOCK`.
        problem: The problem.
        seed: Of the sampler and of what takes the place of repeats.
    """
    import optuna

    from nas.distinct_sampler import DistinctSampler

    samplers, members = optuna.samplers, population(problem)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler: Any = {
            "random": lambda: samplers.RandomSampler(seed=seed),
            "tpe": lambda: samplers.TPESampler(n_startup_trials=INITIAL, seed=seed),
            "nsga2": lambda: samplers.NSGAIISampler(population_size=members, seed=seed),
            "nsga3": lambda: samplers.NSGAIIISampler(population_size=members, seed=seed),
        }[name]()
    return DistinctSampler(sampler, problem, seed=seed)


def _stock(name: str, problem: Problem, seed: int) -> OptunaSearch:
    return OptunaSearch(problem, stock_sampler(name, problem, seed))


STOCK: Mapping[str, Callable[[Problem, int], Search]] = {
    name: partial(_stock, name) for name in ("random", "tpe", "nsga2", "nsga3")
}
"""What makes each stock sampler's search for a problem and a seed."""
