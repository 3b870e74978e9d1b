"""Candidates: what was evaluated, with its quality and every indicator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from numpy.typing import NDArray

from nas.budget_units import canonical_budget
from nas.indicators import Indicator, indicator
from nas.quality import Quality
from predictors import Value
from search_spaces import Architecture

__all__ = ["Candidate", "Evaluated", "excess", "missed_by", "violations"]

Number = TypeVar("Number", float, NDArray[Any])


class Evaluated(Protocol):
    """What sets are made of: an architecture that was trained, or a configuration of a table."""

    @property
    def id(self) -> str:
        """What tells it from others."""

    @property
    def kind(self) -> str:
        """What a label is."""

    @property
    def label(self) -> str:
        """What a person knows it by, beside the id."""

    @property
    def quality(self) -> Quality:
        """What had to be evaluated."""

    @property
    def indicators(self) -> Mapping[str, Value]:
        """Every indicator by name; the same names of all that are compared."""

    @property
    def feasible(self) -> bool:
        """Whether it meets every budget."""

    @property
    def violations(self) -> Mapping[str, float]:
        """By how much each budget is missed, relative to the budget."""

    @property
    def feasibility(self) -> Mapping[str, float | None]:
        """Probability that it keeps to each budget, where values are uncertain."""

    @property
    def test_quality(self) -> Quality | None:
        """The quality on data that steered nothing, where there is one."""

    @property
    def measured(self) -> Mapping[str, Value]:
        """Indicators measured again, by name."""

    def indicator(self, name: str) -> Indicator:
        """What one of its indicators is."""

    def canonical_budget(self, name: str, limit: float) -> tuple[str, float]:
        """The indicator that a budget names, and the limit in the indicator's unit."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """An evaluated architecture.

    Attributes:
        architecture: The network.
        quality: What the data set measures, on the validation split.
        indicators: Every indicator by name.
        feasible: Whether it meets every budget.
        violations: By how much each budget is missed, relative to the budget.
        feasibility: Probability that it keeps to each budget once it is measured; ``None`` where no
            certificate tells it.
        test_quality: The same on the test split; only for members of a final set.
        measured: Indicators measured on the whole network, by name; likewise.
    """

    architecture: Architecture
    quality: Quality
    indicators: Mapping[str, Value]
    feasible: bool = True
    violations: Mapping[str, float] = field(default_factory=dict)
    feasibility: Mapping[str, float | None] = field(default_factory=dict)
    test_quality: Quality | None = None
    measured: Mapping[str, Value] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """Identity of the network."""
        return self.architecture.id

    @property
    def kind(self) -> str:
        """``"space"``."""
        return "space"

    @property
    def label(self) -> str:
        """Name of its space."""
        return self.architecture.space

    def indicator(self, name: str) -> Indicator:
        """See :func:`nas.indicators.indicator`."""
        return indicator(name)

    def canonical_budget(self, name: str, limit: float) -> tuple[str, float]:
        """See :func:`nas.budget_units.canonical_budget`."""
        return canonical_budget(name, limit)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "id": self.id,
            "architecture": self.architecture.to_json(),
            "quality": self.quality.to_json(),
            "indicators": {name: value.to_json() for name, value in self.indicators.items()},
            "feasible": self.feasible,
            "violations": dict(self.violations),
            "feasibility": dict(self.feasibility),
            "test_quality": None if self.test_quality is None else self.test_quality.to_json(),
            "measured": {name: value.to_json() for name, value in self.measured.items()},
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Candidate:
        """Reads back what :meth:`to_json` wrote."""
        tested = data["test_quality"]
        return cls(
            architecture=Architecture.from_json(data["architecture"]),
            quality=Quality.from_json(data["quality"]),
            indicators={name: Value(**value) for name, value in data["indicators"].items()},
            feasible=data["feasible"],
            violations=data["violations"],
            feasibility=data["feasibility"],
            test_quality=None if tested is None else Quality.from_json(tested),
            measured={name: Value(**value) for name, value in data["measured"].items()},
        )


def excess(name: str, value: Number, limit: float) -> Number:
    """By how much a value, or each of an array, misses a budget, relative to it.

    A budget is the most of what is minimised, and the least of what is maximised.

    >>> excess("macs", 150.0, 100.0), excess("throughput_per_s@local", 150.0, 200.0)
    (0.5, 0.25)
    """
    return missed_by(value, limit, indicator(name).maximize)


def missed_by(value: Number, limit: float, maximize: bool) -> Number:
    """The same where it is known whether more is better.

    >>> missed_by(90.0, 80.0, maximize=True)
    -0.125
    """
    return (limit - value) / limit if maximize else (value - limit) / limit


def violations(values: Mapping[str, float], budgets: Mapping[str, float]) -> dict[str, float]:
    """By how much each budget is missed, relative to it; only those that are.

    >>> violations({"macs": 150.0, "params": 10.0}, {"macs": 100.0, "params": 20.0})
    {'macs': 0.5}
    """
    missed = {name: excess(name, values[name], limit) for name, limit in budgets.items()}
    return {name: value for name, value in missed.items() if value > 0}
