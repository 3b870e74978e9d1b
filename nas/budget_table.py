"""Budget tables: what budgets leave of the candidates, and which of them exclude each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.candidates import excess, missed_by
from nas.feasibility import POOL, improved
from nas.indicators import Indicator, indicator
from nas.pricer import Pricer
from nas.progress import Reporter
from search_spaces import SearchSpace

__all__ = [
    "BudgetRow",
    "BudgetTable",
    "budget_table",
    "listed_budget_table",
    "report_budget_table",
    "report_budgets",
]


@dataclass(frozen=True, slots=True)
class BudgetRow:
    """One budget.

    Attributes:
        indicator: What it limits.
        name: Its name, with the place.
        limit: The most of it, or the least of what is maximised.
        share: Share of the candidates that meet it.
        reachable: The smallest value that was found, or the largest of what is maximised.
    """

    indicator: Indicator
    name: str
    limit: float
    share: float
    reachable: float

    @property
    def possible(self) -> bool:
        """Whether something that meets it was found."""
        return missed_by(self.reachable, self.limit, self.indicator.maximize) <= 0


@dataclass(frozen=True, slots=True)
class BudgetTable:
    """All budgets of a search.

    Attributes:
        rows: One for each.
        conflicts: Pairs of which nothing was found that meets both, though each can be met.
        share: Share of the candidates that meet all.
        drawn: Candidates that shares are of: random architectures, or all that there are.
        complete: Whether they are all that there are, so that what was not found is not there.
    """

    rows: tuple[BudgetRow, ...]
    conflicts: tuple[tuple[str, str], ...]
    share: float
    drawn: int
    complete: bool = False

    def lines(self) -> Iterator[str]:
        """What a person is told of it, line by line."""
        those = "configurations" if self.complete else "random architectures"
        found = "" if self.complete else " found"
        yield f"Budgets, of {self.drawn:,} {those}:"
        for row in self.rows:
            known = row.indicator
            sign, most = (">=", "largest") if known.maximize else ("<=", "smallest")
            limit = f"{row.name} {sign} {row.limit:.4g} {known.unit}".rstrip()
            impossible = "" if row.possible else ": nothing meets it"
            yield (
                f"  {limit}: {row.share:.1%} of {those} meet it; the {most}{found} is "
                f"{row.reachable:.4g}{impossible}."
            )
        if len(self.rows) > 1:
            yield f"  All of them: {self.share:.1%} meet them."
        for first, second in self.conflicts:
            nothing = "nothing meets both" if self.complete else "nothing was found that meets both"
            yield f"  {first} and {second}: {nothing}."

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        rows = [
            {"name": r.name, "limit": r.limit, "share": r.share, "reachable": r.reachable}
            for r in self.rows
        ]
        conflicts = [list(pair) for pair in self.conflicts]
        return {"rows": rows, "conflicts": conflicts, "share": self.share, "drawn": self.drawn}


def budget_table(
    space: SearchSpace, pricer: Pricer, budgets: Mapping[str, float], seed: int
) -> BudgetTable:
    """What each budget leaves of a space; nothing is trained.

    Shares are of random architectures. The smallest values, and what meets two budgets at once
    where no random one does, are searched by mutation, so a conflict means that none was found.

    Args:
        space: Where candidates come from.
        pricer: Of every indicator that a budget names.
        budgets: Limits by indicator.
        seed: Of every random choice.
    """
    codes = space.random_codes(POOL, np.random.default_rng(seed))
    drawn = pricer.price_codes(space, codes, budgets)
    meets = {name: excess(name, drawn[name], limit) <= 0 for name, limit in budgets.items()}

    def missed(names: tuple[str, ...], codes: NDArray[np.int64]) -> NDArray[np.float64]:
        values = pricer.price_codes(space, codes, names)
        columns = [excess(name, values[name], budgets[name]) for name in names]
        return np.stack(columns, axis=1).astype(float)

    def short_of(names: tuple[str, ...], codes: NDArray[np.int64]) -> NDArray[np.float64]:
        return missed(names, codes)[:, 0]

    def over_both(names: tuple[str, ...], codes: NDArray[np.int64]) -> NDArray[np.float64]:
        over: NDArray[np.float64] = np.maximum(missed(names, codes), 0).sum(axis=1)
        return over

    rows = []
    for name, limit in budgets.items():
        start = codes[np.argsort(excess(name, drawn[name], limit), kind="stable")]
        found = improved(
            space,
            start,
            partial(short_of, (name,)),
            np.random.default_rng(seed),
            enough=-np.inf,
        )
        values = pricer.price_codes(space, found, [name])[name]
        best = values.max() if indicator(name).maximize else values.min()
        share = float(meets[name].mean())
        rows.append(BudgetRow(indicator(name), name, limit, share, float(best)))
    possible = [row.name for row in rows if row.possible]
    conflicts = []
    for pair in combinations(possible, 2):
        if (meets[pair[0]] & meets[pair[1]]).any():
            continue
        found = improved(
            space,
            codes,
            partial(over_both, pair),
            np.random.default_rng(seed),
        )
        if not (missed(pair, found) <= 0).all(axis=1).any():
            conflicts.append(pair)
    return BudgetTable(tuple(rows), tuple(conflicts), _together(meets), len(codes))


def listed_budget_table(
    values: Mapping[str, NDArray[np.float64]],
    budgets: Mapping[str, float],
    indicators: Mapping[str, Indicator],
) -> BudgetTable:
    """What each budget leaves of candidates that are all known.

    Args:
        values: Of each limited indicator the values of every candidate: ``[n]``.
        budgets: Limits by indicator.
        indicators: What each of them is.
    """
    over = {
        name: missed_by(values[name], v, indicators[name].maximize) for name, v in budgets.items()
    }
    meets = {name: missed <= 0 for name, missed in over.items()}
    rows = []
    for name, limit in budgets.items():
        best = float(values[name][int(np.argmin(over[name]))])
        rows.append(BudgetRow(indicators[name], name, limit, float(meets[name].mean()), best))
    possible = [row.name for row in rows if row.possible]
    pairs = combinations(possible, 2)
    conflicts = tuple(pair for pair in pairs if not (meets[pair[0]] & meets[pair[1]]).any())
    drawn = len(next(iter(values.values()), ()))
    return BudgetTable(tuple(rows), conflicts, _together(meets), drawn, complete=True)


def _together(meets: Mapping[str, NDArray[np.bool_]]) -> float:
    return float(np.all(list(meets.values()), axis=0).mean()) if meets else 1.0


def report_budgets(
    space: SearchSpace,
    pricer: Pricer,
    budgets: Mapping[str, float],
    seed: int,
    report: Reporter,
) -> None:
    """Says what :func:`budget_table` found; nothing without budgets."""
    if not budgets:
        return
    report_budget_table(budget_table(space, pricer, budgets, seed), report)


def report_budget_table(table: BudgetTable, report: Reporter) -> None:
    """Says what a budget table holds."""
    for line in table.lines():
        report.line(line)
