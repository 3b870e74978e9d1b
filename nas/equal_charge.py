"""Runs made equal in what they are charged for: evaluations, or training seconds.

At equal training seconds each run ends before the evaluation with which its training, what failed
included, takes longer than the shortest run of its seed, and its front is that of what is left.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np

from nas.comparison import ArmRun, Comparison, own_front

__all__ = ["Charge", "charges", "equal_runs", "trained"]

Charge = Literal["evaluations", "training_seconds"]
ROUNDING = 1e-9
"""Share by which seconds may exceed the limit that they are cut at."""


def trained(comparison: Comparison) -> bool:
    """Whether its models were trained, rather than looked up."""
    return any(run.charged_seconds for run in comparison.runs)


def charges(comparison: Comparison) -> tuple[Charge, ...]:
    """What the arms can be made equal in; a table takes no training."""
    return ("evaluations", "training_seconds") if trained(comparison) else ("evaluations",)


def equal_runs(comparison: Comparison, charge: Charge) -> list[ArmRun]:
    """The runs, those of a seed made equal; the front of one that was cut is made anew."""
    if charge == "evaluations":
        return list(comparison.runs)
    arms, costs = {arm.name: arm for arm in comparison.arms}, comparison.costs
    limits: dict[int, float] = {}
    for run in comparison.runs:
        limits[run.seed] = min(limits.get(run.seed, np.inf), run.charged_seconds)
    cut = []
    for run in comparison.runs:
        within = run.charged_until <= limits[run.seed] * (1 + ROUNDING)
        n = max(1, int(within.sum()))
        if n >= len(run.models):
            cut.append(run)
            continue
        kept = replace(
            run,
            models=run.models[:n],
            told=run.told[:n],
            seconds=run.seconds[:n],
            failures=tuple(each for each in run.failures if each.after < n),
        )
        loss = comparison.told_loss(kept)
        front = own_front(arms[run.arm], comparison.names, loss, costs[kept.models])
        cut.append(replace(kept, front=front))
    return cut
