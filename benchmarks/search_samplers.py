"""The samplers that are compared, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from benchmarks.search_ablation import VARIANTS
from benchmarks.search_optuna import STOCK, cost_aware
from benchmarks.search_pymoo import PYMOO
from benchmarks.search_rivals import Lemonade, LocalSearch, Search
from nas.problem import Problem
from search_spaces import UnknownNameError

__all__ = ["COMPARED", "LIMITS", "SAMPLERS", "make_search", "sampler_names"]

Maker = Callable[[Problem, int], Search]


def _noisy_improvement(problem: Problem, seed: int) -> Search:
    from benchmarks.search_botorch import NoisyImprovement

    return NoisyImprovement(problem, seed)


COMPARED: Mapping[str, Maker] = {
    "cost-aware": cost_aware,
    **STOCK,
    **PYMOO,
    "local": LocalSearch,
    "lemonade": Lemonade,
    "qnehvi": _noisy_improvement,
}
"""What makes each sampler of a problem and a seed."""

SAMPLERS: Mapping[str, Maker] = {**COMPARED, **VARIANTS}
"""These, and the cost-aware search with one part left out or replaced."""

LIMITS: Mapping[str, int] = {"cost-aware": 600, "qnehvi": 150, **dict.fromkeys(VARIANTS, 300)}
"""Evaluations after which those end that take long, whatever is asked for."""

GROUPS: Mapping[str, tuple[str, ...]] = {
    "compared": tuple(COMPARED),
    "stock": tuple(STOCK),
    "pymoo": tuple(PYMOO),
    "ablation": ("cost-aware", *VARIANTS),
}


def sampler_names(text: str) -> tuple[str, ...]:
    """The samplers that names, parted by commas, stand for; some stand for several.

    Raises:
        UnknownNameError: One is neither a sampler nor such a group.

    >>> sampler_names("cost-aware, stock")
    ('cost-aware', 'random', 'tpe', 'nsga2', 'nsga3')
    """
    names: dict[str, None] = {}
    for name in filter(None, map(str.strip, text.split(","))):
        if name not in SAMPLERS and name not in GROUPS:
            raise UnknownNameError("sampler", name, (*SAMPLERS, *GROUPS))
        names |= dict.fromkeys(GROUPS.get(name, (name,)))
    return tuple(names)


def make_search(name: str, problem: Problem, seed: int) -> Search:
    """The named sampler, seeded.

    Raises:
        UnknownNameError: There is no such sampler.
    """
    if name not in SAMPLERS:
        raise UnknownNameError("sampler", name, tuple(SAMPLERS))
    return SAMPLERS[name](problem, seed)
