"""Figures of a comparison: what each arm loses, and the quality that it reaches at every cost."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nas.comparison import Arm, ArmRun, Comparison
from nas.comparison_scores import ComparisonScores
from nas.dominance import nondominated
from nas.paired_tests import Estimate, median_estimate
from nas.report_curves import axis_of
from nas.report_figures import GREY, MARKERS, PALETTE, Axis, Figure, Panel, Series, staircase
from nas.set_scores import KINDS
from nas.shares import percent

__all__ = ["excess_figure", "quality_figure", "regret_figure"]

STEPS = 24
"""Budgets at which a curve is drawn."""
KNOWN = "best known"
Floats = NDArray[np.float64]


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
                wide=True,
            )
        )
    return Figure(
        "regret",
        "What a user loses",
        "Of users with budgets on all indicators: by how much the best they find in an arm's set "
        "is worse than the best known that keeps to their budget. The archive is everything that "
        "the arm evaluated. Bars are intervals of the median over seeds.",
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
        note = f"out of reach of {', '.join(gone)}" if gone else ""
        axis = Axis("% above least")
        panels.append(Panel(name, axis, Axis("", categories=arms), (series,), note))
    return Figure(
        "misses",
        "What each arm misses of every indicator",
        "By how much the least of an indicator in an arm's front is above the least known at equal "
        "quality, in the median over qualities and then over seeds.",
        tuple(panels),
    )


def quality_figure(comparison: Comparison) -> Figure:
    """The quality that a user of each arm reaches under a budget on each indicator alone."""
    loss = comparison.loss
    scored = np.flatnonzero(np.isfinite(loss))
    panels = []
    for column, known in enumerate(comparison.indicators):
        costs = comparison.costs[:, column]
        limits = _limits(costs[scored])
        sign = -1 if known.maximize else 1
        x = sign * limits / known.scale
        series = [_best_known(comparison, column, scored)]
        for number, arm in enumerate(comparison.arms):
            runs = comparison.runs_of(arm.name)
            if runs:
                reached = _reached(comparison, runs, costs, limits)
                series.append(_curve(comparison, arm, number, x, reached))
        panels.append(
            Panel(
                known.name,
                axis_of(f"{known.symbol}{' (more is better)' * known.maximize}", x.tolist()),
                Axis(f"{comparison.quality}{' (more is better)' * comparison.maximize}"),
                tuple(series),
            )
        )
    return Figure(
        "arms",
        "Quality against every indicator",
        "Under a budget on one indicator at a time: the quality, where no search looked, of the "
        "member of an arm's front that was told the best. Medians over the seeds; a curve begins "
        "where half of the seeds have an answer. Null arms are dashed.",
        tuple(panels),
    )


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
    low = [each.low if np.isfinite(each.low) else each.value for each in kept]
    high = [each.high if np.isfinite(each.high) else each.value for each in kept]
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
            f"({percent(scale * a / 100)} to {percent(scale * b / 100)})"
            for i, each, a, b in zip(rows, kept, low, high, strict=True)
        ),
    )


def _limits(costs: Floats) -> Floats:
    """Budgets over the range of a cost that models have, each met by one of them."""
    distinct = np.unique(costs)
    if len(distinct) <= STEPS:
        return distinct
    return np.unique(np.quantile(distinct, np.linspace(0, 1, STEPS), method="lower"))


def _reached(
    comparison: Comparison, runs: Sequence[ArmRun], costs: Floats, limits: Floats
) -> Floats:
    """Scored quality of what is taken under each limit: ``[seeds, limits]``; NaN of no answer."""
    rows = []
    for run in runs:
        held = run.models[run.front]
        told = comparison.told_loss(run)[run.front]
        known = np.isfinite(comparison.scored[held])
        held, told = held[known], told[known]
        order = np.lexsort((costs[held], told))
        held = held[order]
        within = costs[held][None] <= limits[:, None]
        taken = within.argmax(axis=1) if len(held) else np.zeros(len(limits), dtype=int)
        answers = comparison.scored[held[taken]] if len(held) else np.full(len(limits), np.nan)
        rows.append(np.where(within.any(axis=1), answers, np.nan))
    return np.array(rows)


def _curve(comparison: Comparison, arm: Arm, number: int, x: Floats, reached: Floats) -> Series:
    answered = 2 * np.isfinite(reached).sum(axis=0) >= len(reached)
    y = np.nanmedian(reached[:, answered], axis=0) if answered.any() else np.zeros(0)
    across = x[answered].tolist()
    return Series(
        arm.name,
        tuple(across),
        tuple(y.tolist()),
        number % len(PALETTE),
        MARKERS[number % len(MARKERS)],
        "dash" if arm.null else "solid",
        filled=number < len(PALETTE),
        texts=tuple(
            f"{arm.name}: {comparison.quality} {each_y:.4g} at {each_x:.4g}"
            for each_x, each_y in zip(across, y.tolist(), strict=True)
        ),
    )


def _best_known(comparison: Comparison, column: int, scored: NDArray[np.int64]) -> Series:
    known = comparison.indicators[column]
    points = np.column_stack([comparison.costs[scored, column], comparison.loss[scored]])
    front = scored[nondominated(points)]
    x = (comparison.values[front, column] / known.scale).tolist()
    y = comparison.scored[front].tolist()
    return Series(KNOWN, *staircase(x, y, known.maximize, comparison.maximize), GREY, line="solid")
