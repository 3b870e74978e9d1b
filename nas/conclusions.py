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
from nas.labels import read_label
from nas.paired_tests import Estimate, PairedTest, corrected, median_estimate, paired_test

__all__ = ["EACH", "FAMILY", "Conclusion", "Trait", "conclusions", "is_single", "traits"]

FAMILY = "family"
EACH = "*"
"""What the name of a trait ends in that several parts of a model have, such as edges of a cell."""
MOST_WORDS = 6
"""Beyond so many words a trait is more like a name."""
NUMBERED = re.compile(r"(.+?)[_.]?\d+")
"""Names of such parts."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Trait:
    """Something that models have, or have more or less of.

    Attributes:
        name: ``"family"``, a name of the configuration, or what the names of several of its parts
            begin with: ``"edge*"``.
        value: The word that those have for which the column is 1; empty of a number.
        other: The word that the others have, where there is one only.
        column: The number; or whether a model has the word, of parts the share of them that have
            it: ``[models]``.
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
        trait: Name of a :class:`Trait`, which see, also for the next two.
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
        """Whether most models picked have the word and most that are right have not, or not."""
        of_models = bool(self.value) and not self.trait.endswith(EACH)
        return of_models and (self.picked.value > 0.5) != (self.right.value > 0.5)

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

    A name of the labels counts if all models have it and it is a number (see
    :mod:`nas.labels`), or one of a few words. Words of parts that are numbered, such as the
    operations of ``edge0`` to ``edge5``, count together: the share of the parts that have each.

    >>> [(t.name, t.value, t.column.tolist()) for t in traits([Model("a", "depth=4 pool=cls"),
    ...                                                        Model("b", "depth=2 pool=mean")])]
    [('depth', '', [4.0, 2.0]), ('pool', 'cls', [1.0, 0.0])]
    """
    families = [model.family for model in models]
    if all(families) and len(set(families)) > 1:
        return _words(FAMILY, [families])  # Each varies, as there are several.
    found = [read_label(model.label) for model in models]
    parts: dict[str, dict[str, list[str | float]]] = {}
    for name in (name for name in found[0] if all(name in pairs for pairs in found)):
        cells = [pairs[name] for pairs in found]
        part = NUMBERED.fullmatch(name) if any(isinstance(cell, str) for cell in cells) else None
        parts.setdefault(f"{part[1]}{EACH}" if part else name, {})[name] = cells
    result = []
    for stem, columns in parts.items():
        first, words = next(iter(columns)), [list(map(str, cells)) for cells in columns.values()]
        numbers = [cell for cell in columns[first] if not isinstance(cell, str)]
        if len(numbers) == len(models):
            result.append(Trait(stem, "", "", np.array(numbers)))
        elif len({word for cells in words for word in cells}) <= MOST_WORDS:
            result += _words(first if len(columns) == 1 else stem, words)
    return [trait for trait in result if np.ptp(trait.column) > 0]


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


def _words(name: str, columns: Sequence[Sequence[str]]) -> list[Trait]:
    """Of each word the share of a model's parts that have it, ``columns`` being ``[parts][n]``."""
    words = sorted({word for cells in columns for word in cells})
    table = np.array(columns)
    shares = [(table == word).mean(axis=0) for word in words]
    if len(words) == 2:  # The shares of the second are what those of the first leave.
        words, shares, other = words[:1], shares[:1], words[1]
    else:
        other = ""
    return [Trait(name, word, other, column) for word, column in zip(words, shares, strict=True)]


def _mean(column: Floats, taken: NDArray[np.int64]) -> float:
    answered = taken[taken >= 0]
    return float(column[answered].mean()) if len(answered) else float("nan")
