"""The model that one indicator alone recommends: the cheapest by it that is good enough."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nas.model_table import ModelTable

__all__ = ["Recommendation", "recommendations"]

QUANTILES = (0.5, 0.75, 0.9)
"""Shares of the models that are below what is asked for."""


@dataclass(frozen=True, slots=True)
class Recommendation:
    """What each indicator recommends at one quality.

    Attributes:
        quantile: Share of the models that do not reach the quality.
        quality: What is asked for: at least, or at most where less is better.
        models: How many reach it.
        cheapest: The model that each indicator recommends, of those whose cost by it is known;
            indicators of which no such model is known are not there.
        times: How many times the cost of the cheapest each of these takes by each indicator:
            ``times[a][b]`` is what the cheapest by ``a`` takes of ``b``; ``None`` where that is
            not known, or ratios mean nothing.
    """

    quantile: float
    quality: float
    models: int
    cheapest: Mapping[str, str]
    times: Mapping[str, Mapping[str, float | None]]

    @property
    def worst(self) -> Mapping[str, tuple[str, float]]:
        """Of each indicator the one by which its model is furthest from the cheapest."""
        result = {}
        for name, of in self.times.items():
            known = {other: times for other, times in of.items() if times is not None}
            if known:
                furthest = max(known, key=lambda other: known[other])
                result[name] = (furthest, known[furthest])
        return result

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "quantile": self.quantile,
            "quality": self.quality,
            "models": self.models,
            "cheapest": dict(self.cheapest),
            "times": {name: dict(of) for name, of in self.times.items()},
        }


def recommendations(table: ModelTable) -> tuple[Recommendation, ...]:
    """What each indicator recommends at three qualities, among models of which it is known.

    Of models that are as cheap the better one is recommended.
    """
    whole = table.take(~np.isnan(table.scores) & ~np.isnan(table.values).all(axis=1))
    result = []
    for quantile in QUANTILES if len(whole) else ():
        # The quality of a model, so that the model reaches it whatever is rounded.
        limit = float(np.quantile(whole.loss, 1 - quantile, method="lower"))
        good = whole.take(whole.loss <= limit)
        # NaN is sorted last, so the first is known if any is.
        first = [int(np.lexsort((good.loss, cost))[0]) for cost in good.costs.T]
        rows = {
            place: row for place, row in enumerate(first) if not np.isnan(good.values[row, place])
        }
        logs, names = good.log_costs, good.indicators
        times = {a: {b: _times(logs[row, b], logs[rows[b], b]) for b in rows}
                 for a, row in rows.items()}  # fmt: skip
        result.append(
            Recommendation(
                quantile,
                -limit if table.quality in table.maximized else limit,
                len(good),
                {names[place]: good.names[row] for place, row in rows.items()},
                {names[a]: {names[b]: value for b, value in of.items()} for a, of in times.items()},
            )
        )
    return tuple(result)


def _times(log_cost: float, least: float) -> float | None:
    """How many times the least a cost is, of logarithms; ``None`` where that is no number."""
    with np.errstate(over="ignore"):
        value = float(np.exp(log_cost - least))
    return value if math.isfinite(value) else None
