"""Candidates of a table: configurations with what the table says of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hw_profiles.files import canonical_json, sha256_of
from nas.budget_units import column_budget
from nas.candidates import missed_by
from nas.indicators import Indicator
from nas.labels import label_of
from nas.quality import Quality
from nas.table_problem import TableProblem
from predictors import Value
from search_spaces import Choice

__all__ = ["TableCandidate", "column_indicators", "table_candidates"]


@dataclass(frozen=True, slots=True)
class TableCandidate:
    """A configuration of a table; all but the columns is kept in files.

    Attributes:
        config: What tells it from others.
        quality: What had to be evaluated.
        indicators: Every cost by the name of its column.
        columns: What each cost is.
        violations: By how much each budget is missed, relative to the budget.
    """

    config: Mapping[str, Choice]
    quality: Quality
    indicators: Mapping[str, Value]
    columns: Mapping[str, Indicator]
    violations: Mapping[str, float] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """Twelve hexadecimal digits of the configuration."""
        return sha256_of(canonical_json(dict(self.config)))[:12]

    @property
    def kind(self) -> str:
        """``"configuration"``."""
        return "configuration"

    @property
    def label(self) -> str:
        """The configuration."""
        return label_of(self.config)

    @property
    def feasible(self) -> bool:
        """Whether it meets every budget."""
        return not self.violations

    @property
    def feasibility(self) -> Mapping[str, float | None]:
        """Nothing: what a table says is taken to be exact."""
        return {}

    @property
    def test_quality(self) -> Quality | None:
        """None: a table has one quality."""
        return None

    @property
    def measured(self) -> Mapping[str, Value]:
        """Nothing is measured again."""
        return {}

    def indicator(self, name: str) -> Indicator:
        """What a cost is."""
        return self.columns[name]

    def canonical_budget(self, name: str, limit: float) -> tuple[str, float]:
        """See :func:`nas.budget_units.column_budget`."""
        return column_budget(name, limit, self.columns)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "id": self.id,
            "config": dict(self.config),
            "quality": self.quality.to_json(),
            "indicators": {name: value.to_json() for name, value in self.indicators.items()},
            "feasible": self.feasible,
            "violations": dict(self.violations),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any], columns: Mapping[str, Indicator]) -> TableCandidate:
        """Reads back what :meth:`to_json` wrote.

        Raises:
            ValueError: A cost is none of the columns.
        """
        if set(data["indicators"]) != set(columns):
            raise ValueError(
                f"`indicators` must be {', '.join(columns)}; got {', '.join(data['indicators'])}."
            )
        return cls(
            config=data["config"],
            quality=Quality.from_json(data["quality"]),
            indicators={name: Value(**value) for name, value in data["indicators"].items()},
            columns=columns,
            violations=data["violations"],
        )


def column_indicators(names: Iterable[str], maximized: Iterable[str] = ()) -> dict[str, Indicator]:
    """What columns of a table are, as indicators; their unit is whatever their name says."""
    more = frozenset(maximized)
    return {
        name: Indicator(
            name, "", "inference", "A column of the table.", name, maximize=name in more
        )
        for name in names
    }


def table_candidates(
    problem: TableProblem, codes: NDArray[np.int64], budgets: Mapping[str, float]
) -> list[TableCandidate]:
    """The candidates of some codes ``[n, parameters]``, with the budgets that they miss."""
    columns = column_indicators(problem.costs, problem.maximize)
    direction = "maximize" if problem.quality_name in problem.maximize else "minimize"
    values = {name: column.tolist() for name, column in problem.measured(codes).items()}
    result = []
    for row, config in enumerate(problem.configuration(codes)):
        costs = {name: values[name][row] for name in problem.costs}
        missed = {
            name: missed_by(costs[name], limit, columns[name].maximize)
            for name, limit in budgets.items()
        }
        result.append(
            TableCandidate(
                config,
                Quality(problem.quality_name, values[problem.quality_name][row], direction),
                {name: Value(value, value, value, "exact") for name, value in costs.items()},
                columns,
                {name: miss for name, miss in missed.items() if miss > 0},
            )
        )
    return result
