"""Evaluations that samplers take to find a share of the true front's hypervolume.

Without a table, on published ones and on a large space of the project; with one, on any CSV of
configurations. How the share is scored stands in :mod:`benchmarks.search_score`: the reference
point is known to the benchmark alone. Evaluations are distinct architectures.

python -m benchmarks.search [--data FOLDER] [--problems P,Q] [--samplers A,B] [--seeds N]
python -m benchmarks.search --table FILE.csv --quality COLUMN[:max] --costs A,B,C --config P,Q,R
    [--classes COLUMN] [--cell a=0-1,b=0-2,c=1-2 --none NONE] --sampler NAME --seeds N
    --evaluations N --json

Optuna's samplers and local search are asked for one candidate at a time, which favours them; the
cost-aware sampler and LEMONADE for 5, pymoo's NSGA-II for a population. All begin with 20.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.search_problems import PROBLEMS, Subject, make_subject, table_subject
from benchmarks.search_rivals import SAMPLERS, make_search
from benchmarks.search_score import SHARES, Summary, evaluations_to, summarise
from nas.cell_features import Cell
from nas.errors import ExperimentError, exit_status
from nas.table_problem import TableProblem
from search_spaces import UnknownNameError

__all__ = ["Run", "main", "report", "run"]

DATA = Path("../shared/data")
STALLED = 200
"""Asks in a row without a new candidate after which a sampler has seen all that it finds."""


@dataclass(frozen=True)
class Run:
    """One search of one seed.

    Attributes:
        shares: Share of the hypervolume after each evaluation.
        seconds: Seconds of the sampler itself: asking and telling.
        exhausted: Whether it ended because no new candidate was found.
    """

    shares: NDArray[np.float64]
    seconds: float
    exhausted: bool

    @property
    def seconds_per_trial(self) -> float:
        """Seconds of the sampler for each evaluation."""
        return self.seconds / max(len(self.shares), 1)


def run(subject: Subject, sampler: str, seed: int, evaluations: int, stop: float = 1.1) -> Run:
    """Searches until so many distinct candidates are evaluated.

    Args:
        subject: The problem and its answers.
        sampler: A name of :data:`SAMPLERS`.
        seed: Of the sampler, and of the noise of what it is told.
        evaluations: Distinct candidates at most.
        stop: A share of the hypervolume that is enough.

    Raises:
        UnknownNameError: There is no such sampler.
    """
    problem, noise = subject.problem, np.random.default_rng([seed, 1])
    started = time.perf_counter()
    search = make_search(sampler, problem, seed)
    seconds = time.perf_counter() - started
    seen: dict[bytes, float] = {}
    found: list[NDArray[np.float64]] = []
    stalled, checked = 0, 0
    while len(seen) < evaluations and stalled < STALLED:
        started = time.perf_counter()
        codes = search.ask()
        seconds += time.perf_counter() - started
        if not len(codes):
            break
        keys, before = problem.keys(codes), len(seen)
        told = subject.told(codes, noise)
        values = subject.objectives(codes)
        for key, value, row in zip(keys, told.tolist(), values, strict=True):
            if key not in seen:
                seen[key] = value
                found.append(row)
        stalled = 0 if len(seen) > before else stalled + 1
        # A candidate that is proposed again has the quality that it had.
        again = np.array([seen[key] for key in keys])
        started = time.perf_counter()
        search.tell(codes, again)
        seconds += time.perf_counter() - started
        if stop <= 1 and len(found) >= checked + 25:
            checked = len(found)
            if subject.front.share(np.stack(found)) >= stop:
                break
    points = np.stack(found[:evaluations]) if found else np.empty((0, 1 + len(problem.costs)))
    return Run(subject.front.shares(points), seconds, len(seen) < evaluations and not checked)


_SUBJECT: list[Subject] = []
"""What the processes that were forked off a run search on."""


def _job(job: tuple[str, int, int, float]) -> Run:
    return run(_SUBJECT[-1], *job)


def runs_of(
    subject: Subject,
    sampler: str,
    seeds: int,
    evaluations: int,
    workers: int = 1,
    stop: float = 1.1,
) -> list[Run]:
    """Searches with seeds from 0 on; several at once with more workers."""
    _ = subject.front  # Before processes are forked, so that it is made once.
    jobs = [(sampler, seed, evaluations, stop) for seed in range(seeds)]
    _SUBJECT.append(subject)
    try:
        if workers == 1:
            return [_job(job) for job in jobs]
        with ProcessPoolExecutor(workers, mp_context=get_context("fork")) as pool:
            return list(pool.map(_job, jobs))
    finally:
        _SUBJECT.pop()


def report(sampler: str, runs: Sequence[Run]) -> dict[str, Any]:
    """What is printed of a sampler as JSON; ``None`` for a median that was not reached."""
    summaries = {f"{share:g}": _summary(runs, share) for share in SHARES}
    return {
        "sampler": sampler,
        "seeds": len(runs),
        "median_evaluations": {key: _plain(s.median) for key, s in summaries.items()},
        "interval": {key: [_plain(s.low), _plain(s.high)] for key, s in summaries.items()},
        "reached": {key: s.reached for key, s in summaries.items()},
        "final_share": float(np.median([r.shares[-1] if len(r.shares) else 0.0 for r in runs])),
        "evaluations": int(np.median([len(r.shares) for r in runs])),
        "seconds_per_trial": float(np.median([r.seconds_per_trial for r in runs])),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the benchmark and prints its table, or JSON."""
    options = _parser().parse_args(arguments)
    try:
        _check(options)
        subjects = list(_subjects(options))
    except (ValueError, LookupError, FileNotFoundError) as error:
        print(f"error: {error}", file=sys.stderr)
        return exit_status(error)
    results: dict[str, list[dict[str, Any]]] = {}
    for subject in subjects:
        rows = results.setdefault(subject.name, [])
        if not options.json:
            print(_heading(subject, options), flush=True)
        for sampler in options.samplers:
            try:
                runs = runs_of(
                    subject,
                    sampler,
                    options.seeds,
                    options.evaluations,
                    options.workers,
                    options.stop,
                )
            except ImportError as error:
                print(f"{sampler} is left out: {error}.", file=sys.stderr)
                continue
            rows.append(report(sampler, runs))
            if not options.json:
                print(_line(sampler, runs), flush=True)
            if all(r.exhausted for r in runs):
                print(f"{sampler} ended: it has seen all that there is.", file=sys.stderr)
    if options.json:
        print(json.dumps(_plainest(results, options)))
    return 0


def _plainest(results: dict[str, list[dict[str, Any]]], options: argparse.Namespace) -> Any:
    """One sampler on one table is printed by itself; otherwise, by problem."""
    if options.table and len(options.samplers) == 1:
        (rows,) = results.values()
        return rows[0] if rows else {}
    return results


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.search", description=(__doc__ or "").split("\n", 1)[0]
    )
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the published tables")
    parser.add_argument("--problems", default=",".join(PROBLEMS), help="of " + ", ".join(PROBLEMS))
    parser.add_argument("--table", type=Path, help="a CSV file of configurations, in their place")
    parser.add_argument("--quality", help="of the table: COLUMN, or COLUMN:max")
    parser.add_argument("--costs", help="of the table: columns, each with :max if more is better")
    parser.add_argument("--config", help="of the table: columns of the configuration")
    parser.add_argument("--classes", help="of the table: rows with equal cells here are one")
    parser.add_argument(
        "--cell", default="", metavar="EDGES",
        help="of the table: columns that are the edges of a cell, COLUMN=FROM-TO each",
    )  # fmt: skip
    parser.add_argument("--none", default="none", help="operation of a cell that carries nothing")
    parser.add_argument(
        "--sampler", "--samplers", dest="samplers", default=",".join(SAMPLERS), metavar="NAMES",
        help="of " + ", ".join(SAMPLERS),
    )  # fmt: skip
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--evaluations", type=int, default=600)
    parser.add_argument("--workers", type=int, default=1, help="searches at once")
    parser.add_argument(
        "--stop", type=float, default=1.1, metavar="SHARE",
        help="end a search that has found this share of the hypervolume",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true")
    return parser


def _check(options: argparse.Namespace) -> None:
    options.samplers = [name.strip() for name in options.samplers.split(",") if name.strip()]
    for name in options.samplers:
        if name not in SAMPLERS:
            raise UnknownNameError("sampler", name, tuple(SAMPLERS))
    for name in ("seeds", "evaluations", "workers"):
        if getattr(options, name) < 1:
            raise ExperimentError(f"`--{name}` must be above 0; got {getattr(options, name)}.")
    table = {name: getattr(options, name) for name in ("quality", "costs", "config")}
    missing = [f"--{name}" for name, value in table.items() if not value]
    if options.table and missing:
        raise ExperimentError(f"`--table` needs {', '.join(missing)}; name the table's columns.")
    if not options.table and len(missing) < len(table):
        raise ExperimentError("`--quality`, `--costs` and `--config` are of a table; give --table.")


def _subjects(options: argparse.Namespace) -> Iterator[Subject]:
    if not options.table:
        for name in options.problems.split(","):
            yield make_subject(name.strip(), options.data)
        return
    problem = TableProblem.from_csv(
        options.table,
        quality=options.quality,
        costs=[name.strip() for name in options.costs.split(",") if name.strip()],
        config=[name.strip() for name in options.config.split(",") if name.strip()],
        classes=options.classes,
        structures=[_cell(options.cell, options.none)] if options.cell else (),
    )
    yield table_subject(options.table.stem, problem)


def _cell(text: str, none: str) -> Cell:
    """The cell of ``"COLUMN=FROM-TO,..."``; its operations are words or whole numbers."""
    edges = {}
    for part in text.split(","):
        found = re.fullmatch(r"\s*(.+)=(\d+)-(\d+)\s*", part)
        if found is None:
            raise ExperimentError(f"`--cell` takes COLUMN=FROM-TO, parted by commas; got {part!r}.")
        edges[found[1]] = (int(found[2]), int(found[3]))
    return Cell(edges, frozenset({int(none) if none.isdigit() else none}))


def _heading(subject: Subject, options: argparse.Namespace) -> str:
    front, problem = subject.front, subject.problem
    error = front.standard_error(0.9)
    how = f"estimated, standard error {error:.4f} at 0.9" if error else "exact (moocore)"
    names = " | ".join(f"{share:.0%}" for share in SHARES)
    return (
        f"\n**{subject.name}**: {len(front.points)} on the front within the reference point, "
        f"{1 + len(problem.costs)} objectives, hypervolume {how}; evaluations to a share of it, "
        f"median of {options.seeds} seeds and interval of the median.\n\n"
        f"| sampler | {names} | share after {options.evaluations} | s a trial |\n"
        f"|---|{'---:|' * (len(SHARES) + 2)}"
    )


def _line(sampler: str, runs: Sequence[Run]) -> str:
    row = report(sampler, runs)
    cells = " | ".join(str(_summary(runs, share)) for share in SHARES)
    return f"| {sampler} | {cells} | {row['final_share']:.3f} | {row['seconds_per_trial']:.3f} |"


def _summary(runs: Sequence[Run], share: float) -> Summary:
    return summarise([evaluations_to(r.shares, share) for r in runs])


def _plain(value: float) -> float | None:
    return None if math.isinf(value) else value


if __name__ == "__main__":
    sys.exit(main())
