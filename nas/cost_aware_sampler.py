"""The search that knows the costs, as a sampler of Optuna."""

from __future__ import annotations

from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from nas.cost_aware import POOL, CostAwareSearch
from nas.problem import Problem

__all__ = ["CostAwareSampler"]


class CostAwareSampler(optuna.samplers.BaseSampler):
    """Samples candidates whose costs are known and whose quality is not.

    The study's first objective, or the one at ``quality``, is the quality, of either direction; its
    other objectives may be any of the costs, or none: the costs that steer are the problem's. The
    objective function asks the trial for every parameter of the problem, by
    ``suggest_categorical`` with the problem's choices. No candidate is proposed twice, except where
    all were.

    Args:
        problem: The candidates, what they cost, and what their quality may depend on.
        seed: Of every random choice.
        initial: Candidates that are spread over the costs before the sampler learns.
        batch: Proposals made at once, for workers side by side.
        quality: Position of the quality among the study's objectives.
        pool: Candidates that are priced at the start.

    Raises:
        ValueError: ``initial``, ``batch`` or ``pool`` is below 1, or ``quality`` below 0.
    """

    def __init__(
        self,
        problem: Problem,
        *,
        seed: int | None = None,
        initial: int = 20,
        batch: int = 5,
        quality: int = 0,
        pool: int = POOL,
    ) -> None:
        for name, value, least in (
            ("initial", initial, 1),
            ("batch", batch, 1),
            ("quality", quality, 0),
            ("pool", pool, 1),
        ):
            if value < least:
                raise ValueError(f"`{name}` must be at least {least}; got {value}.")
        self.problem, self.initial, self.batch = problem, initial, batch
        self.quality, self.pool = quality, pool
        self._seed = int(np.random.SeedSequence().generate_state(1)[0]) if seed is None else seed
        self._rng = np.random.default_rng(self._seed)
        self._search: CostAwareSearch | None = None
        self._queue: list[NDArray[np.int64]] = []
        self._seen: set[int] = set()
        self._index = [
            {_typed(choice): i for i, choice in enumerate(choices)}
            for choices in problem.parameters.values()
        ]

    def reseed_rng(self) -> None:
        """Draws on from another seed, in what a worker process copied."""
        self._seed = int(np.random.SeedSequence().generate_state(1)[0])
        self._rng = np.random.default_rng(self._seed)
        self._search, self._queue, self._seen = None, [], set()

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Every parameter of the problem."""
        return {
            name: CategoricalDistribution(choices)
            for name, choices in self.problem.parameters.items()
        }

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The next candidate, after what the study's trials have shown is taken up.

        Raises:
            ValueError: The study has no objective at ``quality``, or a quality is not finite.
        """
        if not self._queue:
            self._queue = list(self._propose(study, trial.number))
        row = self._queue.pop(0) if self._queue else self.problem.random_codes(1, self._rng)[0]
        pairs = zip(self.problem.parameters.items(), row, strict=True)
        return {name: choices[int(index)] for (name, choices), index in pairs}

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

    def _propose(self, study: optuna.Study, number: int) -> NDArray[np.int64]:
        if self.quality >= len(study.directions):
            raise ValueError(
                f"`quality` is {self.quality}, but the study has {len(study.directions)} "
                "objectives; give the position of one of them."
            )
        if self._search is None:
            self._search = CostAwareSearch(
                self.problem, seed=self._seed, initial=self.initial, pool=self.pool
            )
        pending = self._take_up(study, number)
        return self._search.ask(self.batch, pending)

    def _take_up(self, study: optuna.Study, number: int) -> NDArray[np.int64] | None:
        """Learns from trials that ended; returns the candidates of those that run."""
        assert self._search is not None
        sign = -1.0 if study.directions[self.quality] == StudyDirection.MAXIMIZE else 1.0
        codes, values, lost, running = [], [], [], []
        for trial in study.get_trials(deepcopy=False):
            if trial.number in self._seen or trial.number == number:
                continue
            row = self._codes_of(trial)
            if trial.state.is_finished():
                self._seen.add(trial.number)
            if row is None:
                continue
            if trial.state == TrialState.COMPLETE and trial.values is not None:
                codes.append(row)
                values.append(sign * trial.values[self.quality])
            elif trial.state.is_finished():
                lost.append(row)
            elif trial.state == TrialState.RUNNING:
                running.append(row)
        if codes:
            self._search.tell(np.array(codes), np.array(values))
        for rows in (lost, running):
            if rows:
                self._search.leave_out(np.array(rows))
        return np.array(running) if running else None

    def _codes_of(self, trial: FrozenTrial) -> NDArray[np.int64] | None:
        """Codes of a trial's parameters; ``None`` where it does not have them all."""
        row = []
        for name, index in zip(self.problem.parameters, self._index, strict=True):
            if name not in trial.params or _typed(trial.params[name]) not in index:
                return None
            row.append(index[_typed(trial.params[name])])
        return np.array(row, dtype=np.int64)


def _typed(choice: Any) -> tuple[type, Any]:
    """A choice with its type, since ``True`` equals 1."""
    return type(choice), choice
