"""Any sampler of Optuna on a problem's candidates, without repeats."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.trial import FrozenTrial, TrialState

from nas.problem import Problem
from nas.problem_sampler import ProblemSampler
from nas.unseen import Unseen

__all__ = ["DistinctSampler"]

TRIES = 5
"""How often a sampler is asked while it proposes what was seen or does not exist."""


class DistinctSampler(ProblemSampler):
    """Proposes what another sampler does, but nothing twice and nothing that does not exist.

    The other one draws from all parameters of the problem, whether they have an effect or not: with
    parameters that come and go, an evolutionary one would have nothing to cross. It is asked again
    while it proposes what was seen or is over a budget, and then the nearest candidate that is new
    takes the place.

    Args:
        sampler: The sampler.
        problem: Whose candidates it proposes.
        seed: Of what takes the place of repeats.

    >>> from nas.function_problem import FunctionProblem
    >>> optuna.logging.set_verbosity(optuna.logging.WARNING)
    >>> problem = FunctionProblem({"depth": [1, 2, 3]}, lambda config: {"macs": config["depth"]})
    >>> sampler = DistinctSampler(optuna.samplers.RandomSampler(seed=0), problem, seed=0)
    >>> study = optuna.create_study(sampler=sampler)
    >>> trials = [study.ask() for _ in range(3)]
    >>> sorted(trial.suggest_categorical("depth", [1, 2, 3]) for trial in trials)
    [1, 2, 3]
    """

    def __init__(
        self, sampler: optuna.samplers.BaseSampler, problem: Problem, *, seed: int | None = None
    ) -> None:
        super().__init__(problem)
        self.sampler = sampler
        self._unseen = Unseen(problem, np.random.default_rng(seed))

    def reseed_rng(self) -> None:
        """Draws on from another seed, and so does the other sampler."""
        self.sampler.reseed_rng()
        self._unseen.rng = np.random.default_rng()

    def exhausted(self, study: optuna.Study) -> bool:
        """Whether every candidate was proposed, in this study's trials or by this sampler."""
        with self._lock:
            self._unseen.leave_out(self._unread(study))
            return not self._unseen.any_left()

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """As the other sampler does."""
        self.sampler.before_trial(study, trial)

    def after_trial(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        """As the other sampler does; ends ``Study.optimize`` once every candidate was proposed."""
        self.sampler.after_trial(study, trial, state, values)
        super().after_trial(study, trial, state, values)

    def _propose(self, study: optuna.Study, trial: FrozenTrial) -> NDArray[np.int64] | None:
        self._unseen.leave_out(self._unread(study))
        if not self._unseen.any_left():
            return None
        for _ in range(TRIES):
            row = self._drawn(study, trial)
            if self._unseen.are_new(row[None, :])[0]:
                break
        found = self._unseen.near(row)
        if found is not None:
            self._unseen.leave_out(found[None, :])
        return found

    def _drawn(self, study: optuna.Study, trial: FrozenTrial) -> NDArray[np.int64]:
        """What the other sampler proposes."""
        inferred = self.sampler.infer_relative_search_space(study, trial)
        known = self._distributions
        relative = {name: d for name, d in inferred.items() if known.get(name) == d}
        values: dict[str, Any] = dict(self.sampler.sample_relative(study, trial, relative))
        row = []
        for (name, distribution), index in zip(known.items(), self._index, strict=True):
            if name not in values:
                values[name] = self.sampler.sample_independent(study, trial, name, distribution)
            row.append(index[type(values[name]), values[name]])
        return np.array(row, dtype=np.int64)
