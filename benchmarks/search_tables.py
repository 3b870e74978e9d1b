"""The tables of the benchmark, as Markdown and as JSON, from what searches took."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median
from typing import Any

from benchmarks.search_ablation import VARIANTS
from benchmarks.search_optuna import STOCK
from benchmarks.search_problems import PROBLEMS
from benchmarks.search_pymoo import PYMOO
from benchmarks.search_results import Results
from benchmarks.search_runs import Record
from benchmarks.search_samplers import COMPARED
from benchmarks.search_score import SHARES, Summary, summarise

__all__ = ["problem_table", "report", "summary", "tables"]

OWN = "cost-aware"
MARK = 100
"""Evaluations after which tables give the share."""
COLUMNS = {
    "best of pymoo": tuple(PYMOO),
    "Optuna NSGA-II": ("nsga2",),
    "Optuna NSGA-III": ("nsga3",),
    "Optuna TPE": ("tpe",),
    "random": ("random",),
    "local search": ("local",),
    "LEMONADE": ("lemonade",),
    "qNEHVI": ("qnehvi",),
}
"""Of the short table: one column for each, and the samplers the best of which stands there."""


def summary(records: Sequence[Record], share: float) -> Summary:
    """What seeds took to reach a share, one of :data:`benchmarks.search_score.SHARES`."""
    key = f"{share:g}"
    return summarise([math.inf if (n := r.reached[key]) is None else n for r in records])


def report(records: Sequence[Record]) -> dict[str, Any]:
    """What is printed of a sampler on a problem as JSON; ``None`` for a median not reached."""
    shares = {f"{share:g}": summary(records, share) for share in SHARES}
    return {
        "sampler": records[0].sampler,
        "seeds": len(records),
        "median_evaluations": {key: _plain(s.median) for key, s in shares.items()},
        "interval": {key: [_plain(s.low), _plain(s.high)] for key, s in shares.items()},
        "reached": {key: s.reached for key, s in shares.items()},
        "final_share": median(r.share_after(r.evaluations) for r in records),
        "evaluations": median(r.evaluations for r in records),
        "seconds_per_trial": median(r.seconds_per_trial for r in records),
    }


def problem_table(results: Results, problem: str, samplers: Sequence[str]) -> str:
    """Evaluations that samplers took on a problem: medians, and intervals of the median."""
    about = results.problems[problem]
    exact = f"estimated, standard error {about.standard_error:.4f} at 0.9"
    rows = [
        f"**{about.title}**: {about.front} on the front within the reference point, hypervolume "
        f"{exact if about.standard_error else 'exact'}. Evaluations to a share of it: median of "
        "the seeds and interval of the median.",
        "",
        "| sampler | "
        + " | ".join(f"{share:.0%}" for share in SHARES)
        + f" | share after {MARK} | seeds | s a trial |",
        f"|---|{'---:|' * (len(SHARES) + 3)}",
    ]
    for name in samplers:
        records = results.of(problem, name)
        if not records:
            continue
        limit = min(record.limit for record in records)
        cells = [
            summary(records, share).within(limit)
            if all(record.looked_for(share) for record in records)
            else "-"
            for share in SHARES
        ]
        cells.append(f"{median(record.share_after(MARK) for record in records):.3f}")
        cells.append(str(len(records)))
        cells.append(f"{median(record.seconds_per_trial for record in records):.3f}")
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(rows)


def short_table(results: Results) -> str:
    """Median evaluations to the first two shares on every problem, the rivals side by side.

    The last column is how many times fewer evaluations the search that knows the costs took to the
    first share than the best of the stock samplers: those of Optuna and of pymoo.
    """
    rows = [
        f"| evaluations to {SHARES[0]:.0%} / {SHARES[1]:.0%} | {OWN} | {' | '.join(COLUMNS)} "
        "| best stock / cost-aware |",
        f"|---|{'---:|' * (len(COLUMNS) + 2)}",
    ]
    for problem, about in results.problems.items():
        own = results.of(problem, OWN)
        if not own:
            continue
        rivals = [[results.of(problem, name) for name in names] for names in COLUMNS.values()]
        cells = [_pair([own]), *(_pair(list(filter(None, each))) for each in rivals)]
        rows.append(f"| {about.title} | {' | '.join(cells)} | {_ratio(results, problem)} |")
    return "\n".join(rows)


def _pair(rivals: Sequence[Sequence[Record]]) -> str:
    """Of the sampler that was fastest to the first share, or has found most if none was."""
    if not rivals:
        return "-"
    best = min(rivals, key=_rank)
    cells = []
    for share in SHARES[:2]:
        found = summary(best, share).median
        limit = min(record.limit for record in best)
        cells.append(f"over {limit}" if math.isinf(found) else f"{found:.0f}")
    return " / ".join(cells)


def _rank(records: Sequence[Record]) -> tuple[float, float, float]:
    first, second = (summary(records, share).median for share in SHARES[:2])
    return first, second, -median(r.share_after(r.evaluations) for r in records)


def _ratio(results: Results, problem: str) -> str:
    own = summary(results.of(problem, OWN), SHARES[0]).median
    stock = [results.of(problem, name) for name in (*STOCK, *PYMOO)]
    stock = [records for records in stock if records]
    if not stock or math.isinf(own):
        return "-"
    best = min(stock, key=_rank)
    found = summary(best, SHARES[0]).median
    if math.isinf(found):
        return f"over {min(record.limit for record in best) / own:.1f}"
    return f"{found / own:.1f}"


def tables(results: Results) -> str:
    """Everything: the short table, one for each problem, and what each part contributes."""
    order = [*PROBLEMS, *sorted(set(results.problems) - set(PROBLEMS))]
    results.problems = {name: results.problems[name] for name in order if name in results.problems}
    searched = {(problem, sampler) for problem, sampler, _ in results.records}
    parts = [short_table(results)] if any(sampler == OWN for _, sampler in searched) else []
    parts += [problem_table(results, problem, tuple(COMPARED)) for problem in results.problems]
    for problem in results.problems:
        if any((problem, variant) in searched for variant in VARIANTS):
            without = problem_table(results, problem, (OWN, *VARIANTS))
            parts.append(without.replace("**: ", ", each part left out**: ", 1))
    return "\n\n".join(parts)


def _plain(value: float) -> float | None:
    return None if math.isinf(value) else value
