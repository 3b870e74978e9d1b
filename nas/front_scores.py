"""Scores of sets against the known front over the quality and all indicators.

Columns are scaled between the best and the worst value on that front. The hypervolume (Zitzler &
Thiele 1998) is of random subsets of one size, as it rewards large sets; IGD+ (Ishibuchi et al.,
"Modified Distance Calculation in Generational Distance and Inverted Generational Distance", 2015)
is the mean over the known front of how far a set is from weakly dominating each of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas.columns import QUALITY, Columns
from nas.comparison import Comparison
from nas.dominance import nondominated
from nas.pareto import MARGIN

__all__ = ["FEW", "THRESHOLDS", "FrontScore", "KnownFront"]

THRESHOLDS = 50
"""Qualities at which the least of an indicator is asked for."""
FEW = 10
"""Members of the subsets at most: of so few the exact hypervolume is quick in any dimension."""
SUBSETS = 10

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class FrontScore:
    """How a set stands to the known front.

    Attributes:
        hypervolume: Share of the box from the best values to a tenth of the range beyond the worst
            that a subset of the equal size dominates, in the mean over random subsets; of the whole
            set where it is no larger.
        igd_plus: See the module; 0 of a set that holds the known front.
        dominated: Share of the members that a known model dominates in quality and all indicators.
        excess: For each indicator by how much the least of it among the members is above the least
            known at equal quality, relative to that: the median over the thresholds, infinite where
            the set reaches at most half of these: ``[indicators]``. NaN of an indicator that is
            not of one sign, and where no threshold is.
    """

    hypervolume: float
    igd_plus: float
    dominated: float
    excess: Floats


class KnownFront:
    """The front over quality and all indicators of the scored models of a comparison.

    Args:
        comparison: The models.
        first_loss: What a search starts from: thresholds are qualities of the front better than it,
            its quantiles in the middle of :data:`THRESHOLDS` equal parts.
    """

    def __init__(self, comparison: Comparison, first_loss: float) -> None:
        loss, costs = comparison.loss, comparison.costs
        scored = np.flatnonzero(np.isfinite(loss))
        self._points = np.column_stack([loss, costs])
        kept = nondominated(self._points[scored])
        self.members: Ints = scored[kept]
        """Positions of its models, ascending."""
        self._dominated = np.zeros(len(loss), dtype=bool)
        self._dominated[scored[~kept]] = True
        values = self._points[self.members]
        columns = Columns(
            (QUALITY, *comparison.names),
            values,
            np.zeros(values.shape[1], dtype=bool),
            np.zeros(values.shape[1], dtype=bool),
        )
        # Where all of the front are equal, worse is worse by its share of the size of the value.
        size = np.where(columns.ideal != 0, np.abs(columns.ideal), 1.0)
        span = columns.worst - columns.ideal
        self._scaled = (self._points - columns.ideal) / np.where(span > 0, span, size)
        self._told_apart = columns.distinct
        better = loss[self.members][loss[self.members] < first_loss]
        parts = (np.arange(THRESHOLDS) + 0.5) / THRESHOLDS
        self.thresholds: Floats = np.quantile(better, parts) if len(better) else np.empty(0)
        """Losses at which indicators are compared, ascending: none if nothing beats the start."""
        self._least = self._least_costs(scored)
        signs = np.sign(costs[scored])
        self._one_sign: NDArray[np.bool_] = (signs[:1] != 0).all(axis=0) & (signs == signs[:1]).all(
            axis=0
        )

    def score(self, models: Ints, size: int, seed: int) -> FrontScore:
        """The scores of a set; members that were not scored are left out.

        Args:
            models: Positions of its members.
            size: Members of the subsets that the hypervolume is of.
            seed: Of the subsets.
        """
        import moocore

        held = np.unique(models[np.isfinite(self._points[models, 0])])
        if not len(held):
            nothing = np.full(self._points.shape[1] - 1, np.nan)
            return FrontScore(0.0, np.nan, np.nan, nothing)
        igd = moocore.igd_plus(self._scaled[held], ref=self._scaled[self.members])
        return FrontScore(
            hypervolume=self._hypervolume(held, size, seed),
            igd_plus=float(igd),
            dominated=float(self._dominated[held].mean()),
            excess=self._excess(held),
        )

    def _hypervolume(self, held: Ints, size: int, seed: int) -> float:
        import moocore

        points = self._scaled[held][:, self._told_apart]
        width = points.shape[1]
        if not width:
            return 0.0
        rng = np.random.default_rng(seed)
        subsets = [points]
        if len(points) > size:
            subsets = [points[rng.permutation(len(points))[:size]] for _ in range(SUBSETS)]
        reference = np.full(width, 1 + MARGIN)
        volumes = [moocore.hypervolume(subset, ref=reference) for subset in subsets]
        return float(np.mean(volumes) / np.prod(reference))

    def _excess(self, held: Ints) -> Floats:
        if not len(self.thresholds):
            return np.full(self._points.shape[1] - 1, np.nan)
        least = self._least_costs(held)
        with np.errstate(divide="ignore", invalid="ignore"):
            # Costs of a yield are below 0, and of these the larger one is in the numerator.
            ratio = np.where(self._least > 0, least / self._least, self._least / least)
        ratio[np.isinf(least)] = np.inf
        excess = np.median(ratio - 1, axis=0)
        result: Floats = np.where(self._one_sign, excess, np.nan)
        return result

    def _least_costs(self, models: Ints) -> Floats:
        """Least of each cost among models of at most each loss: ``[thresholds, indicators]``."""
        order = models[np.argsort(self._points[models, 0])]
        so_far = np.minimum.accumulate(self._points[order, 1:], axis=0)
        places = np.searchsorted(self._points[order, 0], self.thresholds, side="right")
        nothing = np.full((1, so_far.shape[1]), np.inf)
        least: Floats = np.vstack([nothing, so_far])[places]
        return least
