"""What a user loses who takes the best of a set under budgets: the primary endpoint.

A budget limits every indicator. It is what a random member of the space takes, in each indicator
times a slack of its own, log-uniform between 1 and :data:`SLACK`; where more is better the yield is
divided by the slack. So somebody meets each budget, and none depends on what a search has found.

A user takes the member of a set that was told the best quality of those that meet the budget. The
regret is by how much its scored loss is above the least of all known models that meet it. Where no
member meets it the regret is the whole gain of a search, from the median of the first design to the
best model known. (The loss of a first design less that of the best model *within the budget* would
be negative under tight budgets, and would reward a set without an answer.)

A member may lose more than the whole gain, and then no answer counts for less than that one. How
much hangs on this is said by the capped regret beside it, which is never more than the gain, as for
users who would rather start again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from nas.comparison import Arm, Comparison, seen_by

__all__ = ["SLACK", "BudgetUsers", "Regret", "draw_budgets"]

SLACK = 2.0
"""The most that a budget leaves beyond what the random member takes."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Regret:
    """What users of one set lose.

    Attributes:
        mean: Over budgets on all indicators, in the unit of the quality.
        capped: The same with a regret of at most the gain under each budget.
        met: The same over those budgets only that a member meets; NaN if there is none.
        none: Share of the budgets that no member meets.
        broken: Share of the budgets of which another indicator is broken by the member that is
            taken by the indicators alone that the search has seen.
        alone: Over budgets on a single indicator, for each: ``[indicators]``.
        unscored: Share of the budgets whose answer would be a member that was not scored; the best
            of those that were stands for it.
    """

    mean: float
    capped: float
    met: float
    none: float
    broken: float
    alone: Floats
    unscored: float


def draw_budgets(comparison: Comparison, budgets: int, seed: int) -> Floats:
    """Limits of each cost, what is maximised negated: ``[budgets, indicators]``.

    A cost below 0, as that of a yield, is divided by the slack, so that a limit is never tighter
    than what its member takes.

    Raises:
        ValueError: There is no member, or no budget is asked for.
    """
    costs = comparison.population_costs
    if budgets < 1 or not len(costs):
        raise ValueError(
            f"`budgets` must be at least 1 and drawn from at least one member; got {budgets} from "
            f"{len(costs)}."
        )
    rng = np.random.default_rng(seed)
    chosen = costs[rng.integers(len(costs), size=budgets)]
    slack = SLACK ** rng.random(chosen.shape)
    limits: Floats = np.where(chosen > 0, chosen * slack, chosen / slack)
    return limits


class BudgetUsers:
    """Users with budgets, who ask sets of the models of a comparison.

    Args:
        comparison: The models.
        budgets: How many budgets are drawn.
        seed: Of the budgets.

    Raises:
        ValueError: A value of a model is not finite, nothing is scored, or no model meets a budget.
    """

    def __init__(self, comparison: Comparison, budgets: int, seed: int = 0) -> None:
        costs, loss = comparison.costs, comparison.loss
        if not np.isfinite(costs).all():
            raise ValueError("`values` of a comparison must be finite; leave failed models out.")
        known = np.flatnonzero(np.isfinite(loss))
        if not len(known):
            raise ValueError("`scored` is known of no model; score at least what sets hold.")
        self.comparison, self._costs, self._loss = comparison, costs, loss
        ids = np.unique([model.id for model in comparison.models], return_inverse=True)[1]
        self._ties = (ids, *costs.T[::-1])
        drawn = draw_budgets(comparison, budgets, seed)
        meets = self._meeting(drawn)
        met = meets[known].any(axis=0)
        if not met.any():
            raise ValueError(f"No model known meets one of {budgets} `budgets`; draw more.")
        self.limits: Floats = drawn[met]
        """Those that a known model meets: ``[budgets, indicators]``."""
        self.left_out = int((~met).sum())
        """How many budgets no known model meets."""
        self._meets = meets[:, met]
        self.first_loss = _first_loss(comparison)
        """Median loss of the first designs: scored where that is known, otherwise as told."""
        self.least_loss = float(loss[known].min())
        """Least loss of the models known."""
        self.known: Ints = known
        """Models that are scored."""

    @property
    def gain(self) -> float:
        """What a search gains over its first design, at the most; 0 if it gains nothing."""
        return max(0.0, self.first_loss - self.least_loss)

    @cached_property
    def best(self) -> Ints:
        """The best model known for each budget: ``[budgets]``."""
        return self.answers(self.known, self._loss[self.known])

    @cached_property
    def best_alone(self) -> Ints:
        """The same for budgets on a single indicator: ``[indicators, budgets]``."""
        rows = [
            self.answers(self.known, self._loss[self.known], [name])
            for name in self.comparison.names
        ]
        return np.array(rows, dtype=np.int64).reshape(len(rows), len(self.limits))

    def answers(
        self, models: Ints, told_loss: Floats, limited: Sequence[str] | None = None
    ) -> Ints:
        """The model that a user takes under each budget; -1 where none meets it: ``[budgets]``.

        Of models that were told the same the one of less cost, by the first indicator that differs.

        Args:
            models: Positions of the set: ``[n]``.
            told_loss: Of each: ``[n]``.
            limited: The indicators that budgets are on; all when absent.
        """
        order = models[np.lexsort([*(key[models] for key in self._ties), told_loss])]
        if not len(order):
            return np.full(len(self.limits), -1)
        if limited is None:
            meets = self._meets[order]
        elif len(limited) == 1:
            # The first that meets one limit is where the least cost so far does.
            column = self.comparison.names.index(limited[0])
            so_far = np.minimum.accumulate(self._costs[order, column])
            places = np.searchsorted(-so_far, -self.limits[:, column])
            return np.append(order, -1)[places]
        else:
            columns = [self.comparison.names.index(name) for name in limited]
            meets = np.ones((len(order), len(self.limits)), dtype=bool)
            for column in columns:
                meets &= self._costs[order, column, None] <= self.limits[None, :, column]
        places = meets.argmax(axis=0)
        return np.where(meets[places, np.arange(len(places))], order[places], -1)

    def regret(self, arm: Arm, models: Ints, told_loss: Floats) -> Regret:
        """What users of a set lose.

        Args:
            arm: Whose set it is.
            models: Positions of the set: ``[n]``.
            told_loss: Of each: ``[n]``.
        """
        names = self.comparison.names
        scored = np.isfinite(self._loss[models])
        held, told = models[scored], told_loss[scored]
        taken = self.answers(held, told)
        losses = self._lost(taken, self.best)
        answered = taken >= 0
        blind = self.answers(models, told_loss, seen_by(arm, names))
        breaks = (blind >= 0) & ~self._meets[blind, np.arange(len(blind))]
        wanted = taken if scored.all() else self.answers(models, told_loss)
        alone = [
            self._lost(self.answers(held, told, [name]), best).mean()
            for name, best in zip(names, self.best_alone, strict=True)
        ]
        return Regret(
            mean=float(losses.mean()),
            capped=float(np.minimum(losses, self.gain).mean()),
            met=float(losses[answered].mean()) if answered.any() else float("nan"),
            none=float((~answered).mean()),
            broken=float(breaks.mean()),
            alone=np.array(alone),
            unscored=float((wanted != taken).mean()),
        )

    def _lost(self, taken: Ints, best: Ints) -> Floats:
        lost: Floats = np.where(taken >= 0, self._loss[taken] - self._loss[best], self.gain)
        return lost

    def _meeting(self, limits: Floats) -> NDArray[np.bool_]:
        """Which models meet which budgets: ``[models, budgets]``."""
        meets = np.ones((len(self._costs), len(limits)), dtype=bool)
        for column in range(limits.shape[1]):
            meets &= self._costs[:, column, None] <= limits[None, :, column]
        return meets


def _first_loss(comparison: Comparison) -> float:
    loss, first = comparison.loss, max(1, comparison.initial)
    found = [
        np.where(np.isfinite(scored := loss[run.models[:first]]), scored, told[:first])
        for run in comparison.runs
        for told in [comparison.told_loss(run)]
    ]
    return float(np.median(np.concatenate(found)))
