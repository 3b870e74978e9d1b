"""The front of quality against each single cost and against all: who is on which of them.

On a front is what no other model beats in quality and its costs at once. Of each front the models
count that have a quality and its costs; fronts are held against each other among the models that
have what both need.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.dominance import nondominated
from nas.model_table import ALL, ModelTable

__all__ = ["FrontMembers", "front_of", "indicator_fronts"]


@dataclass(frozen=True, slots=True)
class FrontMembers:
    """Who is on the front of quality against each cost.

    Attributes:
        members: Of each cost, and of ``"all"``, those on its front by quality, the best first.
        models: How many each front was found among.
        stays: Of the front of one cost the share that is also on that of another, both among the
            models that have both; ``None`` where there are none.
        always: On the front of every single cost, among the models that have all.
        only: On the front of that cost alone, among these.
        families: Of each cost, and of ``"all"``, the share of its front by family; the same of
            all models under ``""``. Empty where families are not known.
    """

    members: Mapping[str, tuple[str, ...]]
    models: Mapping[str, int]
    stays: Mapping[str, Mapping[str, float | None]]
    always: tuple[str, ...]
    only: Mapping[str, tuple[str, ...]]
    families: Mapping[str, Mapping[str, float]]

    @property
    def sizes(self) -> dict[str, int]:
        """How many are on each."""
        return {name: len(members) for name, members in self.members.items()}

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "members": {name: list(members) for name, members in self.members.items()},
            "models": dict(self.models),
            "stays": {a: dict(of) for a, of in self.stays.items()},
            "always": list(self.always),
            "only": {name: list(members) for name, members in self.only.items()},
        }


def front_of(table: ModelTable, indicators: Sequence[str]) -> NDArray[np.int64]:
    """Models on the front of quality against some costs, by position; the best in quality first.

    Raises:
        ExperimentError: A cost is none of the table's.
    """
    columns = [table.position(name) for name in indicators]
    points = np.column_stack([table.loss, table.costs[:, columns]])
    rows = np.flatnonzero(~np.isnan(points).any(axis=1))
    front = rows[nondominated(points[rows])]
    order: NDArray[np.int64] = front[np.argsort(table.loss[front], kind="stable")]
    return order


def indicator_fronts(table: ModelTable) -> FrontMembers:
    """The fronts of a table."""
    names = table.indicators
    scored = ~np.isnan(table.scores)
    rows = {name: scored & ~np.isnan(table.values[:, i]) for i, name in enumerate(names)}
    rows[ALL] = table.complete
    fronts = {name: front_of(table, [name]) for name in names} | {ALL: front_of(table, names)}
    stays: dict[str, dict[str, float | None]] = {}
    for a in fronts:
        stays[a] = {b: _share(table, rows[a] & rows[b], a, b) for b in fronts if b != a}
    whole = np.flatnonzero(table.complete)
    common = table.take(whole)
    on = np.zeros((len(common), len(names)), dtype=bool)
    for i, name in enumerate(names):
        on[front_of(common, [name]), i] = True
    times = on.sum(axis=1)
    return FrontMembers(
        {name: _named(table, front) for name, front in fronts.items()},
        {name: int(there.sum()) for name, there in rows.items()},
        stays,
        _named(common, _by_quality(common, times == len(names))),
        {
            name: _named(common, _by_quality(common, on[:, i] & (times == 1)))
            for i, name in enumerate(names)
        },
        _families(table, {"": np.flatnonzero(scored)} | fronts) if table.families else {},
    )


def _share(table: ModelTable, rows: NDArray[np.bool_], a: str, b: str) -> float | None:
    common = table.take(rows)
    if not len(common):
        return None
    first, second = (
        front_of(common, table.indicators if name == ALL else [name]) for name in (a, b)
    )
    return float(np.isin(first, second).mean())


def _by_quality(table: ModelTable, chosen: NDArray[np.bool_]) -> NDArray[np.int64]:
    rows = np.flatnonzero(chosen)
    order: NDArray[np.int64] = rows[np.argsort(table.loss[rows], kind="stable")]
    return order


def _named(table: ModelTable, rows: NDArray[np.int64]) -> tuple[str, ...]:
    return tuple(table.names[i] for i in rows)


def _families(
    table: ModelTable, fronts: Mapping[str, NDArray[np.int64]]
) -> dict[str, dict[str, float]]:
    """Shares by family, those of all models at first the largest first."""
    result = {}
    for name, rows in fronts.items():
        of = [table.families[i] for i in rows]
        counts = {family: of.count(family) for family in sorted(set(of))}
        ranked = sorted(counts.items(), key=lambda item: -item[1])
        result[name] = {family: count / len(of) for family, count in ranked}
    return result
