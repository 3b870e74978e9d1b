"""One search of a comparison: an arm with one seed."""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from nas.arena import Arena, stored_values
from nas.arms import RANDOM, WEIGHTED_PRODUCT
from nas.comparison import Arm, Failure, own_front
from nas.cost_aware import CostAwareSearch
from nas.problem import Codes, Floats, Problem
from nas.sampler_names import COST_AWARE
from nas.samplers import initial_trials
from nas.steered_problem import SteeredProblem
from nas.stock_search import StockSearch
from nas.unseen import Unseen
from nas.weighted_product import WeightedProduct

__all__ = ["Found", "Plan", "Proposer", "first_design", "search_arm"]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is the same in every search of a comparison.

    Attributes:
        sampler: Name of the sampler of the arms that have one.
        evaluations: Of each search.
        batch: Candidates proposed at once.
    """

    sampler: str
    evaluations: int
    batch: int

    @property
    def initial(self) -> int:
        """Candidates of the first design."""
        return min(self.evaluations, initial_trials(self.evaluations))


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What a search evaluated.

    Attributes:
        arm: Name of its arm.
        seed: Its seed.
        codes: What was evaluated, in order, but for what failed: ``[n, parameters]``.
        told: Quality of each: ``[n]``.
        seconds: What the training of each took: ``[n]``.
        front: Positions of its set among them.
        sampler_seconds: What proposing took.
        failures: Evaluations that gave nothing, in order.
    """

    arm: str
    seed: int
    codes: NDArray[np.int64]
    told: NDArray[np.float64]
    seconds: NDArray[np.float64]
    front: NDArray[np.int64]
    sampler_seconds: float
    failures: tuple[Failure, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "arm": self.arm,
            "seed": self.seed,
            "codes": self.codes.tolist(),
            "told": self.told.tolist(),
            "seconds": self.seconds.tolist(),
            "front": self.front.tolist(),
            "sampler_seconds": self.sampler_seconds,
            "failures": [asdict(each) for each in self.failures],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Found:
        """Reads back what :meth:`to_json` wrote."""
        return cls(
            arm=data["arm"],
            seed=data["seed"],
            codes=np.array(data["codes"], dtype=np.int64).reshape(len(data["codes"]), -1),
            told=np.array(data["told"], dtype=float),
            seconds=np.array(data["seconds"], dtype=float),
            front=np.array(data["front"], dtype=np.int64),
            sampler_seconds=data["sampler_seconds"],
            failures=tuple(Failure(**each) for each in data.get("failures", ())),
        )


class Proposer(Protocol):
    """Proposes candidates after what it is told; everything is minimised."""

    def tell(self, codes: Codes, quality: Floats, errors: Floats | None = None) -> None:
        """Takes up evaluations of codes ``[n, parameters]``, with known errors: ``[n]`` both."""

    def leave_out(self, codes: Codes) -> None:
        """Never proposes these: their evaluation failed."""

    def ask(self, n: int) -> NDArray[np.int64]:
        """Candidates that were not proposed yet: ``[n, parameters]``, or fewer, where none left."""


class _RandomDraws:
    """Random candidates, none twice."""

    def __init__(self, problem: Problem, seed: int) -> None:
        # Not the draws that the first design was chosen from.
        self._unseen = Unseen(problem, np.random.default_rng([seed, 1]))
        self._width = len(problem.parameters)

    def tell(self, codes: Codes, quality: Floats, errors: Floats | None = None) -> None:
        self._unseen.leave_out(codes)

    def leave_out(self, codes: Codes) -> None:
        self._unseen.leave_out(codes)

    def ask(self, n: int) -> NDArray[np.int64]:
        rows: list[NDArray[np.int64]] = []
        while len(rows) < n and (row := self._unseen.random()) is not None:
            self._unseen.leave_out(row[None, :])
            rows.append(row)
        return np.array(rows, dtype=np.int64).reshape(len(rows), self._width)


def first_design(problem: Problem, plan: Plan, seed: int) -> NDArray[np.int64]:
    """What every arm of a seed begins with, spread over all costs: ``[n, parameters]``."""
    search = CostAwareSearch(copy.copy(problem), seed=seed, initial=plan.initial)
    return search.ask(plan.initial)


def search_arm(
    arm: Arm, seed: int, arena: Arena, plan: Plan, design: Codes, product: WeightedProduct
) -> Found:
    """Searches by an arm until its evaluations are spent or nothing is left.

    Args:
        arm: What it goes by.
        seed: Of the sampler and of the trainings.
        arena: The candidates, and who evaluates them.
        plan: How many of them, and how.
        design: What it begins with: ``[n, parameters]``.
        product: What the arm that goes by one number goes by.
    """
    # A problem may keep what it drew; the next search must not depend on it.
    problem = copy.copy(arena.problem)
    codes: list[NDArray[np.int64]] = []
    told: list[float] = []
    seconds: list[float] = []
    failures: list[Failure] = []
    proposing, done = 0.0, 0
    proposer: Proposer | None = None
    batch = np.asarray(design, dtype=np.int64)
    while len(batch):
        answers = arena.evaluate(batch, seed)
        known = np.isfinite(answers.told)
        done += len(batch)
        for row, value, took in zip(batch, answers.told, answers.seconds.tolist(), strict=True):
            if np.isfinite(value):
                codes.append(row)
                told.append(float(value))
                seconds.append(took)
            else:
                failures.append(Failure(len(codes), took))
        start = time.perf_counter()
        if proposer is None:
            proposer = _proposer(arm, seed, problem, plan, max(1, len(codes)))
        loss = _loss(arm, arena, batch[known], answers.told[known], product)
        errors = np.abs(_loss(arm, arena, batch[known], answers.errors[known], product))
        proposer.tell(batch[known], loss, errors)
        proposer.leave_out(batch[~known])
        wanted = min(plan.batch, plan.evaluations - done)
        batch = proposer.ask(wanted) if wanted > 0 else batch[:0]
        proposing += time.perf_counter() - start
    table = np.array(codes, dtype=np.int64).reshape(len(codes), len(problem.parameters))
    qualities = np.array(told)
    return Found(
        arm=arm.name,
        seed=seed,
        codes=table,
        told=qualities,
        seconds=np.array(seconds),
        front=_front(arm, arena, table, qualities),
        sampler_seconds=proposing,
        failures=tuple(failures),
    )


def _front(arm: Arm, arena: Arena, codes: Codes, told: NDArray[np.float64]) -> NDArray[np.int64]:
    if not len(codes):
        return np.empty(0, dtype=np.int64)
    loss, problem = -told if arena.maximize else told, arena.problem
    return own_front(arm, problem.costs, loss, problem.cost_values(codes))


def _proposer(arm: Arm, seed: int, problem: Problem, plan: Plan, initial: int) -> Proposer:
    if arm.name == RANDOM:
        return _RandomDraws(problem, seed)
    steered = SteeredProblem(problem, arm.objectives)
    if plan.sampler != COST_AWARE:
        return StockSearch(plan.sampler, steered, seed, plan.evaluations, plan.batch)
    return CostAwareSearch(steered, seed=seed, initial=initial)


def _loss(
    arm: Arm, arena: Arena, codes: Codes, told: NDArray[np.float64], product: WeightedProduct
) -> NDArray[np.float64]:
    if arm.name == WEIGHTED_PRODUCT:
        return product.loss(told, stored_values(arena, codes))
    return -told if arena.maximize else told
