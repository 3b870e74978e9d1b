"""A comparison: what several searches of one space found, priced by every indicator.

Each search is one *arm* with one seed: the same space, task, evaluations and first design, and
other objectives. What was found is kept whole, so that every score can be made again from it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.columns import QUALITY
from nas.dominance import nondominated
from nas.indicators import Indicator
from search_spaces import CorruptFileError

__all__ = ["Arm", "ArmRun", "Comparison", "Failure", "Model", "own_front", "seen_by"]


@dataclass(frozen=True, slots=True)
class Arm:
    """A way to search.

    Attributes:
        name: What tables call it: an indicator, ``"all"``, or the name of a null arm.
        objectives: Indicators that steer it beside the quality; none of random search, of the
            quality alone, and of a scalar that weighs all of them.
        null: Whether it is there to be beaten.
    """

    name: str
    objectives: tuple[str, ...]
    null: bool = False


@dataclass(frozen=True, slots=True)
class Model:
    """An architecture or a configuration that some arm evaluated.

    Attributes:
        id: What tells it from others.
        label: What a person knows it by.
        family: Its space; empty in a table.
    """

    id: str
    label: str
    family: str = ""


@dataclass(frozen=True, slots=True)
class Failure:
    """An evaluation that gave nothing, and is charged all the same.

    Attributes:
        after: How many that gave something came before it.
        seconds: What its training took.
    """

    after: int
    seconds: float


@dataclass(frozen=True, slots=True, eq=False)
class ArmRun:
    """One search.

    Attributes:
        arm: Name of its arm.
        seed: Of its sampler and of its trainings.
        models: Positions among the models of the comparison, in the order of evaluation: ``[n]``.
        told: The quality that it was told of each: ``[n]``.
        seconds: What the training of each took, charged in full whether or not another arm had
            trained it with this seed before: ``[n]``; 0 of a table.
        front: Which of them are its set by the quality told and its own objectives: positions in
            ``models``. Of arms without objectives: by the quality alone the best one, of random
            search and of a scalar those that no other beats in quality and every indicator.
        sampler_seconds: What proposing took.
        failures: Evaluations that gave nothing, in order.
    """

    arm: str
    seed: int
    models: NDArray[np.int64]
    told: NDArray[np.float64]
    seconds: NDArray[np.float64]
    front: NDArray[np.int64]
    sampler_seconds: float = 0.0
    failures: tuple[Failure, ...] = ()

    @property
    def charged_seconds(self) -> float:
        """All that it is charged, what failed included."""
        return float(self.seconds.sum()) + sum(each.seconds for each in self.failures)

    @property
    def charged_until(self) -> NDArray[np.float64]:
        """What it was charged when each model was trained, earlier failures included: ``[n]``."""
        spent = self.seconds.astype(float)
        for each in self.failures:
            spent[each.after : each.after + 1] += each.seconds
        return np.cumsum(spent)


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """What the searches of every arm and seed found.

    Attributes:
        name: Of the experiment.
        quality: Name of what was searched (``"validation_error"``).
        maximize: Whether more of it is better.
        indicators: Every indicator that is compared.
        models: Everything that some arm evaluated, each once.
        values: Each indicator of each model, as stored: ``[models, indicators]``.
        scored: The quality of each on data and training seeds that no search saw; of a table what
            the table says. NaN of what no set holds: ``[models]``.
        arms: What was compared.
        runs: One of each arm and seed.
        evaluations: Of each run.
        initial: How many of these are the first design, the same in all arms of a seed.
        population: Values of random members of the space, which no search decides:
            ``[members, indicators]``; budgets are drawn from it.
        conditions: What the comparison holds for, in words: task, training, devices, runtime.
    """

    name: str
    quality: str
    maximize: bool
    indicators: tuple[Indicator, ...]
    models: tuple[Model, ...]
    values: NDArray[np.float64]
    scored: NDArray[np.float64]
    arms: tuple[Arm, ...]
    runs: tuple[ArmRun, ...]
    evaluations: int
    initial: int
    population: NDArray[np.float64]
    conditions: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        shape = (len(self.models), len(self.indicators))
        if self.values.shape != shape or self.scored.shape != shape[:1]:
            raise ValueError(
                f"`values` and `scored` must be of {shape[0]} models and {shape[1]} indicators; "
                f"got shapes {self.values.shape} and {self.scored.shape}."
            )
        names = [arm.name for arm in self.arms]
        if len(set(names)) != len(names):
            raise ValueError(f"`arms` must each have a name of its own; got {names}.")
        strangers = {run.arm for run in self.runs} - set(names)
        if strangers:
            raise ValueError(f"`runs` are of arms that are not there: {sorted(strangers)}.")

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the indicators."""
        return tuple(indicator.name for indicator in self.indicators)

    @property
    def costs(self) -> NDArray[np.float64]:
        """``values``, those of what is maximised negated: ``[models, indicators]``."""
        return self.values * self._signs

    @property
    def population_costs(self) -> NDArray[np.float64]:
        """``population``, likewise: ``[members, indicators]``."""
        return self.population * self._signs

    @property
    def loss(self) -> NDArray[np.float64]:
        """``scored``, negated where more is better: ``[models]``."""
        return -self.scored if self.maximize else self.scored

    @property
    def _signs(self) -> NDArray[np.float64]:
        return np.where([indicator.maximize for indicator in self.indicators], -1.0, 1.0)

    @property
    def seeds(self) -> tuple[int, ...]:
        """Of the runs, in order."""
        return tuple(sorted({run.seed for run in self.runs}))

    def runs_of(self, arm: str) -> tuple[ArmRun, ...]:
        """The runs of an arm by seed."""
        return tuple(sorted((r for r in self.runs if r.arm == arm), key=lambda run: run.seed))

    def told_loss(self, run: ArmRun) -> NDArray[np.float64]:
        """What a run was told, negated where more is better: ``[n]``."""
        return -run.told if self.maximize else run.told

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; NaN is ``null``."""
        return {
            "name": self.name,
            "quality": {
                "name": self.quality,
                "direction": "maximize" if self.maximize else "minimize",
            },
            "indicators": [asdict(indicator) for indicator in self.indicators],
            "models": [asdict(model) for model in self.models],
            "values": self.values.tolist(),
            "scored": [None if math.isnan(value) else value for value in self.scored.tolist()],
            "arms": [asdict(arm) for arm in self.arms],
            "runs": [
                {
                    "arm": run.arm,
                    "seed": run.seed,
                    "models": run.models.tolist(),
                    "told": run.told.tolist(),
                    "seconds": run.seconds.tolist(),
                    "front": run.front.tolist(),
                    "sampler_seconds": run.sampler_seconds,
                    "failures": [asdict(each) for each in run.failures],
                }
                for run in self.runs
            ],
            "evaluations": self.evaluations,
            "initial": self.initial,
            "population": self.population.tolist(),
            "conditions": dict(self.conditions),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any], where: str = "data") -> Comparison:
        """Reads back what :meth:`to_json` wrote.

        Raises:
            CorruptFileError: It is something else; the message names where it came from.
        """
        try:
            return cls(
                name=data["name"],
                quality=data["quality"]["name"],
                maximize=data["quality"]["direction"] == "maximize",
                indicators=tuple(Indicator(**item) for item in data["indicators"]),
                models=tuple(Model(**item) for item in data["models"]),
                values=_table(data["values"], len(data["indicators"])),
                scored=np.array([math.nan if v is None else v for v in data["scored"]], float),
                arms=tuple(
                    Arm(item["name"], tuple(item["objectives"]), item["null"])
                    for item in data["arms"]
                ),
                runs=tuple(
                    ArmRun(
                        arm=item["arm"],
                        seed=item["seed"],
                        models=np.array(item["models"], dtype=np.int64),
                        told=np.array(item["told"], dtype=float),
                        seconds=np.array(item["seconds"], dtype=float),
                        front=np.array(item["front"], dtype=np.int64),
                        sampler_seconds=item["sampler_seconds"],
                        failures=tuple(Failure(**each) for each in item.get("failures", ())),
                    )
                    for item in data["runs"]
                ),
                evaluations=data["evaluations"],
                initial=data["initial"],
                population=_table(data["population"], len(data["indicators"])),
                conditions=data["conditions"],
            )
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise CorruptFileError(f"{where} is not a comparison: {error!r}.") from error


def seen_by(arm: Arm, names: Sequence[str]) -> tuple[str, ...]:
    """Indicators that the user of an arm knows.

    Its objectives; of an arm without any: none if it searches the quality alone, else all, as
    random search shows and a scalar weighs all of them.
    """
    if arm.objectives:
        return arm.objectives
    return () if arm.name == QUALITY else tuple(names)


def own_front(
    arm: Arm, names: Sequence[str], told_loss: NDArray[np.float64], costs: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Positions of an arm's set: what no other beats in what it was told and what it has seen.

    Args:
        arm: The arm.
        names: Every indicator.
        told_loss: What it was told of each model, less is better: ``[n]``.
        costs: Of each, what is maximised negated: ``[n, indicators]``.
    """
    seen = [names.index(name) for name in seen_by(arm, names)]
    points = np.column_stack([told_loss, costs[:, seen]])
    return np.flatnonzero(nondominated(points))


def _table(rows: list[list[float]], width: int) -> NDArray[np.float64]:
    return np.array(rows, dtype=float).reshape(-1, width)
