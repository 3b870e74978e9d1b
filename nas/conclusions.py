"""What kind of model a search steered by one indicator ends with, and what kind is right.

A user of a single-cost arm takes models of its front under budgets on its one indicator; what these
have in common is the conclusion that the indicator gives. The right ones are, for the same seeds,
the best models known under budgets on all indicators.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.budget_regret import BudgetUsers
from nas.comparison import Arm, Model
from nas.paired_tests import Estimate, PairedTest, corrected, median_estimate, paired_test

__all__ = ["FAMILY", "Conclusion", "Trait", "conclusions", "is_single", "traits"]

FAMILY = "family"
MOST_WORDS = 6
"""Beyond so many words a trait is more like a name."""
PAIR = re.compile(r"([\w.]+)=([^\s;]+)")

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Trait:
    """Something that models have, or have more or less of.

    Attributes:
        name: ``"family"``, or a name of the configuration.
        value: The word that those have for which the column is 1; empty of a number.
        other: The word that the others have, where there is one only.
        column: The number, or whether a model has the word: ``[models]``.
    """

    name: str
    value: str
    other: str
    column: Floats


@dataclass(frozen=True, slots=True)
class Conclusion:
    """A trait of what one indicator makes a user take, beside what is right.

    Attributes:
        arm: The single-cost arm.
        trait: See :class:`Trait`, also for the next two.
        value: The word whose shares are given; empty of a number.
        other: The only other word.
        picked: Mean over the budgets of the number, or share of those with the word, in the median
            over seeds, of what is taken from the arm's front under budgets on its indicator.
        right: The same of the best models known under budgets on all indicators.
        test: Of the first against the second, of one family with those of all arms and traits.
    """

    arm: str
    trait: str
    value: str
    other: str
    picked: Estimate
    right: Estimate
    test: PairedTest

    @property
    def opposite(self) -> bool:
        """Whether most of what is picked has the word and most of what is right has not, or not."""
        return bool(self.value) and (self.picked.value > 0.5) != (self.right.value > 0.5)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self) | {
            "picked": self.picked.to_json(),
            "right": self.right.to_json(),
            "test": self.test.to_json(),
        }


def is_single(arm: Arm) -> bool:
    """Whether an arm searches the quality against one indicator and is no null arm."""
    return len(arm.objectives) == 1 and not arm.null


def traits(models: Sequence[Model]) -> list[Trait]:
    """What tells models apart: their families if there are several, otherwise their labels.

    Labels are read as pairs such as ``"depth=4"``; a name counts if all models have it and it is a
    number, or one of a few words.

    >>> [(t.name, t.value, t.column.tolist()) for t in traits([Model("a", "depth=4 pool=cls"),
    ...                                                        Model("b", "depth=2 pool=mean")])]
    [('depth', '', [4.0, 2.0]), ('pool', 'cls', [1.0, 0.0])]
    """
    families = [model.family for model in models]
    if all(families) and len(set(families)) > 1:
        return _words(FAMILY, families)
    found = [dict(PAIR.findall(model.label)) for model in models]
    shared = [name for name in found[0] if all(name in pairs for pairs in found)]
    result = []
    for name in shared:
        cells = [pairs[name] for pairs in found]
        try:
            column = np.array([float(cell) for cell in cells])
        except ValueError:
            if 1 < len(set(cells)) <= MOST_WORDS:
                result += _words(name, cells)
            continue
        if np.isfinite(column).all() and np.ptp(column) > 0:
            result.append(Trait(name, "", "", column))
    return result


def conclusions(users: BudgetUsers, arms: Sequence[Arm]) -> tuple[Conclusion, ...]:
    """Of each single-cost arm and each trait.

    Args:
        users: Who asks, and the models of the comparison.
        arms: Arms that have runs.
    """
    comparison, loss = users.comparison, users.comparison.loss
    right: dict[int, NDArray[np.int64]] = {}
    for seed in comparison.seeds:
        pool = np.unique(np.concatenate([r.models for r in comparison.runs if r.seed == seed]))
        pool = pool[np.isfinite(loss[pool])]
        right[seed] = users.answers(pool, loss[pool])
    found = []
    known = traits(comparison.models)
    for arm in filter(is_single, arms):
        runs = comparison.runs_of(arm.name)
        picks = [
            users.answers(
                run.models[run.front], comparison.told_loss(run)[run.front], arm.objectives
            )
            for run in runs
        ]
        for trait in known:
            rows = [
                (_mean(trait.column, taken), _mean(trait.column, right[run.seed]))
                for run, taken in zip(runs, picks, strict=True)
            ]
            table = np.array([row for row in rows if np.isfinite(row).all()]).reshape(-1, 2)
            if not len(table):
                continue
            said = f"{trait.name}={trait.value}" if trait.value else trait.name
            test = paired_test(table[:, 0] - table[:, 1], arm.name, "right", said)
            picked, best = median_estimate(table[:, 0]), median_estimate(table[:, 1])
            found.append(
                Conclusion(arm.name, trait.name, trait.value, trait.other, picked, best, test)
            )
    tests = corrected([item.test for item in found])
    return tuple(replace(item, test=test) for item, test in zip(found, tests, strict=True))


def _words(name: str, cells: Sequence[str]) -> list[Trait]:
    words = sorted(set(cells))
    columns = [np.array([cell == word for cell in cells], dtype=float) for word in words]
    if len(words) == 2:  # The shares of the second are what those of the first leave.
        return [Trait(name, words[0], words[1], columns[0])]
    return [Trait(name, word, "", column) for word, column in zip(words, columns, strict=True)]


def _mean(column: Floats, taken: NDArray[np.int64]) -> float:
    answered = taken[taken >= 0]
    return float(column[answered].mean()) if len(answered) else float("nan")
