"""Tables of a comparison by arm, said once for terminals, pages and documents."""

from __future__ import annotations

from dataclasses import dataclass

from nas.arm_estimates import ArmEstimates
from nas.budget_regret import SLACK
from nas.equal_charge import Charge
from nas.estimate_cells import number_cell, p_cell, share_cell
from nas.paired_tests import Estimate, PairedTest, median_estimate
from nas.report_document import Cell
from nas.score_tests import PRIMARY
from nas.set_scores import KINDS

__all__ = [
    "ArmTable",
    "Column",
    "miss_tables",
    "regret_table",
    "sentences",
    "set_tables",
    "tables_of_tests",
]


DIFFERENCE = "Hodges-Lehmann estimate over seeds; above 0 the arm is worse than the other"
CORRECTED = "exact signed-rank test, two-sided, after Holm's correction over its family of tests"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Attributes:
        title: Its heading.
        meaning: What it says, where the heading does not.
        name: Whether the heading is the name of an indicator.
        interval: Whether its intervals are shown everywhere, and not only where there is room.
    """

    title: str
    meaning: str = ""
    name: bool = False
    interval: bool = False


@dataclass(frozen=True, slots=True)
class ArmTable:
    """A table whose first column is the arms.

    Attributes:
        key: What tells it from others.
        title: What it is of.
        columns: In order.
        rows: A cell for each column; the note of one is its interval, that of an arm what it
            searches.
        remark: What has to be known of all of it.
    """

    key: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    remark: str = ""

    def __post_init__(self) -> None:
        widths = {len(row) for row in self.rows} - {len(self.columns)}
        if widths:
            raise ValueError(f"`rows` must have {len(self.columns)} cells; got {widths}.")


def sentences(table: ArmTable) -> list[str]:
    """What has to be known to read a table: its remark, and what columns mean."""
    said = [f"{c.title[0].upper()}{c.title[1:]}: {c.meaning}." for c in table.columns if c.meaning]
    return [*filter(None, [table.remark]), *said]


def regret_table(found: ArmEstimates, charge: Charge = PRIMARY.charge) -> ArmTable:
    """The primary endpoint and what goes with it, at one charge."""
    columns = [
        Column("arm"),
        Column(
            "regret",
            "by how much what a user takes is worse than the best known, the mean over budgets",
            interval=True,
        ),
        Column("capped", "the same, where no budget costs more than the whole gain"),
        Column("no answer", "budgets that no member of the set meets; they cost the whole gain"),
        Column(
            "breaks",
            "budgets of which a user who knows only the indicators of the search breaks another",
        ),
        Column("of all evaluated", "the regret of everything that the arm evaluated"),
    ]
    tested = bool(found.tests["primary"]) and charge == PRIMARY.charge
    if tested:
        columns += [
            Column(
                f"less `{found.reference}`",
                DIFFERENCE,
                interval=True,
            ),
            Column("p", CORRECTED),
        ]
    rows = []
    for arm, searched in found.arms.items():
        front, archive = (found.of(arm, kind, charge).values for kind in KINDS)
        row = [
            Cell(arm, searched),
            _regret(front["regret"], found),
            _regret(front["regret_capped"], found),
            share_cell(front["none"]),
            share_cell(front["broken"]),
            _regret(archive["regret"], found),
        ]
        if tested:
            row += _test_cells(found.test(arm), found)
        rows.append(tuple(row))
    share = ", as a share of what a search can gain" * (found.gain > 0)
    return ArmTable(
        f"regret-{charge.replace('_', '-')}",
        f"Regret over {found.budgets:,} budgets on all {len(found.names)} indicators{share}, at "
        f"equal {charge.replace('_', ' ')}",
        tuple(columns),
        tuple(rows),
        _budgets_said(found),
    )


def miss_tables(found: ArmEstimates) -> list[ArmTable]:
    """What each arm loses and misses by each indicator."""
    columns = (Column("arm"), *(Column(name, name=True) for name in found.names))
    alone, excess = [], []
    for arm in found.arms:
        item = found.of(arm)
        alone.append((Cell(arm), *(_regret(item.alone[name], found) for name in found.names)))
        excess.append((Cell(arm), *(share_cell(item.excess[name]) for name in found.names)))
    return [
        ArmTable(
            "alone", "Regret under budgets on a single indicator alone", columns, tuple(alone)
        ),
        ArmTable(
            "misses-table",
            "By how much each arm misses the best of an indicator at equal quality",
            columns,
            tuple(excess),
        ),
    ]


def set_tables(found: ArmEstimates) -> list[ArmTable]:
    """Size, hypervolume, IGD+ and dominated share of fronts and archives."""
    members = found.subset["evaluations"]
    columns = (
        Column("arm"),
        Column("members"),
        Column(
            f"hypervolume of {members}",
            f"of random subsets of {members} members, as more members alone make it larger; more "
            "is better",
            interval=True,
        ),
        Column(
            "IGD+", "mean distance of the known front from the set; less is better", interval=True
        ),
        Column("dominated", "members that another model beats once all indicators count"),
    )
    whose = {"front": "fronts", "archive": "archives of everything evaluated"}
    tables = []
    for kind in KINDS:
        rows = []
        for arm in found.arms:
            values = found.of(arm, kind).values
            plain = (number_cell(values[name]) for name in ("size", "hypervolume", "igd_plus"))
            rows.append((Cell(arm), *plain, share_cell(values["dominated"])))
        title = (
            f"The {whose[kind]} against the known front over quality and all indicators "
            f"({found.known_front} models)"
        )
        tables.append(ArmTable(f"sets-{kind}", title, columns, tuple(rows)))
    return tables


def tables_of_tests(found: ArmEstimates) -> list[ArmTable]:
    """Each arm against the reference, in each family of tests; none without tests."""
    families = {"primary": "primary", "own": "own indicator", "secondary": "secondary"}
    rows = tuple(
        (
            Cell(test.arm),
            Cell(test.score),
            Cell(families[family]),
            number_cell(test.difference, sign=True),
            p_cell(test.p),
            p_cell(test.adjusted_p),
            Cell("differs" if test.significant else "not shown"),
        )
        for family, tests in found.tests.items()
        for test in tests
    )
    if not rows:
        return []
    columns = (
        Column("arm"),
        Column("score"),
        Column("family"),
        Column("difference", DIFFERENCE),
        Column("uncorrected p"),
        Column("p", CORRECTED),
        Column("claim"),
    )
    title = f"Tests of each arm against `{found.reference}` over {_seeds(found)}"
    return [ArmTable("tests", title, columns, rows)]


def _budgets_said(found: ArmEstimates) -> str:
    coverage = median_estimate([0.0] * found.seeds).coverage
    left = f" {found.left_out} that no known model meets are left out." * bool(found.left_out)
    return (
        f"Medians over {_seeds(found)}, with intervals that cover {coverage:.1%}. A budget is what "
        "a random member of the space takes, in each indicator times a slack of its own between 1 "
        f"and {SLACK:g}.{left} The whole gain is from the median of the first designs "
        f"({found.first_loss:.4g}) to the best known ({found.least_loss:.4g})."
    )


def _seeds(found: ArmEstimates) -> str:
    return "1 seed" if found.seeds == 1 else f"{found.seeds} seeds"


def _test_cells(test: PairedTest | None, found: ArmEstimates) -> list[Cell]:
    if test is None:
        return [Cell(""), Cell("")]
    return [_regret(test.difference, found, sign=True), p_cell(test.adjusted_p)]


def _regret(loss: Estimate, found: ArmEstimates, *, sign: bool = False) -> Cell:
    return share_cell(loss, found.gain, sign=sign) if found.gain else number_cell(loss, sign=sign)
