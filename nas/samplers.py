"""Optuna samplers by name. A new one is one entry here and its name in ``sampler_names``."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import optuna

from nas.sampler_names import SAMPLER_NAMES

__all__ = ["make_sampler"]

POPULATION = 16
"""Of the evolutionary samplers: small, since a search trains tens of candidates, not thousands."""

_MAKERS: dict[str, Callable[[int], optuna.samplers.BaseSampler]] = {
    "nsga2": lambda seed: optuna.samplers.NSGAIISampler(population_size=POPULATION, seed=seed),
    "nsga3": lambda seed: optuna.samplers.NSGAIIISampler(population_size=POPULATION, seed=seed),
    "tpe": lambda seed: optuna.samplers.TPESampler(n_startup_trials=POPULATION, seed=seed),
    "random": lambda seed: optuna.samplers.RandomSampler(seed=seed),
}
assert set(_MAKERS) == set(SAMPLER_NAMES)


def make_sampler(name: str, seed: int) -> optuna.samplers.BaseSampler:
    """The named sampler, seeded."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # NSGA-III.
        return _MAKERS[name](seed)
