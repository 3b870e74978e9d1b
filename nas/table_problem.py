"""Problems whose candidates stand in a table: configurations with their costs and their quality.

Nothing is trained, so a whole search runs in seconds.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.candidate_classes import candidate_classes, class_labels, class_medians
from nas.candidates import missed_by
from nas.column_values import choice_values, finite_values
from nas.errors import ExperimentError, NothingFeasibleError
from nas.layer_features import LayerStack
from nas.problem import Codes
from nas.row_lookup import RowLookup
from nas.structure import Structure, Values
from nas.table_column import Column
from nas.table_configuration import table_configuration
from nas.table_features import table_features
from nas.table_file import TableFile
from search_spaces import Choice, UnknownNameError

__all__ = ["TableProblem"]


class TableProblem:
    """A :class:`nas.problem.Problem` over the rows of a table.

    Rows of the same configuration are one candidate, with the medians of their costs and quality.
    So are configurations with an equal key of their structures, or with an equal class.

    Args:
        config: Columns of the configuration, ``[rows]`` each: numbers are ordered, words and truth
            values are not.
        quality: What must be evaluated: ``[rows]``.
        costs: Columns of the costs, ``[rows]`` each.
        maximize: Names of those costs of which more is better, and of the quality.
        quality_name: What messages call the quality.
        structures: What some of the columns stand for together; in the features and in what makes
            two configurations one, these take the columns' place.
        classes: In place of these, what makes configurations one candidate: a key for each row, or
            a function from the columns of the configuration to them.

    Raises:
        ExperimentError: There is no row or no column of the configuration, columns differ in
            length, or a value is missing, not finite or no number; the message names row and
            column.
        UnknownNameError: A structure, or ``maximize``, names a column that is not there.
    """

    def __init__(
        self,
        config: Mapping[str, Sequence[Any] | NDArray[Any]],
        quality: Sequence[float] | NDArray[Any],
        costs: Mapping[str, Sequence[float] | NDArray[Any]],
        *,
        maximize: Sequence[str] = (),
        quality_name: str = "quality",
        structures: Sequence[Structure] = (),
        classes: Sequence[Any] | NDArray[Any] | Callable[[Values], Sequence[Any]] | None = None,
    ) -> None:
        if not config:
            raise ExperimentError("`config` is empty; name the columns of the configuration.")
        rows = len(np.asarray(quality))
        for name, column in [*config.items(), *costs.items()]:
            if len(column) != rows:
                raise ExperimentError(
                    f"Column `{name}` has {len(column)} rows, `{quality_name}` has {rows}; each "
                    "row needs a value in each column."
                )
        if not rows:
            raise ExperimentError("The table has no rows; give at least one configuration.")
        for name in maximize:
            if name not in (*costs, quality_name):
                raise UnknownNameError("column", name, (quality_name, *costs))
        for name in (name for structure in structures for name in structure.columns):
            if name not in config:
                raise UnknownNameError("column", name, tuple(config))
        self.quality_name, self.structures = quality_name, tuple(structures)
        self.maximize = frozenset(maximize)
        values = {name: choice_values(name, column) for name, column in config.items()}
        coded = {name: np.unique(column, return_inverse=True) for name, column in values.items()}
        self._parameters: dict[str, tuple[Choice, ...]] = {
            name: tuple(choices.tolist()) for name, (choices, _) in coded.items()
        }
        codes = np.stack([places for _, places in coded.values()], axis=1).astype(np.int64)
        for structure in self.structures:
            codes = structure.canonical(codes, self._parameters)
        self._costs = tuple(costs)
        measured = np.stack(
            [
                finite_values(quality_name, quality),
                *(finite_values(n, c) for n, c in costs.items()),
            ],
            axis=1,
        )
        self._lookup = RowLookup(codes, [len(choices) for choices in self._parameters.values()])
        self.members: NDArray[np.int64] = self._lookup.rows
        """Every configuration of the table once: codes ``[configurations, parameters]``."""
        found = self._lookup.find(codes)
        first = np.unique(found, return_index=True)[1]
        values = {name: column[first] for name, column in values.items()}
        labels = None
        if classes is not None:
            labelled = class_labels(classes, config)
            labels = [labelled[row] for row in first]
        self._candidate_of, representative = candidate_classes(values, self.structures, labels)
        self._representative = self.members[representative]
        medians = class_medians(measured, self._candidate_of[found])
        self._measured: dict[str, NDArray[np.float64]] = dict(
            zip((quality_name, *costs), medians.T, strict=True)
        )
        self._meets: NDArray[np.bool_] = np.ones(len(medians), dtype=bool)
        self._features = table_features(
            {name: column[representative] for name, column in values.items()},
            self._parameters,
            self.structures,
            medians[:, 1:],
        )

    @classmethod
    def from_csv(
        cls,
        path: Path,
        *,
        quality: str,
        costs: Sequence[str],
        config: Sequence[str],
        classes: str | None = None,
        structures: Sequence[Structure] = (),
    ) -> TableProblem:
        """The problem of a CSV file whose first line holds the names of its columns.

        Args:
            path: The file; see :meth:`nas.table_file.TableFile.read`, also for errors.
            quality: See :meth:`from_table`, also for the others and for errors.
            costs: The same of each cost.
            config: Columns of the configuration.
            classes: The column by which candidates with equal cells are one, if any.
            structures: What some of the columns stand for together.
        """
        return cls.from_table(
            TableFile.read(path),
            quality=quality,
            costs=costs,
            config=config,
            classes=classes,
            structures=structures,
        )

    @classmethod
    def from_table(
        cls,
        table: TableFile,
        *,
        quality: str,
        costs: Sequence[str],
        config: Sequence[str],
        depth: str | None = None,
        classes: str | None = None,
        structures: Sequence[Structure] = (),
    ) -> TableProblem:
        """The problem of the columns of a file.

        Args:
            table: The columns.
            quality: ``"COLUMN"`` or ``"COLUMN:max"``.
            costs: The same of each cost.
            config: Columns of the configuration; one whose cells are all numbers is numeric,
                ``"COLUMN:text"`` takes numbers as words, and ``"COLUMN:list"`` holds lists such as
                ``"4,8,8"``, with an element for each layer.
            depth: The column of the configuration that says how many elements lists have, where
                that differs.
            classes: The column by which candidates with equal cells are one, if any.
            structures: What some of the columns stand for together.

        Raises:
            ExperimentError: A cell is missing or no number where one must be, a column is named
                twice, or lists do not have the length that they must. The message names row and
                column.
            UnknownNameError: A column is not there.
        """
        wanted, priced = Column.parse(quality), [Column.parse(cost) for cost in costs]
        worded = [table.kind(given)[0] for given in config]
        named = [wanted.name, *(cost.name for cost in priced), *worded]
        for name in [*named, *([classes] if classes else [])]:
            table.column(name)
        for name in named:
            if named.count(name) > 1:
                raise ExperimentError(
                    f"Column `{name}` is named {named.count(name)} times; a column is the quality, "
                    "one cost or part of the configuration."
                )
        configuration, stacks = table_configuration(table, config, depth)
        return cls(
            configuration,
            table.numbers(wanted.name),
            {cost.name: table.numbers(cost.name) for cost in priced},
            maximize=[column.name for column in (wanted, *priced) if column.maximize],
            quality_name=wanted.name,
            structures=[*structures, *stacks],
            classes=table.column(classes) if classes else None,
        )

    def within(self, budgets: Mapping[str, float]) -> TableProblem:
        """The same with only those candidates that keep to budgets.

        Args:
            budgets: The most of a cost, or the least of one that is maximised.

        Raises:
            UnknownNameError: One of them is on no cost.
            NothingFeasibleError: No candidate keeps to all of them.
        """
        result = copy.copy(self)
        for name, limit in budgets.items():
            if name not in self._costs:
                raise UnknownNameError("cost", name, self._costs)
            missed = missed_by(self._measured[name], limit, name in self.maximize)
            result._meets = result._meets & (missed <= 0)
        if not result._meets.any():
            limits = ", ".join(f"{name} {limit:g}" for name, limit in budgets.items())
            raise NothingFeasibleError(f"No configuration of the table keeps to {limits}.")
        return result

    @property
    def parameters(self) -> Mapping[str, tuple[Choice, ...]]:
        """Choices of each column of the configuration, sorted."""
        return self._parameters

    @property
    def costs(self) -> tuple[str, ...]:
        """Names of the cost columns."""
        return self._costs

    @property
    def size(self) -> int:
        """How many candidates there are, within the budgets."""
        return int(self._meets.sum())

    @property
    def candidates(self) -> NDArray[np.int64]:
        """Codes ``[candidates, parameters]`` of each candidate once, whatever the budgets."""
        return self._representative

    def random_codes(self, n: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Random configurations of the table within the budgets: ``[n, parameters]``."""
        if self._meets.all():
            chosen = rng.integers(len(self.members), size=n)
        else:
            chosen = rng.choice(np.flatnonzero(self._meets[self._candidate_of]), size=n)
        codes: NDArray[np.int64] = self.members[chosen]
        return codes

    def exist(self, codes: Codes) -> NDArray[np.bool_]:
        """Which codes stand in the table, and keep to the budgets: ``[n]``."""
        rows = self._rows(codes)
        exists: NDArray[np.bool_] = (rows >= 0) & self._meets[self._candidate_of[rows]]
        return exists

    def keys(self, codes: Codes) -> list[bytes]:
        """What tells one candidate from another; of codes outside the table, the codes."""
        codes = np.asarray(codes, dtype=np.int64)
        rows = self._rows(codes)
        held = np.where(rows >= 0, self._candidate_of[rows], -1)
        return [
            b"%d" % candidate if candidate >= 0 else b"not in the table" + row.tobytes()
            for candidate, row in zip(held.tolist(), codes, strict=True)
        ]

    def cost_values(self, codes: Codes) -> NDArray[np.float64]:
        """Costs ``[n, costs]``, those that are maximised negated."""
        rows = self._candidates(codes)
        columns = [self._signed(name)[rows] for name in self._costs]
        return np.stack(columns, axis=1) if columns else np.empty((len(rows), 0))

    def features(self, codes: Codes) -> NDArray[np.float64]:
        """What the table says of the configurations: ``[n, features]``."""
        return self._features[self._candidates(codes)]

    def quality(self, codes: Codes) -> NDArray[np.float64]:
        """The quality ``[n]``, to be minimised: of what is maximised, the negative."""
        return self._signed(self.quality_name)[self._candidates(codes)]

    def measured(self, codes: Codes) -> dict[str, NDArray[np.float64]]:
        """Quality and every cost ``[n]`` by name, as the table has them."""
        rows = self._candidates(codes)
        return {name: column[rows] for name, column in self._measured.items()}

    def configuration(self, codes: Codes) -> list[dict[str, Choice]]:
        """What a person knows each candidate by: the first of its configurations in the table.

        The parameters of layers are joined to one text for those layers that are there.
        """
        stacks = [item for item in self.structures if isinstance(item, LayerStack)]
        quantities = {
            parameter: (quantity, position, stack.depth)
            for stack in stacks
            for quantity, parameters in stack.layers.items()
            for position, parameter in enumerate(parameters)
        }
        result = []
        for row in self._representative[self._candidates(codes)].tolist():
            pairs = zip(self._parameters.items(), row, strict=True)
            values = {name: choices[place] for (name, choices), place in pairs}
            told: dict[str, Choice] = {}
            for name, value in values.items():
                quantity, position, depth = quantities.get(name, (name, 0, ""))
                if not depth:
                    told[name] = value
                elif position < float(values[depth]):
                    before = f"{told[quantity]}," if quantity in told else ""
                    told[quantity] = f"{before}{value}"
            result.append(told)
        return result

    def _signed(self, name: str) -> NDArray[np.float64]:
        """A column of the candidates, to be minimised."""
        column = self._measured[name]
        return -column if name in self.maximize else column

    def _candidates(self, codes: Codes) -> NDArray[np.int64]:
        rows = self._rows(codes)
        if (rows < 0).any():
            row = np.asarray(codes)[int(np.argmin(rows))]
            pairs = zip(self._parameters.items(), row.tolist(), strict=True)
            said = ", ".join(f"{name}={choices[place]}" for (name, choices), place in pairs)
            raise ExperimentError(f"The table has no row with {said}; ask `exist` first.")
        return self._candidate_of[rows]

    def _rows(self, codes: Codes) -> NDArray[np.int64]:
        canonical: NDArray[np.int64] = np.asarray(codes).astype(np.int64, copy=False)
        for structure in self.structures:
            canonical = structure.canonical(canonical, self._parameters)
        return self._lookup.find(canonical)
