"""Figures of a comparison: what each arm loses and misses, in medians over seeds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nas.comparison_scores import ComparisonScores
from nas.paired_tests import Estimate, median_estimate
from nas.report_figures import MARKERS, Axis, Figure, Panel, Series
from nas.set_scores import KINDS
from nas.shares import percent

__all__ = ["excess_figure", "interval_text", "regret_figure"]

SHORT = 16
"""Characters of the names of arms that leave room in a narrow panel."""


def regret_figure(scores: ComparisonScores) -> Figure:
    """The primary endpoint of each arm, of fronts and of archives, at each charge."""
    names = tuple(arm.name for arm in scores.arms)
    scale = scores.gain or 1.0
    panels = []
    for charge in scores.charges:
        series = []
        for number, kind in enumerate(KINDS):
            found = [scores.of(name, kind, charge).estimate("regret") for name in names]
            told = f"what a user takes from the {kind}"
            series.append(
                _estimates(told, found, names, number, 100 / scale, (0.14, -0.14)[number])
            )
        panels.append(
            Panel(
                f"At equal {charge.replace('_', ' ')}",
                Axis("regret, % of the gain" if scores.gain else "regret"),
                Axis("", categories=names),
                tuple(series),
                f"medians over {scores.seeds} seeds; {scores.budgets:,} budgets on all "
                f"{len(scores.names)} indicators; the gain is what a search can gain at most",
                span=0,
            )
        )
    return Figure(
        "regret",
        "What a user loses",
        "Of users with budgets on all indicators: by how much the best they find in an arm's set "
        "is worse than the best known that keeps to their budget. The archive is everything that "
        f"the arm evaluated. Bars are {interval_text(scores.seeds)}.",
        tuple(panels),
    )


def excess_figure(scores: ComparisonScores) -> Figure:
    """By how much each arm misses the best of each indicator, a panel each."""
    arms = tuple(arm.name for arm in scores.arms)
    panels = []
    for column, name in enumerate(scores.names):
        found = [median_estimate(scores.of(arm).excess[:, column]) for arm in arms]
        series = _estimates("miss at equal quality", found, arms, 0, 100)
        gone = [arm for arm, each in zip(arms, found, strict=True) if not np.isfinite(each.value)]
        cut = [
            arm
            for arm, each in zip(arms, found, strict=True)
            if np.isfinite(each.value) and not np.isfinite(each.high)
        ]
        notes = (("out of reach of", gone), ("bars without an upper end:", cut))
        note = "; ".join(f"{what} {', '.join(names)}" for what, names in notes if names)
        axis = Axis("% above least")
        span = 2 if any(len(arm) > SHORT for arm in arms) else 1
        panels.append(Panel(name, axis, Axis("", categories=arms), (series,), note, span=span))
    return Figure(
        "misses",
        "What each arm misses of every indicator",
        "By how much the least of an indicator in an arm's front is above the least known at equal "
        f"quality, in the median over qualities and then over seeds. Bars are "
        f"{interval_text(scores.seeds)}.",
        tuple(panels),
    )


def interval_text(seeds: int) -> str:
    """What an interval of a median over some seeds is, and how often it holds the true one.

    >>> interval_text(5)
    'from the least to the most of 5 seeds, which holds the true median in 93.8 % of cases'
    """
    if seeds < 2:
        return "of one seed, so there is none"
    ends = median_estimate(np.arange(seeds, dtype=float))
    rank = int(ends.low) + 1
    least = f"{_ordinal(rank)} least" if rank > 1 else "least"
    most = f"{_ordinal(rank)} most" if rank > 1 else "most"
    return (
        f"from the {least} to the {most} of {seeds} seeds, which holds the true median "
        f"in {100 * ends.coverage:.1f} % of cases"
    )


def _ordinal(rank: int) -> str:
    return {2: "second", 3: "third"}.get(rank, f"{rank}th")


def _estimates(
    name: str,
    found: Sequence[Estimate],
    arms: Sequence[str],
    number: int,
    scale: float,
    shift: float = 0.0,
) -> Series:
    rows = [i for i, each in enumerate(found) if np.isfinite(each.value)]
    kept = [found[i] for i in rows]
    ends = [end for each in kept for end in (each.value, each.low, each.high) if np.isfinite(end)]
    # What has no end is drawn as far as anything else is, and the words say so.
    least, most = min(ends, default=0.0), max(ends, default=0.0)
    low = [max(each.low, least) for each in kept]
    high = [min(each.high, most) for each in kept]
    return Series(
        name,
        tuple(scale * each.value for each in kept),
        tuple(i + shift for i in rows),
        number,
        MARKERS[number],
        x_low=tuple(scale * each for each in low),
        x_high=tuple(scale * each for each in high),
        texts=tuple(
            f"{arms[i]}, {name}: {percent(scale * each.value / 100)} "
            f"({percent(scale * each.low / 100)} to {percent(scale * each.high / 100)})"
            for i, each in zip(rows, kept, strict=True)
        ),
    )
