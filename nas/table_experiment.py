"""Experiments on tables: a file of configurations that were evaluated already, and what to ask."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, field_validator

from nas.arms import check_arms
from nas.budget_units import column_budgets
from nas.cell_features import Cell
from nas.columns import QUALITY
from nas.compare_config import TableCompareConfig
from nas.config import Config, Real, Whole, check_known, explained, override, placed, read_config
from nas.errors import ExperimentError
from nas.indicators import Indicator
from nas.sampler_names import SAMPLER_NAMES
from nas.space_classes import absolute_path
from nas.table_candidate import column_indicators
from nas.table_column import Column
from nas.table_file import TableFile
from nas.table_problem import TableProblem

__all__ = ["CellConfig", "TableConfig", "TableExperiment", "TableSearchConfig"]

Scalar = str | int | float | bool


class CellConfig(Config):
    """A cell that some columns of the configuration stand for.

    Attributes:
        edges: Of each column the nodes that its edge leads from and to.
        none: The operations that carry nothing.
    """

    edges: dict[str, tuple[Whole, Whole]]
    none: tuple[Scalar, ...] = ()


class TableConfig(Config):
    """Columns of a file.

    Attributes:
        file: A CSV file, gzipped or not, or an NPZ file.
        quality: What must be evaluated: ``"COLUMN"``, or ``"COLUMN:max"`` where more is better.
        costs: What is known of every configuration, likewise.
        config: What a configuration is; ``"COLUMN:text"`` takes numbers as words, and
            ``"COLUMN:list"`` holds lists with an element for each layer.
        depth: The column of the configuration that says how many layers there are.
        cell: Columns that stand for a cell.
        classes: A column by which rows with equal cells are one candidate.
        where: Only rows with this value, or one of these, in a column.
        complete: Whether rows are left out that lack a value in one of these columns.
        quality_error: Standard error of a quality, as the seed of a training moves it; nothing is
            known of it when absent.
    """

    file: str
    quality: str
    costs: tuple[str, ...]
    config: tuple[str, ...]
    depth: str | None = None
    cell: CellConfig | None = None
    classes: str | None = None
    where: dict[str, Scalar | tuple[Scalar, ...]] = Field(default={})
    complete: bool = False
    quality_error: Real | None = Field(default=None, gt=0, allow_inf_nan=False)

    @field_validator("costs", "config")
    @classmethod
    def _some(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(names)) != len(names) or not names:
            raise ValueError("name each column once, and at least one")
        return names


class TableSearchConfig(Config):
    """How configurations are proposed.

    Attributes:
        trials: Configurations to evaluate.
        objectives: Costs that steer the sampler beside the quality; all of them when empty.
        sampler: Name of the sampler.
        batch: Configurations proposed at once.
    """

    trials: Whole = Field(default=100, ge=1)
    objectives: tuple[str, ...] = ()
    sampler: str = "cost-aware"
    batch: Whole = Field(default=4, ge=1)


class TableExperiment(Config):
    """One experiment on a table.

    Attributes:
        name: Of the run folder and the study.
        seed: Of every random choice.
        table: The configurations.
        search: How they are proposed.
        budgets: Limit of a cost: the most of what is minimised, the least of what is maximised. A
            file may name another unit than the column's, which is converted.
        compare: What `hwnas compare` compares.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    seed: Whole = Field(default=0, ge=0, le=2**31 - 1)
    table: TableConfig
    search: TableSearchConfig = TableSearchConfig()
    budgets: dict[str, Real] = Field(default={})
    compare: TableCompareConfig = TableCompareConfig()

    @classmethod
    def load(cls, path: Path, overrides: Sequence[str] = ()) -> TableExperiment:
        """Reads an experiment file.

        Args:
            path: A TOML file with a section ``table``.
            overrides: Settings of the form ``section.key=value``, the value in TOML.

        Raises:
            FileNotFoundError: There is no such file.
            ExperimentError: It is not TOML, or a key or value is not one that such an experiment
                has.
            UnknownNameError: An objective or a budget is on no cost, or the sampler is not known.
        """
        data = read_config(path, overrides)
        table = data.get("table")
        if isinstance(table, dict) and isinstance(table.get("file"), str):
            table["file"] = str(absolute_path(Path(table["file"]), path.parent))
        return cls.from_data(data, str(path))

    @classmethod
    def from_data(
        cls, data: Mapping[str, Any], where: str = "experiment", overrides: Sequence[str] = ()
    ) -> TableExperiment:
        """Validates the values of an experiment; arguments and errors as for :meth:`load`."""
        changed = copy.deepcopy(dict(data))
        for text in overrides:
            override(changed, text)
        try:
            experiment = cls.model_validate(changed)
        except ValidationError as error:
            raise explained(error, where, cls) from error
        with placed(f"{where}: `search.sampler`"):
            check_known("sampler", experiment.search.sampler, SAMPLER_NAMES)
        costs = experiment.costs
        if QUALITY in costs:
            raise ExperimentError(
                f"{where}: a cost is called `{QUALITY}`, which stands for the quality in picks; "
                "call that column something else."
            )
        for name in experiment.search.objectives:
            with placed(f"{where}: `search.objectives`"):
                check_known("cost", name, tuple(costs))
        if experiment.compare.arms:
            with placed(f"{where}: `compare.arms`"):
                check_arms(experiment.compare.arms, tuple(costs))
        family = experiment.compare.family
        if family is not None:
            worded = [text.removesuffix(":text") for text in experiment.table.config]
            with placed(f"{where}: `compare.family`"):
                check_known("column of the configuration", family, worded)
        with placed(f"{where}: `budgets`"):
            budgets = column_budgets(experiment.budgets, costs)
        for name, limit in budgets.items():
            if not 0 < limit < math.inf:
                raise ExperimentError(
                    f"{where}: `budgets.{name}` must be above 0 and finite; got {limit}."
                )
        return experiment.model_copy(update={"budgets": budgets})

    @property
    def costs(self) -> dict[str, Indicator]:
        """What each cost is."""
        columns = [Column.parse(text) for text in self.table.costs]
        more = [column.name for column in columns if column.maximize]
        return column_indicators([column.name for column in columns], more)

    @property
    def objectives(self) -> tuple[str, ...]:
        """The costs that steer the sampler."""
        return self.search.objectives or tuple(self.costs)

    def read(self) -> TableFile:
        """The rows of the file that are searched.

        Raises:
            FileNotFoundError: There is no such file.
            ExperimentError: It cannot be read, or no row is left.
            UnknownNameError: A column is not there.
        """
        table, asked = TableFile.read(Path(self.table.file)), self.table
        table = table.where(asked.where)
        if asked.complete:
            quantities = [Column.parse(text).name for text in (asked.quality, *asked.costs)]
            table = table.complete([table.kind(given)[0] for given in asked.config], quantities)
        return table

    def problem(self, table: TableFile) -> TableProblem:
        """The problem of some rows; see :meth:`TableProblem.from_table`, also for errors."""
        asked = self.table
        cell = asked.cell
        return TableProblem.from_table(
            table,
            quality=asked.quality,
            costs=asked.costs,
            config=asked.config,
            depth=asked.depth,
            classes=asked.classes,
            structures=[] if cell is None else [Cell(cell.edges, frozenset(cell.none))],
        )

    def to_toml(self) -> str:
        """The experiment with every default written out."""
        import tomli_w

        return tomli_w.dumps(self.model_dump(mode="json", exclude_none=True))
