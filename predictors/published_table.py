"""Tables that others published: named columns of a CSV (gzipped or not), NPZ or JSON file.

JSON is an object for each row, or one object with a list for each column. A column holds numbers,
lists of numbers (``"4,8,8"``, one number for each layer) or names. A cell that cannot be read is
named with its row, the first below the header being row 1.
"""

from __future__ import annotations

import csv
import gzip
import math
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hw_profiles.files import read_json
from search_spaces import CorruptFileError, UnknownNameError

__all__ = ["UNITS", "FeatureCode", "PublishedTable"]

Array = NDArray[np.float64]

UNITS: Mapping[str, float] = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
"""Seconds in each unit that a column of times may be in."""

MOST_COUNTED = 12
"""Different numbers in the lists of a column, up to which each of them is counted."""

MISSING = ("", "nan", "na", "n/a", "none", "null", "-", "?")
"""What stands in a file for a number that is not there, in lower case."""


@dataclass(frozen=True)
class PublishedTable:
    """Columns of one length.

    Attributes:
        path: Where they were read.
        columns: Cells of each column by its name: text, or numbers as the file has them.
        rows: Which row of the file each is, from 1.
    """

    path: Path
    columns: Mapping[str, Sequence[Any]]
    rows: tuple[int, ...]

    @classmethod
    def read(cls, path: Path) -> PublishedTable:
        """Reads a file by its ending.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: It has another ending.
            CorruptFileError: It is not what its ending says, or its columns differ in length.
        """
        if path.name.endswith(".npz"):
            columns = _read_npz(path)
        elif path.name.endswith((".csv", ".csv.gz")):
            columns = _read_csv(path)
        elif path.name.endswith(".json"):
            columns = _read_json(path)
        else:
            raise ValueError(f"`path` must end in .npz, .csv, .csv.gz or .json; got {path.name!r}.")
        lengths = {name: len(column) for name, column in columns.items()}
        if len(set(lengths.values())) != 1 or not max(lengths.values()):
            raise CorruptFileError(f"{path}: all columns must have the same rows; got {lengths}.")
        return cls(path, columns, tuple(range(1, 1 + next(iter(lengths.values())))))

    def __len__(self) -> int:
        return len(self.rows)

    def column(self, name: str) -> Sequence[Any]:
        """Cells of a column.

        Raises:
            UnknownNameError: There is none of that name.
        """
        if name not in self.columns:
            raise UnknownNameError(f"column of {self.path.name}", name, tuple(self.columns))
        return self.columns[name]

    def where(self, column: str, value: str) -> PublishedTable:
        """The rows that have a value in a column.

        Raises:
            UnknownNameError: There is no such column, or no row has that value.
        """
        cells = [str(cell) for cell in self.column(column)]
        kept = [i for i, cell in enumerate(cells) if cell == value]
        if not kept:
            raise UnknownNameError(f"value of column {column}", value, sorted(set(cells)))
        columns = {name: [cells[i] for i in kept] for name, cells in self.columns.items()}
        return PublishedTable(self.path, columns, tuple(self.rows[i] for i in kept))

    def seconds(self, name: str, unit: str) -> Array:
        """A column of times, in seconds: ``[n]``.

        Raises:
            UnknownNameError: There is no such column or unit.
            CorruptFileError: A cell is no number above 0.
        """
        if unit not in UNITS:
            raise UnknownNameError(f"unit of column {name}", unit, tuple(UNITS))
        times = np.array([_number(cell) for cell in self.column(name)])
        wrong = np.flatnonzero(~(np.isfinite(times) & (times > 0)))
        if len(wrong):
            raise self._wrong_cell(name, int(wrong[0]), "a time above 0", len(wrong))
        return times * UNITS[unit]

    def code(self, names: Sequence[str]) -> tuple[FeatureCode, ...]:
        """How columns become numbers.

        Args:
            names: Of the columns, each alone or with what it holds, as in ``"operator:name"``.

        Raises:
            UnknownNameError: There is no such column, or no such kind.
            CorruptFileError: A cell is empty or not a number.
        """
        return tuple(
            self._code(name, "")
            if name in self.columns or ":" not in name
            else self._code(*name.rsplit(":", 1))
            for name in names
        )

    def _code(self, name: str, kind: str) -> FeatureCode:
        cells = [_plain(cell) for cell in self.column(name)]
        gone = [i for i, cell in enumerate(cells) if _is_missing(cell)]
        if gone:
            raise self._wrong_cell(name, gone[0], "a value", len(gone))
        if kind == "name":
            return FeatureCode(name, kind, levels=tuple(sorted(set(map(str, cells)))))
        numbers = [_number(cell) for cell in cells]
        if kind != "list" and all(map(math.isfinite, numbers)):
            return FeatureCode(name, kind or "number", (min(numbers), max(numbers)))
        lists = [_numbers(cell) for cell in cells]
        if kind != "number" and all(item is not None for item in lists):
            found = [item for item in lists if item]
            values = sorted({number for item in found for number in item})
            lengths, sums = list(map(len, found)), list(map(sum, found))
            limits = (min(lengths), max(lengths), min(sums), max(sums))
            levels = tuple(values) if len(values) <= MOST_COUNTED else ()
            return FeatureCode(name, kind or "list", limits, levels)
        wrong = [i for i, cell in enumerate(cells) if _numbers(cell) is None]
        if kind or 2 * len(wrong) < len(cells):  # A column of numbers with a slip, not of names.
            raise self._wrong_cell(name, (wrong or [0])[0], f"a {kind or 'number'}", len(wrong))
        return FeatureCode(name, "name", levels=tuple(sorted(set(map(str, cells)))))

    def _wrong_cell(self, name: str, position: int, wanted: str, n: int) -> CorruptFileError:
        more = f", and {n - 1} more like it" if n > 1 else ""
        return CorruptFileError(
            f"{self.path.name}, row {self.rows[position]}, column {name!r} must hold {wanted}; got "
            f"{_plain(self.columns[name][position])!r}{more}. Leave such rows out of the file, or "
            "take another column."
        )


@dataclass(frozen=True, slots=True)
class FeatureCode:
    """How a column becomes numbers.

    Attributes:
        name: Of the column.
        kind: ``"number"`` gives itself; ``"list"`` its length, its sum and how often each of
            ``levels`` is in it; ``"name"`` a 0 or 1 for each of ``levels``.
        limits: Least and most number that were seen, or length and sum of a list.
        levels: The values that were seen, where they are few.
    """

    name: str
    kind: str
    limits: tuple[float, ...] = ()
    levels: tuple[Any, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in ("number", "list", "name"):
            raise UnknownNameError("kind of column", self.kind, ("number", "list", "name"))

    def encode(self, cell: Any) -> list[float]:
        """The numbers of a cell.

        Raises:
            ValueError: It is not of the column's kind, or beyond its limits: what the column does
                not hold was not learnt.
            UnknownNameError: It is a name that the column does not have.
        """
        plain = _plain(cell)
        if self.kind == "number":
            number = _number(plain)
            if not math.isfinite(number):
                raise ValueError(f"`{self.name}` must be a finite number; got {cell!r}.")
            self._check("", number, *self.limits)
            return [number]
        if self.kind == "list":
            numbers = _numbers(plain)
            if numbers is None:
                raise ValueError(
                    f"`{self.name}` must be numbers with commas between them; got {cell!r}."
                )
            self._check("the length of ", len(numbers), *self.limits[:2])
            self._check("the sum of ", sum(numbers), *self.limits[2:])
            counts = [float(numbers.count(level)) for level in self.levels]
            if self.levels and sum(counts) < len(numbers):
                raise ValueError(f"`{self.name}` must hold numbers of {self.levels}; got {cell!r}.")
            return [float(len(numbers)), sum(numbers), *counts]
        if str(plain) not in self.levels:
            raise UnknownNameError(f"value of {self.name}", str(plain), self.levels)
        return [float(str(plain) == level) for level in self.levels]

    def _check(self, what: str, number: float, least: float, most: float) -> None:
        if not least <= number <= most:
            raise ValueError(
                f"{what}`{self.name}` must be within what was measured, {least:g} to {most:g}; got "
                f"{number:g}."
            )

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> FeatureCode:
        """Reads back what :meth:`to_json` wrote."""
        limits, levels = tuple(data["limits"]), tuple(data["levels"])
        return cls(str(data["name"]), str(data["kind"]), limits, levels)


def _read_npz(path: Path) -> dict[str, Sequence[Any]]:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (zipfile.BadZipFile, ValueError, EOFError, OSError) as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise CorruptFileError(f"{path} is not an npz file of plain columns: {error}.") from error
    columns = {name: array.tolist() for name, array in arrays.items() if array.ndim == 1}
    if not columns:
        raise CorruptFileError(f"{path} has no column: no array of one dimension.")
    return columns


def _read_csv(path: Path) -> dict[str, Sequence[Any]]:
    opened = gzip.open if path.name.endswith(".gz") else open
    try:
        with opened(path, "rt", encoding="utf-8-sig", newline="") as file:
            header, *rows = [row for row in csv.reader(file) if row]
    except (OSError, EOFError, zlib.error, csv.Error, ValueError) as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise CorruptFileError(f"{path} is not a CSV file with a header: {error}.") from error
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise CorruptFileError(f"{path}: its header has {twice[0]!r} more than once; rename one.")
    for number, row in enumerate(rows, start=1):
        if len(row) != len(header):
            raise CorruptFileError(
                f"{path}, row {number} has {len(row)} cells where the header has {len(header)}."
            )
    if not rows:
        raise CorruptFileError(f"{path} has a header and no rows.")
    return dict(zip(header, map(list, zip(*rows, strict=True)), strict=True))


def _read_json(path: Path) -> dict[str, Sequence[Any]]:
    data = read_json(path)
    if isinstance(data, Mapping) and data and all(isinstance(c, list) for c in data.values()):
        return {str(name): cells for name, cells in data.items()}
    if not isinstance(data, list) or not data or not all(isinstance(r, Mapping) for r in data):
        raise CorruptFileError(
            f"{path} must hold an object for each row, or an object with a list for each column."
        )
    names = list(data[0])
    for number, row in enumerate(data, start=1):
        if differing := sorted(set(names) ^ set(row)):
            raise CorruptFileError(
                f"{path}, row {number} must have the same columns as row 1; it differs in "
                f"{differing}."
            )
    return {name: [row[name] for row in data] for name in names}


def _plain(cell: Any) -> Any:
    return cell.strip() if isinstance(cell, str) else cell


def _is_missing(cell: Any) -> bool:
    text = str(cell).lower()
    return text in MISSING or (isinstance(cell, float) and not math.isfinite(cell))


def _number(cell: Any) -> float:
    """The number in a cell; NaN where there is none."""
    if isinstance(cell, str) and cell.lower() in ("true", "false"):
        return float(cell.lower() == "true")
    try:
        return float(cell)
    except (TypeError, ValueError):
        return math.nan


def _numbers(cell: Any) -> list[float] | None:
    """The numbers in a list; ``None`` where it is none."""
    parts = cell.strip("[]()").split(",") if isinstance(cell, str) else cell
    if not isinstance(parts, list | tuple):
        parts = [parts]
    numbers = [_number(part) for part in parts]
    return numbers if numbers and all(map(math.isfinite, numbers)) else None
