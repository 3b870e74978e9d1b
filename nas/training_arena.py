"""A comparison of networks that are trained, each once with a seed."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nas.arena import Answers
from nas.comparison import Model
from nas.comparison_folder import ComparisonFolder, Trained
from nas.evaluation import evaluator
from nas.experiment import Experiment
from nas.indicators import Indicator, indicator, split_name
from nas.labels import label_of
from nas.pricer import Pricer
from nas.problem import Codes
from nas.redundancy import RedundantGroup
from nas.shared_problem import SharedProblem
from nas.space_problem import SpaceProblem
from nas.splits import Dataset
from nas.uncertainty import sampling_error
from search_spaces import Architecture, UnionSpace

if TYPE_CHECKING:
    from nas.training import Evaluation

__all__ = ["TrainingArena"]


class TrainingArena:
    """A :class:`nas.arena.Arena` over the architectures of a space.

    What was trained with a seed is read from the folder: every search is charged for it, but it is
    not trained again.

    Args:
        experiment: How networks are trained, and what is compared.
        dataset: What they learn.
        space: Where they come from.
        pricer: What they cost.
        folder: Where trainings are kept.
        redundant: Indicators that order the space alike.
    """

    def __init__(
        self,
        experiment: Experiment,
        dataset: Dataset,
        space: UnionSpace,
        pricer: Pricer,
        folder: ComparisonFolder,
        redundant: tuple[RedundantGroup, ...] = (),
    ) -> None:
        self.experiment, self.dataset, self.space = experiment, dataset, space
        self.pricer, self.folder, self._redundant = pricer, folder, redundant
        self._problem = SharedProblem(
            SpaceProblem(space, pricer, experiment.compared, experiment.budgets)
        )

    @property
    def problem(self) -> SharedProblem:
        """The architectures within the budgets."""
        return self._problem

    @property
    def indicators(self) -> tuple[Indicator, ...]:
        """The compared indicators under their full names, with what they count."""
        setup = self.experiment.training_setup
        return tuple(
            replace(known, name=name, definition=known.defined(setup))
            for name, known in ((name, indicator(name)) for name in self._problem.costs)
        )

    @property
    def redundant(self) -> tuple[RedundantGroup, ...]:
        """Indicators that order the space alike."""
        return self._redundant

    @property
    def quality(self) -> str:
        """The measure on the validation split."""
        return self.dataset.measure.quality("validation", 0.0).name

    @property
    def maximize(self) -> bool:
        """Never: what is trained is minimised."""
        return self.dataset.measure.quality("validation", 0.0).maximize

    @property
    def conditions(self) -> Mapping[str, str]:
        """Task, training and devices."""
        training, compare = self.experiment.training, self.experiment.compare
        said = {
            "task": f"{self.experiment.task.dataset}, space {self.space.name} of "
            f"{self.space.size:,} networks",
            "training": f"{training.epochs} epochs at batch {training.batch_size} with "
            f"{training.optimizer}, learning rate {training.learning_rate:g}",
            "scored by": f"{self.dataset.measure.quality('test', 0.0).name}, the mean over "
            f"{compare.scoring_seeds} training seeds that no search saw",
        }
        if any("@" not in name for name in self._problem.costs):
            said["counts"] = "fp32 at batch 1, unless their definition says otherwise"
        used = {split_name(name)[1] for name in self._problem.costs}
        for place, device in self.pricer.devices.items():
            if place in used:
                setting = device.setting
                known = device.profile.device or device.tables[0].device
                said[f"@{place}"] = (
                    f"{known.name}, {setting.runtime} {setting.version}, {setting.dtype}, batch "
                    f"{setting.batch}, unless the indicator says otherwise"
                )
        return said

    def evaluate(self, codes: Codes, seed: int) -> Answers:
        """Trains what was not trained with this seed; the validation split tells the quality."""
        architectures = [self.space.decode(row) for row in np.asarray(codes)]
        missing = [a for a in architectures if self.folder.read_training(seed, a.id) is None]
        self._train(list({a.id: a for a in missing}.values()), seed, test=False)
        kept = [self.folder.read_training(seed, a.id) for a in architectures]
        told = [np.nan if k is None or k.quality is None else k.quality for k in kept]
        return Answers(
            np.array(told),
            np.array([0.0 if k is None else k.seconds for k in kept]),
            np.array([self._error(*pair) for pair in zip(told, architectures, strict=True)]),
        )

    def _error(self, told: float, architecture: Architecture) -> float:
        quality = self.dataset.measure.quality("validation", told)
        return sampling_error(quality, architecture, self.dataset) or 0.0

    def score(self, codes: Codes, seed: int) -> NDArray[np.float64]:
        """Trains with a seed that no search saw; the test split tells the quality."""
        architectures = [self.space.decode(row) for row in np.asarray(codes)]
        known = [self.folder.read_training(seed, a.id) for a in architectures]
        missing = [a for a, kept in zip(architectures, known, strict=True) if kept is None]
        self._train(missing, seed, test=True)
        kept = [self.folder.read_training(seed, a.id) for a in architectures]
        return np.array([np.nan if k is None or k.test is None else k.test for k in kept])

    def models(self, codes: Codes) -> list[Model]:
        """The architectures."""
        found = [self.space.decode(row) for row in np.asarray(codes)]
        return [Model(a.id, label_of(a.config), a.space) for a in found]

    def _train(self, architectures: Sequence[Architecture], seed: int, test: bool) -> None:
        """Trains here, in turn, and keeps what came out."""
        if not architectures:
            return
        from nas.training import Stopped

        search = self.experiment.search.model_copy(update={"workers": 1})
        alone = self.experiment.model_copy(update={"search": search, "seed": seed})
        with evaluator(alone, self.dataset) as evaluate:
            results = iter(evaluate(architectures))
            for architecture in architectures:
                start = time.perf_counter()
                result = next(results)
                seconds = time.perf_counter() - start
                assert not isinstance(result, Stopped)  # There was no hurdle.
                if isinstance(result, str):
                    trained = Trained(None, seconds, reason=result)
                else:
                    trained = Trained(
                        result.quality.value,
                        result.seconds,
                        self._tested(architecture, result) if test else None,
                    )
                self.folder.write_training(seed, architecture.id, trained)

    def _tested(self, architecture: Architecture, trained: Evaluation) -> float:
        import torch

        from nas.training import load_network, score

        weights = {name: torch.from_numpy(array) for name, array in trained.weights.items()}
        split = self.dataset.fitted(architecture).test
        return score(load_network(architecture, weights), split, self.dataset.measure)
