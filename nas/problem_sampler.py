"""What the samplers of Optuna that propose candidates of a problem have in common."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Sequence
from threading import RLock
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState

from nas.problem import Problem

__all__ = ["ExhaustedError", "ProblemSampler"]


class ExhaustedError(optuna.TrialPruned):
    """Every candidate of a problem was proposed.

    Raised where a trial asks for its parameters. ``Study.optimize`` takes it for a pruned trial.
    """


class ProblemSampler(optuna.samplers.BaseSampler, ABC):
    """Proposes every candidate of a problem at most once.

    The objective function asks the trial for every parameter of the problem, by
    ``suggest_categorical`` with the problem's choices. When every candidate was proposed,
    ``Study.optimize`` ends with a warning, and where trials are asked and told by hand the next one
    raises :class:`ExhaustedError`; :meth:`exhausted` says so before.

    Args:
        problem: Whose candidates they are.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self._distributions: dict[str, BaseDistribution] = {
            name: CategoricalDistribution(choices) for name, choices in problem.parameters.items()
        }
        self._index = [
            {_typed(choice): i for i, choice in enumerate(choices)}
            for choices in problem.parameters.values()
        ]
        self._read: set[int] = set()
        self._lock = RLock()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = RLock()

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Every parameter of the problem."""
        return self._distributions

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The next candidate, after what the study's trials have shown is taken up.

        Raises:
            ExhaustedError: Every candidate was proposed.
        """
        with self._lock:
            row = self._propose(study, trial)
        if row is None:
            self._stop(study)
            raise ExhaustedError(
                "Every candidate of the problem was proposed; use what the study holds, or widen "
                "the problem's choices or budgets."
            )
        pairs = zip(self.problem.parameters.items(), row.tolist(), strict=True)
        return {name: choices[index] for (name, choices), index in pairs}

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Refuses parameters that the problem does not have.

        Raises:
            ValueError: Always; the message lists the problem's parameters.
        """
        known = ", ".join(self.problem.parameters)
        raise ValueError(
            f"`{param_name}` with {param_distribution} is no parameter of the problem; suggest its "
            f"own, with its choices, by `suggest_categorical`: {known}."
        )

    def after_trial(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        """Ends ``Study.optimize`` once every candidate was proposed."""
        if self.exhausted(study):
            self._stop(study)

    @abstractmethod
    def exhausted(self, study: optuna.Study) -> bool:
        """Whether every candidate was proposed, in this study's trials or by this sampler."""

    @abstractmethod
    def _propose(self, study: optuna.Study, trial: FrozenTrial) -> NDArray[np.int64] | None:
        """Codes ``[parameters]`` of the next candidate; ``None`` where none is left."""

    def _unread(self, study: optuna.Study) -> NDArray[np.int64]:
        """Codes ``[n, parameters]`` of the trials that this did not return yet, or that ran."""
        rows = []
        for trial in study.get_trials(deepcopy=False):
            if trial.number in self._read:
                continue
            if trial.state.is_finished():
                self._read.add(trial.number)
            row = self._codes_of(trial)
            if row is not None:
                rows.append(row)
        return np.array(rows, dtype=np.int64).reshape(len(rows), len(self._index))

    def _codes_of(self, trial: FrozenTrial) -> NDArray[np.int64] | None:
        """Codes of a trial's parameters; ``None`` where it does not have them all."""
        row = []
        for name, index in zip(self.problem.parameters, self._index, strict=True):
            if name not in trial.params or _typed(trial.params[name]) not in index:
                return None
            row.append(index[_typed(trial.params[name])])
        return np.array(row, dtype=np.int64)

    @staticmethod
    def _stop(study: optuna.Study) -> None:
        try:
            study.stop()
        except RuntimeError:
            return  # Trials are asked and told by hand.
        warnings.warn("Every candidate was proposed; the study ends.", stacklevel=2)


def _typed(choice: Any) -> tuple[type, Any]:
    """A choice with its type, since ``True`` equals 1."""
    return type(choice), choice
