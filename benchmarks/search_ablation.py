"""The search that knows the costs, each time with one part left out or replaced.

So it is seen what the part contributes. Everything else is the search itself: problems are wrapped,
or one name that it looks up is replaced while it proposes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

import nas.cost_aware
import nas.quality_model
from benchmarks.search_optuna import cost_aware
from benchmarks.search_rivals import BATCH, INITIAL, Archive, Floats, Ints, Search, random_batch
from nas.candidate_pool import children
from nas.cost_aware import CostAwareSearch
from nas.problem import Codes, Problem
from nas.quality_model import OFFSET, REFIT, STEPS, Belief, QualityModel
from nas.unseen import Unseen
from predictors.gaussian_process import GaussianProcess, Kernel, Prior, fit_kernel
from search_spaces import Choice

__all__ = ["VARIANTS"]

SAMPLE = 2_000
"""Random candidates by which columns of features are told apart."""
ALIKE = 0.999
"""Correlation with the logarithm of a cost above which a feature is that cost."""
POOL = 10_000
"""Candidates whose costs are predicted anew for each batch."""
CONSIDERED, BRED = 10_000, 4_500
MOST_LOG = 500.0
"""Logarithm that a predicted cost is cut at, so that it stays a number."""
NARROW = 1e-3
"""A standard deviation in robust units, next to which every other one is large."""


class _Wrapped:
    """A problem like another."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem

    @property
    def parameters(self) -> Mapping[str, tuple[Choice, ...]]:
        return self.problem.parameters

    @property
    def costs(self) -> tuple[str, ...]:
        return self.problem.costs

    @property
    def members(self) -> NDArray[np.int64] | None:
        members: NDArray[np.int64] | None = getattr(self.problem, "members", None)
        return members

    def random_codes(self, n: int, rng: np.random.Generator) -> NDArray[np.int64]:
        return self.problem.random_codes(n, rng)

    def exist(self, codes: Codes) -> NDArray[np.bool_]:
        return self.problem.exist(codes)

    def keys(self, codes: Codes) -> list[bytes]:
        return self.problem.keys(codes)

    def cost_values(self, codes: Codes) -> Floats:
        return self.problem.cost_values(codes)

    def features(self, codes: Codes) -> Floats:
        return self.problem.features(codes)


class WithoutCostFeatures(_Wrapped):
    """Features less those that are a cost, or the logarithm of one."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        codes = problem.random_codes(SAMPLE, np.random.default_rng(0))[:SAMPLE]
        features, costs = problem.features(codes), problem.cost_values(codes)
        columns = np.concatenate([costs, _logarithms(costs)], axis=1)
        self.kept = np.abs(_correlation(features, columns)).max(axis=1) < ALIKE

    def features(self, codes: Codes) -> Floats:
        return self.problem.features(codes)[:, self.kept]


class OneHot(_Wrapped):
    """Features that are the raw choices, a column for each, and maybe the logarithms of costs."""

    def __init__(self, problem: Problem, costs: bool) -> None:
        super().__init__(problem)
        self.with_costs = costs

    def features(self, codes: Codes) -> Floats:
        columns = [
            np.asarray(codes)[:, [place]] == np.arange(len(choices))
            for place, choices in enumerate(self.parameters.values())
        ]
        logs = [_logarithms(self.cost_values(codes))] if self.with_costs else []
        return np.concatenate([*columns, *logs], axis=1).astype(float)


class PredictedCosts(WithoutCostFeatures):
    """Costs that are known of what was evaluated, and predicted of all else.

    By a Gaussian process for each cost, of the kind that the quality is learned with, from features
    that do not hold the costs. Costs that are positive are learned by their logarithms.
    """

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        codes = problem.random_codes(SAMPLE, np.random.default_rng(0))[:SAMPLE]
        features = self.features(codes)
        self.center, self.spread = features.mean(axis=0), features.std(axis=0)
        self.known: dict[bytes, Floats] = {}
        self.logarithmic = np.zeros(len(problem.costs), dtype=bool)
        self.low, self.high = np.zeros(len(problem.costs)), np.ones(len(problem.costs))
        self.kernels: list[Kernel] = []
        self.processes: list[GaussianProcess] = []
        self.fitted = 0

    def learn(self, codes: Ints) -> None:
        """Takes up what all evaluated candidates cost."""
        costs = self.problem.cost_values(codes)
        self.known = dict(zip(self.keys(codes), costs, strict=True))
        self.logarithmic = (costs > 0).all(axis=0)
        costs = _logarithms(costs)
        self.low, self.high = costs.mean(axis=0), costs.mean(axis=0) + costs.std(axis=0)
        inputs, noise = self._inputs(codes), np.zeros(len(codes))
        targets = (costs - self.low) / np.maximum(self.high - self.low, 1e-12)
        if len(codes) >= REFIT * self.fitted:
            prior = _prior(inputs.shape[1])
            self.kernels = [
                fit_kernel(inputs, column, noise, OFFSET, prior, rounds=STEPS)
                for column in targets.T
            ]
            self.fitted = len(codes)
        self.processes = [
            GaussianProcess(kernel, inputs, column, noise)
            for kernel, column in zip(self.kernels, targets.T, strict=True)
        ]

    def cost_values(self, codes: Codes) -> Floats:
        if not len(codes):
            return np.empty((0, len(self.costs)))
        inputs = self._inputs(codes)
        means = np.stack([process.predict(inputs)[0] for process in self.processes], axis=1)
        table = self.low + means * (self.high - self.low)
        table = np.where(self.logarithmic, np.exp(np.minimum(table, MOST_LOG)), table)
        for row, key in enumerate(self.keys(codes)):
            if key in self.known:
                table[row] = self.known[key]
        return table

    def _inputs(self, codes: Codes) -> Floats:
        varies = self.spread > 0
        return (self.features(codes) - self.center)[:, varies] / self.spread[varies]


class _RandomStart:
    """Random candidates to begin with, then what is proposed of what was told."""

    def __init__(self, problem: Problem, seed: int) -> None:
        self.problem, self.rng = problem, np.random.default_rng(seed)
        self.unseen, self.archive = Unseen(problem, self.rng), Archive(problem)
        self.errors: list[float] = []

    def ask(self) -> Ints:
        if len(self.archive.codes) >= INITIAL:
            codes = self.propose()
            if len(codes):
                self.unseen.leave_out(codes)
            return codes
        return random_batch(self.unseen)

    def tell(self, codes: Ints, quality: Floats, error: float = 0.0) -> None:
        self.archive.add(codes, quality)
        self.errors += [error] * len(codes)

    def propose(self) -> Ints:
        """A batch of what was not proposed yet."""
        raise NotImplementedError


class RandomDesign(_RandomStart):
    """The search itself after random candidates in place of ones spread over the costs."""

    def __init__(self, problem: Problem, seed: int) -> None:
        super().__init__(problem, seed)
        self.search = CostAwareSearch(problem, seed=seed, initial=INITIAL)
        self.told = 0

    def propose(self) -> Ints:
        codes, values = self.archive.codes[self.told :], self.archive.values[self.told :, 0]
        self.search.tell(codes, values, np.array(self.errors[self.told :]))
        self.told = len(self.archive.codes)
        return self.search.ask(BATCH)


class UnknownCosts(_RandomStart):
    """The search with costs that it has to learn as well."""

    def __init__(self, problem: Problem, seed: int) -> None:
        super().__init__(problem, seed)
        self.predicted, self.seed = PredictedCosts(problem), seed

    def propose(self) -> Ints:
        codes = self.archive.codes
        self.predicted.learn(codes)
        # A pool keeps what its candidates cost, so that each batch has one of its own.
        seed = int(np.random.SeedSequence([self.seed, len(codes)]).generate_state(1)[0])
        search = CostAwareSearch(self.predicted, seed=seed, initial=INITIAL, pool=POOL)
        search.tell(codes, self.archive.values[:, 0], np.array(self.errors))
        return search.ask(BATCH)


class Scalarised(_RandomStart):
    """Expected improvement of a random weighted Chebyshev distance, with the costs exact.

    ParEGO (Knowles 2006) with one draw of weights for each of a batch. Of the distance
    ``max(w q, c)`` with the quality q normal and the costs' part c known, the improvement on the
    best distance d is ``(d - w q)+ - (c - w q)+`` where ``c < d``: its expectation has a closed
    form.
    """

    def __init__(self, problem: Problem, seed: int) -> None:
        super().__init__(problem, seed)
        self.model: QualityModel | None = None

    def propose(self) -> Ints:
        codes = self.archive.codes
        drawn = self.problem.random_codes(CONSIDERED, self.rng)
        bred = children(self.problem, codes[self.archive.front], BRED, self.rng)
        choices = np.unique(np.concatenate([drawn, bred]), axis=0)
        choices = choices[self.unseen.are_new(choices)]
        if not len(choices):
            return codes[:0]
        features = self.problem.features(choices)
        if self.model is None:
            self.model = QualityModel(features, INITIAL)
        told, errors = self.archive.values[:, 0], np.array(self.errors)
        self.model.fit(self.problem.features(codes), told, errors)
        belief, costs = self.model.predict(features), self.problem.cost_values(choices)
        seen = np.column_stack([self.model.known(), self.archive.values[:, 1:]])
        front = seen[self.archive.front]
        low, span = front.min(axis=0), np.ptp(front, axis=0)
        span = np.where(span > 0, span, 1.0)
        keys, picked = np.array(self.problem.keys(choices), dtype=object), list[int]()
        for _ in range(min(BATCH, len(choices))):
            weights = self.rng.dirichlet(np.ones(seen.shape[1]))
            best = float((weights * (seen - low) / span).max(axis=1).min())
            priced = (weights[1:] * (costs - low[1:]) / span[1:]).max(axis=1)
            own = Belief(
                weights[0] * (belief.mean - low[0]) / span[0], weights[0] * belief.spread / span[0]
            )
            gain = np.where(priced < best, _below(best, own) - _below(priced, own), 0.0)
            gain[np.isin(keys, keys[picked])] = -1.0
            picked.append(int(np.argmax(gain)))
        return choices[picked]


def _below(level: float | Floats, belief: Belief) -> Floats:
    """How far below a level a normal variable is expected to be, counting nothing above it."""
    from scipy.special import ndtr

    z = (level - belief.mean) / belief.spread
    expected: Floats = belief.spread * (z * ndtr(z) + np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi))
    return expected


class MeanAlone(QualityModel):
    """Expects the mean and is sure of it."""

    def predict(self, features: Floats) -> Belief:
        """The mean with hardly any spread."""
        belief = super().predict(features)
        return Belief(belief.mean, np.full(len(belief.mean), NARROW))


class Replaced:
    """The search itself, while a name of a module stands for something else.

    Args:
        module: Whose name.
        name: The name.
        value: What it stands for.
        problem: The problem.
        seed: The search's.
    """

    def __init__(self, module: Any, name: str, value: Any, problem: Problem, seed: int) -> None:
        self.replaced = partial(patch.object, module, name, value)
        self.search = cost_aware(problem, seed)

    def ask(self) -> Ints:
        """What the search proposes meanwhile."""
        with self.replaced():
            return self.search.ask()

    def tell(self, codes: Ints, quality: Floats, error: float = 0.0) -> None:
        """As the search takes it."""
        self.search.tell(codes, quality, error)


def _as_wide(process: GaussianProcess) -> float:
    return 1.0


class UntoldErrors:
    """The search itself, which is not told how noisy qualities are."""

    def __init__(self, problem: Problem, seed: int) -> None:
        self.search = cost_aware(problem, seed)

    def ask(self) -> Ints:
        """What the search proposes."""
        return self.search.ask()

    def tell(self, codes: Ints, quality: Floats, error: float = 0.0) -> None:
        """The quality alone."""
        self.search.tell(codes, quality)


VARIANTS: Mapping[str, Callable[[Problem, int], Search]] = {
    "costs-predicted": UnknownCosts,
    "no-cost-features": lambda problem, seed: cost_aware(WithoutCostFeatures(problem), seed),
    "one-hot-and-costs": lambda problem, seed: cost_aware(OneHot(problem, costs=True), seed),
    "one-hot": lambda problem, seed: cost_aware(OneHot(problem, costs=False), seed),
    "trees": partial(Replaced, nas.quality_model, "MOST_CONDITIONED", 0),
    "mean-alone": partial(Replaced, nas.cost_aware, "QualityModel", MeanAlone),
    "scalarised": Scalarised,
    "random-start": RandomDesign,
    "errors-untold": UntoldErrors,
    "not-narrowed": partial(Replaced, nas.quality_model, "_narrowing", _as_wide),
    "batch-1": partial(cost_aware, batch=1),
    "batch-10": partial(cost_aware, batch=10),
    "batch-20": partial(cost_aware, batch=20),
}
"""What makes each variant's search for a problem and a seed."""


def _prior(inputs: int) -> Prior:
    """What is expected of standardised inputs, of which there are so many, and targets."""
    return Prior(
        linear=(0.1, 1.0),
        amplitude=(1.0, 1.0),
        length=(float(np.sqrt(max(inputs, 1))), 1.0),
        noise=(0.01, 1.0),
    )


def _logarithms(costs: Floats) -> Floats:
    """Of costs that are all positive; the others as they are."""
    positive = (costs > 0).all(axis=0)
    return np.where(positive, np.log(np.where(positive, costs, 1.0)), costs)


def _correlation(features: Floats, columns: Floats) -> Floats:
    """Of each feature with each column: ``[features, columns]``."""
    first, second = (
        (table - table.mean(axis=0)) / np.where(table.std(axis=0) > 0, table.std(axis=0), 1.0)
        for table in (features, columns)
    )
    return first.T @ second / len(first)
