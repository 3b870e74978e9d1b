"""Holds a finished run of examples/digits.toml to what the README promises of it."""

import json
import sys
from collections import Counter
from pathlib import Path

import optuna

optuna.logging.set_verbosity(optuna.logging.WARNING)
run = Path(sys.argv[1])
pareto = json.loads((run / "pareto.json").read_text())
members = pareto["candidates"]
best = min(members, key=lambda member: member["quality"]["value"])
study = optuna.load_study(study_name=None, storage=f"sqlite:///{run / 'study.db'}")
complete = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
trained = {trial.user_attrs["candidate"]: trial for trial in complete}
families = Counter(trial.params["space"] for trial in trained.values())

test_error = best["test_quality"]["value"]
print(f"trained {dict(families)}; best by validation has test accuracy {1 - test_error:.2%}")
failures = [
    message
    for message, holds in {
        "fewer than 40 distinct candidates were trained": len(trained) >= 40,
        "the set counts other candidates than the study": pareto["evaluated"] == len(trained),
        "a family was never trained": set(families) == {"vit", "mbconv"},
        "the best member by validation is below 95 % on test data": test_error <= 0.05,
        "a member was not tested": all(m["test_quality"] is not None for m in members),
        "a member was not measured whole": all(
            m["measured"]["latency_s@local"]["provenance"] == "measured" for m in members
        ),
        "a member has not every count and indicator of this machine": all(
            len(m["indicators"]) >= 23 for m in members
        ),
        "the members do not certify the front": pareto["front_certificate"]["n"] == len(members),
    }.items()
    if not holds
]
for failure in failures:
    print(f"FAILED: {failure}")
sys.exit(bool(failures))
