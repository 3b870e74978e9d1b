"""Curves of a comparison: the quality that each arm reaches at every cost, by the seeds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nas.arms import ALL
from nas.comparison import Arm, ArmRun, Comparison
from nas.dominance import nondominated
from nas.paired_tests import median_estimate
from nas.report_arms import interval_text
from nas.report_curves import axis_of
from nas.report_figures import GREY, MARKERS, PALETTE, Axis, Figure, Panel, Series, staircase

__all__ = ["quality_figures"]

STEPS = 24
"""Budgets at which a curve is drawn."""
TOGETHER = 6
"""Arms up to which all are drawn in one figure."""
KNOWN = "best known"
Floats = NDArray[np.float64]


def quality_figures(comparison: Comparison) -> tuple[Figure, ...]:
    """The quality that a user of each arm reaches under a budget on each indicator alone.

    Two figures where arms are many: those of costs, and the null arms beside the one of all costs.
    """
    arms = [arm for arm in comparison.arms if comparison.runs_of(arm.name)]
    title, caption = "Quality against every indicator", _caption(comparison)
    groups = {"arms": (title, caption, arms)}
    nulls = [arm for arm in arms if arm.null]
    if len(arms) > TOGETHER and nulls:
        costs = [arm for arm in arms if not arm.null]
        every = [arm for arm in costs if arm.name == ALL]
        groups = {
            "arms": (f"{title}: arms of costs", caption, costs),
            "arms-null": (
                f"{title}: null arms",
                f"As above, of what no single cost steers{f', beside `{ALL}`' if every else ''}.",
                [*every, *nulls],
            ),
        }
    return tuple(_quality_figure(comparison, k, *group) for k, group in groups.items())


def _quality_figure(
    comparison: Comparison, key: str, title: str, caption: str, arms: Sequence[Arm]
) -> Figure:
    loss = comparison.loss
    scored = np.flatnonzero(np.isfinite(loss))
    number = {arm.name: i for i, arm in enumerate(comparison.arms)}
    panels = []
    for column, known in enumerate(comparison.indicators):
        costs = comparison.costs[:, column]
        limits = _limits(costs[scored])
        x = (-1 if known.maximize else 1) * limits / known.scale
        series = [_best_known(comparison, column, scored)]
        for arm in arms:
            reached = _reached(comparison, comparison.runs_of(arm.name), costs, limits)
            series.append(_curve(comparison, arm, number[arm.name], x, reached))
        panels.append(
            Panel(
                known.name,
                axis_of(f"{known.symbol}{' (more is better)' * known.maximize}", x.tolist()),
                Axis(f"{comparison.quality}{' (more is better)' * comparison.maximize}"),
                tuple(series),
                span=2,
            )
        )
    return Figure(key, title, caption, tuple(panels))


def _caption(comparison: Comparison) -> str:
    return (
        "Under a budget on one indicator at a time: the quality, where no search looked, of the "
        "member of an arm's front that was told the best. Lines are medians over the seeds, a seed "
        "without an answer counting as worse than any model; a line begins where more than half of "
        f"the seeds have one. {_bands(len(comparison.seeds))} Null arms are dashed."
    )


def _bands(seeds: int) -> str:
    if seeds < 2:
        return "There is one seed, and so no band."
    return (
        f"Bands are {interval_text(seeds)}: at each budget by itself, not along a whole line. "
        "Those without an end stop at the worst model known. Choose above what is drawn."
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
    """Loss, as scored, of what is taken under each limit: ``[seeds, limits]``; inf of no answer."""
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
        answers = comparison.loss[held[taken]] if len(held) else np.full(len(limits), np.inf)
        rows.append(np.where(within.any(axis=1), answers, np.inf))
    return np.array(rows)


def _curve(comparison: Comparison, arm: Arm, number: int, x: Floats, reached: Floats) -> Series:
    found = [median_estimate(column) for column in reached.T]
    rows = [i for i, each in enumerate(found) if np.isfinite(each.value)]
    worst, sign = float(np.nanmax(comparison.loss)), -1 if comparison.maximize else 1
    y, *ends = (
        [sign * min(getattr(found[i], end), worst) for i in rows]
        for end in ("value", "low", "high")
    )
    low, high = (tuple(map(end, *ends)) for end in (min, max))
    across = tuple(x[rows].tolist())
    several = len(reached) > 1
    return Series(
        arm.name,
        across,
        tuple(y),
        number % len(PALETTE),
        MARKERS[number % len(MARKERS)],
        "dash" if arm.null else "solid",
        filled=number < len(PALETTE),
        y_low=low if several else (),
        y_high=high if several else (),
        band=several and bool(rows),
        step=True,
        texts=tuple(
            f"{arm.name}: {comparison.quality} {b:.4g}"
            + (f" ({low[k]:.4g} to {high[k]:.4g})" if several else "")
            + f" at {a:.4g}"
            for k, (a, b) in enumerate(zip(across, y, strict=True))
        ),
    )


def _best_known(comparison: Comparison, column: int, scored: NDArray[np.int64]) -> Series:
    known = comparison.indicators[column]
    points = np.column_stack([comparison.costs[scored, column], comparison.loss[scored]])
    front = scored[nondominated(points)]
    x = (comparison.values[front, column] / known.scale).tolist()
    y = comparison.scored[front].tolist()
    return Series(KNOWN, *staircase(x, y, known.maximize, comparison.maximize), GREY, line="solid")
