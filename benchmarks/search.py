"""Evaluations that samplers take to find a share of the true front's hypervolume.

Without a table, on published ones and on a large space of the project; with one, on any CSV of
configurations. How the share is scored stands in :mod:`benchmarks.search_score`: the reference
point is known to the benchmark alone. Evaluations are distinct architectures.

python -m benchmarks.search [--data FOLDER] [--problems P,Q] [--samplers A,B] [--seeds N]
    [--evaluations N] [--workers N] [--out RESULTS.json]
python -m benchmarks.search --show RESULTS.json [MORE.json ...]
python -m benchmarks.search --overhead [--samplers A,B] [--trials 300,2000] [--out RESULTS.json]
python -m benchmarks.search --table FILE.csv --quality COLUMN[:max] --costs A,B,C --config P,Q,R
    [--classes COLUMN] [--cell a=0-1,b=0-2,c=1-2 --none NONE] --sampler NAME --seeds N
    --evaluations N --json

Optuna's samplers and local search are asked for one candidate at a time, which favours them; the
cost-aware sampler, LEMONADE and qNEHVI for 5, pymoo's algorithms for a population. A search ends
with 99 % of the hypervolume (--stop). With --out each search is written once it is done, and what
the file holds is not done again; --again does.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.search_overhead import overhead, overhead_table
from benchmarks.search_problems import PROBLEMS, Subject, make_subject, table_subject
from benchmarks.search_results import About, Results
from benchmarks.search_runs import Job, Record, run_all
from benchmarks.search_samplers import LIMITS, sampler_names
from benchmarks.search_tables import problem_table, report, tables
from nas.cell_features import Cell
from nas.errors import ExperimentError, exit_status
from nas.table_problem import TableProblem
from search_spaces import UnknownNameError

__all__ = ["main", "search_all"]

DATA = Path("../shared/data")
SEEDS, EVALUATIONS, STOP = 10, 1_000, 0.99


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the benchmark and prints its tables, or JSON."""
    options = _parser().parse_args(arguments)
    try:
        if options.show:
            print(tables(Results.load(*options.show)))
            return 0
        _check(options)
        if options.overhead:
            return _overhead(options)
        return _search(options)
    except (ValueError, LookupError, FileNotFoundError) as error:
        print(f"error: {error}", file=sys.stderr)
        return exit_status(error)


def search_all(
    results: Results,
    name: str,
    subject: Subject,
    samplers: Sequence[str],
    *,
    seeds: int = SEEDS,
    evaluations: int = EVALUATIONS,
    stop: float = STOP,
    workers: int = 1,
    done: Callable[[Record], None] = lambda record: None,
) -> None:
    """Searches a problem with every sampler and seed that the results do not hold yet.

    Args:
        results: What was done; gets the new searches.
        name: What the results call the problem.
        subject: The problem and its answers.
        samplers: Names of samplers; one that cannot be used here is left out with a line.
        seeds: Seeds of each, from 0 on.
        evaluations: Distinct candidates of a search at most; fewer for samplers that take long.
        stop: A share of the hypervolume that is enough.
        workers: Searches at once.
        done: Called after each search.
    """
    results.take_up(name, About.of(subject))
    jobs = [
        Job(sampler, seed, min(evaluations, LIMITS.get(sampler, evaluations)), stop)
        for sampler in samplers
        for seed in range(seeds)
    ]
    left_out: set[str] = set()
    for job, found in run_all(subject, [j for j in jobs if not results.has(name, j)], workers):
        if isinstance(found, Exception):
            if job.sampler not in left_out:
                print(f"{job.sampler} is left out of {name}: {found}", file=sys.stderr)
            left_out.add(job.sampler)
            continue
        record = Record.of(name, job, found)
        results.add(record)
        done(record)


def _search(options: argparse.Namespace) -> int:
    stored = options.out is not None and options.out.exists()
    results = Results.load(options.out) if stored else Results()
    shown = Results()
    for name, make in _subjects(options):
        if options.again:
            results.drop(name, options.samplers)
        search_all(
            results,
            name,
            make(),
            options.samplers,
            seeds=options.seeds,
            evaluations=options.evaluations,
            stop=options.stop,
            workers=options.workers,
            done=partial(_done, options, results),
        )
        shown.take_up(name, results.problems[name])
        for sampler in options.samplers:
            for record in results.of(name, sampler):
                shown.add(record)
        if not options.json:
            print(problem_table(shown, name, options.samplers), end="\n\n", flush=True)
    if options.json:
        print(json.dumps(_plainest(shown, options)))
    return 0


def _done(options: argparse.Namespace, results: Results, record: Record) -> None:
    """Says how a search ended, and writes it with the others."""
    if options.out:
        results.save(options.out)
    reached = ", ".join(f"{share} after {n}" for share, n in record.reached.items() if n)
    ended = "; it has seen all that there is" if record.exhausted else ""
    print(
        f"{record.problem} {record.sampler} seed {record.seed}: {record.evaluations} evaluations "
        f"({reached or 'no share reached'}), {record.seconds:.1f} s{ended}",
        file=sys.stderr,
        flush=True,
    )


def _plainest(results: Results, options: argparse.Namespace) -> Any:
    """One sampler on one table is printed by itself; otherwise, by problem."""
    rows = {
        name: [report(found) for s in options.samplers if (found := results.of(name, s))]
        for name in results.problems
    }
    if options.table and len(options.samplers) == 1:
        (own,) = rows.values()
        return own[0] if own else {}
    return rows


def _overhead(options: argparse.Namespace) -> int:
    rows = []
    for name in options.samplers:
        row = overhead(name, options.trials)
        print(f"{name}: {row}", file=sys.stderr, flush=True)
        rows.append(row)
    if options.out:
        options.out.write_text(json.dumps(rows, indent=1) + "\n")
    print(json.dumps(rows) if options.json else overhead_table(rows))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.search", description=(__doc__ or "").split("\n", 1)[0]
    )
    add = parser.add_argument
    add("--data", type=Path, default=DATA, help="folder of the published tables")
    add("--problems", default=",".join(PROBLEMS), help="of " + ", ".join(PROBLEMS))
    add("--table", type=Path, help="a CSV file of configurations, in their place")
    add("--quality", help="of the table: COLUMN, or COLUMN:max")
    add("--costs", help="of the table: columns, each with :max if more is better")
    add("--config", help="of the table: columns of the configuration")
    add("--classes", help="of the table: rows with equal cells here are one")
    add(
        "--cell", default="", metavar="EDGES",
        help="of the table: columns that are the edges of a cell, COLUMN=FROM-TO each",
    )  # fmt: skip
    add("--none", default="none", help="operation of a cell that carries nothing")
    add(
        "--sampler", "--samplers", dest="samplers", metavar="NAMES",
        help="names, or compared, stock, pymoo, ablation",
    )  # fmt: skip
    add("--seeds", type=int, default=SEEDS)
    add("--evaluations", type=int, default=EVALUATIONS, help="of each search at most")
    add("--workers", type=int, default=1, help="searches at once, each on one thread")
    add(
        "--stop", type=float, default=STOP, metavar="SHARE",
        help="end a search that has found this share of the hypervolume; above 1: never",
    )  # fmt: skip
    add("--out", type=Path, metavar="JSON", help="keep results there, and go on with them")
    add("--again", action="store_true", help="do again what --out holds of these samplers")
    add("--show", type=Path, nargs="+", metavar="JSON", help="print the tables of kept results")
    add("--overhead", action="store_true", help="seconds a trial and memory, in their place")
    add("--trials", default="100,300,1000,2000", help="of --overhead: after which it is looked")
    add("--json", action="store_true")
    return parser


def _check(options: argparse.Namespace) -> None:
    default = "cost-aware,tpe,nsga2" if options.overhead else "compared"
    options.samplers = sampler_names(options.samplers or default)
    for name in ("seeds", "evaluations", "workers"):
        if getattr(options, name) < 1:
            raise ExperimentError(f"`--{name}` must be above 0; got {getattr(options, name)}.")
    if not options.stop > 0:
        raise ExperimentError(f"`--stop` must be a share above 0; got {options.stop}.")
    words = options.trials.split(",")
    if not all(word.strip().isdigit() and int(word) for word in words):
        raise ExperimentError(f"`--trials` takes whole numbers above 0; got {options.trials!r}.")
    options.trials = sorted(map(int, words))
    table = {name: getattr(options, name) for name in ("quality", "costs", "config")}
    missing = [f"--{name}" for name, value in table.items() if not value]
    if options.table and missing:
        raise ExperimentError(f"`--table` needs {', '.join(missing)}; name the table's columns.")
    if not options.table and len(missing) < len(table):
        raise ExperimentError("`--quality`, `--costs` and `--config` are of a table; give --table.")


def _subjects(options: argparse.Namespace) -> Iterator[tuple[str, Callable[[], Subject]]]:
    """Name of each problem, and what makes it."""
    if not options.table:
        for name in map(str.strip, options.problems.split(",")):
            if name not in PROBLEMS:
                raise UnknownNameError("problem", name, tuple(PROBLEMS))
            yield name, partial(make_subject, name, options.data)
        return
    problem = TableProblem.from_csv(
        options.table,
        quality=options.quality,
        costs=[name.strip() for name in options.costs.split(",") if name.strip()],
        config=[name.strip() for name in options.config.split(",") if name.strip()],
        classes=options.classes,
        structures=[_cell(options.cell, options.none)] if options.cell else (),
    )
    yield options.table.stem, lambda: table_subject(options.table.stem, problem)


def _cell(text: str, none: str) -> Cell:
    """The cell of ``"COLUMN=FROM-TO,..."``; its operations are words or whole numbers."""
    edges = {}
    for part in text.split(","):
        found = re.fullmatch(r"\s*(.+)=(\d+)-(\d+)\s*", part)
        if found is None:
            raise ExperimentError(f"`--cell` takes COLUMN=FROM-TO, parted by commas; got {part!r}.")
        edges[found[1]] = (int(found[2]), int(found[3]))
    return Cell(edges, frozenset({int(none) if none.isdigit() else none}))


if __name__ == "__main__":
    sys.exit(main())
