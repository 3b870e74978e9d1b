"""Learning curves: what the first part of a training says of its end.

A ridge regression for each rung of a training, of the final quality on the qualities up to that
rung and on the costs, and how far the final qualities were from what the others' curves say.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["CurveModel", "Forecast", "geometric_rungs"]

Array = NDArray[np.float64]

RIDGE = 1.0
"""Penalty on the slopes of standardised inputs: as much as one more candidate would weigh."""


def geometric_rungs(total: int, first: int = 1, reduction_factor: int = 2) -> tuple[int, ...]:
    """Steps before the last at which a training is scored, each a factor after the one before.

    They are laid from the end, ``total / reduction_factor ** k``, rounded down, as in successive
    halving (Jamieson & Talwalkar, AISTATS 2016).

    Args:
        total: The last step.
        first: The earliest step that may be a rung.
        reduction_factor: At least 2.

    >>> geometric_rungs(10), geometric_rungs(27, first=2, reduction_factor=3)
    ((1, 2, 5), (3, 9))
    """
    steps = []
    step = total // reduction_factor
    while step >= first:
        steps.append(step)
        step = total // reduction_factor ** (len(steps) + 1)
    return tuple(reversed(steps))


@dataclass(frozen=True, slots=True)
class Forecast:
    """What one candidate's curve up to a rung says of its end; it can be sent to a process.

    Attributes:
        intercept: Of the line, the candidate's costs in it.
        slopes: Of the qualities at the rungs so far: ``[rungs so far]``.
        spread: Standard deviation of the forecast.
    """

    intercept: float
    slopes: tuple[float, ...]
    spread: float

    def final(self, curve: Array) -> float:
        """The final quality that is expected after the qualities so far."""
        return self.intercept + float(np.dot(self.slopes, curve))


@dataclass(frozen=True, slots=True, eq=False)
class _Line:
    """A ridge regression at a rung: ``slopes`` of inputs that are clipped to what was seen."""

    mean: Array
    slopes: Array
    intercept: float
    low: Array
    high: Array
    spread: float


class CurveModel:
    """Learns the final quality from the qualities at rungs and from the costs.

    Args:
        curves: Qualities at the rungs of finished trainings: ``[n, rungs]``.
        costs: What the candidates cost: ``[n, costs]``; logarithms are taken where all are above 0.
        finals: Their final qualities: ``[n]``.
    """

    def __init__(self, curves: Array, costs: Array, finals: Array) -> None:
        self._log = (costs > 0).all(axis=0)
        scaled = self._scaled(costs)
        errors, self._lines = [], list[_Line]()
        for rung in range(curves.shape[1]):
            inputs = np.hstack([curves[:, : rung + 1], scaled])
            line, error = _fitted(inputs, finals)
            self._lines.append(line)
            errors.append(error)
        self.left_out: Array = finals[:, None] - np.stack(errors, axis=1)
        """What is expected of each candidate at each rung from all the others: ``[n, rungs]``."""
        self.spreads: Array = np.array([line.spread for line in self._lines])
        """Standard deviation of what was expected so around what came: ``[rungs]``."""

    def forecasts(self, costs: Array) -> tuple[Forecast, ...]:
        """Forecasts for a candidate of such costs ``[costs]``, one for each rung."""
        scaled = self._scaled(costs[None])[0]
        found = []
        for rung, line in enumerate(self._lines):
            seen = rung + 1
            # Nothing was learned of costs beyond those seen.
            clipped = np.clip(scaled, line.low[seen:], line.high[seen:])
            offset = line.slopes[seen:] @ (clipped - line.mean[seen:])
            intercept = line.intercept + offset - line.slopes[:seen] @ line.mean[:seen]
            found.append(
                Forecast(float(intercept), tuple(line.slopes[:seen].tolist()), line.spread)
            )
        return tuple(found)

    def _scaled(self, costs: Array) -> Array:
        logs = np.log(np.maximum(costs, np.finfo(float).tiny))
        scaled: Array = np.where(self._log, logs, costs)
        return scaled


def _fitted(inputs: Array, finals: Array) -> tuple[_Line, Array]:
    """A ridge regression, and the errors of each target when it alone is left out: ``[n]``."""
    mean, scale = inputs.mean(axis=0), inputs.std(axis=0)
    scale = np.where(scale > 1e-12 * (1 + np.abs(inputs).max(axis=0)), scale, np.inf)
    design = np.column_stack([np.ones(len(inputs)), (inputs - mean) / scale])
    penalty = RIDGE * np.eye(design.shape[1])
    penalty[0, 0] = 0.0
    solver = np.linalg.solve(design.T @ design + penalty, design.T)
    coefficients = solver @ finals
    leverage = np.einsum("ij,ji->i", design, solver)
    left_out = (finals - design @ coefficients) / (1 - leverage)
    spread = max(float(left_out.std()), 1e-12 * (1 + float(np.abs(finals).max())))
    line = _Line(
        mean,
        coefficients[1:] / scale,
        float(coefficients[0]),
        inputs.min(axis=0),
        inputs.max(axis=0),
        spread,
    )
    return line, left_out
