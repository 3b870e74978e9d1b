"""Problems whose candidates stand in a table: configurations with their costs and their quality.

Nothing is trained, so a whole search runs in seconds. What the features say comes from the table
alone: numbers as standardised numbers, words as one column for each, what several columns with
equal choices have in common, and the logarithms of the costs.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from nas.errors import ExperimentError
from nas.problem import Codes
from search_spaces import Choice, UnknownNameError

__all__ = ["Column", "Structure", "TableProblem"]

MISSING = ("", "na", "n/a", "nan", "null")
FIRST_ROW = 2
"""Of a file: its first line holds the names."""

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
        medians = _medians(measured, self._candidate_of[found])
        signs = np.array([-1.0 if n in self.maximize else 1.0 for n in (quality_name, *costs)])
        self._quality: NDArray[np.float64] = signs[0] * medians[:, 0]
        self._cost_values: NDArray[np.float64] = signs[1:] * medians[:, 1:]
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
            path: The file.
            quality: ``"COLUMN"`` or ``"COLUMN:max"``.
            costs: The same of each cost.
            config: Columns of the configuration; one whose cells are all numbers is numeric, and
                ``"COLUMN:text"`` takes numbers as words.
            classes: The column by which candidates with equal cells are one, if any.
            structures: What some of the columns stand for together.

        Raises:
            ExperimentError: A cell is missing or no number where one must be; a line has more or
                fewer cells than names; a name repeats. The message names row and column.
            UnknownNameError: A column is not there.
        """
        header, lines = _read(path)
        wanted, priced = Column.parse(quality), [Column.parse(cost) for cost in costs]
        worded = [name.removesuffix(":text") for name in config]
        named = [wanted.name, *(cost.name for cost in priced), *worded]
        for name in [*named, *([classes] if classes else [])]:
            if name not in header:
                raise UnknownNameError(f"column of {path}", name, header)
        for name in named:
            if named.count(name) > 1:
                raise ExperimentError(
                    f"Column `{name}` is named {named.count(name)} times; a column is the quality, "
                    "one cost or part of the configuration."
                )
        cells = {name: [line[header.index(name)].strip() for line in lines] for name in header}
        return cls(
            {
                name: _config_cells(path, name, cells[name], given.endswith(":text"))
                for name, given in zip(worded, config, strict=True)
            },
            _numbers(path, wanted.name, cells[wanted.name]),
            {cost.name: _numbers(path, cost.name, cells[cost.name]) for cost in priced},
            maximize=[column.name for column in (wanted, *priced) if column.maximize],
            quality_name=wanted.name,
            structures=structures,
            classes=cells[classes] if classes else None,
        )

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
        """How many candidates there are."""
        return len(self._quality)

    def random_codes(self, n: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Random configurations of the table: ``[n, parameters]``."""
        return self.members[rng.integers(len(self.members), size=n)]

    def exist(self, codes: Codes) -> NDArray[np.bool_]:
        """Which codes stand in the table: ``[n]``."""
        exists: NDArray[np.bool_] = self._rows(codes) >= 0
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
        values: NDArray[np.float64] = self._cost_values[self._candidates(codes)]
        return values

    def features(self, codes: Codes) -> NDArray[np.float64]:
        """What the table says of the configurations: ``[n, features]``."""
        return self._features[self._candidates(codes)]

    def quality(self, codes: Codes) -> NDArray[np.float64]:
        """The quality ``[n]``, to be minimised: of what is maximised, the negative."""
        return self._quality[self._candidates(codes)]

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


def _read(path: Path) -> tuple[list[str], list[list[str]]]:
    """The names of a CSV file's columns, and its lines."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            header, *lines = list(csv.reader(file)) or [[]]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ExperimentError(f"{path} cannot be read as CSV in UTF-8: {error}.") from error
    header = [name.strip() for name in header]
    for name in header:
        if header.count(name) > 1:
            raise ExperimentError(f"{path} has {header.count(name)} columns called `{name}`.")
    while lines and not lines[-1]:
        del lines[-1]
    for row, line in enumerate(lines, start=FIRST_ROW):
        if len(line) != len(header):
            raise ExperimentError(
                f"{path}, row {row} has {len(line)} cells, the first line {len(header)} names."
            )
    if not lines:
        raise ExperimentError(f"{path} has no rows below its line of names.")
    return header, lines


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _numbers(path: Path, name: str, cells: Sequence[str]) -> NDArray[np.float64]:
    """The numbers of a column."""
    numbers = [_number(cell) for cell in cells]
    for row, number in enumerate(numbers, start=FIRST_ROW):
        if number is None or not math.isfinite(number):
            said = cells[row - FIRST_ROW]
            what = f"{said!r} is no finite number" if said else "there is no value"
            raise ExperimentError(
                f"{path}, row {row}, column `{name}`: {what}; correct it or leave the row out."
            )
    return np.array(numbers, dtype=np.float64)


def _config_cells(path: Path, name: str, cells: Sequence[str], text: bool) -> NDArray[Any]:
    """A column of the configuration: numbers if all cells are, words if none is."""
    for row, cell in enumerate(cells, start=FIRST_ROW):
        if cell.lower() in MISSING:
            raise ExperimentError(
                f"{path}, row {row}, column `{name}`: there is no value ({cell!r}); correct it or "
                "leave the row out."
            )
    numeric = [_number(cell) is not None for cell in cells]
    if text or not any(numeric):
        return np.array(cells, dtype=np.str_)
    if not all(numeric):
        row = numeric.index(False)
        raise ExperimentError(
            f"{path}, row {row + FIRST_ROW}, column `{name}`: {cells[row]!r} is no number, as "
            f"{sum(numeric)} others are; correct it, or name the column `{name}:text` if its "
            "numbers are words."
        )
    numbers = _numbers(path, name, cells)
    whole = np.abs(numbers).max() < 2**53 and (numbers == np.round(numbers)).all()
    return numbers.astype(np.int64) if whole else numbers
