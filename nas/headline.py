"""The first lines of a comparison: what a single indicator would have concluded, and what is right.

They are made from the scores alone. A difference is called one only where its test says so after
the correction; everything else is marked as an estimate.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nas.comparison import Comparison
from nas.comparison_scores import ComparisonScores
from nas.conclusions import FAMILY, Conclusion, is_single
from nas.paired_tests import LEVEL, Estimate, PairedTest, least_p, median_estimate

__all__ = ["CLOSE", "headline", "percent", "span"]

CLOSE = 0.05
"""Difference in share of the gain up to which an arm is within reach of the best one."""
TOLD = 2
"""Traits, and arms that miss most, that are told of."""


def headline(comparison: Comparison, scores: ComparisonScores) -> list[str]:
    """What a single indicator would have concluded and what is right here, a claim a line.

    Args:
        comparison: What was found.
        scores: Of it.
    """
    lines = [*_traits(scores), *_reversals(scores), *_primary(comparison, scores)]
    return [*lines, *_misses(scores), *_power(scores)]


def percent(share: float) -> str:
    """A share where a person reads.

    >>> percent(0.0123), percent(0.31), percent(float("inf"))
    ('1.2 %', '31 %', 'out of reach')
    """
    if not np.isfinite(share):
        return "out of reach" if share > 0 else "unknown"
    return f"{100 * share:.1f} %" if abs(share) < 0.0995 else f"{100 * share:.0f} %"


def span(estimate: Estimate, scale: float = 1.0) -> str:
    """A share with its interval, which is told apart where it covers less than it should."""
    low, high = percent(estimate.low / scale), percent(estimate.high / scale)
    coverage = "" if estimate.coverage >= LEVEL else f", covers {estimate.coverage:.0%} only"
    return f"{percent(estimate.value / scale)} ({low} to {high}{coverage})"


def _traits(scores: ComparisonScores) -> list[str]:
    """What the models taken have in common, where it is not what the right ones have."""
    by_trait: dict[str, list[Conclusion]] = {}
    for item in scores.conclusions:
        by_trait.setdefault(item.trait, []).append(item)
    if not by_trait:
        return []
    shown = [
        name
        for name, items in by_trait.items()
        if name == FAMILY or any(item.test.significant for item in items)
    ]
    shown.sort(key=lambda name: (name != FAMILY, min(i.test.p for i in by_trait[name])))
    if not shown:
        if least_p(scores.seeds) * len(scores.conclusions) <= 1 - LEVEL:
            return [
                "No trait of the models is shown to differ between those that a single indicator "
                f"makes a user take and those that are right over all {len(scores.names)}."
            ]
        shown = sorted(by_trait, key=lambda name: min(i.test.p for i in by_trait[name]))
    return [_trait_line(name, by_trait[name], scores) for name in shown[:TOLD]]


def _trait_line(name: str, items: Sequence[Conclusion], scores: ComparisonScores) -> str:
    said: dict[str, list[str]] = {}
    for arm in dict.fromkeys(item.arm for item in items):
        of_arm = [item for item in items if item.arm == arm]
        word, value = _told(of_arm, [item.picked for item in of_arm])
        said.setdefault(word, []).append(f"{arm} {value}")
    alone = "; ".join(f"{word}by {', '.join(told)}" for word, told in said.items())
    first = [item for item in items if item.arm == items[0].arm]
    best, share = _told(first, [item.right for item in first])
    what = "the share of its picks" if items[0].value else "the mean over its picks"
    line = (
        f"{name.capitalize() if name == FAMILY else name}, judged by one indicator alone ({what}): "
        f"{alone}. Right over budgets on all {len(scores.names)} indicators: {best}{share}"
    )
    firm = [arm for arm in _arms(items) if _firm(items, arm)]
    if not firm:
        return f"{line}; that these differ is not shown ({_least([i.test for i in items])})."
    opposite = {item.arm for item in items if item.opposite and item.test.significant}
    most = f"; most of the picks are of another kind for {', '.join(sorted(opposite))}"
    return (
        f"{line}; the difference is shown for {', '.join(firm)} "
        f"({_least([i.test for i in items])}){most if opposite else ''}."
    )


def _arms(items: Sequence[Conclusion]) -> list[str]:
    """The arms of some conclusions, each once."""
    return list(dict.fromkeys(item.arm for item in items))


def _firm(items: Sequence[Conclusion], arm: str) -> bool:
    return any(item.test.significant for item in items if item.arm == arm)


def _told(items: Sequence[Conclusion], estimates: Sequence[Estimate]) -> tuple[str, str]:
    """The word of the largest share with that share, or no word and the number."""
    if not items[0].value:
        return "", f"{estimates[0].value:.3g}"
    shares = [(e.value, item.value) for item, e in zip(items, estimates, strict=True)]
    if items[0].other:
        shares.append((1 - shares[0][0], items[0].other))
    share, word = max(shares)
    return f"{word} ", percent(share)


def _reversals(scores: ComparisonScores) -> list[str]:
    """Single-cost arms that look better by their own indicator, and are worse by all."""
    if scores.reference is None or not scores.gain:
        return []
    firm: list[str] = []
    likely: list[str] = []
    reference = scores.of(scores.reference)
    for own in scores.own:
        primary = scores.test(own.arm)
        if primary is None or not own.difference.value < 0 < primary.difference.value:
            continue
        arm = next(item for item in scores.arms if item.name == own.arm)
        place = scores.names.index(arm.objectives[0])
        item = scores.of(own.arm)
        alone, others = (
            percent(float(np.median(found.alone[:, place])) / scores.gain)
            for found in (item, reference)
        )
        whole, of_all = (
            percent(found.estimate("regret").value / scores.gain) for found in (item, reference)
        )
        text = (
            f"{own.arm} (loses {alone}, {scores.reference} {others}; "
            f"over all indicators {whole} against {of_all})"
        )
        (firm if own.significant and primary.significant else likely).append(text)
    lines = []
    if firm:
        lines.append(
            "Judged by budgets on their own indicator alone, these searches are better than "
            f"`{scores.reference}`, and over budgets on all indicators they are worse: "
            f"{', '.join(firm)}."
        )
    if likely:
        lines.append(
            "As estimates, not shown by both tests: by budgets on their own indicator alone these "
            f"searches look better than `{scores.reference}`, over budgets on all indicators "
            f"worse: {', '.join(likely)}."
        )
    return lines


def _primary(comparison: Comparison, scores: ComparisonScores) -> list[str]:
    if not scores.gain:
        return ["No model known beats the median of the first design, so nothing was to be gained."]
    regrets = {arm.name: scores.of(arm.name).estimate("regret") for arm in scores.arms}
    best = min(regrets, key=lambda name: regrets[name].value)
    gain = f"what a search can gain ({scores.gain:.3g} in {comparison.quality})"
    lost = f"loses {span(regrets[best], scores.gain)} of {gain}"
    asked = f"Over {scores.budgets:,} budgets on all {len(scores.names)} indicators"
    if scores.reference is None:
        return [f"{asked} {best} {lost}, the least of all arms; without `all`, nothing is tested."]
    if best == scores.reference:
        lines = [f"{asked} `{best}` {lost}, the least of all arms."]
    else:
        behind = (regrets[scores.reference].value - regrets[best].value) / scores.gain
        near = f"{'' if behind <= CLOSE else 'not '}within {100 * CLOSE:g} points of that"
        lines = [
            f"{asked} {best} {lost}, the least of all arms; `{scores.reference}` "
            f"{span(regrets[scores.reference], scores.gain)}, {near}."
        ]
    capped = {name: scores.of(name).estimate("regret_capped").value for name in regrets}
    first = min(capped, key=lambda name: capped[name])
    if first != best:
        lines.append(
            "This order hangs on answers that lose more than none would: with the regret capped at "
            f"the gain {first} loses least, {percent(capped[first] / scores.gain)} "
            f"({best} {percent(capped[best] / scores.gain)}), which is not tested."
        )
    groups = (
        (f"Shown to lose more than `{scores.reference}`", _by(scores, 1)),
        ("shown to lose less", _by(scores, -1)),
        ("no difference shown", _by(scores, 0)),
    )
    told = "; ".join(f"{what}: {', '.join(names)}" for what, names in groups if names)
    return [*lines, f"{told[0].upper()}{told[1:]}."] if told else lines


def _by(scores: ComparisonScores, sign: int) -> list[str]:
    """Arms that differ from the reference to one side; with 0, those not shown to differ."""
    return [
        f"{test.arm} ({_signed(test.difference.value / scores.gain)})"
        for test in scores.primary
        if (np.sign(test.difference.value) if test.significant else 0) == sign
    ]


def _signed(share: float) -> str:
    return f"{'+' if share > 0 else ''}{percent(share)}"


def _misses(scores: ComparisonScores) -> list[str]:
    """By how much single arms, and the reference, miss their worst indicator at equal quality."""
    worst = {}
    for arm in scores.arms:
        if is_single(arm) or arm.name == scores.reference:
            columns = zip(scores.names, scores.of(arm.name).excess.T, strict=True)
            estimates = {n: median_estimate(c) for n, c in columns if not np.isnan(c).any()}
            if estimates:
                name = max(estimates, key=lambda n: estimates[n].value)
                worst[arm.name] = name, estimates[name]
    reference = worst.pop(scores.reference or "", None)
    if not worst:
        return []
    furthest = sorted(worst, key=lambda arm: -worst[arm][1].value)[:TOLD]
    told = [f"{arm} misses the best {worst[arm][0]} by {span(worst[arm][1])}" for arm in furthest]
    if reference is not None:
        told.append(f"`{scores.reference}` at most {reference[0]}, by {span(reference[1])}")
    return [f"At equal quality (estimates): {'; '.join(told)}."]


def _power(scores: ComparisonScores) -> list[str]:
    lines = []
    reach = least_p(scores.seeds) * len(scores.primary)
    if scores.primary and reach > 1 - LEVEL:
        lines.append(
            f"Nothing is claimed: with {_seeds(scores.seeds)} the smallest possible p of a test is "
            f"{least_p(scores.seeds):.3g}, after the correction {min(1.0, reach):.3g}; take at "
            f"least {scores.enough}."
        )
    elif scores.seeds < scores.enough:
        lines.append(
            f"{_seeds(scores.seeds).capitalize()} find large differences only; {scores.enough} are "
            "recommended."
        )
    return lines


def _seeds(n: int) -> str:
    return "1 seed" if n == 1 else f"{n} seeds"


def _least(tests: Sequence[PairedTest]) -> str:
    p = min(test.adjusted_p for test in tests)
    return f"least p {p:.2g} after Holm's correction"
