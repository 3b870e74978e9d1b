"""Early stopping in an Optuna study of several objectives, of which all but one are known costs.

``Trial.report`` and ``Trial.should_prune`` refuse such studies; this needs neither.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nas.stopping_rule import Finished, StoppingRule

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.trial import FrozenTrial

__all__ = ["CURVE", "DECISION", "EXPECTED", "EarlyStopping"]

CURVE = "early_stopping:curve"
"""User attribute of a trial: its qualities at the rungs, ``[[step, quality], ...]``."""
DECISION = "early_stopping:decision"
"""User attribute of a trial that the rule stopped, or would have: what was decided, and why."""
EXPECTED = "expected_quality"
"""User attribute of a stopped trial: what its quality would probably have become."""


class EarlyStopping:
    """Stops trials whose optimistic final quality is dominated at their known costs.

    One of the study's objectives is the quality, of either direction, which is measured while the
    trial runs; the others are costs that are known before. Where :meth:`should_stop` says so, raise
    ``optuna.TrialPruned``: the trial has no values, so it is never among the best. Decisions
    depend on the study and the seed alone. The rule is :class:`~nas.stopping_rule.StoppingRule`.

    Args:
        total: Steps of a whole training.
        quality: Position of the quality among the study's objectives.
        level: Probability, at most, with which a member of the front is stopped.
        first: The earliest step at which a trial may be stopped.
        reduction_factor: Ratio of the steps at which one may be.
        spare: Share of the trials to be stopped that are finished anyhow.
        ideal: Quality that cannot be surpassed, such as an error of 0 or an accuracy of 1: curves
            are then learned on a logarithmic scale, which they follow better.
        resolution: About the least difference of the quality that can be measured.
        seed: Of which trials are finished anyhow.

    Raises:
        ValueError: An argument is out of its range.
    """

    def __init__(
        self,
        total: int,
        *,
        quality: int = 0,
        level: float = 0.1,
        first: int = 1,
        reduction_factor: int = 2,
        spare: float = 0.1,
        ideal: float | None = None,
        resolution: float = 1e-3,
        seed: int = 0,
    ) -> None:
        if quality < 0:
            raise ValueError(f"`quality` must be at least 0; got {quality}.")
        self.rule = StoppingRule(total, level, first, reduction_factor, spare, ideal, resolution)
        self.quality, self.seed = quality, seed

    @property
    def rungs(self) -> tuple[int, ...]:
        """Steps at which a trial may be stopped; at others its quality need not be measured."""
        return self.rule.rungs

    def should_stop(self, trial: Trial, step: int, quality: float, costs: Sequence[float]) -> bool:
        """Whether a trial can be stopped after a step; keeps what it is told in the trial.

        Args:
            trial: Of the study that it is part of.
            step: How far its training is; nothing is kept or decided but at :attr:`rungs`.
            quality: What was measured; one that is NaN or infinite decides nothing.
            costs: The study's other objectives, in their order.

        Raises:
            ValueError: The study has no objective at ``quality`` or another number of costs, a cost
                is not finite, a rung was left out, or a quality surpasses ``ideal``.
        """
        if step not in self.rungs:
            return False
        signs = self._signs(trial.study)
        if len(costs) != len(signs) - 1 or not np.isfinite(costs).all():
            raise ValueError(
                f"`costs` must be the study's {len(signs) - 1} objectives beside the quality, all "
                f"finite; got {list(costs)}."
            )
        curve = [*trial.user_attrs.get(CURVE, []), [step, float(quality)]]
        if [at for at, _ in curve] != list(self.rungs[: len(curve)]):
            raise ValueError(
                f"`step` {step} comes after {[at for at, _ in curve[:-1]]}, but the rungs are "
                f"{list(self.rungs)}; call this once at each."
            )
        trial.set_user_attr(CURVE, curve)
        if DECISION in trial.user_attrs or not math.isfinite(quality):
            return False
        sign = float(signs[self.quality])
        rule = self._minimizing(sign)
        spared = np.random.default_rng([self.seed, trial.number]).random() < rule.spare
        row = np.delete(signs, self.quality) * np.asarray(costs, dtype=float)
        finished = self._finished(trial.study, signs)
        (hurdle,) = rule.hurdles(finished, row[None], np.array([spared]))
        decision = hurdle.decide([sign * value for _, value in curve])
        if decision is None:
            return False
        told = decision.to_json()
        for name in ("quality", "optimistic", "expected", "to_beat"):
            told[name] *= sign
        told["dominated_by"] = int(decision.dominated_by)
        trial.set_user_attr(DECISION, told)
        if not spared:
            trial.set_user_attr(EXPECTED, told["expected"])
        return not spared

    def _signs(self, study: Study) -> Any:
        """1 for each objective that is minimised, -1 for each that is maximised."""
        from optuna.study import StudyDirection

        if self.quality >= len(study.directions):
            raise ValueError(
                f"`quality` is {self.quality}, but the study has {len(study.directions)} "
                "objectives; give the position of one of them."
            )
        return np.array([-1.0 if d == StudyDirection.MAXIMIZE else 1.0 for d in study.directions])

    def _minimizing(self, sign: float) -> StoppingRule:
        """The rule on qualities that are minimised."""
        from dataclasses import replace

        ideal = self.rule.ideal
        return self.rule if ideal is None else replace(self.rule, ideal=sign * ideal)

    def _finished(self, study: Study, signs: Any) -> Finished:
        from optuna.trial import TrialState

        trials = [
            trial
            for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
            if all(value <= 0 for value in trial.constraints.values())
        ]
        values = np.array([trial.values for trial in trials], dtype=float)
        values = values.reshape(len(trials), len(signs)) * signs
        sign = signs[self.quality]
        return Finished(
            names=[str(trial.number) for trial in trials],
            finals=values[:, self.quality],
            costs=np.delete(values, self.quality, axis=1),
            curves=np.array([self._curve(trial) for trial in trials]).reshape(
                len(trials), len(self.rungs)
            )
            * sign,
            spared=np.array([DECISION in trial.user_attrs for trial in trials], dtype=bool),
        )

    def _curve(self, trial: FrozenTrial) -> list[float]:
        """Qualities at the rungs; NaN for those of another rule, or of none."""
        known = {int(step): value for step, value in trial.user_attrs.get(CURVE, [])}
        return [known.get(step, math.nan) for step in self.rungs]
