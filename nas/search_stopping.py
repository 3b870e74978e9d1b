"""Early stopping in a run: what its candidates have to pass, and what was saved."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.candidates import Candidate
from nas.experiment import Experiment
from nas.indicators import indicator
from nas.pricer import Pricer
from nas.splits import Dataset
from nas.stopping_rule import Finished, Hurdle, StoppingRule
from predictors import Value
from search_spaces import Architecture

__all__ = ["SearchStopping"]

PER_STEP = "train_macs"


@dataclass(frozen=True, slots=True)
class _Spent:
    """What a training took: epochs, multiply-accumulates of an epoch and of scoring, seconds."""

    epochs: int
    epoch_macs: float
    scoring_macs: float
    seconds: float


@dataclass
class SearchStopping:
    """What a search's finished trainings say of those to come.

    Attributes:
        experiment: With its rule, seed and batches.
        pricer: What candidates cost.
        dataset: What they learn.
    """

    experiment: Experiment
    pricer: Pricer
    dataset: Dataset
    _finished: list[Candidate] = field(default_factory=list)
    _curves: list[Sequence[float]] = field(default_factory=list)
    _spared: list[bool] = field(default_factory=list)
    _spent: list[_Spent] = field(default_factory=list)

    @property
    def enabled(self) -> bool:
        """Whether trainings end early at all; nothing is taken up where none does."""
        return self.experiment.search.stopping.enabled

    @property
    def costs(self) -> tuple[str, ...]:
        """Indicators in which a candidate must be dominated to be stopped."""
        search = self.experiment.search
        return search.objectives if search.stopping.costs == "objectives" else self.pricer.names

    def hurdles(self, architectures: Sequence[Architecture]) -> tuple[Hurdle, ...] | None:
        """What each has to pass, after everything that is finished; ``None`` if nothing is."""
        if not self.enabled or not architectures:
            return None
        known = self._finished
        rule = self._rule(architectures[0])
        finished = Finished(
            names=[candidate.id for candidate in known],
            finals=np.array([candidate.quality.value for candidate in known]),
            costs=self._rows([candidate.indicators for candidate in known]),
            curves=np.array(self._curves, dtype=float).reshape(len(known), len(rule.rungs)),
            spared=np.array(self._spared, dtype=bool),
        )
        costs = self._rows([self.pricer.price(a, self.costs) for a in architectures])
        spared = np.array([self._draw(a) < rule.spare for a in architectures])
        return rule.hurdles(finished, costs, spared)

    def finish(
        self, candidate: Candidate, curve: Sequence[float], spared: bool, seconds: float
    ) -> None:
        """Takes up a training that was finished.

        Args:
            candidate: What was trained.
            curve: Its quality at the rungs.
            spared: Whether the rule would have stopped it.
            seconds: What it took.
        """
        if not self.enabled:
            return
        self._finished.append(candidate)
        count = len(self._rule(candidate.architecture).rungs)
        self._curves.append(curve if len(curve) == count else [math.nan] * count)
        self._spared.append(spared)
        self.stop(candidate.architecture, self.experiment.training.epochs, seconds)

    def stop(self, architecture: Architecture, epochs: int, seconds: float) -> None:
        """Takes up a training that ended after so many epochs."""
        if not self.enabled:
            return
        splits, training = self.dataset.fitted(architecture), self.experiment.training
        macs = self.pricer.price(architecture, ["macs", PER_STEP])
        epoch = macs[PER_STEP].value * len(splits.train) / training.batch_size
        scored = sum(step <= epochs for step in self._rule(architecture).rungs)
        scoring = scored * macs["macs"].value * len(splits.validation)
        self._spent.append(_Spent(epochs, float(epoch), float(scoring), seconds))

    def summary(self) -> str:
        """What was saved, in a sentence; empty where nothing was stopped."""
        whole = self.experiment.training.epochs
        stopped = [spent for spent in self._spent if spent.epochs < whole]
        if not stopped:
            return ""
        macs = sum(s.epochs * s.epoch_macs + s.scoring_macs for s in self._spent)
        all_macs = whole * sum(s.epoch_macs for s in self._spent)
        seconds = sum(s.seconds for s in self._spent)
        # The seconds that a stopped training would have taken are in proportion to its epochs.
        all_seconds = sum(s.seconds * whole / s.epochs for s in self._spent)
        text = (
            f"Early stopping: {len(stopped)} of {len(self._spent)} trainings ended early, which "
            f"saved {1 - macs / all_macs:.0%} of the training MACs and about "
            f"{1 - seconds / all_seconds if all_seconds else 0:.0%} of the seconds."
        )
        if any(self._spared):
            text += f" {sum(self._spared)} more would have, and were finished to check the rule."
        return text

    def _rule(self, architecture: Architecture) -> StoppingRule:
        size = self.dataset.fitted(architecture).validation.size
        return self.experiment.search.stopping.rule(self.experiment.training.epochs, 1 / size)

    def _rows(self, prices: Sequence[Mapping[str, Value]]) -> NDArray[np.float64]:
        """Costs ``[n, costs]``, each to be minimised."""
        signs = [-1.0 if indicator(name).maximize else 1.0 for name in self.costs]
        rows: list[list[Any]] = [[price[name].value for name in self.costs] for price in prices]
        return np.array(rows, dtype=float).reshape(len(rows), len(signs)) * signs

    def _draw(self, architecture: Architecture) -> float:
        """By the candidate alone, so that no order of training changes it."""
        seed = [self.experiment.seed, int(architecture.id, 16)]
        return float(np.random.default_rng(seed).random())
