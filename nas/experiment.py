"""Experiment files: one TOML file as validated values."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, field_validator

from nas.arms import ALL, NULL_ARMS, check_arms, compared_indicators
from nas.budget_units import canonical_budgets
from nas.compare_config import CompareConfig
from nas.config import Config, Real, Whole, check_known, explained, placed, read_config
from nas.datasets import DATASETS, FROM_FILES
from nas.errors import ExperimentError
from nas.indicators import (
    INDICATORS,
    LOCAL,
    check_name,
    check_place,
    indicator,
    indicator_names,
    split_name,
    split_place,
)
from nas.measurement import MeasurementConfig
from nas.sampler_names import SAMPLER_NAMES
from nas.space_classes import absolute_path, absolute_reference, load_space_class
from nas.spaces import make_space
from nas.splits import Dataset
from nas.stopping_config import StoppingConfig
from search_spaces import (
    OPTIMIZERS,
    SPACES,
    SearchSpace,
    TrainingSetup,
    UnionSpace,
)

__all__ = ["Experiment", "MeasurementConfig", "SearchConfig", "TaskConfig", "TrainingConfig"]


class TaskConfig(Config):
    """What the networks learn.

    Attributes:
        dataset: Name of a data set.
        path: A file of the user's own that the data set is read from, if it can be.
    """

    dataset: str = "digits"
    path: str | None = None


class TrainingConfig(Config):
    """How a candidate is trained.

    Attributes:
        epochs: Passes over the training split.
        batch_size: Examples in a step.
        optimizer: Name of the optimiser.
        learning_rate: Peak of the schedule.
        weight_decay: Of the optimiser.
        label_smoothing: Share of the target spread over all labels.
    """

    epochs: Whole = Field(default=10, ge=1)
    batch_size: Whole = Field(default=64, ge=2)
    optimizer: str = "adamw"
    learning_rate: Real = Field(default=3e-3, gt=0, allow_inf_nan=False)
    weight_decay: Real = Field(default=0.02, ge=0, allow_inf_nan=False)
    label_smoothing: Real = Field(default=0.0, ge=0, lt=1)


class SearchConfig(Config):
    """How candidates are proposed.

    Attributes:
        trials: Distinct candidates to train, all within the budgets.
        objectives: Indicators that steer the sampler beside the quality.
        sampler: Name of the sampler.
        batch: Candidates proposed at once; told in order, so that timing changes nothing.
        workers: Processes that train them.
        max_failed: Share of trained candidates that may fail before the run is called failed.
        stopping: Whether and how trainings end early.
    """

    trials: Whole = Field(default=48, ge=1)
    objectives: tuple[str, ...] = ("macs", "latency_s@local")
    sampler: str = "cost-aware"
    batch: Whole = Field(default=4, ge=1)
    workers: Whole = Field(default=2, ge=1)
    max_failed: Real = Field(default=0.2, ge=0, le=1)
    stopping: StoppingConfig = StoppingConfig()

    @field_validator("objectives")
    @classmethod
    def _distinct(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(names)) != len(names) or not names:
            raise ValueError("name each indicator once, and at least one")
        return names


class Experiment(Config):
    """One experiment.

    Attributes:
        name: Of the run folder and the study.
        seed: Of every random choice.
        spaces: Choices of each family's space by name; empty for the family's defaults. A space of
            the user's own has its ``class``; any may have choices of ``sparsity``.
        task: What is learned.
        training: How.
        search: How candidates are proposed.
        budgets: Limit of an indicator, in its unit: the most of what is minimised, the least of
            what is maximised. A file may name another unit (``latency_ms``), which is converted.
        profiles: Further places of which the Pareto set has every indicator: ``"PROFILE"`` or
            ``"PROFILE:SETTING"``.
        measurement: How the tables of this machine are made.
        compare: What `hwnas compare` compares.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    seed: Whole = Field(default=0, ge=0, le=2**31 - 1)
    spaces: dict[str, dict[str, Any]]
    task: TaskConfig = TaskConfig()
    training: TrainingConfig = TrainingConfig()
    search: SearchConfig = SearchConfig()
    budgets: dict[str, Real] = Field(default={})
    profiles: tuple[str, ...] = ()
    measurement: MeasurementConfig = MeasurementConfig()
    compare: CompareConfig = CompareConfig()

    @classmethod
    def load(
        cls,
        path: Path,
        overrides: Sequence[str] = (),
        profiles: Mapping[str, Path] | None = None,
    ) -> Experiment:
        """Reads an experiment file.

        Args:
            path: A TOML file.
            overrides: Settings of the form ``section.key=value``, the value in TOML.
            profiles: Folder of each profile that it may name; the shipped ones when absent.

        Raises:
            FileNotFoundError: There is no such file.
            ExperimentError: It is not TOML, or a key or value is not one that an experiment has.
            UnknownNameError: A space, indicator, profile, data set, sampler or optimiser is not
                known.
        """
        data = read_config(path, overrides)
        _make_absolute(data, path.parent)
        return cls.from_data(data, str(path), profiles)

    @classmethod
    def from_data(
        cls,
        data: Mapping[str, Any],
        where: str = "experiment",
        profiles: Mapping[str, Path] | None = None,
    ) -> Experiment:
        """Validates the values of an experiment; arguments and errors as for :meth:`load`."""
        try:
            experiment = cls.model_validate(data)
        except ValidationError as error:
            raise explained(error, where, cls) from error
        with placed(f"{where}: `task.dataset`"):
            check_known("data set", experiment.task.dataset, DATASETS)
        with placed(f"{where}: `search.sampler`"):
            check_known("sampler", experiment.search.sampler, SAMPLER_NAMES)
        with placed(f"{where}: `measurement.runtime`"):
            known = experiment.measurement.resolved()
            experiment = experiment.model_copy(update={"measurement": known})
        with placed(f"{where}: `training.optimizer`"):
            check_known("optimizer", experiment.training.optimizer, OPTIMIZERS)
        if experiment.task.path is not None and experiment.task.dataset not in FROM_FILES:
            raise ExperimentError(
                f"{where}: `task.path` is for data sets that are read from a file "
                f"({', '.join(FROM_FILES)}); `task.dataset` is {experiment.task.dataset!r}."
            )
        if experiment.search.stopping.enabled:
            try:
                experiment.search.stopping.rule(experiment.training.epochs)
            except ValueError as error:
                raise ExperimentError(f"{where}: `search.stopping`: {error}") from error
        for name in experiment.search.objectives:
            with placed(f"{where}: `search.objectives`"):
                check_name(name, profiles)
        for name in experiment.compare.arms:
            with placed(f"{where}: `compare.arms`"):
                _check_arm(name, profiles)
        for name in experiment.compare.indicators:
            with placed(f"{where}: `compare.indicators`"):
                check_name(name, profiles)
        with placed(f"{where}: `budgets`"):
            budgets = canonical_budgets(experiment.budgets)
        experiment = experiment.model_copy(update={"budgets": budgets})
        for name, limit in budgets.items():
            with placed(f"{where}: `budgets`"):
                check_name(name, profiles)
            if not 0 < limit < math.inf:
                raise ExperimentError(
                    f"{where}: `budgets.{name}` must be above 0 and finite; got {limit}. "
                    f"Its unit is {indicator(name).unit}."
                )
        for place in experiment.profiles:
            with placed(f"{where}: `profiles`"):
                check_place(place, profiles)
        if not experiment.spaces:
            raise ExperimentError(
                f"{where}: `spaces` is empty; name at least one of {', '.join(SPACES)}."
            )
        for name, fields in experiment.spaces.items():
            reference = fields.get("class")
            if reference is None:
                with placed(f"{where}: `spaces`"):
                    check_known("space", name, SPACES)
            elif not isinstance(reference, str):
                raise ExperimentError(
                    f"{where}: `spaces.{name}.class` must be 'path/to/file.py:Class' or "
                    f"'package.module:Class'; got {reference!r}."
                )
        return experiment

    def load_dataset(self) -> Dataset:
        """The data set of the experiment.

        Raises:
            FileNotFoundError: The file that it is read from is not there.
        """
        load = DATASETS[self.task.dataset]
        return load() if self.task.path is None else load(Path(self.task.path))

    def space_classes(self) -> dict[str, type[SearchSpace]]:
        """The class of each space by name; those of the user's own are loaded.

        Their blocks can be read from files only after this.

        Raises:
            ExperimentError: A class cannot be loaded.
        """
        return {
            name: load_space_class(fields["class"]) if "class" in fields else SPACES[name]
            for name, fields in self.spaces.items()
        }

    def space(self, dataset: Dataset) -> UnionSpace:
        """The space of the experiment for what the data set holds.

        Raises:
            ExperimentError: A space has no such parameter, its choices do not make networks, or
                its networks do not read the data set.
        """
        classes = self.space_classes()
        members = [
            make_space(name, classes[name], fields, dataset) for name, fields in self.spaces.items()
        ]
        for name in self.steering:
            silent = [m.name for m in members if not m.generates]
            if indicator(name).of_generation and silent:
                raise ExperimentError(
                    f"`{name}` is a cost of generating text, and the networks of "
                    f"{', '.join(silent)} generate none; leave it out of objectives and budgets."
                )
        try:
            return UnionSpace(members)
        except ValueError as error:
            raise ExperimentError(f"`spaces`: {error}") from error

    @property
    def steering(self) -> tuple[str, ...]:
        """The indicators that objectives and budgets name, each once."""
        return tuple(dict.fromkeys((*self.search.objectives, *self.budgets)))

    @property
    def compared(self) -> tuple[str, ...]:
        """The indicators of a comparison, each once."""
        asked = self.compare
        return compared_indicators(asked.arms, self.search.objectives, asked.indicators)

    @property
    def places(self) -> tuple[str, ...]:
        """This machine and every other place whose indicators are priced."""
        named = (split_name(name)[1] for name in self.steering)
        return tuple(dict.fromkeys(filter(None, (LOCAL, *self.profiles, *named))))

    @property
    def training_setup(self) -> TrainingSetup:
        """What the training indicators depend on."""
        return TrainingSetup(self.training.batch_size, self.training.optimizer)

    def to_toml(self) -> str:
        """The experiment with every default written out."""
        import tomli_w

        return tomli_w.dumps(self.model_dump(mode="json", exclude_none=True))


def _check_arm(name: str, profiles: Mapping[str, Path] | None) -> None:
    """Refuses what is neither an indicator nor another arm of a comparison."""
    if name in (ALL, *NULL_ARMS):
        return
    base, place = split_name(name)
    if base not in INDICATORS or INDICATORS[base].needs_profile != bool(place):
        check_arms([name], indicator_names(split_place(place)[0] or LOCAL))
    check_name(name, profiles)


def _make_absolute(data: Mapping[str, Any], folder: Path) -> None:
    """Makes paths absolute, so that they hold in a run folder and in every process."""
    task, spaces = data.get("task"), data.get("spaces")
    if isinstance(task, dict) and isinstance(task.get("path"), str):
        task["path"] = str(absolute_path(Path(task["path"]), folder))
    for fields in spaces.values() if isinstance(spaces, dict) else ():
        if isinstance(fields, dict) and isinstance(fields.get("class"), str):
            fields["class"] = absolute_reference(fields["class"], folder)
