"""The search that knows the costs, as a sampler of Optuna."""

from __future__ import annotations

import math
import os
import warnings

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from nas.cost_aware import POOL, CostAwareSearch
from nas.early_stopping import EXPECTED
from nas.problem import Problem
from nas.problem_sampler import ProblemSampler

__all__ = ["QUALITY_ERROR", "CostAwareSampler"]

QUALITY_ERROR = "quality_error"
"""User attribute of a trial: the known part of the standard error of its quality, in its unit."""
NO_TRIAL = -1


class CostAwareSampler(ProblemSampler):
    """Proposes candidates whose costs are known and whose quality is not, each at most once.

    The study's first objective, or the one at ``quality``, is the quality, of either direction; its
    other objectives may be any of the costs, or none: the costs that steer are the problem's. Of a
    pruned trial with the user attribute ``expected_quality`` that is learned, as
    :class:`~nas.early_stopping.EarlyStopping` sets it. Where a quality is known to be off, as one
    measured on few examples is, the trial's user attribute ``quality_error`` says by which standard
    error, in the unit of the quality; set it before the trial is told. One that is no finite number
    of at least 0 is ignored with a warning, since a trial that ended cannot be changed.

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
        super().__init__(problem)
        self.initial, self.batch = initial, batch
        self.quality, self.pool = quality, pool
        self._seed = int(np.random.SeedSequence().generate_state(1)[0]) if seed is None else seed
        self._process = os.getpid()
        self._search: CostAwareSearch | None = None
        self._queue: list[NDArray[np.int64]] = []
        self._seen: set[int] = set()
        self._taken: set[bytes] = set()

    def reseed_rng(self) -> None:
        """Draws on from another seed in what a worker process copied; threads share one search."""
        if os.getpid() != self._process:
            self._process = os.getpid()
            self._seed = int(np.random.SeedSequence().generate_state(1)[0])
            self._search, self._queue, self._seen = None, [], set()

    def exhausted(self, study: optuna.Study) -> bool:
        """Whether every candidate was proposed, in this study's trials or by this sampler."""
        with self._lock:
            if self._search is None:
                self._search = self._begun(study)
                self._take_up(study, NO_TRIAL)
            return not self._queue and self._search.exhausted

    def _propose(self, study: optuna.Study, trial: FrozenTrial) -> NDArray[np.int64] | None:
        """The next candidate.

        Raises:
            ValueError: The study has no objective at ``quality``, or a quality is not finite.
        """
        self._taken.update(self.problem.keys(self._unread(study)))
        while True:
            if not self._queue:
                self._queue = list(self._proposed(study, trial.number))
            if not self._queue:
                return None
            row = self._queue.pop(0)
            # It may be that somebody else had it tried meanwhile.
            if self.problem.keys(row[None, :])[0] not in self._taken:
                return row

    def _begun(self, study: optuna.Study) -> CostAwareSearch:
        if self.quality >= len(study.directions):
            raise ValueError(
                f"`quality` is {self.quality}, but the study has {len(study.directions)} "
                "objectives; give the position of one of them."
            )
        return CostAwareSearch(self.problem, seed=self._seed, initial=self.initial, pool=self.pool)

    def _proposed(self, study: optuna.Study, number: int) -> NDArray[np.int64]:
        if self._search is None:
            self._search = self._begun(study)
        pending = self._take_up(study, number)
        if self._search.exhausted:
            return np.empty((0, len(self.problem.parameters)), dtype=np.int64)
        return self._search.ask(self.batch, pending)

    def _take_up(self, study: optuna.Study, number: int) -> NDArray[np.int64] | None:
        """Learns from trials that ended; returns the candidates of those that run."""
        assert self._search is not None
        sign = -1.0 if study.directions[self.quality] == StudyDirection.MAXIMIZE else 1.0
        codes, values, errors, lost, running, ended = [], [], [], [], [], []
        for trial in study.get_trials(deepcopy=False):
            if trial.number in self._seen or trial.number == number:
                continue
            row = self._codes_of(trial)
            if trial.state.is_finished():
                ended.append(trial.number)
            if row is None:
                continue
            if trial.state == TrialState.COMPLETE and trial.values is not None:
                codes.append(row)
                values.append(sign * trial.values[self.quality])
                errors.append(_known_error(trial))
            elif trial.state == TrialState.PRUNED and EXPECTED in trial.user_attrs:
                codes.append(row)
                values.append(sign * trial.user_attrs[EXPECTED])
                errors.append(_known_error(trial))
            elif trial.state.is_finished():
                lost.append(row)
            elif trial.state == TrialState.RUNNING:
                running.append(row)
        if codes:
            self._search.tell(np.array(codes), np.array(values), np.array(errors))
        self._seen.update(ended)  # Only now: what cannot be taken up is not forgotten.
        for rows in (lost, running):
            if rows:
                self._search.leave_out(np.array(rows))
        return np.array(running) if running else None


def _known_error(trial: FrozenTrial) -> float:
    """What a trial says of the error of its quality; 0 if nothing, or nothing of sense."""
    told = trial.user_attrs.get(QUALITY_ERROR, 0.0)
    if isinstance(told, int | float) and 0 <= told < math.inf:
        return float(told)
    warnings.warn(
        f"The user attribute `{QUALITY_ERROR}` of trial {trial.number} must be a finite number of "
        f"at least 0; got {told!r}. Its quality is taken to be exact.",
        stacklevel=2,
    )
    return 0.0
