"""pymoo's evolutionary algorithms on integer codes.

NSGA-II (Deb et al. 2002), NSGA-III (Deb & Jain 2014), U-NSGA-III (Seada & Deb 2016) and AGE-MOEA-II
(Panichella, GECCO 2022), with uniform crossover and random resetting of a parameter, and with
pymoo's own selection and survival. All begin with the same random candidates of a seed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any

import numpy as np

from benchmarks.search_rivals import Floats, Ints, Search, population, sizes
from nas.problem import Problem
from nas.unseen import Unseen

__all__ = ["PYMOO", "PymooSearch"]

DRAWS = 20
"""Times that a first population is drawn for, until it is full."""


class PymooSearch:
    """An algorithm of pymoo that is asked and told a population at a time.

    A child that was seen before, or is no candidate, becomes the nearest that is new.

    Args:
        make: Makes the algorithm from its operators and the number of objectives.
        problem: The problem.
        seed: Of the first candidates and of the algorithm.
    """

    def __init__(self, make: Callable[[Any, int], Any], problem: Problem, seed: int) -> None:
        from pymoo.core.mutation import Mutation
        from pymoo.core.problem import Problem as PymooProblem
        from pymoo.core.sampling import Sampling
        from pymoo.operators.crossover.ux import UX

        self.problem, rng = problem, np.random.default_rng(seed)
        self.unseen, choices = Unseen(problem, rng), sizes(problem)

        class Draw(Sampling):  # type: ignore[misc]
            def _do(self, bounds: Any, n_samples: int, *_: Any, **__: Any) -> Any:
                return _drawn(problem, n_samples, rng)

        class Reset(Mutation):  # type: ignore[misc]
            def _do(self, bounds: Any, X: Any, **_: Any) -> Any:
                change = rng.random(X.shape) < 1 / len(choices)
                return np.where(change, rng.integers(0, choices, size=X.shape), X)

        operators = {
            "pop_size": population(problem),
            "sampling": Draw(),
            "crossover": UX(),
            "mutation": Reset(),
            "eliminate_duplicates": True,
        }
        objectives = 1 + len(problem.costs)
        self.algorithm = make(operators, objectives)
        bounds = PymooProblem(n_var=len(choices), n_obj=objectives, xl=0, xu=choices - 1, vtype=int)
        self.algorithm.setup(bounds, termination=("n_gen", 10**9), seed=seed, verbose=False)
        self.population: Any = None

    def ask(self) -> Ints:
        """The children of the next generation; fewer where fewer new candidates are found."""
        self.population = self.algorithm.ask()
        rows: list[Ints] = []
        for proposed in [] if self.population is None else self.population.get("X"):
            row = self.unseen.near(np.asarray(proposed).astype(np.int64))
            if row is None:
                break
            self.unseen.leave_out(row[None, :])
            rows.append(row)
        if not rows:
            return np.empty((0, len(self.problem.parameters)), dtype=np.int64)
        self.population = self.population[: len(rows)]
        self.population.set("X", np.stack(rows))
        return np.stack(rows)

    def tell(self, codes: Ints, quality: Floats, error: float = 0.0) -> None:
        """Hands the generation back with its objectives."""
        self.population.set("F", np.column_stack([quality, self.problem.cost_values(codes)]))
        for individual in self.population:
            individual.evaluated.update({"F"})
        with np.errstate(divide="ignore", invalid="ignore"):
            self.algorithm.tell(infills=self.population)


def _drawn(problem: Problem, n: int, rng: np.random.Generator) -> Ints:
    """So many random candidates, or fewer where so many are not found: each once."""
    rows: dict[bytes, Ints] = {}
    for _ in range(DRAWS):
        codes = problem.random_codes(n, rng)
        for key, row in zip(problem.keys(codes), codes, strict=True):
            rows.setdefault(key, row)
        if len(rows) >= n:
            break
    return np.stack(list(rows.values())[:n])


def _nsga2(operators: Mapping[str, Any], objectives: int) -> Any:
    from pymoo.algorithms.moo.nsga2 import NSGA2

    return NSGA2(**operators)


def _nsga3(operators: Mapping[str, Any], objectives: int) -> Any:
    from pymoo.algorithms.moo.nsga3 import NSGA3

    return NSGA3(ref_dirs=_directions(objectives, operators["pop_size"]), **operators)


def _unsga3(operators: Mapping[str, Any], objectives: int) -> Any:
    from pymoo.algorithms.moo.unsga3 import UNSGA3

    return UNSGA3(ref_dirs=_directions(objectives, operators["pop_size"]), **operators)


def _agemoea2(operators: Mapping[str, Any], objectives: int) -> Any:
    from pymoo.algorithms.moo.age2 import AGEMOEA2

    return AGEMOEA2(**operators)


@cache
def _directions(objectives: int, points: int) -> Any:
    """Reference directions by least energy, which there are for any number of objectives.

    Blank & Deb, "Generating well-spaced points on a unit simplex", IEEE TEVC 2021.
    """
    from pymoo.util.ref_dirs import get_reference_directions

    return get_reference_directions("energy", objectives, points, seed=1)


PYMOO: Mapping[str, Callable[[Problem, int], Search]] = {
    f"pymoo-{name}": partial(PymooSearch, make)
    for name, make in {
        "nsga2": _nsga2,
        "nsga3": _nsga3,
        "unsga3": _unsga3,
        "agemoea2": _agemoea2,
    }.items()
}
"""What makes each of them for a problem and a seed."""
