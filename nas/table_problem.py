"""Problems whose candidates stand in a table: configurations with their costs and their quality.

Nothing is trained, so a whole search runs in seconds. What the features say comes from the table
alone: numbers as standardised numbers, words as one column for each, what several columns with
equal choices have in common, and the logarithms of the costs.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from nas.candidates import missed_by
from nas.errors import ExperimentError, NothingFeasibleError
from nas.layer_features import LayerStack
from nas.problem import Codes
from nas.table_file import TableFile
from search_spaces import Choice, UnknownNameError

__all__ = ["Column", "Structure", "TableProblem"]

Values = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Column:
    """A column that is minimised, or maximised.

    Attributes:
        name: Its name in the table.
        maximize: Whether more of it is better.
    """

    name: str
    maximize: bool = False

    @classmethod
    def parse(cls, text: str) -> Column:
        """The column that ``"NAME"``, ``"NAME:min"`` or ``"NAME:max"`` stands for.

        >>> Column.parse("accuracy:max")
        Column(name='accuracy', maximize=True)
        """
        name, colon, direction = text.strip().rpartition(":")
        if colon and direction in ("min", "max"):
            return cls(name.strip(), direction == "max")
        return cls(text.strip())


class Structure(Protocol):
    """What some columns of a configuration stand for together, as a cell or a stack of layers."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns."""

    def canonical(
        self, codes: NDArray[np.int64], parameters: Mapping[str, tuple[Choice, ...]]
    ) -> NDArray[np.int64]:
        """Codes ``[n, parameters]`` in which choices without effect are the first ones."""

    def keys(self, values: Values) -> list[bytes]:
        """What tells one from another, of values ``[n]`` for each column."""

    def features(self, values: Values) -> NDArray[np.float64]:
        """What the quality may depend on: ``[n, features]``, finite."""


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
        values = {name: _values(name, column) for name, column in config.items()}
        coded = {name: np.unique(column, return_inverse=True) for name, column in values.items()}
        self._parameters: dict[str, tuple[Choice, ...]] = {
            name: tuple(choices.tolist()) for name, (choices, _) in coded.items()
        }
        codes = np.stack([places for _, places in coded.values()], axis=1).astype(np.int64)
        for structure in self.structures:
            codes = structure.canonical(codes, self._parameters)
        self._costs = tuple(costs)
        measured = np.stack(
            [_finite(quality_name, quality), *(_finite(n, c) for n, c in costs.items())], axis=1
        )
        self._lookup = _Lookup(codes, [len(choices) for choices in self._parameters.values()])
        self.members: NDArray[np.int64] = self._lookup.rows
        """Every configuration of the table once: codes ``[configurations, parameters]``."""
        found = self._lookup.find(codes)
        first = np.unique(found, return_index=True)[1]
        values = {name: column[first] for name, column in values.items()}
        labels = None
        if classes is not None:
            labelled = _labels(classes, config)
            labels = [labelled[row] for row in first]
        self._candidate_of, representative = _candidates(values, self.structures, labels)
        self._representative = self.members[representative]
        medians = _medians(measured, self._candidate_of[found])
        self._measured: dict[str, NDArray[np.float64]] = dict(
            zip((quality_name, *costs), medians.T, strict=True)
        )
        self._meets: NDArray[np.bool_] = np.ones(len(medians), dtype=bool)
        self._features = _features(
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
        kinds = dict(map(table.kind, config))
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
        if depth is not None and depth not in worded:
            raise UnknownNameError("column of the configuration, for `depth`,", depth, worded)
        depths = None if depth is None else table.numbers(depth)
        configuration: dict[str, NDArray[Any]] = {}
        layers: dict[str, tuple[str, ...]] = {}
        for name in worded:
            if kinds[name] != "list":
                configuration[name] = table.choices(name, kinds[name] == "text")
                continue
            columns = table.lists(name, depths, depth or "").T
            layers[name] = tuple(f"{name}_{layer}" for layer in range(len(columns)))
            for layer in layers[name]:
                if layer in worded:
                    raise ExperimentError(
                        f"Columns `{layer}` and `{name}:list` of the configuration stand for the "
                        "same; leave one of them out."
                    )
            configuration |= dict(zip(layers[name], columns, strict=True))
        if depth is not None and not layers:
            raise ExperimentError(
                f"`depth` is {depth!r}, but no column of the configuration is a list; write "
                "`COLUMN:list` for those that are, or leave `depth` out."
            )
        stacks = [] if depth is None else [LayerStack(depth, layers)]
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


class _Lookup:
    """Finds rows of codes among distinct ones.

    Columns are joined to one number as long as it fits 63 bits; then the numbers that occur are
    numbered anew, so that any count of columns can be joined.
    """

    def __init__(self, codes: NDArray[np.int64], sizes: Sequence[int]) -> None:
        self.rows = np.unique(codes, axis=0)
        self._steps: list[tuple[list[tuple[int, int]], NDArray[np.int64]]] = []
        ids, bound = np.zeros(len(self.rows), dtype=np.int64), 1
        pending: list[tuple[int, int]] = []
        for column, size in enumerate(sizes):
            if bound > 2**62 // size:
                known, ids = np.unique(ids, return_inverse=True)
                self._steps.append((pending, known))
                bound, pending = len(known), []
            ids = ids * size + self.rows[:, column]
            bound *= size
            pending.append((column, size))
        self._steps.append((pending, np.unique(ids)))

    def find(self, codes: NDArray[np.int64]) -> NDArray[np.int64]:
        """Position of each row of codes ``[n, columns]``; -1 of those that are not there."""
        ids, there = np.zeros(len(codes), dtype=np.int64), np.ones(len(codes), dtype=bool)
        for joined, known in self._steps:
            for column, size in joined:
                there &= (codes[:, column] >= 0) & (codes[:, column] < size)
                ids = ids * size + codes[:, column]
            places = np.minimum(np.searchsorted(known, ids), len(known) - 1)
            there &= known[places] == ids
            ids = np.where(there, places, 0)
        # Rows are sorted by their columns in order, which is the order of the joined numbers.
        return np.where(there, ids, -1)


def _candidates(
    values: Values, structures: Sequence[Structure], labels: Sequence[Any] | None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Candidate of each configuration, and of each candidate its first configuration."""
    covered = {name for structure in structures for name in structure.columns}
    plain = [column.tolist() for name, column in values.items() if name not in covered]
    structured = [structure.keys(values) for structure in structures]
    # A class says by itself what is one candidate, whatever the columns hold.
    parts: list[Sequence[Any]] = [*plain, *structured] if labels is None else [labels]
    numbers: dict[tuple[Any, ...], int] = {}
    of = [numbers.setdefault(key, len(numbers)) for key in zip(*parts, strict=True)]
    candidate_of = np.array(of, dtype=np.int64)
    return candidate_of, np.unique(candidate_of, return_index=True)[1]


def _labels(
    classes: Sequence[Any] | NDArray[Any] | Callable[[Values], Sequence[Any]],
    config: Mapping[str, Sequence[Any] | NDArray[Any]],
) -> Sequence[Any]:
    if callable(classes):
        classes = classes({name: np.asarray(column) for name, column in config.items()})
    rows = len(next(iter(config.values())))
    if len(classes) != rows:
        raise ExperimentError(
            f"`classes` has {len(classes)} keys for {rows} rows; give one for each."
        )
    return list(classes)


def _medians(values: NDArray[np.float64], groups: NDArray[np.int64]) -> NDArray[np.float64]:
    """Medians ``[groups, columns]`` over the rows of each group."""
    order = np.argsort(groups, kind="stable")
    parts = np.split(values[order], np.flatnonzero(np.diff(groups[order])) + 1)
    return np.stack([np.median(part, axis=0) for part in parts])


def _features(
    values: Values,
    parameters: Mapping[str, tuple[Choice, ...]],
    structures: Sequence[Structure],
    costs: NDArray[np.float64],
) -> NDArray[np.float64]:
    covered = {name for structure in structures for name in structure.columns}
    plain = [name for name in values if name not in covered]
    groups: dict[tuple[bool, tuple[Choice, ...]], list[str]] = {}
    for name in plain:
        groups.setdefault((values[name].dtype.kind in "iuf", parameters[name]), []).append(name)
    parts: list[NDArray[np.float64]] = []
    for (numeric, choices), names in groups.items():
        table = np.stack([values[name] for name in names], axis=1)
        # As a group many alike columns weigh no more than one that stands alone.
        weight = 1 / math.sqrt(len(names))
        if numeric:
            parts.append(weight * _standardised(_spread(table.astype(float))))
        else:
            hot = [table == choice for choice in choices] if len(choices) > 1 else []
            parts += [weight * column.astype(float) for column in hot]
        if len(names) > 1 and len(choices) > 1:
            counts = [(table == choice).sum(1) for choice in choices]
            if numeric:
                numbers = _spread(table.astype(float))
                parts.append(_standardised(np.stack([numbers.mean(1), numbers.std(1)], 1)))
            if not numeric or len(choices) <= len(names):
                parts.append(_standardised(np.stack(counts, axis=1).astype(float)))
    parts += [_standardised(structure.features(values)) for structure in structures]
    if costs.size:
        logs = [np.log(c) if c.min() > 0 else c for c in costs.T]
        parts.append(_standardised(np.stack(logs, axis=1)))
    joined = np.concatenate(parts, axis=1)
    varying: NDArray[np.bool_] = np.ptp(joined, axis=0) > 0
    return joined[:, varying] if varying.any() else np.zeros((len(joined), 1))


def _spread(column: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logarithms of what is positive and spans more than a factor of 4; else the numbers."""
    if column.min() > 0 and column.max() > 4 * column.min():
        return np.log(column)
    return column


def _standardised(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """Columns of mean 0 and deviation 1; those that do not vary are 0."""
    deviation = table.std(axis=0)
    varies = deviation > 1e-12 * np.maximum(np.abs(table).max(axis=0), 1e-300)
    return np.where(varies, (table - table.mean(axis=0)) / np.where(varies, deviation, 1.0), 0.0)


def _values(name: str, column: Sequence[Any] | NDArray[Any]) -> NDArray[Any]:
    array = np.asarray(column)
    if array.dtype.kind in "iuf":
        if not np.isfinite(array).all():
            row = int(np.argmin(np.isfinite(array)))
            raise ExperimentError(
                f"Column `{name}`, row {row}: {array[row]} is no finite number; leave the row out."
            )
        return array
    if array.dtype.kind in "bSU":
        return array
    raise ExperimentError(
        f"Column `{name}` must hold numbers or words, not both nor other things; got "
        f"{array.dtype} with {array[:3].tolist()} in it."
    )


def _finite(name: str, column: Sequence[float] | NDArray[Any]) -> NDArray[np.float64]:
    try:
        array = np.asarray(column, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ExperimentError(f"Column `{name}` must hold numbers: {error}.") from error
    if not np.isfinite(array).all():
        row = int(np.argmin(np.isfinite(array)))
        raise ExperimentError(
            f"Column `{name}`, row {row}: {array[row]} is no finite number; leave the row out."
        )
    return array
