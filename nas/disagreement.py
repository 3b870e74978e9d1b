"""Disagreement of indicators over some models: ranks, fronts, flips and what each recommends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nas.cheapest import Recommendation, recommendations
from nas.flips import Flips, count_flips
from nas.indicator_fronts import FrontMembers, front_of, indicator_fronts
from nas.model_table import ModelTable
from nas.rank_correlation import RankCorrelation, rank_correlations
from nas.redundancy import RedundantGroup, redundant_groups
from nas.telling_pairs import TellingPair, comparable_quality, telling_pairs

__all__ = ["Correlations", "Disagreement", "correlate"]

Correlations = Mapping[str, Mapping[str, RankCorrelation]]
"""Of every two columns, by their names."""


@dataclass(frozen=True, slots=True)
class Disagreement:
    """What single indicators say of some models, and how it contradicts.

    Attributes:
        quality: Name of the quality.
        indicators: Names of the costs.
        maximized: Of which of these names more is better.
        models: How many models there are.
        scored: How many of them have a quality.
        complete: How many of them have a quality and every cost.
        missing: How many lack the quality, and each cost.
        kendall: Rank correlations of every two costs, and of each with the quality where it is
            known. What is maximised is turned round, so above 0 two prefer the same models.
        front_kendall: The same over the models on the front of quality against every cost.
        fronts: Who is on the front of which cost.
        comparable: Difference up to which two models are of about the same quality.
        flips: Of every two costs.
        telling: The pairs of models that say most.
        redundant: Costs that order the models alike, of every two those that have both.
        recommendations: The cheapest model by each cost, at some qualities.
    """

    quality: str
    indicators: tuple[str, ...]
    maximized: frozenset[str]
    models: int
    scored: int
    complete: int
    missing: Mapping[str, int]
    kendall: Correlations
    front_kendall: Correlations
    fronts: FrontMembers
    comparable: float
    flips: tuple[Flips, ...]
    telling: tuple[TellingPair, ...]
    redundant: tuple[RedundantGroup, ...]
    recommendations: tuple[Recommendation, ...]

    @classmethod
    def of(cls, table: ModelTable) -> Disagreement:
        """That of the models of a table; takes time in the square of their number."""
        columns = dict(zip(table.indicators, table.values.T, strict=True))
        telling, each = telling_pairs(table)
        return cls(
            quality=table.quality,
            indicators=table.indicators,
            maximized=table.maximized,
            models=len(table),
            scored=int((~np.isnan(table.scores)).sum()),
            complete=int(table.complete.sum()),
            missing=table.missing,
            kendall=correlate(table),
            front_kendall=correlate(table.take(front_of(table, table.indicators))),
            fronts=indicator_fronts(table),
            comparable=comparable_quality(table),
            flips=count_flips(table, each),
            telling=telling,
            redundant=redundant_groups(columns, table.maximized),
            recommendations=recommendations(table),
        )

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values: rank correlations, their intervals, and all else by its name."""
        return {
            "quality": self.quality,
            "indicators": list(self.indicators),
            "maximized": sorted(self.maximized),
            "n": {"models": self.models, "scored": self.scored, "complete": self.complete},
            "missing": dict(self.missing),
            "kendall": _taus(self.kendall),
            "kendall_intervals": _intervals(self.kendall),
            "front_kendall": _intervals(self.front_kendall),
            "front_size": self.fronts.sizes,
            "membership": self.fronts.to_json(),
            "families": {name: dict(shares) for name, shares in self.fronts.families.items()},
            "flips": [flips.to_json() for flips in self.flips],
            "comparable_quality": self.comparable,
            "telling": [pair.to_json() for pair in self.telling],
            "redundant": [group.to_json() for group in self.redundant],
            "recommendations": [item.to_json() for item in self.recommendations],
        }


def correlate(table: ModelTable, within: Sequence[Any] | None = None) -> Correlations:
    """Rank correlations of every two costs, and of each with the quality where it is known.

    Args:
        table: The models.
        within: A label of each: only pairs of models with the same one count.
    """
    known = bool((~np.isnan(table.scores)).any())
    names = (*table.indicators, *((table.quality,) if known else ()))
    columns = np.column_stack([table.costs, table.loss]) if known else table.costs
    found = rank_correlations(columns, within)
    return {a: {b: found[i][j] for j, b in enumerate(names) if i != j} for i, a in enumerate(names)}


def _taus(correlations: Correlations) -> dict[str, dict[str, float | None]]:
    return {
        a: {b: item.to_json()["tau"] for b, item in of.items()} for a, of in correlations.items()
    }


def _intervals(correlations: Correlations) -> dict[str, dict[str, Any]]:
    return {a: {b: item.to_json() for b, item in of.items()} for a, of in correlations.items()}
