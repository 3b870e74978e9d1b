"""Budget tables: what each budget leaves of a space, and which of them exclude each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.candidates import excess
from nas.feasibility import POOL, improved
from nas.indicators import indicator
from nas.pricer import Pricer
from nas.progress import Reporter
from search_spaces import SearchSpace

__all__ = ["BudgetRow", "BudgetTable", "budget_table", "report_budgets"]


@dataclass(frozen=True, slots=True)
class BudgetRow:
    """One budget.

    Attributes:
        name: Indicator.
        limit: The most of it, or the least of what is maximised.
        share: Share of random architectures that meet it.
        reachable: The smallest value that was found, or the largest of what is maximised.
    """

    name: str
    limit: float
    share: float
    reachable: float

    @property
    def possible(self) -> bool:
        """Whether something that meets it was found."""
        return excess(self.name, self.reachable, self.limit) <= 0

    def __str__(self) -> str:
        known = indicator(self.name)
        sign, most = (">=", "largest") if known.maximize else ("<=", "smallest")
        impossible = "" if self.possible else ": nothing meets it"
        return (
            f"{self.name} {sign} {self.limit:.4g} {known.unit}: {self.share:.1%} of random "
            f"architectures meet it; the {most} found is {self.reachable:.4g}{impossible}."
        )


@dataclass(frozen=True, slots=True)
class BudgetTable:
    """All budgets of a search.

    Attributes:
        rows: One for each.
        conflicts: Pairs of which nothing was found that meets both, though each can be met.
        share: Share of random architectures that meet all.
        drawn: Random architectures that shares are of.
    """

    rows: tuple[BudgetRow, ...]
    conflicts: tuple[tuple[str, str], ...]
    share: float
    drawn: int

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
        rows.append(BudgetRow(name, limit, float(meets[name].mean()), float(best)))
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
    together = np.all(list(meets.values()), axis=0) if meets else np.ones(1, dtype=bool)
    return BudgetTable(tuple(rows), tuple(conflicts), float(together.mean()), len(codes))


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
    table = budget_table(space, pricer, budgets, seed)
    report.line(f"Budgets, of {table.drawn:,} random architectures:")
    for row in table.rows:
        report.line(f"  {row}")
    if len(table.rows) > 1:
        report.line(f"  All of them: {table.share:.1%} meet them.")
    for first, second in table.conflicts:
        report.line(f"  {first} and {second}: nothing was found that meets both.")
