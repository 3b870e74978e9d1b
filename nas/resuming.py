"""Whether a run can be gone on with: the same experiment, device and code, and a known study."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hw_profiles import BlockTable
from hw_profiles.code import timing_code
from nas.config import Config
from nas.early_stopping import DECISION
from nas.errors import ExperimentError
from nas.experiment import Experiment
from nas.run_folder import RunFolder
from search_spaces import SearchSpace

__all__ = [
    "LENGTH",
    "check_same_code",
    "check_same_device",
    "check_same_experiment",
    "check_study",
    "code_changed",
]

LENGTH = ("search.trials", "search.workers", "compare")
"""What of an experiment may change when a search is gone on with."""


def check_same_experiment(
    kept: Config, given: Config, folder: Path, may_differ: Sequence[str] = LENGTH
) -> None:
    """Raises ExperimentError unless a resumed experiment is the kept one, but for its length.

    Args:
        kept: The one that is gone on with.
        given: The one that is asked for.
        folder: Where it is kept.
        may_differ: Sections, or keys as ``"section.key"``, that may be others.
    """
    before, now = (experiment.model_dump(mode="json") for experiment in (kept, given))
    differing = [
        key
        for key in _differing(before, now)
        if not any(f"{key}.".startswith(f"{name}.") for name in may_differ)
    ]
    if differing:
        raise ExperimentError(
            f"The run in {folder} was started with another experiment: `"
            + "`, `".join(differing)
            + f"` differ. Resume it with {folder / 'config.toml'}, or start a new --out."
        )


def _differing(before: Any, now: Any, place: str = "") -> list[str]:
    """The dotted keys whose values are not the same."""
    if not (isinstance(before, dict) and isinstance(now, dict)):
        return [] if before == now else [place]
    return [
        leaf
        for key in dict.fromkeys([*before, *now])
        for leaf in _differing(before.get(key), now.get(key), f"{place}.{key}".lstrip("."))
    ]


def check_same_device(table: BlockTable, experiment: Experiment) -> None:
    """Refuses to go on with a run elsewhere than where it was begun.

    Raises:
        ForeignTableError: Its table is of another device or version; the message has both sides.
    """
    runtime = experiment.measurement.make_runtime()
    advice = "The run was priced with it: go on with it there, or start a new one."
    table.check_made_on(runtime.device, runtime.setting, advice)


def code_changed(table: BlockTable, space: SearchSpace) -> bool:
    """Whether the blocks of a space are of other code than a table was measured with."""
    code = timing_code(space)
    return bool(table.conditions.get("code", code) != code)


def check_same_code(table: BlockTable, space: SearchSpace) -> None:
    """Raises ExperimentError unless a run's blocks are what its table was measured with."""
    if code_changed(table, space):
        raise ExperimentError(
            "The code of the run's blocks is not what it was when the run's table was measured; "
            "go on with the code as it was, or start a new --out."
        )


def check_study(run: RunFolder) -> None:
    """Raises ExperimentError if a run's study holds proposals that were never to be trained.

    Before hwnas told the samplers which candidates are left, it recorded repeats and what was over
    a budget as trials.
    """
    import optuna

    if not run.study.exists():
        return
    storage = f"sqlite:///{run.study}"
    for name in optuna.get_all_study_names(storage):
        study = optuna.load_study(study_name=name, storage=storage)
        for trial in study.get_trials(deepcopy=False):
            pruned = trial.state == optuna.trial.TrialState.PRUNED
            if "repeats" in trial.user_attrs or (pruned and DECISION not in trial.user_attrs):
                raise ExperimentError(
                    f"The study of the run in {run.path} is of an earlier version of hwnas: trial "
                    f"{trial.number} repeats another or is over a budget, which is not recorded "
                    "any more. Go on with that version, or start a new --out; the Pareto set of "
                    "the run can be read."
                )
