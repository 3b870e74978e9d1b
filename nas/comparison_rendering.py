"""The scores of a comparison where a person reads them: claims first, then tables."""

from __future__ import annotations

from collections.abc import Iterator

from nas.arm_estimates import ArmEstimates
from nas.arm_tables import (
    ArmTable,
    miss_tables,
    regret_table,
    sentences,
    set_tables,
    tables_of_tests,
)
from nas.comparison import Comparison
from nas.comparison_scores import ComparisonScores
from nas.headline import headline
from nas.rendering import print_rows
from nas.shares import percent

__all__ = ["print_comparison"]


def print_comparison(comparison: Comparison, scores: ComparisonScores) -> None:
    """Prints what a single indicator would have concluded and what is right, then the scores.

    Args:
        comparison: What was found.
        scores: Of it.
    """
    for line in headline(comparison, scores):
        print(line)
    found = ArmEstimates.of_scores(scores)
    tables = [
        *(regret_table(found, charge) for charge in found.charges),
        *miss_tables(found),
        *set_tables(found),
        *tables_of_tests(found),
    ]
    for table in tables:
        print_rows(*_columns(table), table.title)
    for sentence in dict.fromkeys(said for table in tables for said in sentences(table)):
        print(sentence)
    unscored = max(float(item.values["unscored"].max()) for item in scores.sets)
    if unscored:
        print(
            f"Up to {percent(unscored)} of the answers of a set were not scored; the best scored "
            "member stands for them."
        )


def _columns(table: ArmTable) -> tuple[list[str], list[list[str]]]:
    """Headings and rows; what has an interval that is always shown has it in a column beside it."""
    headings: list[str] = []
    for column in table.columns:
        headings += [column.title, "interval"] if column.interval else [column.title]
    return headings, [list(_texts(table, row)) for row in range(len(table.rows))]


def _texts(table: ArmTable, row: int) -> Iterator[str]:
    for column, cell in zip(table.columns, table.rows[row], strict=True):
        yield cell.text
        if column.interval:
            yield cell.note
