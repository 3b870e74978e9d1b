"""The first lines of a comparison: what a single indicator would have concluded, and what is right.

They are made from the scores alone. A difference is called one only where its test says so after
the correction; everything else is marked as an estimate.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence

import numpy as np

from nas.comparison import Comparison
from nas.comparison_scores import ComparisonScores
from nas.conclusion_text import conclusion_lines
from nas.conclusions import is_single
from nas.paired_tests import LEVEL, Estimate, least_p, median_estimate
from nas.shares import percent, times
from nas.short_names import in_full, joined, short_names

__all__ = ["CLOSE", "headline"]

CLOSE = 0.05
"""Difference in share of the gain up to which an arm is within reach of the best one."""
TOLD = 2
"""Arms of one kind that are told of with their numbers; the tables have all."""
LITTLE = 0.005
"""An excess below which nothing is missed."""


def headline(comparison: Comparison, scores: ComparisonScores) -> list[str]:
    """What a single indicator would have concluded and what is right here, a claim a line.

    Args:
        comparison: What was found.
        scores: Of it.
    """
    short = short_names([*scores.names, *(arm.name for arm in scores.arms)])
    lines = [
        *conclusion_lines(scores, short),
        *_misses(comparison, scores, short),
        *_primary(scores, short),
        *_reversals(scores, short),
        *_power(scores),
    ]
    return [*lines, *in_full(short, lines)]


def _misses(
    comparison: Comparison, scores: ComparisonScores, short: Mapping[str, str]
) -> list[str]:
    """What the worst indicator of single arms, and of the reference, comes to at equal quality."""
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
    more = {item.name for item in comparison.indicators if item.maximize}
    said: dict[str, list[str]] = {}
    for name in sorted(worst, key=lambda name: -worst[name][1].value)[:TOLD]:
        said.setdefault(_missed(*worst[name], more, short), []).append(name)
    told = [
        f"a search steered by {joined(arms, short)} alone {what}." for what, arms in said.items()
    ]
    if reference is not None:
        told.append(f"`{scores.reference}` at its worst {_missed(*reference, more, short)}.")
    return [f"Estimate at equal quality: {line}" for line in told]


def _missed(name: str, excess: Estimate, more: Container[str], short: Mapping[str, str]) -> str:
    """What a front takes of an indicator, or has of one of which more is better."""
    if not np.isfinite(excess.value):
        return "does not reach most of the qualities"
    low, high = times(excess.low), times(excess.high)
    if excess.value < LITTLE:
        return f"takes no more of any indicator than the best known ({low} to {high} times)"
    if name in more:
        value, high, low = (percent(1 / (1 + e)) for e in (excess.value, excess.low, excess.high))
        return f"has {value} of the {short[name]} of the best known ({low} to {high})"
    return (
        f"takes {times(excess.value)} times the {short[name]} of the best known ({low} to {high})"
    )


def _primary(scores: ComparisonScores, short: Mapping[str, str]) -> list[str]:
    if not scores.gain:
        return ["No model known beats the median of the first design, so nothing was to be gained."]
    regrets = {arm.name: scores.of(arm.name).estimate("regret") for arm in scores.arms}
    best = min(regrets, key=lambda name: regrets[name].value)
    reference = scores.reference
    called = f"`{best}`" if best == reference else short[best]
    lines = [
        f"Over {scores.budgets:,} budgets on all {len(scores.names)} indicators {called} loses "
        f"least: {_span(regrets[best], scores.gain)} of what a search can gain."
    ]
    if reference is None:
        lines.append("Without `all`, nothing is tested.")
    elif best != reference:
        behind = (regrets[reference].value - regrets[best].value) / scores.gain
        near = f"{'' if behind <= CLOSE else 'not '}within {100 * CLOSE:g} points of that"
        lines.append(f"`{reference}` loses {_span(regrets[reference], scores.gain)}, {near}.")
    lines += _differences(scores, short)
    capped = {name: scores.of(name).estimate("regret_capped").value for name in regrets}
    first = min(capped, key=lambda name: capped[name])
    if first != best:
        lines.append(
            "This order hangs on answers that lose more than none would: with the regret capped at "
            f"the gain {short[first]} loses least, {percent(capped[first] / scores.gain)}, and "
            f"{short[best]} {percent(capped[best] / scores.gain)}, which is not tested."
        )
    return lines


def _span(estimate: Estimate, scale: float) -> str:
    """A share with its interval."""
    low, high = percent(estimate.low / scale), percent(estimate.high / scale)
    return f"{percent(estimate.value / scale)} ({low} to {high})"


def _differences(scores: ComparisonScores, short: Mapping[str, str]) -> list[str]:
    """Which arms are shown to differ from the reference, and which are not."""
    if not scores.primary:
        return []
    more, less, rest = (_by(scores, sign, short) for sign in (1, -1, 0))
    if not more and not less:
        return [f"No other arm is shown to differ from `{scores.reference}`."]
    said = []
    if more:
        said.append(f"Shown to lose more than `{scores.reference}`: {', '.join(more)}.")
    if less:
        said.append(f"Shown to lose less than `{scores.reference}`: {', '.join(less)}.")
    if rest:
        said.append(f"No difference is shown for {', '.join(rest)}.")
    return said


def _by(scores: ComparisonScores, sign: int, short: Mapping[str, str]) -> list[str]:
    """Arms that differ from the reference to one side; with 0, those not shown to differ."""
    return [
        f"{short[test.arm]} ({_signed(test.difference.value / scores.gain)})"
        for test in scores.primary
        if (np.sign(test.difference.value) if test.significant else 0) == sign
    ]


def _signed(share: float) -> str:
    return f"{'+' if share > 0 else ''}{percent(share)}"


def _reversals(scores: ComparisonScores, short: Mapping[str, str]) -> list[str]:
    """Single-cost arms that look better by their own indicator, and are worse by all."""
    if scores.reference is None or not scores.gain:
        return []
    firm: list[tuple[float, str]] = []
    likely: list[tuple[float, str]] = []
    for own in scores.own:
        primary = scores.test(own.arm)
        if primary is None or not own.difference.value < 0 < primary.difference.value:
            continue
        arm = next(item for item in scores.arms if item.name == own.arm)
        place = scores.names.index(arm.objectives[0])
        sets = scores.of(own.arm), scores.of(scores.reference)
        alone = [float(np.median(item.alone[:, place])) / scores.gain for item in sets]
        whole = [item.estimate("regret").value / scores.gain for item in sets]
        if alone[0] >= alone[1] or whole[0] <= whole[1]:
            continue  # The medians would contradict those of the differences by seed.
        group = firm if own.significant and primary.significant else likely
        name, all_ = short[own.arm], f"where `{scores.reference}` loses"
        mine, others = zip(*(map(percent, shares) for shares in (alone, whole)), strict=True)
        text = (
            f"a search steered by {name} loses {mine[0]} under budgets on {name} alone, {all_} "
            f"{others[0]}, and {mine[1]} under budgets on all, {all_} {others[1]}"
        )
        group.append((primary.difference.value, text))
    return [
        f"{shown} {_most(told)}."
        for told, shown in ((firm, "Shown by both tests:"), (likely, "Estimates:"))
        if told
    ]


def _most(told: Sequence[tuple[float, str]]) -> str:
    """The one with the largest difference, and how many more there are."""
    ranked = [text for _, text in sorted(told, key=lambda item: -item[0])]
    more = [f"so it is for {len(ranked) - 1} more"]
    return "; ".join([*ranked[:1], *(more if len(ranked) > 1 else [])])


def _power(scores: ComparisonScores) -> list[str]:
    """What the number of seeds allows to be said."""
    reach = least_p(scores.seeds) * len(scores.primary)
    coverage = median_estimate([0.0] * scores.seeds).coverage
    short = f" Intervals cover {coverage:.0%} only." if coverage < LEVEL else ""
    short = short if scores.seeds > 1 else " One seed gives no intervals."
    if scores.primary and reach > 1 - LEVEL:
        firm = any(item.test.significant for item in scores.conclusions)
        return [
            f"Nothing {'else ' * firm}is claimed: with {_seeds(scores.seeds)} the smallest "
            f"possible p of a test is {least_p(scores.seeds):.3g}, after the correction "
            f"{min(1.0, reach):.3g}; take at least {scores.enough}.{short}"
        ]
    if scores.seeds < scores.enough:
        return [
            f"{_seeds(scores.seeds).capitalize()} find large differences only; {scores.enough} are "
            f"recommended.{short}"
        ]
    return []


def _seeds(n: int) -> str:
    return "1 seed" if n == 1 else f"{n} seeds"
