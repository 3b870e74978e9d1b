"""What the searches of a comparison found, put together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nas.arena import Arena
from nas.arm_search import Found
from nas.comparison import ArmRun, Model

__all__ = ["means", "merged"]


def merged(
    arena: Arena, found: Sequence[Found]
) -> tuple[NDArray[np.int64], tuple[Model, ...], tuple[ArmRun, ...]]:
    """Codes of everything evaluated, each once, what a person knows them by, and the runs."""
    position: dict[bytes, int] = {}
    rows: list[NDArray[np.int64]] = []
    runs = []
    for item in found:
        places = []
        for key, row in zip(arena.problem.keys(item.codes), item.codes, strict=True):
            if key not in position:
                position[key] = len(rows)
                rows.append(row)
            places.append(position[key])
        runs.append(
            ArmRun(
                arm=item.arm,
                seed=item.seed,
                models=np.array(places, dtype=np.int64),
                told=item.told,
                seconds=item.seconds,
                front=item.front,
                sampler_seconds=item.sampler_seconds,
                failures=item.failures,
            )
        )
    codes = np.array(rows, dtype=np.int64).reshape(len(rows), len(arena.problem.parameters))
    return codes, tuple(arena.models(codes)), tuple(runs)


def means(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Means over the seeds ``[seeds, n]`` whose training did not fail; NaN where all did."""
    there = np.isfinite(scores)
    total = np.where(there, scores, 0.0).sum(axis=0)
    with np.errstate(invalid="ignore"):
        means: NDArray[np.float64] = np.where(there.any(axis=0), total / there.sum(axis=0), np.nan)
    return means
