"""What samplers take by themselves: CPU seconds a trial, and memory, as a study grows.

On the large space with its 8 objectives, in a study of Optuna that is kept in memory, each sampler
in a process of its own on one thread.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.search_optuna import STOCK, OptunaSearch, cost_aware, stock_sampler
from benchmarks.search_problems import Subject, large_space
from nas.errors import ExperimentError

__all__ = ["measure", "overhead", "overhead_table"]

LAST = 50
"""Trials at the end of each stretch over which the time of one is taken."""


def overhead(name: str, marks: Sequence[int]) -> dict[str, Any]:
    """Measures a sampler in a fresh process: see :func:`measure`.

    Raises:
        ExperimentError: It is no sampler of Optuna.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_measured, name, list(marks)).result()


def _measured(name: str, marks: Sequence[int]) -> dict[str, Any]:
    import torch

    torch.set_num_threads(1)
    with threadpool_limits(1):
        return measure(name, large_space(), marks)


def measure(name: str, subject: Subject, marks: Sequence[int]) -> dict[str, Any]:
    """Seconds a trial and memory after so many trials of a study.

    Args:
        name: ``cost-aware`` or a stock sampler, which is taken as it is.
        subject: What is searched.
        marks: Trials, in rising order.

    Raises:
        ExperimentError: It is no sampler of Optuna.
    """
    if name not in ("cost-aware", *STOCK):
        raise ExperimentError(
            f"`--overhead` is of samplers of Optuna; got {name!r}. Choose of cost-aware, "
            f"{', '.join(STOCK)}."
        )
    started = time.process_time()
    problem, noise = subject.problem, np.random.default_rng(0)
    if name == "cost-aware":
        study = cost_aware(problem, 0).study
    else:
        study = OptunaSearch(problem, stock_sampler(name, problem, 0).sampler).study
    taken = [time.process_time() - started]
    found: dict[str, dict[str, float]] = {}
    names = list(problem.parameters)
    distributions = OptunaSearch(problem, None).distributions
    while len(taken) <= marks[-1]:
        started = time.process_time()
        trial = study.ask(distributions)
        asked = time.process_time() - started
        codes = np.array([[problem.parameters[n].index(trial.params[n]) for n in names]])
        values = [*subject.told(codes, noise).tolist(), *problem.cost_values(codes)[0].tolist()]
        started = time.process_time()
        study.tell(trial, values)
        taken.append(asked + time.process_time() - started)
        if len(taken) - 1 in marks:
            found[str(len(taken) - 1)] = {
                "seconds_per_trial": round(float(np.mean(taken[1:][-LAST:])), 5),
                "seconds": round(float(np.sum(taken)), 3),
                "resident_mib": round(_resident_mib(), 1),
            }
    return {"sampler": name, "objectives": 1 + len(problem.costs), "after": found}


def overhead_table(rows: Sequence[dict[str, Any]]) -> str:
    """The table of several samplers, in Markdown."""
    marks = list(rows[0]["after"])
    lines = [
        f"CPU seconds a trial with {rows[0]['objectives']} objectives on one core, over the last "
        f"{LAST} trials before so many, and resident memory of the process.",
        "",
        f"| sampler | {' | '.join(f'{int(mark):,} trials' for mark in marks)} | of all | memory |",
        f"|---|{'---:|' * (len(marks) + 2)}",
    ]
    for row in rows:
        after = [row["after"][mark] for mark in marks]
        times = [f"{each['seconds_per_trial']:.3f}" for each in after]
        memory = " / ".join(f"{each['resident_mib']:.0f}" for each in after)
        mean = f"{after[-1]['seconds'] / int(marks[-1]):.3f}"
        lines.append(f"| {row['sampler']} | {' | '.join(times)} | {mean} | {memory} MiB |")
    return "\n".join(lines)


def _resident_mib() -> float:
    """Memory of this process now; where that is not told, the most that it had."""
    gc.collect()
    statm = Path("/proc/self/statm")
    if statm.exists():
        import resource

        return int(statm.read_text().split()[1]) * resource.getpagesize() / 2**20
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
