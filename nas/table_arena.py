"""A comparison on a table: what is asked is looked up."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nas.arena import Answers
from nas.cell_features import Cell
from nas.comparison import Model
from nas.indicators import Indicator
from nas.labels import label_of
from nas.problem import Codes
from nas.redundancy import RedundantGroup
from nas.table_candidate import column_indicators, table_candidates
from nas.table_experiment import TableExperiment
from nas.table_problem import TableProblem

__all__ = ["TableArena"]


class TableArena:
    """A :class:`nas.arena.Arena` over the configurations of a table; every cost is compared.

    Args:
        experiment: Whose table it is.
        problem: Its configurations within the budgets.
        redundant: Costs that order them alike.
    """

    def __init__(
        self,
        experiment: TableExperiment,
        problem: TableProblem,
        redundant: tuple[RedundantGroup, ...] = (),
    ) -> None:
        self.experiment, self._problem, self._redundant = experiment, problem, redundant

    @property
    def problem(self) -> TableProblem:
        """The configurations."""
        return self._problem

    @property
    def indicators(self) -> tuple[Indicator, ...]:
        """The columns of costs."""
        return tuple(column_indicators(self._problem.costs, self._problem.maximize).values())

    @property
    def redundant(self) -> tuple[RedundantGroup, ...]:
        """Costs that order the table alike."""
        return self._redundant

    @property
    def quality(self) -> str:
        """The column of the quality."""
        return self._problem.quality_name

    @property
    def maximize(self) -> bool:
        """Whether more of it is better."""
        return self.quality in self._problem.maximize

    @property
    def conditions(self) -> Mapping[str, str]:
        """Table, quality and costs."""
        name = Path(self.experiment.table.file).name
        error = self.experiment.table.quality_error
        said = {
            "task": f"the table {name}, {self._problem.size:,} configurations",
            "training": "none: the table says every quality, to each arm the same",
            "devices": f"those of the table's columns {', '.join(self._problem.costs)}",
            "scored by": f"the table's {self.quality}",
        }
        if error is not None:
            said["quality error"] = f"{error:g} (standard error of {self.quality}, as stated)"
        return said

    def evaluate(self, codes: Codes, seed: int) -> Answers:
        """What the table says; it takes no time."""
        errors = np.full(len(codes), self.experiment.table.quality_error or 0.0)
        return Answers(self.score(codes, seed), np.zeros(len(codes)), errors)

    def score(self, codes: Codes, seed: int) -> NDArray[np.float64]:
        """The same: a table knows one quality of each."""
        return self._problem.measured(codes)[self.quality]

    def models(self, codes: Codes) -> list[Model]:
        """The configurations; the numbers of a cell's columns are codes of its operations."""
        found = table_candidates(self._problem, np.asarray(codes, dtype=np.int64), {})
        family = self.experiment.compare.family
        cells = [item for item in self._problem.structures if isinstance(item, Cell)]
        operations = {name for cell in cells for name in cell.columns}
        return [
            Model(
                c.id,
                label_of(c.config, operations),
                "" if family is None else str(c.config[family]),
            )
            for c in found
        ]
