"""Redundant indicators: those that order the members of a space alike.

The correlation is Kendall's tau-b over random members of the space, priced without training. It
says how many pairs two indicators order differently: at 0.9 about 5 %, where there are no ties.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.indicators import indicator
from nas.pricer import Pricer
from nas.progress import Reporter
from search_spaces import SearchSpace

__all__ = [
    "RedundantGroup",
    "leading",
    "redundant_groups",
    "redundant_of_space",
    "report_redundant",
]

LIMIT = 0.9
MEMBERS = 1_000
FEWEST = 5
"""Rows that two columns must share; the least at which full agreement is significant (p 0.017)."""
DIGITS = 9
"""Beyond these a correlation of 1 is not told from one below it."""


@dataclass(frozen=True, slots=True)
class RedundantGroup:
    """Indicators of which one says what all do.

    Attributes:
        names: At least two; the first stands for the others.
        correlation: The least tau between any two of them.
    """

    names: tuple[str, ...]
    correlation: float

    def __post_init__(self) -> None:
        if len(set(self.names)) < 2 or len(set(self.names)) != len(self.names):
            raise ValueError(f"`names` must be at least two, each once; got {self.names}.")
        if not -1 <= self.correlation <= 1:
            raise ValueError(f"`correlation` must be within -1 and 1; got {self.correlation}.")

    def __str__(self) -> str:
        return f"{', '.join(self.names)} (tau at least {self.correlation:.3f})"

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"names": list(self.names), "correlation": self.correlation}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> RedundantGroup:
        """Reads back what :meth:`to_json` wrote."""
        return cls(tuple(data["names"]), data["correlation"])


def redundant_groups(
    values: Mapping[str, NDArray[Any]],
    maximized: Collection[str] = (),
    limit: float = LIMIT,
) -> tuple[RedundantGroup, ...]:
    """Groups in which every two columns have a rank correlation of at least the limit.

    A column joins the first group that it fits. One in which all are equal orders nothing and is in
    no group. Of two columns the rows count that have both, and where these are fewer than five the
    two are not taken to be alike: that many could be in one order by chance.

    Args:
        values: Columns ``[n]`` by name, in the order in which they are to stand for others; NaN
            where a value is missing.
        maximized: Names of which more is better.
        limit: Above 0, at most 1.

    Raises:
        ValueError: See above.

    >>> x = np.arange(5.0)
    >>> redundant_groups({"a": x, "b": 3 * x + 1, "c": -x})
    (RedundantGroup(names=('a', 'b'), correlation=1.0),)
    """
    if not 0 < limit <= 1:
        raise ValueError(f"`limit` must be above 0 and at most 1; got {limit}.")
    columns = {
        name: -np.asarray(column, float) if name in maximized else np.asarray(column, float)
        for name, column in values.items()
        if len(np.unique(np.asarray(column)[~np.isnan(column)])) > 1
    }
    groups: list[tuple[list[str], float]] = []
    for name, column in columns.items():
        for position, (names, least) in enumerate(groups):
            for other in names:
                tau = _tau(columns[other], column)
                if not tau >= limit:  # NaN is none either.
                    break
                least = min(least, tau)
            else:
                groups[position] = ([*names, name], least)
                break
        else:
            groups.append(([name], 1.0))
    return tuple(RedundantGroup(tuple(names), tau) for names, tau in groups if len(names) > 1)


def _tau(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Over the rows that have both; NaN where these order nothing, or are too few."""
    from scipy.stats import kendalltau

    both = ~(np.isnan(a) | np.isnan(b))
    if both.sum() < FEWEST:
        return math.nan
    return round(float(kendalltau(a[both], b[both]).statistic), DIGITS)


def redundant_of_space(
    space: SearchSpace, pricer: Pricer, seed: int = 0, limit: float = LIMIT
) -> tuple[RedundantGroup, ...]:
    """Those of all indicators that a space's members are priced with; nothing is trained.

    Args:
        space: Random members of it are priced.
        pricer: With all of its indicators; its counts stand before what a device takes, so that
            what is exact stands for what is predicted.
        seed: Of the members.
        limit: As for :func:`redundant_groups`.
    """
    codes = space.random_codes(MEMBERS, np.random.default_rng(seed))
    values = pricer.price_codes(space, codes)
    return redundant_groups(values, [name for name in values if indicator(name).maximize], limit)


def leading(names: Iterable[str], groups: Sequence[RedundantGroup]) -> tuple[str, ...]:
    """Of some names those that stand for all of them: of each group the first that is there.

    >>> leading(["latency", "macs", "params"], [RedundantGroup(("params", "macs"), 0.97)])
    ('latency', 'params')
    """
    present = list(dict.fromkeys(names))
    gone: set[str] = set()
    for group in groups:
        gone.update([name for name in group.names if name in present][1:])
    return tuple(name for name in present if name not in gone)


def report_redundant(
    groups: Sequence[RedundantGroup],
    report: Reporter,
    what: str = f"{MEMBERS:,} random architectures",
) -> None:
    """Says which indicators order the space alike; nothing where none do.

    Args:
        groups: What was found.
        report: Where it is said.
        what: What they order.
    """
    if groups:
        report.line(f"Redundant here, as they order {what} alike:")
        for group in groups:
            report.line(f"  {group}")
        report.line(
            "All stay in the Pareto set; its representative members are chosen by the first of "
            "each group."
        )
