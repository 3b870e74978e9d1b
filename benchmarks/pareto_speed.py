"""The Pareto set of a study, against Optuna's own and in the same run on one core.

Also how far the stated error of an approximate hypervolume is from the real one.

python -m benchmarks.pareto_speed [--trials N] [--objectives M] [--json]
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import moocore
import numpy as np
import optuna
from optuna.trial import create_trial

from nas.pareto import hypervolume
from nas.study_front import front_trials

REPEATS = 5
CASES = ((6, 100), (6, 400), (7, 50), (7, 150), (8, 50), (8, 80))
"""Columns and points whose hypervolume moocore gives exactly in about a second."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--objectives", type=int, default=8)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    rows = [
        _speed(kind, options.trials, options.objectives) for kind in ("uniform", "all on the front")
    ]
    errors = [_error(columns, points) for columns, points in CASES]
    if options.json:
        print(json.dumps({"speed": rows, "hypervolume": errors}))
        return
    print(f"{options.trials:,} trials, {options.objectives} objectives, the quickest of {REPEATS}")
    print(f"{'values':18} {'on the front':>12} {'front_trials, s':>16} {'best_trials, s':>15}"
          f" {'ratio':>7}")  # fmt: skip
    for row in rows:
        print(
            f"{row['values']:18} {row['front']:>12} {row['front_trials_s']:>16.4f} "
            f"{row['best_trials_s']:>15.3f} {row['best_trials_s'] / row['front_trials_s']:>7.0f}"
        )
    print("Hypervolume: relative to the exact one")
    print(f"{'columns':>8} {'points':>7} {'stated error':>13} {'error':>9}")
    for row in errors:
        print(f"{row['columns']:>8} {row['points']:>7} {row['stated']:>13.1e} {row['error']:>9.1e}")


def _on_sphere(n: int, columns: int) -> Any:
    raw = np.random.default_rng(0).random((n, columns))
    return 1 - raw / np.linalg.norm(raw, axis=1, keepdims=True)


def _speed(kind: str, trials: int, objectives: int) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    rows = rng.random((trials, objectives)) if kind == "uniform" else _on_sphere(trials, objectives)
    study = optuna.create_study(directions=["minimize"] * objectives)
    study.add_trials([create_trial(values=row) for row in rows.tolist()])
    ours, found = _quickest(lambda: front_trials(study))
    theirs, best = _quickest(lambda: study.best_trials)
    if [t.number for t in found] != [t.number for t in best]:
        raise RuntimeError("The two fronts are not the same.")
    return {"values": kind, "front": len(found), "front_trials_s": ours, "best_trials_s": theirs}


def _quickest(call: Callable[[], Any]) -> tuple[float, Any]:
    seconds, result = [], None
    for _ in range(REPEATS):
        start = time.perf_counter()
        result = call()
        seconds.append(time.perf_counter() - start)
    return min(seconds), result


def _error(columns: int, points: int) -> dict[str, float]:
    front = _on_sphere(points, columns)
    box = 1.1**columns
    exact = moocore.hypervolume(front, ref=np.full(columns, 1.1)) / box
    share, stated, _ = hypervolume(front, approximate=True)
    return {
        "columns": columns,
        "points": points,
        "stated": stated / exact,
        "error": abs(share / exact - 1),
    }


if __name__ == "__main__":
    main()
