"""Tables of a comparison: regrets, misses, fronts, tests and conclusions by arm."""

from __future__ import annotations

from collections.abc import Sequence

from nas import arm_tables
from nas.arm_estimates import ArmEstimates
from nas.arm_tables import ArmTable, sentences
from nas.comparison import Comparison
from nas.comparison_scores import ComparisonScores
from nas.estimate_cells import number_cell, p_cell, share_cell
from nas.matching import Match
from nas.report_document import Cell, Table, number

__all__ = [
    "conclusion_table",
    "front_tables",
    "match_table",
    "miss_tables",
    "regret_tables",
    "test_table",
]


def regret_tables(scores: ComparisonScores) -> list[Table]:
    """The primary endpoint and what goes with it, of each charge."""
    found = ArmEstimates.of_scores(scores)
    return _on_page([arm_tables.regret_table(found, charge) for charge in found.charges])


def miss_tables(scores: ComparisonScores) -> list[Table]:
    """What each arm loses and misses by each indicator."""
    return _on_page(arm_tables.miss_tables(ArmEstimates.of_scores(scores)))


def front_tables(scores: ComparisonScores) -> list[Table]:
    """Size, hypervolume, IGD+ and dominated share of fronts and archives."""
    return _on_page(arm_tables.set_tables(ArmEstimates.of_scores(scores)))


def test_table(scores: ComparisonScores) -> list[Table]:
    """Each arm against the reference, in each family of tests."""
    return _on_page(arm_tables.tables_of_tests(ArmEstimates.of_scores(scores)))


def conclusion_table(scores: ComparisonScores) -> list[Table]:
    """What each single indicator makes a user take, beside what is right."""
    rows = []
    for item in scores.conclusions:
        what = f"{item.trait} is {item.value}" if item.value else f"mean {item.trait}"
        shown = share_cell if item.value else number_cell
        verdict = "contradicts" if item.opposite else "differs"
        rows.append(
            (
                Cell(item.arm),
                Cell(what),
                shown(item.picked),
                shown(item.right),
                p_cell(item.test.adjusted_p),
                Cell(verdict if item.test.significant else "no difference shown"),
            )
        )
    if not rows:
        return []
    return [
        Table(
            "conclusions",
            "What a user who knows one indicator takes from that arm's front, and what the best "
            "known models under budgets on all indicators are.",
            (
                Cell("indicator"),
                Cell("trait"),
                Cell("of its picks"),
                Cell("of the right ones"),
                Cell("corrected p"),
                Cell("verdict"),
            ),
            tuple(rows),
        )
    ]


def match_table(matches: Sequence[Match], comparison: Comparison) -> list[Table]:
    """The winner at equal cost, by what is equal."""
    scales = {known.name: known for known in comparison.indicators}
    rows = []
    for match in matches:
        levels = ", ".join(
            f"{number(level / scales[name].scale)} {scales[name].symbol}"
            for name, level in match.levels.items()
        )
        models = "; ".join(
            f"{each.family} {number(each.score)} ({each.model})" for each in match.models
        )
        notes = "; ".join([*match.warnings, *(f"no {family} there" for family in match.absent)])
        tied = f"tied: {', '.join(match.ties)}" if len(match.ties) > 1 else ""
        rows.append(
            (
                Cell(", ".join(match.indicators), levels),
                Cell(match.winner or "nobody to compare with", tied),
                Cell(models),
                Cell(notes),
            )
        )
    if not rows:
        return []
    return [
        Table(
            "matching",
            "Of each family the best model at equal cost: who wins depends on what is equal.",
            tuple(map(Cell, ("equal in", "winner", f"best by {comparison.quality}", "unfair as"))),
            tuple(rows),
        )
    ]


def _on_page(tables: Sequence[ArmTable]) -> list[Table]:
    """With what columns mean in the caption of the first that has them, and under the pointer."""
    told: set[str] = set()
    result = []
    for table in tables:
        said = [sentence for sentence in sentences(table) if sentence not in told]
        told.update(said)
        result.append(
            Table(
                table.key,
                " ".join([f"{table.title}.", *said]),
                tuple(Cell(column.title, title=column.meaning) for column in table.columns),
                table.rows,
            )
        )
    return result
