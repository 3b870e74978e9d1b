"""Files of configurations: named columns of a CSV file (gzipped or not) or of an NPZ file."""

from __future__ import annotations

import csv
import gzip
import math
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.errors import ExperimentError
from search_spaces import Choice, UnknownNameError

__all__ = ["TableFile"]

MISSING = ("", "na", "n/a", "nan", "null")
FIRST_LINE = 2
"""Of the rows of a CSV file: its first line holds the names. Rows of an NPZ file count from 0."""
SHOWN = 3
KINDS = ("text", "list")
"""Of columns of a configuration that are not what their cells look like."""


@dataclass(frozen=True, slots=True, eq=False)
class TableFile:
    """Columns of one length, as a file has them.

    Attributes:
        path: The file.
        columns: Cells of each column by name: text, or what an array holds.
        rows: What messages call each row: of a CSV file its line, of an NPZ file its index.
    """

    path: Path
    columns: Mapping[str, Sequence[Any]]
    rows: Sequence[int]

    @classmethod
    def read(cls, path: Path) -> TableFile:
        """Reads a file: NPZ by its ending, gzipped CSV by its ending, otherwise CSV.

        Raises:
            FileNotFoundError: There is no such file.
            ExperimentError: It cannot be read, has no rows, a line has more or fewer cells than
                there are names, or a name repeats; the message names it.
        """
        if path.is_dir():
            raise ExperimentError(f"{path} is a folder, no table; name a CSV or NPZ file in it.")
        if not path.is_file():
            raise FileNotFoundError(f"There is no table {path}.")
        return _read_npz(path) if path.suffix == ".npz" else _read_csv(path)

    def column(self, name: str) -> Sequence[Any]:
        """Cells of a column.

        Raises:
            UnknownNameError: There is none of that name.
        """
        if name not in self.columns:
            raise UnknownNameError(f"column of {self.path}", name, tuple(self.columns))
        return self.columns[name]

    def kind(self, given: str) -> tuple[str, str]:
        """Name and kind of a column of a configuration, such as ``"COLUMN:list"``.

        A column whose own name ends so goes by that name.
        """
        name, _, kind = given.rpartition(":")
        if given not in self.columns and kind in KINDS:
            return name, kind
        return given, ""

    def where(self, conditions: Mapping[str, Choice | Sequence[Choice]]) -> TableFile:
        """The rows that have a value, or one of several, in each of some columns.

        Raises:
            UnknownNameError: There is no such column.
            ExperimentError: No row is left.
        """
        kept = list(range(len(self.rows)))
        for name, given in conditions.items():
            values = given if isinstance(given, list | tuple) else [given]
            wanted = {_spelled(value) for value in values}
            cells = self.column(name)
            left = [i for i in kept if _spelled(cells[i]) in wanted]
            if not left:
                found = list(dict.fromkeys(str(cells[i]) for i in kept))
                more = ", ..." if len(found) > SHOWN else ""
                raise ExperimentError(
                    f"{self.path}: no row has {given!r} in column `{name}`, which holds "
                    f"{', '.join(found[:SHOWN])}{more}; correct `where`."
                )
            kept = left
        return self.take(kept)

    def complete(self, names: Sequence[str], quantities: Sequence[str] = ()) -> TableFile:
        """The rows with a value in each of some columns, which of quantities is a finite number.

        Raises:
            UnknownNameError: There is no such column.
            ExperimentError: No row is left.
        """
        gone: set[int] = set()
        for name in names:
            gone.update(i for i, cell in enumerate(self.column(name)) if _missing(cell))
        for name in quantities:
            for i, cell in enumerate(self.column(name)):
                number = _number(cell)
                # What is no number at all is a mistake, not a value that is missing.
                if _missing(cell) or (number is not None and not math.isfinite(number)):
                    gone.add(i)
        kept = [i for i in range(len(self.rows)) if i not in gone]
        if not kept:
            raise ExperimentError(
                f"{self.path} has no row with a value in each of `"
                + "`, `".join(dict.fromkeys([*names, *quantities]))
                + "`; name other columns."
            )
        return self.take(kept)

    def numbers(self, name: str, gaps: bool = False) -> NDArray[np.float64]:
        """The finite numbers of a column: ``[rows]``.

        Args:
            name: Of the column.
            gaps: Whether a value may be missing, which is NaN then.

        Raises:
            UnknownNameError: There is no such column.
            ExperimentError: A cell is none; the message names row and column.
        """
        cells = self.column(name)
        numbers = [math.nan if gaps and _missing(cell) else _number(cell) for cell in cells]
        for row, number in enumerate(numbers):
            if gaps and _missing(cells[row]):
                continue
            if number is None or not math.isfinite(number):
                cell = cells[row]
                what = "there is no value" if _spelled(cell) == "" else f"{cell!r} is no number"
                if number is not None:
                    what = f"{cell!r} is no finite number"
                raise self._wrong(name, row, f"{what}; correct it or leave the row out.")
        return np.array(numbers, dtype=np.float64)

    def take(self, kept: Sequence[int]) -> TableFile:
        """The same of some rows, by position."""
        columns = {name: [cells[i] for i in kept] for name, cells in self.columns.items()}
        return TableFile(self.path, columns, [self.rows[i] for i in kept])

    def joined(self, name: str, cells: Sequence[Any]) -> TableFile:
        """The same with one more column.

        Raises:
            ExperimentError: There is one of that name.
        """
        if name in self.columns:
            raise ExperimentError(f"{self.path} has a column `{name}` already; name another.")
        return TableFile(self.path, {**self.columns, name: cells}, self.rows)

    def choices(self, name: str, text: bool = False) -> NDArray[Any]:
        """A column of the configuration: numbers if all cells are, else words or truth values.

        Args:
            name: Of the column.
            text: Whether numbers are words.

        Raises:
            UnknownNameError: There is no such column.
            ExperimentError: A cell is missing, or a word among numbers; the message names row and
                column.
        """
        cells = self.column(name)
        self._check_present(name)
        if all(isinstance(cell, bool) for cell in cells):
            return np.array(cells, dtype=np.str_ if text else np.bool_)
        numeric = [_number(cell) is not None for cell in cells]
        if text or not any(numeric):
            return np.array([str(cell) for cell in cells], dtype=np.str_)
        if not all(numeric):
            row = numeric.index(False)
            raise self._wrong(
                name,
                row,
                f"{cells[row]!r} is no number, as {sum(numeric)} others are; correct it, or name "
                f"the column `{name}:text` if its numbers are words.",
            )
        return _whole(self.numbers(name))

    def lists(self, name: str, depths: NDArray[Any] | None, depth: str = "") -> NDArray[Any]:
        """A column of lists such as ``"4,8,8"``, an element for each layer: ``[rows, layers]``.

        Args:
            name: Of the column.
            depths: How many elements each row has, ``[rows]``; as many each when absent. What is
                beyond a row's own is filled with an element that means nothing.
            depth: What messages call the depths.

        Raises:
            UnknownNameError: There is no such column.
            ExperimentError: A list is empty, or has another length; the message names row and
                column.
        """
        self._check_present(name)
        parts = [_parts(cell) for cell in self.column(name)]
        for row, found in enumerate(parts):
            wanted = len(parts[0]) if depths is None else depths[row]
            if len(found) == wanted and all(found):
                continue
            said = f"a list of {len(found)}" if all(found) else "an element that is empty"
            if depths is None:
                advice = (
                    f"where row {self.rows[0]} has {wanted}. Name the column that says how many "
                    "there are as `depth`."
                )
            else:
                advice = f"where `{depth}` is {wanted:g}; correct one of them."
            raise self._wrong(name, row, f"there is {said}, {advice}")
        widest, filler = max(map(len, parts)), parts[0][0]
        table = np.array([found + [filler] * (widest - len(found)) for found in parts])
        numbers = [_number(cell) for cell in table.ravel()]
        if all(number is not None and math.isfinite(number) for number in numbers):
            return _whole(np.array(numbers, dtype=np.float64).reshape(table.shape))
        return table

    def _check_present(self, name: str) -> None:
        for row, cell in enumerate(self.column(name)):
            if _missing(cell):
                what = f"there is no value ({cell!r})"
                raise self._wrong(name, row, f"{what}; correct it or leave the row out.")

    def _wrong(self, name: str, row: int, what: str) -> ExperimentError:
        return ExperimentError(f"{self.path}, row {self.rows[row]}, column `{name}`: {what}")


def _read_csv(path: Path) -> TableFile:
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rt", encoding="utf-8-sig", newline="") as file:
            header, *lines = list(csv.reader(file)) or [[]]
    except (UnicodeDecodeError, csv.Error, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ExperimentError(f"{path} cannot be read as CSV in UTF-8: {error}.") from error
    header = [name.strip() for name in header]
    for name in header:
        if header.count(name) > 1:
            raise ExperimentError(f"{path} has {header.count(name)} columns called `{name}`.")
    while lines and not lines[-1]:
        del lines[-1]
    for row, line in enumerate(lines, start=FIRST_LINE):
        if len(line) != len(header):
            raise ExperimentError(
                f"{path}, row {row} has {len(line)} cells, the first line {len(header)} names."
            )
    if not lines:
        raise ExperimentError(f"{path} has no rows below its line of names.")
    cells = {name: [line[i].strip() for line in lines] for i, name in enumerate(header)}
    return TableFile(path, cells, range(FIRST_LINE, FIRST_LINE + len(lines)))


def _read_npz(path: Path) -> TableFile:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files if file[name].ndim == 1}
    except (zipfile.BadZipFile, ValueError, EOFError, OSError) as error:
        raise ExperimentError(f"{path} cannot be read as NPZ of plain columns: {error}.") from error
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) != 1 or not max(lengths.values()):
        raise ExperimentError(
            f"{path} must hold columns of one length, with at least one row; got {lengths}."
        )
    columns = {name: array.tolist() for name, array in arrays.items()}
    return TableFile(path, columns, range(next(iter(lengths.values()))))


def _spelled(cell: Any) -> str:
    """A cell as text, in which a truth value is the same however it is written."""
    text = str(cell).strip()
    return text.lower() if text.lower() in ("true", "false") else text


def _missing(cell: Any) -> bool:
    return str(cell).strip().lower() in MISSING


def _number(cell: Any) -> float | None:
    try:
        return float(cell)
    except (TypeError, ValueError):
        return None


def _whole(numbers: NDArray[np.float64]) -> NDArray[Any]:
    """Numbers as integers where all are whole."""
    whole = np.abs(numbers).max() < 2**53 and (numbers == np.round(numbers)).all()
    return numbers.astype(np.int64) if whole else numbers


def _parts(cell: Any) -> list[str]:
    return [part.strip() for part in str(cell).strip().strip("[]()").split(",")]
