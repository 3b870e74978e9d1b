"""Tables of kept comparisons, as the documents show them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nas.arm_estimates import ArmEstimates
from nas.arm_tables import ArmTable, Column, miss_tables, regret_table
from nas.report_document import Cell

__all__ = ["case_tables"]


def case_tables(case: Mapping[str, Any]) -> str:
    """What every arm loses under budgets, and by how much it misses the best of each indicator.

    Args:
        case: One of the cases that ``python -m benchmarks.comparison --out`` keeps.
    """
    found = ArmEstimates.from_json(case["scores"])
    _, missed = miss_tables(found)
    said = "arm misses the best, at equal quality, by"
    return f"{_markdown(regret_table(found), 'arm')}\n\n{_markdown(missed, said)}"


def _markdown(table: ArmTable, corner: str) -> str:
    """A table, whose first heading says what it is of, as nothing stands above it."""
    lines: list[Sequence[str]] = [
        [corner, *map(_heading, table.columns[1:])],
        ["---", *["---:"] * (len(table.columns) - 1)],
    ]
    for arm, *cells in table.rows:
        shown = map(_cell, table.columns[1:], cells)
        lines.append([f"`{arm.text}`", *shown])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _heading(column: Column) -> str:
    return f"`{column.title}`" if column.name else column.title


def _cell(column: Column, cell: Cell) -> str:
    return f"{cell.text} ({cell.note})" if column.interval and cell.note else cell.text
