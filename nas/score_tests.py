"""Which scores of a comparison are tested, each arm against one: the primary and other endpoints.

The primary endpoint is the mean regret of the front at equal evaluations, under budgets on all
indicators. :data:`SECONDARY` are the others, one family for Holm's correction; they are few, as ten
seeds carry no more than 25 tests. What is not tested describes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas.comparison import Arm
from nas.conclusions import is_single
from nas.equal_charge import Charge
from nas.paired_tests import PairedTest, corrected, paired_test
from nas.set_scores import Kind, SetScores

__all__ = ["PRIMARY", "SECONDARY", "Endpoint", "endpoint_tests", "own_tests"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A score that arms are compared in; less is better.

    Attributes:
        score: One of :attr:`nas.set_scores.SetScores.values`.
        kind: Of which set: the arm's own front, or everything that it evaluated.
        charge: What is equal among the arms.
        title: What tables call it.
    """

    score: str
    kind: Kind
    charge: Charge
    title: str


PRIMARY = Endpoint("regret", "front", "evaluations", "regret")
SECONDARY = (
    Endpoint("regret", "archive", "evaluations", "regret of the archive"),
    Endpoint("regret", "front", "training_seconds", "regret at equal training seconds"),
    Endpoint("worst_saving", "front", "evaluations", "saving missed in the worst indicator"),
    Endpoint("igd_plus", "front", "evaluations", "IGD+"),
)


def endpoint_tests(
    sets: Sequence[SetScores],
    endpoints: Sequence[Endpoint],
    reference: str | None,
) -> tuple[PairedTest, ...]:
    """Each arm against the reference in each endpoint that there is, one family."""
    tests = []
    for endpoint in endpoints:
        there = {
            item.arm: item
            for item in sets
            if (item.kind, item.charge) == (endpoint.kind, endpoint.charge)
        }
        against = there.pop(reference or "", None)
        for item in there.values():
            if against is not None:
                values = item.values[endpoint.score], against.values[endpoint.score]
                tests += _test(item, against, *values, endpoint.title)
    return corrected(tests)


def own_tests(
    sets: Sequence[SetScores], arms: Sequence[Arm], names: Sequence[str], reference: str | None
) -> tuple[PairedTest, ...]:
    """Each single-cost arm against the reference under budgets on its one indicator, one family."""
    key = (PRIMARY.kind, PRIMARY.charge)
    fronts = {item.arm: item for item in sets if (item.kind, item.charge) == key}
    tests = []
    for arm in filter(is_single, arms):
        if reference is not None and arm.name != reference:
            item, against = fronts[arm.name], fronts[reference]
            place = names.index(arm.objectives[0])
            values = item.alone[:, place], against.alone[:, place]
            tests += _test(item, against, *values, f"regret under budgets on {arm.objectives[0]}")
    return corrected(tests)


def _test(
    item: SetScores, against: SetScores, values: Floats, others: Floats, title: str
) -> list[PairedTest]:
    """The test over the seeds that both have, where both are finite; none without such a seed."""
    there = dict(zip(against.seeds, others, strict=True))
    pairs = zip(item.seeds, values, strict=True)
    found = np.array([value - there[seed] for seed, value in pairs if seed in there], dtype=float)
    finite = found[np.isfinite(found)]
    return [paired_test(finite, item.arm, against.arm, title)] if len(finite) else []
