"""Comparison of indicators on a table of models: what is asked of it, and the answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from nas.derived_columns import DerivedColumn
from nas.disagreement import Correlations, Disagreement, correlate
from nas.errors import ExperimentError
from nas.matching import Match, MatchRequest
from nas.model_table import ModelTable
from nas.table_column import Column
from nas.table_file import TableFile
from nas.tolerance import Tolerance
from search_spaces import UnknownNameError

__all__ = ["Stratum", "TableComparison", "TableQuestion", "compare_table"]

NAMES = ("model", "name", "id")
"""Columns that models are called by when none is named."""
LEAST = 10
"""Models of a stratum that is looked at by itself."""


@dataclass(frozen=True, slots=True)
class TableQuestion:
    """What is asked of a table.

    Attributes:
        file: A CSV file, gzipped or not, or an NPZ file.
        quality: ``"COLUMN"``, or ``"COLUMN:max"`` where more is better.
        costs: Columns, likewise.
        name: Columns that models are called by; ``model``, ``name`` or ``id`` when empty, or else
            their rows.
        family: The column that says which family a model is of.
        strata: Columns that tell apart what is not to be mixed.
        errors: Measurement error of columns.
        where: Only rows with this value, or one of these, in a column.
        derived: Columns that are made of others first.
        unique: Of rows that are equal in all of these columns only the best in quality is kept,
            the first of equally good ones. Strata lose rows to each other unless named too.
        complete: Whether only rows are kept that have the quality and every cost; done before.
        match: Costs at which families are compared.
    """

    file: Path
    quality: str
    costs: tuple[str, ...]
    name: tuple[str, ...] = ()
    family: str | None = None
    strata: tuple[str, ...] = ()
    errors: Mapping[str, Tolerance] = field(default_factory=dict)
    where: Mapping[str, Sequence[str]] = field(default_factory=dict)
    derived: tuple[DerivedColumn, ...] = ()
    unique: tuple[str, ...] = ()
    complete: bool = False
    match: MatchRequest = field(default_factory=MatchRequest)

    def read(self) -> ModelTable:
        """The models.

        Raises:
            FileNotFoundError: There is no such file.
            ExperimentError: It cannot be read, there is no such column, a cell of a quantity is
                text, or no row is left.
        """
        try:
            return self._read()
        except UnknownNameError as error:
            raise ExperimentError(str(error)) from error

    def _read(self) -> ModelTable:
        quality, costs = Column.parse(self.quality), [Column.parse(text) for text in self.costs]
        quantities = [quality.name, *(cost.name for cost in costs)]
        table = TableFile.read(self.file)
        for derived in self.derived:
            table = derived.join(table)
        table = table.where({name: list(values) for name, values in self.where.items()})
        if self.complete:
            table = table.complete([], quantities)
        if self.unique:
            table = _unique(table, self.unique, quality)
        named = self.name or [name for name in NAMES if name in table.columns][:1]
        rows = [f"row {row}" for row in table.rows]
        if len(rows) < 2:
            raise ExperimentError(f"{self.file} has one row to compare; there must be two.")
        numbers = {name: table.numbers(name, gaps=True) for name in quantities}
        for name, column in numbers.items():
            if np.isnan(column).all():
                raise ExperimentError(
                    f"{self.file} has no value in column `{name}`; leave the column out, or name "
                    "another."
                )
        return ModelTable(
            tuple(map(" ".join, zip(*(map(str, table.column(n)) for n in named), strict=True)))
            if named
            else tuple(rows),
            quality.name,
            numbers[quality.name],
            tuple(cost.name for cost in costs),
            np.array([numbers[cost.name] for cost in costs]).reshape(-1, len(rows)).T,
            frozenset(column.name for column in (quality, *costs) if column.maximize),
            () if self.family is None else tuple(map(str, table.column(self.family))),
            {name: tuple(map(str, table.column(name))) for name in self.strata},
            self.errors,
        )


@dataclass(frozen=True, slots=True)
class Stratum:
    """Models that are alike in what tells strata apart.

    Attributes:
        labels: What they are alike in.
        disagreement: Of the indicators over them.
    """

    labels: Mapping[str, str]
    disagreement: Disagreement

    def __str__(self) -> str:
        return ", ".join(f"{name} {label}" for name, label in self.labels.items())

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"labels": dict(self.labels), **self.disagreement.to_json()}


@dataclass(frozen=True, slots=True)
class TableComparison:
    """What a table says of its indicators.

    Attributes:
        overall: Over all models.
        strata: By stratum, those with the most models first; none where the table is not divided.
        small: Strata with too few models to be looked at by themselves.
        pooled: Rank correlations of pairs of models within one stratum, over all strata.
        matches: Families at equal cost.
    """

    overall: Disagreement
    strata: tuple[Stratum, ...] = ()
    small: int = 0
    pooled: Correlations = field(default_factory=dict)
    matches: tuple[Match, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            **self.overall.to_json(),
            "strata": {
                "groups": [stratum.to_json() for stratum in self.strata],
                "too_small": self.small,
                "pooled_kendall": {
                    a: {b: item.to_json() for b, item in of.items()}
                    for a, of in self.pooled.items()
                },
            },
            "match": [match.to_json() for match in self.matches],
        }


def compare_table(question: TableQuestion) -> TableComparison:
    """Answers a question; errors as for :meth:`TableQuestion.read` and in matching."""
    table = question.read()
    matches = question.match.of(table)
    if not table.strata:
        return TableComparison(Disagreement.of(table), matches=matches)
    labels = list(zip(*table.strata.values(), strict=True))
    rows: dict[tuple[str, ...], list[int]] = {}
    for row, label in enumerate(labels):
        rows.setdefault(label, []).append(row)
    large = sorted(
        (item for item in rows.items() if len(item[1]) >= LEAST), key=lambda item: -len(item[1])
    )
    return TableComparison(
        Disagreement.of(table),
        tuple(
            Stratum(
                dict(zip(table.strata, label, strict=True)),
                Disagreement.of(table.take(np.array(of))),
            )
            for label, of in large
        ),
        len(rows) - len(large),
        correlate(table, labels),
        matches,
    )


def _unique(table: TableFile, names: Sequence[str], quality: Column) -> TableFile:
    """Of rows that are equal in some columns the best; one without a quality is the worst."""
    scores = table.numbers(quality.name, gaps=True)
    loss = np.where(np.isnan(scores), np.inf, -scores if quality.maximize else scores)
    best: dict[tuple[str, ...], int] = {}
    for row, key in enumerate(zip(*(map(str, table.column(n)) for n in names), strict=True)):
        if key not in best or loss[row] < loss[best[key]]:
            best[key] = row
    return table.take(sorted(best.values()))
