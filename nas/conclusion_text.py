"""What single indicators would have concluded, and what is right, as sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nas.comparison_scores import ComparisonScores
from nas.conclusions import EACH, FAMILY, Conclusion
from nas.paired_tests import LEVEL, least_p
from nas.shares import percent
from nas.short_names import joined

__all__ = ["conclusion_lines"]

TOLD = 2
"""Traits that are told of."""
GROUPS = 3
"""Conclusions of single indicators that are told of, those farthest from what is right."""
ALIKE = 0.2
"""By how much of the largest the numbers of one conclusion differ at the most."""
SHARES_ALIKE = 0.1
"""By how much the shares of one conclusion differ at the most, where no word has most."""
MOST = 0.55
"""Share above which a word is what most models have; one nearer to a half is neither that nor not.
"""
HOLM = "after Holm's correction"


@dataclass(frozen=True, slots=True)
class _Told:
    """A trait as a conclusion has it: a word with its share of the picks, or a mean number.

    Attributes:
        trait: Its name.
        word: The word; empty of a number.
        number: The share, or the number.
        mostly: Whether it is the word that most have, rather than one that tells conclusions apart.
    """

    trait: str
    word: str
    number: float
    mostly: bool = False

    def alike(self, other: _Told) -> bool:
        """Whether it comes to the same conclusion: that word, or a number close to it."""
        if self.word != other.word:
            return False
        if self.mostly and other.mostly:
            return True
        apart = abs(self.number - other.number)
        return apart <= (
            SHARES_ALIKE if self.word else ALIKE * max(abs(self.number), abs(other.number))
        )

    def far(self, right: _Told) -> float:
        """How far it is from what is right: relative, or in shares."""
        if not self.word:
            return abs(self.number - right.number) / (abs(right.number) or 1.0)
        return abs(self.number - (right.number if self.word == right.word else -right.number))


def conclusion_lines(scores: ComparisonScores, short: Mapping[str, str]) -> list[str]:
    """Which models each indicator alone makes a user take, which are right, and what is shown.

    Args:
        scores: Of the comparison.
        short: What lines call indicators.
    """
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
    words = {name: _word([item for item in items if item.trait == name]) for name in traits}
    right = _by_trait(words, [item for item in items if item.arm == items[0].arm], right=True)
    groups = _groups(words, items, right)
    lines = [
        f"Judged by {joined(arms, short)} alone, the models to take: {_models(told)}."
        for arms, told in groups
    ]
    left = len({item.arm for item in items}) - sum(len(arms) for arms, _ in groups)
    if left:
        lines[-1] += f" {left} more indicators are nearer to what is right."
    return [
        *lines,
        f"Right here, over budgets on all {len(scores.names)} indicators: {_models([right])}.",
        *_tested(traits, items, short),
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


def _word(items: Sequence[Conclusion]) -> str:
    """Of a trait the word whose shares are told; empty where the word of most is, or of numbers.

    That is the word of most where each conclusion and what is right have one. Otherwise it is the
    one by which they differ most surely, or most.
    """
    if not items[0].value:
        return ""
    arms = list(dict.fromkeys(item.arm for item in items))
    each = [_shares([item for item in items if item.arm == arm], right=side)
            for arm in arms for side in (False, True)]  # fmt: skip
    if not items[0].trait.endswith(EACH) and all(max(of.values()) > MOST for of in each):
        return ""
    surest = min(items, key=lambda item: (item.test.p, -abs(item.picked.value - item.right.value)))
    return surest.value


def _shares(items: Sequence[Conclusion], *, right: bool) -> dict[str, float]:
    """The share of each word, of the conclusions of one arm on one trait."""
    shares = {item.value: (item.right if right else item.picked).value for item in items}
    if items[0].other:
        shares[items[0].other] = 1 - shares[items[0].value]
    return shares


def _by_trait(words: Mapping[str, str], items: Sequence[Conclusion], *, right: bool) -> list[_Told]:
    """The traits of one arm's picks, or of what is right."""
    found = []
    for name, word in words.items():
        of = [item for item in items if item.trait == name]
        if not of:
            continue
        shares = _shares(of, right=right)
        if not of[0].value:
            found.append(_Told(name, "", shares[""]))
        elif word:
            found.append(_Told(name, word, shares.get(word, 0.0)))
        else:
            most = max(shares, key=lambda each: shares[each])
            found.append(_Told(name, most, shares[most], mostly=True))
    return found


def _groups(
    words: Mapping[str, str], items: Sequence[Conclusion], right: Sequence[_Told]
) -> list[tuple[list[str], list[list[_Told]]]]:
    """Arms that come to the same conclusion with what they conclude, the farthest off first."""
    groups: list[tuple[list[str], list[list[_Told]]]] = []
    for arm in dict.fromkeys(item.arm for item in items):
        told = _by_trait(words, [item for item in items if item.arm == arm], right=False)
        for arms, known in groups:
            if all(len(told) == len(k) and all(map(_Told.alike, told, k)) for k in known):
                arms.append(arm)
                known.append(told)
                break
        else:
            groups.append(([arm], [told]))
    groups.sort(key=lambda group: -max(map(_Told.far, group[1][0], right)))
    return groups[:GROUPS]


def _models(told: Sequence[Sequence[_Told]]) -> str:
    """What models of one conclusion are: ``"mean width 50.3 to 51 and mean depth 2.42"``."""
    said = []
    for column in zip(*told, strict=True):
        first, numbers = column[0], [item.number for item in column]
        as_text = percent if first.word else "{:.3g}".format
        ends = " to ".join(dict.fromkeys((as_text(min(numbers)), as_text(max(numbers)))))
        if first.mostly:
            said.append(f"mostly of {first.trait} {first.word} ({ends})")
        elif first.trait.endswith(EACH):
            said.append(f"{first.word} in {ends} of {first.trait}")
        elif first.word:
            said.append(f"{first.trait}={first.word} in {ends}")
        else:
            said.append(f"mean {first.trait} {ends}")
    return " and ".join(said)


def _tested(
    traits: Sequence[str], items: Sequence[Conclusion], short: Mapping[str, str]
) -> list[str]:
    """What the tests say of picks against what is right."""
    if not any(item.test.significant for item in items):
        least = min(item.test.adjusted_p for item in items)
        return [f"These are estimates: no difference is shown, p is at least {least:.2g} {HOLM}."]
    lines = []
    for name in traits:
        of = [item for item in items if item.trait == name]
        firm = [item for item in of if item.test.significant]
        if firm:
            arms = joined(list(dict.fromkeys(item.arm for item in firm)), short, "and")
            most = max(item.test.adjusted_p for item in firm)
            lines.append(
                f"The difference in {name} is shown for {arms}: p is at most {most:.2g} {HOLM}."
            )
        else:
            least = min(item.test.adjusted_p for item in of)
            lines.append(f"A difference in {name} is not shown: p is at least {least:.2g} {HOLM}.")
    opposite = {item.arm for item in items if item.opposite and item.test.significant}
    if opposite:
        arms = joined(sorted(opposite), short, "and")
        lines.append(f"Most picks are of another kind for {arms}.")
    return lines
