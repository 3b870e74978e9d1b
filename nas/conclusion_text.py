"""What single indicators would have concluded, and what is right, as sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nas.comparison_scores import ComparisonScores
from nas.conclusions import FAMILY, Conclusion
from nas.paired_tests import LEVEL, Estimate, PairedTest, least_p
from nas.shares import percent

__all__ = ["conclusion_lines"]

TOLD = 2
"""Traits that are told of."""
GROUPS = 3
"""Conclusions of single indicators that are told of, those farthest from what is right."""
ALIKE = 0.2
"""By how much of the largest the numbers of one conclusion differ at the most."""

LONG = 12
"""Characters that names begin with from which they are given once."""


@dataclass(frozen=True, slots=True)
class _Told:
    """A trait as a conclusion has it: a word with its share of the picks, or a mean number."""

    trait: str
    word: str
    number: float

    @classmethod
    def of(cls, items: Sequence[Conclusion], estimates: Sequence[Estimate]) -> _Told:
        """Of the conclusions of one arm on one trait: the word of the largest share, if any."""
        first = items[0]
        if not first.value:
            return cls(first.trait, "", estimates[0].value)
        shares = [(e.value, item.value) for item, e in zip(items, estimates, strict=True)]
        if first.other:
            shares.append((1 - shares[0][0], first.other))
        share, word = max(shares)
        return cls(first.trait, word, share)

    def alike(self, other: _Told) -> bool:
        """Whether it comes to the same conclusion: that word, or a number close to it."""
        if self.word or other.word:
            return self.word == other.word
        numbers = abs(self.number), abs(other.number)
        return abs(self.number - other.number) <= ALIKE * max(numbers)

    def far(self, right: _Told) -> float:
        """How far it is from what is right: relative, or in shares."""
        if not self.word:
            return abs(self.number - right.number) / (abs(right.number) or 1.0)
        return abs(self.number - (right.number if self.word == right.word else -right.number))


def conclusion_lines(scores: ComparisonScores) -> list[str]:
    """Which models each indicator alone makes a user take, which are right, and what is shown."""
    traits = _told_traits(scores)
    if not traits:
        return []
    items = [item for item in scores.conclusions if item.trait in traits]
    shown = any(item.test.significant for item in items)
    if not shown and FAMILY not in traits and _could_show(scores):
        return [
            "No trait of the models is shown to differ between those that a single indicator "
            f"makes a user take and those that are right over all {len(scores.names)}."
        ]
    right = _by_trait(traits, [item for item in items if item.arm == items[0].arm], right=True)
    groups = _groups(traits, items, right)
    first, *others = [(_either(arms), _models(told)) for arms, told in groups]
    alone = [f"Judged by {first[0]} alone the models to take are {first[1]}"]
    alone += [f"by {names}, {models}" for names, models in others]
    left = len({item.arm for item in items}) - sum(len(arms) for arms, _ in groups)
    if left:
        alone.append(f"by {left} more, nearer to what is right")
    return [
        f"{'; '.join(alone)}.",
        f"Right here, over budgets on all {len(scores.names)} indicators: models "
        f"{_models([right])}. {' '.join(_tested(traits, items))}",
    ]


def _told_traits(scores: ComparisonScores) -> list[str]:
    """Families, and traits that are shown to differ; the nearest to that where none is."""
    least: dict[str, float] = {}
    firm = set()
    for item in scores.conclusions:
        least[item.trait] = min(item.test.p, least.get(item.trait, 1.0))
        if item.test.significant or item.trait == FAMILY:
            firm.add(item.trait)
    shown = [name for name in least if not firm or name in firm]
    return sorted(shown, key=lambda name: (name != FAMILY, least[name]))[:TOLD]


def _could_show(scores: ComparisonScores) -> bool:
    return least_p(scores.seeds) * len(scores.conclusions) <= 1 - LEVEL


def _by_trait(traits: Sequence[str], items: Sequence[Conclusion], *, right: bool) -> list[_Told]:
    """The traits of one arm's picks, or of what is right."""
    found = []
    for name in traits:
        of = [item for item in items if item.trait == name]
        if of:
            found.append(_Told.of(of, [item.right if right else item.picked for item in of]))
    return found


def _groups(
    traits: Sequence[str], items: Sequence[Conclusion], right: Sequence[_Told]
) -> list[tuple[list[str], list[list[_Told]]]]:
    """Arms that come to the same conclusion with what they conclude, the farthest off first."""
    groups: list[tuple[list[str], list[list[_Told]]]] = []
    for arm in dict.fromkeys(item.arm for item in items):
        told = _by_trait(traits, [item for item in items if item.arm == arm], right=False)
        for arms, known in groups:
            if all(len(told) == len(k) and all(map(_Told.alike, told, k)) for k in known):
                arms.append(arm)
                known.append(told)
                break
        else:
            groups.append(([arm], [told]))
    groups.sort(key=lambda group: -max(map(_Told.far, group[1][0], right)))
    return groups[:GROUPS]


def _either(arms: Sequence[str]) -> str:
    """Arms, with what all of them begin with given once where it is long.

    >>> _either(["latency_s@gpu:fp16-b1", "latency_s@gpu:fp16-b64"])
    'latency_s@gpu:fp16-b1 or ...-b64'
    >>> _either(["params", "macs"])
    'params or macs'
    """
    shared = arms[0]
    while not all(arm.startswith(shared) for arm in arms):
        shared = shared[:-1]
    end = max(map(shared.rfind, "@:-"))
    if len(arms) == 1 or end < LONG:
        return " or ".join(arms)
    return " or ".join([arms[0], *(f"...{arm[end:]}" for arm in arms[1:])])


def _models(told: Sequence[Sequence[_Told]]) -> str:
    """What models of one conclusion are like: ``"of mean width 50.3 to 51 and depth 2.42"``."""
    words, means = [], []
    for column in zip(*told, strict=True):
        numbers = [item.number for item in column]
        as_text = percent if column[0].word else "{:.3g}".format
        ends = " to ".join(dict.fromkeys((as_text(min(numbers)), as_text(max(numbers)))))
        if column[0].word:
            words.append(f"mostly of {column[0].trait} {column[0].word} ({ends})")
        else:
            means.append(f"{column[0].trait} {ends}")
    return " and ".join([*words, *([f"of mean {' and '.join(means)}"] if means else [])])


def _tested(traits: Sequence[str], items: Sequence[Conclusion]) -> list[str]:
    """What the tests say of picks against what is right."""
    if not any(item.test.significant for item in items):
        least = _least([item.test for item in items])
        return [f"These are estimates: no difference is shown, p is {least}."]
    lines = []
    for name in traits:
        of = [item for item in items if item.trait == name]
        firm = list(dict.fromkeys(item.arm for item in of if item.test.significant))
        least = _least([item.test for item in of])
        if firm:
            lines.append(f"The difference in {name} is shown for {', '.join(firm)}: p is {least}.")
        else:
            lines.append(f"A difference in {name} is not shown: p is {least}.")
    opposite = {item.arm for item in items if item.opposite and item.test.significant}
    if opposite:
        lines.append(f"Most picks are of another kind for {', '.join(sorted(opposite))}.")
    return lines


def _least(tests: Sequence[PairedTest]) -> str:
    return f"{min(test.adjusted_p for test in tests):.2g} at the least after Holm's correction"
