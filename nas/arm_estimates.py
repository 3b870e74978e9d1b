"""What tables of a comparison show: medians over seeds with intervals, and tests."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nas.comparison import Arm
from nas.comparison_scores import ComparisonScores
from nas.equal_charge import Charge
from nas.paired_tests import Estimate, PairedTest, median_estimate
from nas.set_scores import Kind

__all__ = ["ArmEstimates", "SetEstimates"]

COLUMNS = ("alone", "excess")


@dataclass(frozen=True, slots=True)
class SetEstimates:
    """Of the sets of an arm.

    Attributes:
        values: By score, see :class:`nas.set_scores.SetScores`.
        alone: Regret under budgets on a single indicator, by indicator.
        excess: By how much the best of an indicator is missed, by indicator.
    """

    values: Mapping[str, Estimate]
    alone: Mapping[str, Estimate]
    excess: Mapping[str, Estimate]


@dataclass(frozen=True, slots=True)
class ArmEstimates:
    """Of every arm, made from scores or read from what was kept of them.

    Attributes:
        names: The indicators.
        arms: What each arm searches beside the quality; empty where its name says it, or where it
            is not known.
        reference: The arm that the others are tested against, if there is one.
        seeds: Of the arm with the fewest.
        budgets: How many budgets count.
        left_out: How many no known model meets.
        first_loss: Median loss of the first designs.
        least_loss: Least loss known.
        gain: What regrets are relative to.
        known_front: Models on the known front.
        subset: Members of the subsets that hypervolumes are of, by charge.
        sets: By arm, kind and charge.
        tests: By family; the first is of the primary endpoint.
    """

    names: tuple[str, ...]
    arms: Mapping[str, str]
    reference: str | None
    seeds: int
    budgets: int
    left_out: int
    first_loss: float
    least_loss: float
    gain: float
    known_front: int
    subset: Mapping[Charge, int]
    sets: Mapping[tuple[str, Kind, Charge], SetEstimates]
    tests: Mapping[str, tuple[PairedTest, ...]]

    @property
    def charges(self) -> tuple[Charge, ...]:
        """What arms were made equal in."""
        return tuple(dict.fromkeys(charge for _, _, charge in self.sets))

    def of(self, arm: str, kind: Kind = "front", charge: Charge = "evaluations") -> SetEstimates:
        """Of the sets of an arm."""
        return self.sets[arm, kind, charge]

    def test(self, arm: str) -> PairedTest | None:
        """An arm's test in the primary endpoint; ``None`` of the reference."""
        return next((test for test in self.tests["primary"] if test.arm == arm), None)

    @classmethod
    def of_scores(cls, scores: ComparisonScores) -> ArmEstimates:
        """Those of scores."""
        sets = {}
        for item in scores.sets:
            columns = (
                dict(zip(scores.names, map(median_estimate, table.T), strict=True))
                for table in (item.alone, item.excess)
            )
            values = {name: item.estimate(name) for name in item.values}
            sets[item.arm, item.kind, item.charge] = SetEstimates(values, *columns)
        return cls(
            names=scores.names,
            arms={arm.name: _searched(arm, scores.names) for arm in scores.arms},
            reference=scores.reference,
            seeds=scores.seeds,
            budgets=scores.budgets,
            left_out=scores.left_out,
            first_loss=scores.first_loss,
            least_loss=scores.least_loss,
            gain=scores.gain,
            known_front=scores.known_front,
            subset={charge: scores.subset[charge] for charge in scores.charges},
            sets=sets,
            tests={"primary": scores.primary, "own": scores.own, "secondary": scores.secondary},
        )

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ArmEstimates:
        """Those of scores that :meth:`nas.comparison_scores.ComparisonScores.to_json` wrote."""
        sets = {}
        for item in data["sets"]:
            # Beside the scores there are names, seeds and the regret of each.
            values = {
                name: _estimate(value)
                for name, value in item.items()
                if isinstance(value, Mapping) and name not in COLUMNS
            }
            columns = ({n: _estimate(v) for n, v in item[column].items()} for column in COLUMNS)
            sets[item["arm"], item["kind"], item["charge"]] = SetEstimates(values, *columns)
        return cls(
            names=tuple(data["indicators"]),
            arms={arm: "" for arm, _, _ in sets},
            reference=data["reference"],
            seeds=data["seeds"],
            budgets=data["budgets"]["drawn"] - data["budgets"]["left_out"],
            left_out=data["budgets"]["left_out"],
            first_loss=data["first_loss"],
            least_loss=data["least_loss"],
            gain=data["gain"],
            known_front=data["known_front"],
            subset=data["hypervolume_members"],
            sets=sets,
            tests={
                family: tuple(map(_test, data[family]))
                for family in ("primary", "own", "secondary")
            },
        )


def _searched(arm: Arm, names: tuple[str, ...]) -> str:
    if arm.objectives == (arm.name,):
        return ""
    if len(arm.objectives) == len(names) > 1:
        return "all indicators"
    return ", ".join(arm.objectives) or "no cost by itself"


def _estimate(data: Mapping[str, Any]) -> Estimate:
    """An estimate that was written; what is not finite is beyond what anything reaches."""
    ends = {key: math.inf if data[key] is None else data[key] for key in ("value", "low", "high")}
    return Estimate(**ends, coverage=data["coverage"])


def _test(data: Mapping[str, Any]) -> PairedTest:
    given = {key: data[key] for key in ("arm", "against", "score", "p", "adjusted_p", "seeds")}
    return PairedTest(difference=_estimate(data["difference"]), **given)
