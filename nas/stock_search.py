"""A sampler of Optuna that is asked and told by codes."""

from __future__ import annotations

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.study import StudyDirection
from optuna.trial import Trial, TrialState

from nas.distinct_sampler import DistinctSampler
from nas.problem import Codes, Floats, Problem
from nas.samplers import make_sampler

__all__ = ["StockSearch"]


class StockSearch:
    """Proposes what a sampler by name does, in a study in memory; everything is minimised.

    What it is told without having proposed it counts as its own: an evolutionary one breeds from
    it.

    Args:
        sampler: One of :data:`nas.sampler_names.SAMPLER_NAMES`.
        problem: The candidates and the costs that steer.
        seed: Of every random choice.
        trials: Candidates that will be evaluated.
        batch: How many are evaluated side by side.
    """

    def __init__(self, sampler: str, problem: Problem, seed: int, trials: int, batch: int) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.problem = problem
        self.sampler = make_sampler(sampler, problem, seed=seed, trials=trials, batch=batch)
        directions = [StudyDirection.MINIMIZE] * (1 + len(problem.costs))
        self.study = optuna.create_study(directions=directions, sampler=self.sampler)
        self._asked: dict[bytes, Trial] = {}

    def tell(self, codes: Codes, quality: Floats, errors: Floats | None = None) -> None:
        """Takes up evaluations of codes ``[n, parameters]``: ``[n]``; errors tell it nothing."""
        costs = self.problem.cost_values(codes).tolist()
        for trial, value, cost in zip(self._trials(codes), quality.tolist(), costs, strict=True):
            self.study.tell(trial, [value, *cost])

    def leave_out(self, codes: Codes) -> None:
        """Never proposes these: their evaluation failed."""
        for trial in self._trials(codes):
            self.study.tell(trial, state=TrialState.FAIL)

    def ask(self, n: int) -> NDArray[np.int64]:
        """Candidates to evaluate next: ``[n, parameters]``, or fewer where no more are left."""
        rows: list[list[int]] = []
        while len(rows) < n and not self.sampler.exhausted(self.study):
            trial = self.study.ask()
            rows.append([choices.index(picked) for picked, choices in self._suggested(trial)])
            self._asked[self._key(rows[-1])] = trial
        return np.array(rows, dtype=np.int64).reshape(len(rows), len(self.problem.parameters))

    def _suggested(self, trial: Trial) -> list[tuple[object, tuple[object, ...]]]:
        return [
            (trial.suggest_categorical(name, choices), choices)
            for name, choices in self.problem.parameters.items()
        ]

    def _trials(self, codes: Codes) -> list[Trial]:
        found = []
        for row in np.asarray(codes).tolist():
            key = self._key(row)
            found.append(self._asked.pop(key) if key in self._asked else self._given(row))
        return found

    def _key(self, row: list[int]) -> bytes:
        return self.problem.keys(np.array([row], dtype=np.int64))[0]

    def _given(self, row: list[int]) -> Trial:
        """A trial of a candidate that the sampler did not propose."""
        pairs = zip(self.problem.parameters.items(), row, strict=True)
        self.study.enqueue_trial({name: choices[place] for (name, choices), place in pairs})
        trial = self.study.ask()
        self._suggested(trial)
        stock = self.sampler.sampler if isinstance(self.sampler, DistinctSampler) else self.sampler
        if isinstance(stock, optuna.samplers.BaseGASampler):
            # Only what is of a generation is ever a parent.
            frozen = self.study.get_trials(deepcopy=False)[trial.number]
            stock.get_trial_generation(self.study, frozen)
        return trial
