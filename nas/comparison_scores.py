"""The scores of a comparison: of each arm's sets by seed, and tests of each arm against one.

What they mean: :mod:`nas.budget_regret`, :mod:`nas.front_scores`; what is tested:
:mod:`nas.score_tests`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.arms import ALL
from nas.budget_regret import SLACK, BudgetUsers
from nas.comparison import Arm, Comparison
from nas.conclusions import Conclusion, conclusions
from nas.equal_charge import Charge, charges, equal_runs, trained
from nas.front_scores import FEW, KnownFront
from nas.paired_tests import PairedTest
from nas.score_tests import PRIMARY, SECONDARY, endpoint_tests, own_tests
from nas.set_scores import KINDS, Kind, SetScores

__all__ = [
    "BUDGETS",
    "ComparisonScores",
    "finalists",
    "score",
]

Ints = NDArray[np.int64]

BUDGETS = 1_000
ENOUGH_TRAINED, ENOUGH_OF_TABLE = 10, 20
"""Seeds from which tests have some power."""


@dataclass(frozen=True, slots=True, eq=False)
class ComparisonScores:
    """What a comparison comes to.

    Attributes:
        names: The indicators.
        arms: The arms, in their order.
        reference: The arm that the others are tested against; ``None`` where it has no run.
        trained: Whether its models were trained, rather than looked up.
        budgets: How many budgets count.
        left_out: How many no known model meets; these do not count.
        seed: Of the budgets and the subsets.
        first_loss: Median loss of the first designs.
        least_loss: Least loss known.
        known_front: Models on the known front over quality and all indicators.
        subset: Members of the subsets that hypervolumes are of, by charge.
        sets: Scores of each charge, kind and arm.
        primary: Each arm against the reference in :data:`nas.score_tests.PRIMARY`.
        secondary: The same in each of :data:`nas.score_tests.SECONDARY`.
        own: Each single-cost arm against the reference in the regret of the front under budgets on
            its one indicator, a family of its own.
        conclusions: What each single-cost arm would make of the models.
    """

    names: tuple[str, ...]
    arms: tuple[Arm, ...]
    reference: str | None
    trained: bool
    budgets: int
    left_out: int
    seed: int
    first_loss: float
    least_loss: float
    known_front: int
    subset: Mapping[str, int]
    sets: tuple[SetScores, ...]
    primary: tuple[PairedTest, ...]
    secondary: tuple[PairedTest, ...]
    own: tuple[PairedTest, ...]
    conclusions: tuple[Conclusion, ...]

    @property
    def gain(self) -> float:
        """What a search gains over its first design at the most: what regrets are relative to."""
        return max(0.0, self.first_loss - self.least_loss)

    @property
    def charges(self) -> tuple[Charge, ...]:
        """What arms were made equal in."""
        return tuple(dict.fromkeys(item.charge for item in self.sets))

    @property
    def seeds(self) -> int:
        """Of the arm with the fewest."""
        return min(len(item.seeds) for item in self.sets)

    @property
    def enough(self) -> int:
        """Seeds from which tests have some power."""
        return ENOUGH_TRAINED if self.trained else ENOUGH_OF_TABLE

    def of(self, arm: str, kind: Kind = "front", charge: Charge = "evaluations") -> SetScores:
        """The scores of an arm's sets.

        Raises:
            LookupError: There are none.
        """
        for item in self.sets:
            if (item.arm, item.kind, item.charge) == (arm, kind, charge):
                return item
        raise LookupError(f"There is no score of the {kind} of `{arm}` at equal {charge}.")

    def test(self, arm: str) -> PairedTest | None:
        """An arm's test in the primary endpoint; ``None`` of the reference."""
        return next((test for test in self.primary if test.arm == arm), None)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "endpoint": asdict(PRIMARY),
            "budgets": {
                "drawn": self.budgets + self.left_out,
                "left_out": self.left_out,
                "slack": SLACK,
                "seed": self.seed,
            },
            "indicators": list(self.names),
            "reference": self.reference,
            "trained": self.trained,
            "seeds": self.seeds,
            "recommended_seeds": self.enough,
            "first_loss": self.first_loss,
            "least_loss": self.least_loss,
            "gain": self.gain,
            "known_front": self.known_front,
            "hypervolume_members": dict(self.subset),
            "sets": [item.to_json(self.names) for item in self.sets],
            "primary": [test.to_json() for test in self.primary],
            "secondary": [test.to_json() for test in self.secondary],
            "own": [test.to_json() for test in self.own],
            "conclusions": [item.to_json() for item in self.conclusions],
        }


def score(
    comparison: Comparison, *, budgets: int = BUDGETS, seed: int = 0, reference: str = ALL
) -> ComparisonScores:
    """The scores of a comparison.

    Args:
        comparison: What was found.
        budgets: How many are drawn.
        seed: Of the budgets and of the subsets that hypervolumes are of.
        reference: The arm that the others are tested against, if it is there.

    Raises:
        ValueError: It has no run, a value is not finite, or nothing is scored.
    """
    if not comparison.runs:
        raise ValueError("`comparison` has no run; nothing can be scored.")
    users = BudgetUsers(comparison, budgets, seed)
    known = KnownFront(comparison, users.first_loss)
    arms = [arm for arm in comparison.arms if comparison.runs_of(arm.name)]
    sets: list[SetScores] = []
    subset: dict[str, int] = {}
    for charge in charges(comparison):
        equal = sorted(equal_runs(comparison, charge), key=lambda run: run.seed)
        runs = {arm: [run for run in equal if run.arm == arm.name] for arm in arms}
        sizes = [len(run.front) for arm in arms if arm.objectives for run in runs[arm]]
        size = subset[charge] = min([FEW, *sizes])
        sets.extend(
            SetScores.of_runs(arm, runs[arm], kind, charge, users, known, size)
            for kind in KINDS
            for arm in arms
        )
    against = reference if any(arm.name == reference for arm in arms) else None
    return ComparisonScores(
        names=comparison.names,
        arms=tuple(arms),
        reference=against,
        trained=trained(comparison),
        budgets=len(users.limits),
        left_out=users.left_out,
        seed=seed,
        first_loss=users.first_loss,
        least_loss=users.least_loss,
        known_front=len(known.members),
        subset=subset,
        sets=tuple(sets),
        primary=endpoint_tests(sets, [PRIMARY], against),
        secondary=endpoint_tests(sets, SECONDARY, against),
        own=own_tests(sets, arms, comparison.names, against),
        conclusions=conclusions(users, arms),
    )


def finalists(comparison: Comparison, *, budgets: int = BUDGETS, seed: int = 0) -> Ints:
    """Models that :func:`score` wants scored: positions, ascending.

    They are those of each front, also at equal training seconds, and what users take of each
    archive. None of this depends on what is scored.

    Args:
        comparison: What was found; what is scored of it plays no part.
        budgets: As for :func:`score`.
        seed: Likewise.
    """
    told = replace(comparison, scored=np.zeros(len(comparison.models)))
    users = BudgetUsers(told, budgets, seed)
    wanted: set[int] = set()
    for charge in charges(comparison):
        for run in equal_runs(comparison, charge):
            loss = comparison.told_loss(run)
            wanted.update(run.models[run.front].tolist())
            for limited in (None, *([name] for name in comparison.names)):
                wanted.update(users.answers(run.models, loss, limited).tolist())
    return np.array(sorted(wanted - {-1}), dtype=np.int64)
