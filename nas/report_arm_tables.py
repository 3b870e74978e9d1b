"""Tables of a comparison: regrets, misses, fronts, tests and conclusions by arm."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from nas.comparison import Comparison
from nas.comparison_scores import ComparisonScores
from nas.matching import Match
from nas.paired_tests import Estimate, PairedTest, median_estimate
from nas.report_document import Cell, Table, number
from nas.set_scores import KINDS
from nas.shares import percent

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
    tables = []
    for charge in scores.charges:
        rows = []
        for arm in scores.arms:
            front, archive = (scores.of(arm.name, kind, charge) for kind in KINDS)
            rows.append(
                (
                    Cell(arm.name, _objectives(arm.objectives, len(scores.names))),
                    _share(front.estimate("regret"), scores),
                    _share(archive.estimate("regret"), scores),
                    _share(front.estimate("regret_capped"), scores),
                    _percent(front.estimate("none")),
                    _percent(front.estimate("broken")),
                )
            )
        tables.append(
            Table(
                f"regret-{charge.replace('_', '-')}",
                f"Over {scores.budgets:,} budgets on all indicators, at equal "
                f"{charge.replace('_', ' ')}: medians over seeds with their intervals. Regret as a "
                f"share of what a search can gain ({number(scores.gain)}).",
                (
                    Cell("arm", "searches quality and"),
                    Cell("regret"),
                    Cell("regret of its archive"),
                    Cell("regret, capped", "at the whole gain"),
                    Cell("no feasible member"),
                    Cell("breaks an unseen budget"),
                ),
                tuple(rows),
            )
        )
    return tables


def miss_tables(scores: ComparisonScores) -> list[Table]:
    """What each arm loses and misses by each indicator."""
    headings = (Cell("arm"), *(Cell(name) for name in scores.names))
    alone = tuple(
        (
            Cell(arm.name),
            *(_share(median_estimate(c), scores) for c in scores.of(arm.name).alone.T),
        )
        for arm in scores.arms
    )
    excess = tuple(
        (Cell(arm.name), *(_percent(median_estimate(c)) for c in scores.of(arm.name).excess.T))
        for arm in scores.arms
    )
    return [
        Table("alone", "Regret under budgets on a single indicator.", headings, alone),
        Table(
            "misses-table",
            "By how much each arm's front misses the best of an indicator at equal quality.",
            headings,
            excess,
        ),
    ]


def front_tables(scores: ComparisonScores) -> list[Table]:
    """Size, hypervolume, IGD+ and dominated share of fronts and archives."""
    members = scores.subset["evaluations"]
    tables = []
    for kind in KINDS:
        rows = []
        for arm in scores.arms:
            item = scores.of(arm.name, kind)
            rows.append(
                (
                    Cell(arm.name),
                    _plain(item.estimate("size")),
                    _plain(item.estimate("hypervolume")),
                    _plain(item.estimate("igd_plus")),
                    _percent(item.estimate("dominated")),
                )
            )
        tables.append(
            Table(
                f"sets-{kind}",
                f"Of each arm's {kind} against the known front over quality and all indicators "
                f"({scores.known_front} models). Hypervolume rewards large sets, so it is of "
                f"random subsets of {members}, and no verdict.",
                (
                    Cell("arm"),
                    Cell("members"),
                    Cell(f"hypervolume of {members}"),
                    Cell("IGD+", "less is better"),
                    Cell("dominated", "once all indicators count"),
                ),
                tuple(rows),
            )
        )
    return tables


def test_table(scores: ComparisonScores) -> list[Table]:
    """Each arm against the reference, in each family of tests."""
    families: Mapping[str, Sequence[PairedTest]] = {
        "primary": scores.primary,
        "own indicator": scores.own,
        "secondary": scores.secondary,
    }
    rows = tuple(
        (
            Cell(test.arm),
            Cell(test.score),
            Cell(family),
            _plain(test.difference),
            Cell(f"{test.p:.2g}", "", test.p),
            Cell(f"{test.adjusted_p:.2g}", "", test.adjusted_p),
            Cell("differs" if test.significant else "not shown"),
        )
        for family, tests in families.items()
        for test in tests
    )
    if not rows:
        return []
    return [
        Table(
            "tests",
            f"Exact two-sided signed-rank tests of each arm against {scores.reference} over "
            f"{scores.seeds} seeds, after Holm's correction within each family. The difference is "
            "the Hodges-Lehmann estimate; above 0 the arm is worse.",
            tuple(map(Cell, ("arm", "score", "family", "difference", "p", "corrected p", "claim"))),
            rows,
        )
    ]


def conclusion_table(scores: ComparisonScores) -> list[Table]:
    """What each single indicator makes a user take, beside what is right."""
    rows = []
    for item in scores.conclusions:
        what = f"{item.trait} is {item.value}" if item.value else f"mean {item.trait}"
        shown = _percent if item.value else _plain
        verdict = "contradicts" if item.opposite else "differs"
        rows.append(
            (
                Cell(item.arm),
                Cell(what),
                shown(item.picked),
                shown(item.right),
                Cell(f"{item.test.adjusted_p:.2g}", "", item.test.adjusted_p),
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


def _objectives(names: Sequence[str], total: int) -> str:
    if len(names) == total and total > 1:
        return "all indicators"
    return ", ".join(names) or "no cost by itself"


def _share(estimate: Estimate, scores: ComparisonScores) -> Cell:
    return _percent(estimate, scores.gain) if scores.gain else _plain(estimate)


def _percent(estimate: Estimate, scale: float = 1.0) -> Cell:
    value = estimate.value / scale
    low, high = percent(estimate.low / scale), percent(estimate.high / scale)
    note = "" if math.isnan(estimate.low) else f"{low} to {high}"
    return Cell(percent(value), note, _sortable(value))


def _plain(estimate: Estimate) -> Cell:
    low, high = number(estimate.low), number(estimate.high)
    note = "" if math.isnan(estimate.low) else f"{low} to {high}"
    return Cell(number(estimate.value), note, _sortable(estimate.value))


def _sortable(value: float) -> float:
    """Beyond every other where it is out of reach; what JavaScript reads."""
    return float(np.nan_to_num(value, nan=-1e300, posinf=1e300, neginf=-1e300))
