"""What early stopping saves, and what it loses, against the same searches without it.

    python -m benchmarks.early_stopping [EXPERIMENT.toml] [--candidates 120] [--orders 20]
        [--curves FILE] [--pair] [--json]

Trains random candidates of the experiment within its budgets in full, once, with their quality at
each rung; ``--curves`` keeps them in a file, which is added to and read. Searches are then
replayed: random orders of the candidates, in the experiment's batches, with and without the rule.
``--pair`` runs ``hwnas search`` itself instead, with and without.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import moocore
import numpy as np
from numpy.typing import NDArray

from hw_profiles.store import Store
from nas.candidates import excess
from nas.dominance import nondominated
from nas.evaluation import evaluator
from nas.experiment import Experiment
from nas.indicators import indicator
from nas.places import ready_local_devices
from nas.pricer import Pricer
from nas.pricing import count_space
from nas.progress import Reporter
from nas.stopping_rule import Finished, Hurdle, StoppingRule
from nas.training import Evaluation
from search_spaces import SearchSpace

Array = NDArray[np.float64]

MARGIN = 0.1
DRAWS = 400
"""Random members of the space, of which the candidates are the first within the budgets."""
LEVELS = (0.05, 0.1, 0.2)
COSTS = ("all", "objectives")


@dataclass(frozen=True)
class Trained:
    """Candidates that were trained in full.

    Attributes:
        curves: Quality at the rungs: ``[n, rungs]``.
        finals: Quality at the end: ``[n]``.
        seconds: Of each training.
        costs: Every indicator, minimised: ``[n, indicators]``.
        objectives: Columns of ``costs`` that steer.
        macs: Multiply-accumulates of each training: ``[n]``.
        scoring_macs: Those of one scoring: ``[n]``.
        resolution: Least difference of the quality that can be measured.
    """

    curves: Array
    finals: Array
    seconds: Array
    costs: Array
    objectives: tuple[int, ...]
    macs: Array
    scoring_macs: Array
    resolution: float

    def __len__(self) -> int:
        return len(self.finals)


@dataclass(frozen=True)
class Replayed:
    """One search: steps of each candidate in its order, and how many the rule spared."""

    rule: StoppingRule
    order: NDArray[np.intp]
    steps: NDArray[np.int64]
    spared: int


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("experiment", nargs="?", default="examples/digits.toml")
    parser.add_argument("--candidates", type=int, default=120)
    parser.add_argument("--orders", type=int, default=20)
    parser.add_argument("--curves", type=Path, help="file of the trainings, added to and read")
    parser.add_argument("--pair", action="store_true", help="run the search itself, twice")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.pair:
        result: Any = pair(options.experiment, options.set)
    else:
        experiment = Experiment.load(Path(options.experiment), options.set)
        trained = gather(experiment, options.candidates, options.curves)
        result = table(trained, experiment, options.orders)
    if options.json:
        print(json.dumps(result, indent=1))
        return
    for row in result:
        print("  ".join(f"{name} {_shown(value)}" for name, value in row.items()))


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def gather(experiment: Experiment, wanted: int, path: Path | None) -> Trained:
    """Random candidates within the budgets, trained in full or read from a file."""
    dataset, report = experiment.load_dataset(), Reporter()
    space = experiment.space(dataset)
    store = Store()
    counts = count_space(space, store, report)
    devices, _ = ready_local_devices(experiment, space, counts, store, report)
    pricer = Pricer(counts, experiment.training_setup, devices)
    codes = _feasible(experiment, space, pricer, wanted)
    rule = experiment.search.stopping.rule(experiment.training.epochs)
    known = {}
    if path is not None and path.exists():
        rows = map(json.loads, path.read_text().splitlines())
        known = {tuple(row["codes"]): row for row in rows}
    missing = [code for code in codes.tolist() if tuple(code) not in known]
    architectures = [space.decode(np.array(code)) for code in missing]
    with ExitStack() as stack:
        results: Iterable[Any] = ()
        if missing:
            evaluate = stack.enter_context(evaluator(experiment, dataset))
            results = evaluate(architectures, [Hurdle(rule)] * len(missing))
        bar = stack.enter_context(report.bar("Training in full"))
        for done, (code, result) in enumerate(zip(missing, results, strict=True), 1):
            bar(done, len(missing))
            if not isinstance(result, Evaluation):
                continue
            row = {
                "codes": code,
                "curve": list(result.curve),
                "final": result.quality.value,
                "seconds": result.seconds,
            }
            known[tuple(code)] = row
            if path is not None:
                with path.open("a") as file:
                    file.write(json.dumps(row) + "\n")
    rows = [known[tuple(code)] for code in codes.tolist() if tuple(code) in known]
    values = pricer.price_codes(space, np.array([row["codes"] for row in rows]))
    columns = [
        (-1.0 if indicator(name).maximize else 1.0) * np.asarray(values[name], dtype=float)
        for name in pricer.names
    ]
    splits = dataset.fitted(space.decode(codes[0]))
    epochs = experiment.training.epochs * len(splits.train) / experiment.training.batch_size
    return Trained(
        curves=np.array([row["curve"] for row in rows]),
        finals=np.array([row["final"] for row in rows]),
        seconds=np.array([row["seconds"] for row in rows]),
        costs=np.stack([np.broadcast_to(column, len(rows)) for column in columns], axis=1),
        objectives=tuple(pricer.names.index(name) for name in experiment.search.objectives),
        macs=np.asarray(values["train_macs"], dtype=float) * epochs,
        scoring_macs=np.asarray(values["macs"], dtype=float) * len(splits.validation),
        resolution=1 / splits.validation.size,
    )


def _feasible(
    experiment: Experiment, space: SearchSpace, pricer: Pricer, wanted: int
) -> NDArray[np.int64]:
    codes = space.random_codes(DRAWS, np.random.default_rng(0))
    rows = {space.decode(code).id: row for row, code in reversed(list(enumerate(codes)))}
    codes = codes[sorted(rows.values())]
    values = pricer.price_codes(space, codes, experiment.budgets)
    meets = np.ones(len(codes), dtype=bool)
    for name, limit in experiment.budgets.items():
        meets &= excess(name, values[name], limit) <= 0
    if meets.sum() < wanted:
        raise ValueError(f"`--candidates` must be at most {meets.sum()}; got {wanted}.")
    return codes[meets][:wanted]


def table(trained: Trained, experiment: Experiment, orders: int) -> list[dict[str, Any]]:
    """A row for each length of search, kind of costs and level: means over the orders."""
    settings, training = experiment.search, experiment.training
    lengths = sorted({min(settings.trials, len(trained)), len(trained)})
    rows = []
    for length in lengths:
        for kind in COSTS:
            for level in LEVELS:
                stopping = settings.stopping.model_copy(update={"level": level})
                rule = stopping.rule(training.epochs, trained.resolution)
                runs = [
                    measure(trained, replay(trained, rule, kind, length, settings.batch, seed))
                    for seed in range(orders)
                ]
                means = {name: float(np.mean([run[name] for run in runs])) for name in runs[0]}
                worst = max(run["hypervolume_lost"] for run in runs)
                labels = {"trials": length, "costs": kind, "level": level}
                rows.append(labels | means | {"hypervolume_lost_worst": worst})
    return rows


def replay(
    trained: Trained, rule: StoppingRule, kind: str, length: int, batch: int, seed: int
) -> Replayed:
    """A search of so many candidates in a random order, with the rule."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(trained))[:length]
    spared = rng.random(length) < rule.spare
    costs = trained.costs if kind == "all" else trained.costs[:, trained.objectives]
    done, lots = list[int](), list[bool]()
    steps = np.full(length, rule.total)
    for start in range(0, length, batch):
        rows = order[start : start + batch]
        finished = Finished(
            names=[str(row) for row in done],
            finals=trained.finals[done],
            costs=costs[done],
            curves=trained.curves[done],
            spared=np.array(lots, dtype=bool),
        )
        hurdles = rule.hurdles(finished, costs[rows], spared[start : start + batch])
        for position, (row, hurdle) in enumerate(zip(rows, hurdles, strict=True), start):
            decision = _first_decision(hurdle, trained.curves[row].tolist())
            if decision is None or hurdle.spared:
                done.append(int(row))
                lots.append(decision is not None)
            else:
                steps[position] = decision
    return Replayed(rule, order, steps, sum(lots))


def _first_decision(hurdle: Hurdle, curve: Sequence[float]) -> int | None:
    for seen in range(1, len(curve) + 1):
        decision = hurdle.decide(curve[:seen])
        if decision is not None:
            return decision.step
    return None


def measure(trained: Trained, run: Replayed) -> dict[str, float]:
    """What a search saved, and what it lost to the same search without stopping."""
    order, rungs = run.order, np.array(run.rule.rungs)
    share = run.steps / run.rule.total
    scored = (rungs <= run.steps[:, None]).sum(axis=1)
    macs, scoring = trained.macs[order], trained.scoring_macs[order]
    spent = (macs * share + scoring * scored).sum()
    # Without stopping nothing is scored at rungs; that took time in proportion.
    seconds = trained.seconds[order]
    without = seconds * macs / (macs + scoring * len(rungs))
    finished = run.steps == run.rule.total
    finals = trained.finals[order][:, None]
    steering = np.hstack([finals, trained.costs[order][:, trained.objectives]])
    every = np.hstack([finals, trained.costs[order]])
    return {
        "stopped": float(1 - finished.mean()),
        "macs_saved": float(1 - spent / macs.sum()),
        "seconds_saved": float(1 - (seconds * share).sum() / without.sum()),
        "hypervolume_lost": _lost_volume(steering, finished),
        "front_lost": _lost(steering, finished),
        "set_lost": _lost(every, finished),
        "checked": float(run.spared),
    }


def _lost(points: Array, kept: NDArray[np.bool_]) -> float:
    """Share of the front that was not kept."""
    members = nondominated(points)
    return float((members & ~kept).sum() / members.sum())


def _lost_volume(points: Array, kept: NDArray[np.bool_]) -> float:
    """Share of the hypervolume that was not kept; the reference is the worst of all and a tenth."""
    low, high = points.min(axis=0), points.max(axis=0)
    scaled = (points - low) / np.where(high > low, high - low, 1.0)
    reference = np.full(points.shape[1], 1 + MARGIN)
    whole = moocore.hypervolume(scaled, ref=reference)
    return float(1 - moocore.hypervolume(scaled[kept], ref=reference) / whole)


def pair(experiment: str, overrides: Sequence[str]) -> list[dict[str, Any]]:
    """``hwnas search`` with and without early stopping, on the table of this machine."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for enabled in ("false", "true"):
            out = Path(folder) / enabled
            settings = [*overrides, f"search.stopping.enabled={enabled}"]
            command = [sys.executable, "-m", "nas", "search", experiment, "--out", str(out)]
            command += [word for setting in settings for word in ("--set", setting)] + ["--json"]
            start = time.perf_counter()
            done = subprocess.run(
                command, env=dict(os.environ), check=True, capture_output=True, text=True
            )
            seconds = time.perf_counter() - start
            told = [line for line in done.stderr.splitlines() if line.startswith("Early stopping")]
            found.append((out, enabled, seconds, told))
        names = Experiment.load(Path(experiment), overrides).search.objectives
        trials = [_read(out, names) for out, *_ in found]
        points = np.concatenate([points for points, _ in trials])
        volumes = []
        for own, _ in trials:
            low, high = points.min(axis=0), points.max(axis=0)
            reference = np.full(points.shape[1], 1 + MARGIN)
            volumes.append(moocore.hypervolume((own - low) / (high - low), ref=reference))
        return [
            {
                "stopping": enabled,
                "finished": len(own),
                "training_seconds": spent,
                "seconds": seconds,
                "hypervolume": float(volume),
                "told": " ".join(told),
            }
            for (_, enabled, seconds, told), (own, spent), volume in zip(
                found, trials, volumes, strict=True
            )
        ]


def _read(out: Path, objectives: Sequence[str]) -> tuple[Array, float]:
    """Objectives of a run's finished candidates, minimised, and what its trainings took."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.load_study(study_name=None, storage=f"sqlite:///{out / 'study.db'}")
    trials = study.get_trials(deepcopy=False)
    signs = [1.0, *(-1.0 if indicator(name).maximize else 1.0 for name in objectives)]
    points = np.array([t.values for t in trials if t.values is not None]) * signs
    return points, float(sum(t.user_attrs.get("seconds", 0.0) for t in trials))


if __name__ == "__main__":
    main()
