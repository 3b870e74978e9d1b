"""The rule by which a training ends early: costs are known, so only the quality is in question.

At a rung of its training a candidate is stopped where even an optimistic final quality is dominated
at its costs by something finished. How optimistic one has to be follows from what would have become
of the members of the front: a conformal bound (Vovk, Gammerman & Shafer, *Algorithmic Learning in a
Random World*, 2005) on forecasts in which each of them is left out (Barber et al., "Predictive
inference with the jackknife+", Annals of Statistics 2021).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.dominance import nondominated
from nas.learning_curves import CurveModel, Forecast, geometric_rungs

__all__ = ["Decision", "Finished", "Hurdle", "StoppingRule"]

Array = NDArray[np.float64]

FEWEST = 8
"""Finished curves below which nothing is learned from them."""


@dataclass(frozen=True, slots=True)
class Decision:
    """That a training ends, or would have ended, at a rung.

    Attributes:
        step: The rung.
        quality: What was measured there.
        optimistic: The best final quality that is still believed.
        expected: The final quality that is expected.
        dominated_by: Name of the finished candidate that dominates the optimistic one.
        to_beat: Its quality.
        spared: Whether the training goes on anyhow, so that what the rule does stays known.
    """

    step: int
    quality: float
    optimistic: float
    expected: float
    dominated_by: str
    to_beat: float
    spared: bool = False

    def to_json(self) -> dict[str, Any]:
        """Every field."""
        return asdict(self)


@dataclass(frozen=True, slots=True, eq=False)
class Finished:
    """What was trained to the end; quality and costs are minimised.

    Attributes:
        names: Of the candidates: ``[n]``.
        finals: Their final qualities: ``[n]``.
        costs: ``[n, costs]``.
        curves: Qualities at the rungs: ``[n, rungs]``; a row with a NaN tells nothing of curves.
        spared: Which of them the rule would have stopped: ``[n]``.
    """

    names: Sequence[str]
    finals: Array
    costs: Array
    curves: Array
    spared: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class StoppingRule:
    """When a training ends early.

    The optimistic final quality is a forecast less a multiple of its spread. Of each member of the
    front it is known which multiple would just have kept it: by how many spreads its forecast was
    worse than what it had to beat, at the rung where this was most. The multiple is the conformal
    quantile of these, the ``ceil((n + 1) (1 - level))``-th of ``n``. So where candidates are
    exchangeable, one that belongs to the front is stopped, at whatever rung, with a probability of
    at most ``level``. Where the front has fewer members than a level needs (``1 / level - 1``), the
    front of the rest is taken with it, and so on, and each of them as if it only just belonged to
    the front, which asks for more; until there are so many, nothing is stopped. What is merely
    expected has to be dominated in any case.

    Stopped candidates are never finished, which would leave the surprising ones out of what is
    learned. So a share of those that the rule would stop, drawn by lot, is finished anyhow, and
    each counts for all those like it (Horvitz & Thompson 1952).

    Attributes:
        total: Steps of a whole training, such as epochs.
        level: Probability, at most, with which a member of the front is stopped.
        first: The earliest step that may be a rung.
        reduction_factor: Ratio of the rungs.
        spare: Share of the candidates to be stopped that are finished anyhow.
        ideal: Quality that cannot be surpassed; forecasts are of the logarithm of the distance to
            it. Without one they are of the quality itself.
        resolution: Added to that distance, about the least difference that can be measured.
    """

    total: int
    level: float = 0.1
    first: int = 1
    reduction_factor: int = 2
    spare: float = 0.1
    ideal: float | None = None
    resolution: float = 1e-3

    def __post_init__(self) -> None:
        for name, least in (("total", 1), ("first", 1), ("reduction_factor", 2)):
            value = getattr(self, name)
            if not isinstance(value, int) or value < least:
                raise ValueError(f"`{name}` must be an integer of at least {least}; got {value!r}.")
        if not 0 < self.level < 1:
            raise ValueError(f"`level` must be above 0 and below 1; got {self.level}.")
        if not 0 < self.spare < 1:
            raise ValueError(f"`spare` must be above 0 and below 1; got {self.spare}.")
        if not 0 < self.resolution < math.inf:
            raise ValueError(f"`resolution` must be above 0 and finite; got {self.resolution}.")
        if not self.rungs:
            raise ValueError(
                f"`total` = {self.total} leaves no rung from `first` = {self.first} on; train "
                f"longer, or give a smaller `first` or `reduction_factor`."
            )

    @property
    def rungs(self) -> tuple[int, ...]:
        """Steps at which a training may end."""
        return geometric_rungs(self.total, self.first, self.reduction_factor)

    @property
    def needed(self) -> int:
        """Finished curves without which nothing is stopped."""
        return max(FEWEST, math.ceil(1 / self.level - 1e-9) - 1)

    def hurdles(
        self, finished: Finished, costs: Array, spared: NDArray[np.bool_]
    ) -> tuple[Hurdle, ...]:
        """What candidates of such costs have to pass, after what was finished so far.

        Args:
            finished: What was trained to the end.
            costs: Of the candidates: ``[m, costs]``.
            spared: Which of them are finished whatever the rule says: ``[m]``.

        Raises:
            ValueError: A quality is better than :attr:`ideal`, or not finite.
        """
        finals = self.inside(finished.finals)
        known = np.asarray(np.isfinite(finished.curves).all(axis=1))
        chosen, to_beat = _front_first(finals, finished.costs, known, self.needed)
        if not len(chosen):
            return (Hurdle(self),) * len(costs)
        model = CurveModel(
            self.inside(finished.curves[known]), finished.costs[known], finals[known]
        )
        expected = model.left_out[(np.cumsum(known) - 1)[chosen]]
        margins = ((expected - to_beat[:, None]) / model.spreads).max(axis=1)
        weights = np.where(finished.spared[chosen], 1 / self.spare, 1.0)
        optimism = _quantile(margins, weights, self.level)
        hurdles = []
        for row, keep in zip(costs, spared.tolist(), strict=True):
            cheaper = np.flatnonzero((finished.costs <= row).all(axis=1))
            if not len(cheaper) or math.isinf(optimism):
                hurdles.append(Hurdle(self))
                continue
            best = cheaper[np.argmin(finals[cheaper])]
            hurdle = Hurdle(
                self,
                model.forecasts(row),
                max(optimism, 0.0),
                finished.names[best],
                float(finished.finals[best]),
                keep,
            )
            hurdles.append(hurdle)
        return tuple(hurdles)

    def inside(self, quality: Array) -> Array:
        """Qualities on the scale of the forecasts; NaN stays.

        Raises:
            ValueError: One is better than :attr:`ideal`.
        """
        if self.ideal is None:
            return quality
        distance = quality - self.ideal
        if (distance < 0).any():
            raise ValueError(
                f"`ideal` = {self.ideal} is surpassed by a quality of {quality[distance < 0][0]}; "
                "give the best that there can be, or none."
            )
        logs: Array = np.log(distance + self.resolution)
        return logs

    def outside(self, value: float) -> float:
        """A quality from the scale of the forecasts."""
        if self.ideal is None:
            return value
        return self.ideal + max(math.exp(min(value, 700.0)) - self.resolution, 0.0)


@dataclass(frozen=True, slots=True)
class Hurdle:
    """What one candidate has to pass at each rung; it can be sent to a process.

    Attributes:
        rule: Whose rungs they are.
        forecasts: One for each rung; none where too little is known to stop anything.
        optimism: Spreads below the forecast down to which a final quality is believed.
        dominated_by: The best finished candidate that costs no more.
        to_beat: Its quality.
        spared: Whether the training is finished anyhow.
    """

    rule: StoppingRule
    forecasts: tuple[Forecast, ...] = ()
    optimism: float = 0.0
    dominated_by: str = ""
    to_beat: float = math.nan
    spared: bool = False

    def decide(self, curve: Sequence[float]) -> Decision | None:
        """The decision to stop after the qualities at the rungs so far; ``None`` to go on."""
        if not self.forecasts or not np.isfinite(curve).all():
            return None
        forecast = self.forecasts[len(curve) - 1]
        expected = forecast.final(self.rule.inside(np.asarray(curve, dtype=float)))
        optimistic = expected - self.optimism * forecast.spread
        if not self.rule.inside(np.array([self.to_beat]))[0] < optimistic:
            return None
        return Decision(
            step=self.rule.rungs[len(curve) - 1],
            quality=float(curve[-1]),
            optimistic=float(self.rule.outside(optimistic)),
            expected=float(self.rule.outside(expected)),
            dominated_by=self.dominated_by,
            to_beat=self.to_beat,
            spared=self.spared,
        )


def _front_first(
    finals: Array, costs: Array, wanted: NDArray[np.bool_], needed: int
) -> tuple[NDArray[np.intp], Array]:
    """Wanted members of the front, and of the fronts of what is left, until there are enough.

    Returns:
        Their rows ``[k]``, none if there are too few, and what each had to beat ``[k]``: the best
        quality of another one that costs no more; its own where the front itself has too few.
    """
    points = np.column_stack([finals, costs])
    members = nondominated(points)
    rows = np.flatnonzero(members & wanted)
    if len(rows) >= needed:
        bars = np.empty(len(rows))
        for position, row in enumerate(rows):
            cheaper = (costs <= costs[row]).all(axis=1)
            cheaper[row] = False
            bars[position] = finals[cheaper].min(initial=math.inf)
        return rows, bars
    left = np.flatnonzero(~members)
    while len(rows) < needed and len(left):
        members = nondominated(points[left])
        rows = np.concatenate([rows, left[members & wanted[left]]])
        left = left[~members]
    return (rows, finals[rows]) if len(rows) >= needed else (rows[:0], finals[:0])


def _quantile(values: Array, weights: Array, level: float) -> float:
    """Least value that the next one exceeds with at most this probability; infinite without one.

    The next one counts as one more, of weight 1, above all.
    """
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order])
    position = int(np.searchsorted(reached, (1 - level) * (reached[-1] + 1) - 1e-9))
    return float(values[order[position]]) if position < len(values) else math.inf
