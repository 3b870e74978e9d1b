"""Scores of the sets of one arm, seed by seed: its fronts, or the archives of what it evaluated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from nas.budget_regret import BudgetUsers
from nas.comparison import Arm, ArmRun
from nas.equal_charge import Charge
from nas.front_scores import KnownFront
from nas.paired_tests import Estimate, median_estimate

__all__ = ["KINDS", "Kind", "SetScores"]

Kind = Literal["front", "archive"]
KINDS: tuple[Kind, ...] = ("front", "archive")
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class SetScores:
    """Scores of the sets of an arm.

    Attributes:
        arm: Its name.
        kind: ``"front"`` or ``"archive"``.
        charge: What is equal among the arms.
        seeds: Of its runs.
        values: ``[seeds]`` each: ``size``, ``regret``, ``regret_capped``, ``regret_met``,
            ``none``, ``broken``, ``unscored`` (see :class:`nas.budget_regret.Regret`),
            ``hypervolume``, ``igd_plus``, ``dominated`` (:class:`nas.front_scores.FrontScore`) and
            ``worst_saving``: the largest share of an indicator that the least known at equal
            quality would save.
        alone: Regret under budgets on a single indicator: ``[seeds, indicators]``.
        excess: See :class:`nas.front_scores.FrontScore`: ``[seeds, indicators]``.
    """

    arm: str
    kind: Kind
    charge: Charge
    seeds: tuple[int, ...]
    values: Mapping[str, Floats]
    alone: Floats
    excess: Floats

    @classmethod
    def of_runs(
        cls,
        arm: Arm,
        runs: Sequence[ArmRun],
        kind: Kind,
        charge: Charge,
        users: BudgetUsers,
        known: KnownFront,
        subset: int,
    ) -> SetScores:
        """The scores of the sets of some runs of an arm.

        Args:
            arm: The arm.
            runs: Of the arm, one a seed.
            kind: Of the sets.
            charge: What the runs were made equal in.
            users: Who asks the sets.
            known: The front that they are held against.
            subset: Members of the subsets that hypervolumes are of.
        """
        comparison = users.comparison
        rows, alone, excess = [], [], []
        for run in runs:
            held = run.front if kind == "front" else np.arange(len(run.models))
            models, told = run.models[held], comparison.told_loss(run)[held]
            regret = users.regret(arm, models, told)
            front = known.score(models, subset, run.seed)
            finite = front.excess[~np.isnan(front.excess)]
            largest = finite.max() if len(finite) else np.nan
            rows.append(
                {
                    "size": float(len(held)),
                    "regret": regret.mean,
                    "regret_capped": regret.capped,
                    "regret_met": regret.met,
                    "none": regret.none,
                    "broken": regret.broken,
                    "unscored": regret.unscored,
                    "hypervolume": front.hypervolume,
                    "igd_plus": front.igd_plus,
                    "dominated": front.dominated,
                    # A share of at most 1: what is missed by far is no outlier.
                    "worst_saving": 1 - 1 / (1 + largest),
                }
            )
            alone.append(regret.alone)
            excess.append(front.excess)
        values = {name: np.array([row[name] for row in rows]) for name in rows[0]}
        seeds = tuple(run.seed for run in runs)
        return cls(arm.name, kind, charge, seeds, values, np.array(alone), np.array(excess))

    def estimate(self, score: str) -> Estimate:
        """Median over the seeds and its interval."""
        return median_estimate(self.values[score])

    def to_json(self, names: Sequence[str]) -> dict[str, Any]:
        """Medians and intervals as plain JSON values, and the regret of each seed."""
        columns = {"alone": self.alone, "excess": self.excess}
        return {
            "arm": self.arm,
            "kind": self.kind,
            "charge": self.charge,
            "seeds": list(self.seeds),
            "regrets": self.values["regret"].tolist(),
            **{score: self.estimate(score).to_json() for score in self.values},
            **{
                score: {
                    name: median_estimate(column).to_json()
                    for name, column in zip(names, table.T, strict=True)
                }
                for score, table in columns.items()
            },
        }
