"""The main job from nothing to a verified export, and the figures it came out with.

    python -m benchmarks.main_job [EXPERIMENT.toml] [--json]

Runs ``hwnas search`` in an empty home folder, so that the latency table is measured, then
``hwnas export --pick all``.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("experiment", nargs="?", default="examples/digits.toml")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        environment = os.environ | {"HWNAS_HOME": str(Path(folder) / "home")}

        def hwnas(*arguments: str) -> str:
            command = [sys.executable, "-m", "nas", *arguments]
            done = subprocess.run(
                command, env=environment, check=True, stdout=subprocess.PIPE, text=True
            )
            return done.stdout

        start = time.perf_counter()
        pareto = json.loads(hwnas("search", options.experiment, "--out", str(run), "--json"))
        seconds = time.perf_counter() - start
        exported = json.loads(hwnas("export", str(run), "--pick", "all", "--json"))
        (table,) = json.loads(hwnas("profile", "show", "local", "--json"))["tables"]
        families = _families(run)
    members = pareto["candidates"]
    best = min(members, key=lambda member: member["quality"]["value"])
    result = {
        "seconds": seconds,
        "evaluated": pareto["evaluated"],
        "evaluated_by_family": families,
        "members": len(members),
        "members_tested": sum(member["test_quality"] is not None for member in members),
        "best_validation_error": best["quality"]["value"],
        "test_accuracy_of_best": 1 - best["test_quality"]["value"],
        "exports_verified": len(exported),
        "largest_export_difference": max(record["absolute"] for record in exported),
        "certificate": table["certificate"]["all"],
        "front_certificate": pareto["front_certificate"],
    }
    if options.json:
        print(json.dumps(result))
        return
    for name, value in result.items():
        print(f"{name}: {value}")


def _families(run: Path) -> dict[str, int]:
    """Trained candidates of each family, from the study itself."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.load_study(study_name=None, storage=f"sqlite:///{run / 'study.db'}")
    complete = optuna.trial.TrialState.COMPLETE
    trials = study.get_trials(deepcopy=False, states=(complete,))
    return dict(Counter(trial.params["space"] for trial in trials))


if __name__ == "__main__":
    main()
