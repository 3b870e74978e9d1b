"""One cost objective against many on published tables: what each arm loses under budgets.

python -m benchmarks.comparison DATA --work FOLDER [--out FILE]
python -m benchmarks.comparison --show FILE

DATA is the folder of the published files. Each search is kept in the work folder as soon as it is
over, and a run that was stopped goes on where it was. The result holds scores, not archives.

- NAS-Bench-201 (Dong & Yang, ICLR 2020): error against MACs and the latencies of four devices.
- HW-GPT-Bench, scale s (Sukthanker et al., NeurIPS 2024): perplexity against size, compute, memory,
  latencies and energy. Its perplexities are those of the sub-networks of one trained supernet, not
  of networks trained on their own: what holds there holds for such sub-networks.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.comparison_tables import case_tables
from nas.compare_search import run_comparison
from nas.comparison_rendering import print_comparison
from nas.comparison_scores import score
from nas.headline import headline
from nas.table_experiment import TableExperiment
from search_spaces import UnknownNameError

EXAMPLES = Path(__file__).parent.parent / "examples" / "tables"
SEEDS, TRIALS = 20, 100


@dataclass(frozen=True)
class Case:
    """A table and what is compared on it.

    Attributes:
        experiment: File of the example that says what its columns are.
        table: File in the folder of the data.
        costs: Columns that are compared.
        note: What has to be said of its qualities.
        further: Settings of the experiment that differ from the example's.
        words: Of columns that are codes, what each code stands for.
    """

    experiment: str
    table: str
    costs: tuple[str, ...]
    note: str
    further: dict[str, Any] = field(default_factory=dict)
    words: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def file(self, data: Path, work: Path) -> Path:
        """The table; if its codes are words, a copy in the work folder that says them."""
        if not self.words:
            return data / self.table
        with np.load(data / self.table) as file:
            columns = {name: file[name] for name in file.files}
        for name, words in self.words.items():
            columns[name] = np.array(words)[columns[name]]
        work.mkdir(parents=True, exist_ok=True)
        np.savez(work / self.table, **columns)
        return work / self.table


CASES = {
    "nb201": Case(
        "nas_bench_201.toml",
        "nb201_cifar10.npz",
        (
            "macs_c10",
            "lat_ms_raspi4",
            "lat_ms_pixel3",
            "lat_ms_samsung_a50",
            "lat_ms_titan_rtx_256",
        ),
        "Accuracies are means over training seeds, taken after 200 epochs, on test data.",
        {"table.cell.none": ["none"]},
        {f"edge{i}": ("none", "skip", "conv1x1", "conv3x3", "avgpool") for i in range(6)},
    ),
    "hwgpt-s": Case(
        "hw_gpt_bench.toml",
        "hwgpt_s.npz",
        (
            "params",
            "macs",
            "mem_mb_a100",
            "lat_ms_h100",
            "lat_ms_rtx2080",
            "lat_ms_cpu_meta",
            "energy_wh_h100",
        ),
        "Perplexities are those of the sub-networks of one supernet, none was trained alone.",
    ),
}


def run(name: str, data: Path, work: Path, seeds: int, trials: int, workers: int) -> dict[str, Any]:
    """Runs a case, or goes on with it, prints its scores and gives them as JSON values."""
    if name not in CASES:
        raise UnknownNameError("case", name, tuple(CASES))
    case, folder = CASES[name], work / name
    settings = {
        "table.file": str(case.file(data, work).resolve()),
        "table.costs": list(case.costs),
        "search.trials": trials,
        "compare.seeds": seeds,
        "compare.workers": workers,
    } | case.further
    experiment = TableExperiment.load(
        EXAMPLES / case.experiment,
        [f"{key}={json.dumps(value)}" for key, value in settings.items()],
    )
    started = time.perf_counter()
    comparison = run_comparison(experiment, folder, resume=folder.exists())
    searched = time.perf_counter()
    scores = score(comparison)
    scored = time.perf_counter()
    print(f"{name}: {seeds} seeds of {trials} evaluations. {case.note}")
    print_comparison(comparison, scores)
    return {
        "note": case.note,
        "trials": trials,
        "search_seconds": searched - started,
        "score_seconds": scored - searched,
        "sampler_seconds": sum(run.sampler_seconds for run in comparison.runs),
        "headline": headline(comparison, scores),
        "conditions": dict(comparison.conditions) | {"devices": ", ".join(case.costs)},
        "scores": scores.to_json(),
    }


def main() -> None:
    """Parses arguments, runs the cases and writes what they came to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, nargs="?", help="folder of the published files")
    parser.add_argument("--work", type=Path, help="folder that searches are kept in")
    parser.add_argument("--show", type=Path, help="print the tables of a kept result, and no more")
    parser.add_argument("--out", type=Path, help="file that scores are written to")
    parser.add_argument("--cases", default=",".join(CASES), help="of these, separated by commas")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--trials", type=int, default=TRIALS)
    parser.add_argument("--workers", type=int, default=1)
    given = parser.parse_args()
    if given.show is not None:
        for name, case in json.loads(given.show.read_text(encoding="utf-8")).items():
            print(f"{name}. {case['note']}\n\n{case_tables(case)}\n")
        return
    if given.data is None or given.work is None:
        parser.error("give the folder of the published files and --work, or --show FILE")
    results: dict[str, Any] = {}
    if given.out is not None and given.out.exists():
        results = json.loads(given.out.read_text(encoding="utf-8"))
    for name in given.cases.split(","):
        results[name] = run(name, given.data, given.work, given.seeds, given.trials, given.workers)
        if given.out is not None:
            text = json.dumps(results, indent=1, allow_nan=False)
            given.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
