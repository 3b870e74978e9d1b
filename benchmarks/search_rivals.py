"""The samplers that are compared: each proposes candidates of a problem and is told their quality.

All see the same: the problem with its exact costs, and the quality of what they proposed. Those of
others go through one :class:`Distinct`, which turns a proposal that was seen before, or that is no
candidate, into the nearest that is new, so that none of them loses evaluations to repeats.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from nas.problem import Problem
from search_spaces import UnknownNameError

__all__ = ["SAMPLERS", "Distinct", "Search", "make_search"]

INITIAL = 20
BATCH = 5
POPULATION = 20
"""Of the evolutionary samplers, as many as the first design of the search that knows the costs."""
TRIES = 20
REPEATS = 3
"""Times that a sampler is asked while it proposes what was seen."""
CHILDREN = 100

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class Search(Protocol):
    """Proposes candidates and learns from their quality."""

    def ask(self) -> Ints:
        """New candidates ``[n, parameters]``; none when it has seen all that it can find."""

    def tell(self, codes: Ints, quality: Floats) -> None:
        """The quality ``[n]`` of what was asked for, minimised."""


class Distinct:
    """Remembers what was proposed, and finds the nearest candidate that was not.

    Args:
        problem: Whose candidates they are.
        rng: Of what is drawn.
    """

    def __init__(self, problem: Problem, rng: np.random.Generator) -> None:
        self.problem, self.rng = problem, rng
        self.sizes = np.array([len(choices) for choices in problem.parameters.values()])
        self.ordered = np.array(
            [not isinstance(choices[0], str | bool) for choices in problem.parameters.values()]
        )
        self.seen: set[bytes] = set()
        members = getattr(problem, "members", None)
        self.members: Ints | None = members
        self._left = np.ones(0 if members is None else len(members), dtype=bool)
        self._rows: dict[bytes, list[int]] = {}
        for row, key in enumerate([] if members is None else problem.keys(members)):
            self._rows.setdefault(key, []).append(row)

    def is_new(self, codes: Ints) -> NDArray[np.bool_]:
        """Which codes ``[n, parameters]`` are candidates that were not proposed: ``[n]``."""
        there = self.problem.exist(codes)
        fresh = [key not in self.seen for key in self.problem.keys(codes)]
        return there & np.array(fresh, dtype=bool)

    @property
    def exhausted(self) -> bool:
        """Whether every candidate was proposed, as far as the problem lists them."""
        return self.members is not None and not self._left.any()

    def take(self, row: Ints) -> None:
        """Notes that a candidate is proposed."""
        (key,) = self.problem.keys(row[None, :])
        self.seen.add(key)
        self._left[self._rows.get(key, [])] = False

    def nearest(self, row: Ints) -> Ints | None:
        """The candidate itself if it is new, else one that is near; ``None`` if none is found."""
        if self.is_new(row[None, :])[0]:
            return row
        if self.members is not None:
            return self._nearest_member(row)
        for changes in range(1, TRIES):
            children = np.repeat(row[None, :], CHILDREN, axis=0)
            for _ in range(changes):
                column = self.rng.integers(len(self.sizes), size=CHILDREN)
                children[np.arange(CHILDREN), column] = self.rng.integers(self.sizes[column])
            fresh = np.flatnonzero(self.is_new(children))
            if len(fresh):
                return children[fresh[0]]
        return self.random()

    def random(self) -> Ints | None:
        """A random new candidate."""
        for _ in range(TRIES):
            drawn = self.problem.random_codes(CHILDREN, self.rng)
            fresh = np.flatnonzero(self.is_new(drawn))
            if len(fresh):
                return drawn[fresh[0]]
        left = np.flatnonzero(self._left)
        if self.members is not None and len(left):
            return self.members[self.rng.choice(left)]
        return None

    def _nearest_member(self, row: Ints) -> Ints | None:
        assert self.members is not None
        left = np.flatnonzero(self._left)
        if not len(left):
            return None
        members = self.members[left]
        steps = np.abs(members - row) / np.maximum(self.sizes - 1, 1)
        distance = np.where(self.ordered, steps, members != row).sum(axis=1)
        nearest = np.flatnonzero(distance <= distance.min() + 1e-9)
        return members[self.rng.choice(nearest)]


class _Archive:
    """What a search of this module was told, as objectives."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.codes = np.empty((0, len(problem.parameters)), dtype=np.int64)
        self.values = np.empty((0, 1 + len(problem.costs)))

    def add(self, codes: Ints, quality: Floats) -> None:
        values = np.column_stack([quality, self.problem.cost_values(codes)])
        self.codes = np.concatenate([self.codes, codes])
        self.values = np.concatenate([self.values, values])

    @property
    def front(self) -> Ints:
        """Positions of those that are not dominated."""
        import moocore

        return np.flatnonzero(moocore.is_nondominated(self.values, keep_weakly=True))


class LocalSearch:
    """Evaluates random neighbours of random members of the front, one parameter changed."""

    def __init__(self, problem: Problem, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.distinct, self.archive = Distinct(problem, self.rng), _Archive(problem)

    def ask(self) -> Ints:
        row = self._child() if len(self.archive.codes) >= INITIAL else self.distinct.random()
        if row is None:
            return self.archive.codes[:0]
        self.distinct.take(row)
        return row[None, :]

    def tell(self, codes: Ints, quality: Floats) -> None:
        self.archive.add(codes, quality)

    def _child(self) -> Ints | None:
        parents = self.archive.codes[self.archive.front]
        return self.distinct.nearest(_mutants(parents, 1, self.distinct.sizes, self.rng)[0])


class Lemonade:
    """Evolution of the front that spreads over the cheap costs (Elsken et al., ICLR 2019).

    Parents are drawn where the front is sparse in the costs, as a kernel density says, and so are
    those of their many children that are evaluated.
    """

    def __init__(self, problem: Problem, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.problem = problem
        self.distinct, self.archive = Distinct(problem, self.rng), _Archive(problem)

    def ask(self) -> Ints:
        rows: list[Ints] = []
        chosen = self._chosen() if len(self.archive.codes) >= INITIAL else None
        for position in range(BATCH):
            row = (
                self.distinct.random()
                if chosen is None
                else self.distinct.nearest(chosen[position])
            )
            if row is None:
                break
            self.distinct.take(row)
            rows.append(row)
        return np.stack(rows) if rows else self.archive.codes[:0]

    def tell(self, codes: Ints, quality: Floats) -> None:
        self.archive.add(codes, quality)

    def _chosen(self) -> Ints:
        front = self.archive.front
        costs = self.archive.values[front, 1:]
        center, spread = costs.mean(axis=0), costs.std(axis=0)
        points = (costs - center) / np.where(spread > 0, spread, 1.0)
        parents = self.archive.codes[front[self._sparse(points, points, CHILDREN)]]
        children = _mutants(parents, CHILDREN, self.distinct.sizes, self.rng, each=True)
        fresh = children[self.distinct.is_new(children)]
        if len(fresh) < BATCH:
            return children[self.rng.integers(len(children), size=BATCH)]
        priced = (self.problem.cost_values(fresh) - center) / np.where(spread > 0, spread, 1.0)
        return fresh[self._sparse(priced, points, BATCH, replace=False)]

    def _sparse(self, points: Floats, data: Floats, n: int, replace: bool = True) -> Ints:
        """Positions of points, drawn by one over the density of the data there."""
        width = max(len(data), 2) ** (-1 / (data.shape[1] + 4))  # Scott's rule.
        distance = ((points[:, None, :] - data[None, :, :]) ** 2).sum(axis=2)
        density = np.exp(-0.5 * distance / width**2).mean(axis=1)
        weights = 1 / np.maximum(density, 1e-6)
        return self.rng.choice(len(points), size=n, replace=replace, p=weights / weights.sum())


def _mutants(
    parents: Ints, n: int, sizes: Ints, rng: np.random.Generator, each: bool = False
) -> Ints:
    """``n`` children ``[n, parameters]`` with one parameter changed, of random parents or each."""
    children = (parents if each else parents[rng.integers(len(parents), size=n)]).copy()
    free = np.flatnonzero(sizes > 1)
    column = rng.choice(free, size=n)
    rows = np.arange(n)
    step = rng.integers(1, sizes[column])
    children[rows, column] = (children[rows, column] + step) % sizes[column]
    return children


class OptunaSearch:
    """A study that is asked and told, one trial at a time or as many as a batch.

    Args:
        problem: The problem.
        sampler: The sampler.
        batch: Trials that are asked for before any of them is told.
        distinct: What repeats are kept from; ``None`` for a sampler that never repeats itself.
    """

    def __init__(self, problem: Problem, sampler: Any, batch: int, distinct: Distinct | None):
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        self.problem, self.batch = problem, batch
        self.trials: list[Any] = []
        self.proposed: set[bytes] = set()
        self.distributions = _distributions(problem)
        self.distinct = distinct
        chosen = sampler if distinct is None else distinct_sampler(sampler, problem, distinct)
        directions = ["minimize"] * (1 + len(problem.costs))
        self.study = optuna.create_study(directions=directions, sampler=chosen)

    def ask(self) -> Ints:
        rows: list[Ints] = []
        self.trials = []
        while len(rows) < self.batch and not (self.distinct and self.distinct.exhausted):
            trial = self.study.ask(self.distributions)
            row = _codes(self.problem, trial.params)
            (key,) = self.problem.keys(row[None, :])
            if key in self.proposed or not self.problem.exist(row[None, :])[0]:
                break  # A sampler repeats itself when it has nothing new.
            self.proposed.add(key)
            self.trials.append(trial)
            rows.append(row)
        return np.stack(rows) if rows else np.empty((0, len(self.distributions)), dtype=np.int64)

    def tell(self, codes: Ints, quality: Floats) -> None:
        costs = self.problem.cost_values(codes)
        for trial, value, priced in zip(self.trials, quality, costs, strict=True):
            self.study.tell(trial, [float(value), *priced.tolist()])


def _distributions(problem: Problem) -> dict[str, Any]:
    import optuna

    return {
        name: optuna.distributions.CategoricalDistribution(choices)
        for name, choices in problem.parameters.items()
    }


def _codes(problem: Problem, values: Mapping[str, Any]) -> Ints:
    pairs = problem.parameters.items()
    return np.array([choices.index(values[name]) for name, choices in pairs], dtype=np.int64)


def distinct_sampler(inner: Any, problem: Problem, distinct: Distinct) -> Any:
    """An Optuna sampler that proposes what another does, but nothing twice.

    The other one is asked again while it repeats itself; then the nearest new candidate is taken,
    and recorded as the trial's parameters.
    """
    import optuna

    distributions = _distributions(problem)

    class DistinctSampler(optuna.samplers.BaseSampler):
        def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, Any]:
            return distributions

        def sample_relative(self, study: Any, trial: Any, search_space: Any) -> dict[str, Any]:
            row = None
            for _ in range(REPEATS):
                row = _codes(problem, self._propose(study, trial))
                # In a sparse table hardly any proposal is a row; asking again is no help there.
                if distinct.is_new(row[None, :])[0] or not problem.exist(row[None, :])[0]:
                    break
            assert row is not None
            found = distinct.nearest(row)
            row = row if found is None else found
            distinct.take(row)
            pairs = zip(problem.parameters.items(), row.tolist(), strict=True)
            return {name: choices[place] for (name, choices), place in pairs}

        def sample_independent(self, study: Any, trial: Any, name: str, distribution: Any) -> Any:
            return inner.sample_independent(study, trial, name, distribution)

        def before_trial(self, study: Any, trial: Any) -> None:
            inner.before_trial(study, trial)

        def after_trial(self, study: Any, trial: Any, state: Any, values: Any) -> None:
            inner.after_trial(study, trial, state, values)

        def _propose(self, study: Any, trial: Any) -> dict[str, Any]:
            space = inner.infer_relative_search_space(study, trial)
            values = dict(inner.sample_relative(study, trial, space))
            for name, distribution in distributions.items():
                if name not in values:
                    values[name] = inner.sample_independent(study, trial, name, distribution)
            return values

    return DistinctSampler()


class PymooSearch:
    """pymoo's NSGA-II on integer codes: uniform crossover and random resetting of a parameter."""

    def __init__(self, problem: Problem, seed: int) -> None:
        from pymoo.algorithms.moo.nsga2 import NSGA2
        from pymoo.core.mutation import Mutation
        from pymoo.core.problem import Problem as PymooProblem
        from pymoo.core.sampling import Sampling
        from pymoo.operators.crossover.ux import UX

        self.problem, rng = problem, np.random.default_rng(seed)
        self.distinct = Distinct(problem, rng)
        sizes, outer = self.distinct.sizes, self

        class Draw(Sampling):  # type: ignore[misc]
            def _do(self, problem: Any, n_samples: int, *_: Any, **__: Any) -> Any:
                return outer.problem.random_codes(n_samples, rng)

        class Reset(Mutation):  # type: ignore[misc]
            def _do(self, problem: Any, X: Any, **_: Any) -> Any:
                change = rng.random(X.shape) < 1 / len(sizes)
                return np.where(change, rng.integers(0, sizes, size=X.shape), X)

        self.algorithm = NSGA2(
            pop_size=POPULATION,
            sampling=Draw(),
            crossover=UX(),
            mutation=Reset(),
            eliminate_duplicates=True,
        )
        bounds = PymooProblem(
            n_var=len(sizes), n_obj=1 + len(problem.costs), xl=0, xu=sizes - 1, vtype=int
        )
        self.algorithm.setup(bounds, termination=("n_gen", 10**9), seed=seed, verbose=False)
        self.population: Any = None

    def ask(self) -> Ints:
        self.population = self.algorithm.ask()
        rows: list[Ints] = []
        for proposed in self.population.get("X"):
            row = self.distinct.nearest(np.asarray(proposed).astype(np.int64))
            if row is None:
                break
            self.distinct.take(row)
            rows.append(row)
        self.population = self.population[: len(rows)]
        if not rows:
            return np.empty((0, len(self.distinct.sizes)), dtype=np.int64)
        self.population.set("X", np.stack(rows))
        return np.stack(rows)

    def tell(self, codes: Ints, quality: Floats) -> None:
        values = np.column_stack([quality, self.problem.cost_values(codes)])
        self.population = self.population[: len(codes)]
        self.population.set("F", values)
        for individual in self.population:
            individual.evaluated.update({"F"})
        self.algorithm.tell(infills=self.population)


def _cost_aware(problem: Problem, seed: int) -> Search:
    from nas.cost_aware_sampler import CostAwareSampler

    sampler = CostAwareSampler(problem, seed=seed, initial=INITIAL, batch=BATCH)
    return OptunaSearch(problem, sampler, BATCH, None)


def _stock(name: str) -> Callable[[Problem, int], Search]:
    def make(problem: Problem, seed: int) -> Search:
        import optuna

        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        samplers = optuna.samplers
        sampler: Any = {
            "random": lambda: samplers.RandomSampler(seed=seed),
            "tpe": lambda: samplers.TPESampler(n_startup_trials=INITIAL, seed=seed),
            "nsga2": lambda: samplers.NSGAIISampler(population_size=POPULATION, seed=seed),
            "nsga3": lambda: samplers.NSGAIIISampler(population_size=POPULATION, seed=seed),
        }[name]()
        distinct = Distinct(problem, np.random.default_rng(seed))
        return OptunaSearch(problem, sampler, 1, distinct)

    return make


SAMPLERS: Mapping[str, Callable[[Problem, int], Search]] = {
    "cost-aware": _cost_aware,
    "random": _stock("random"),
    "tpe": _stock("tpe"),
    "nsga2": _stock("nsga2"),
    "nsga3": _stock("nsga3"),
    "pymoo-nsga2": PymooSearch,
    "local": LocalSearch,
    "lemonade": Lemonade,
}
"""What makes each sampler of a problem and a seed."""


def make_search(name: str, problem: Problem, seed: int) -> Search:
    """The named sampler, seeded.

    Raises:
        UnknownNameError: There is no such sampler.
    """
    if name not in SAMPLERS:
        raise UnknownNameError("sampler", name, tuple(SAMPLERS))
    return SAMPLERS[name](problem, seed)
