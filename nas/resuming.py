"""Whether a run can be gone on with: the same experiment, the same device."""

from __future__ import annotations

from pathlib import Path

from hw_profiles import RUNTIMES, LatencyTable, local_device
from nas.errors import ExperimentError
from nas.experiment import Experiment

__all__ = ["check_same_device", "check_same_experiment"]


def check_same_experiment(kept: Experiment, given: Experiment, folder: Path) -> None:
    """Raises ExperimentError unless a resumed experiment is the kept one, but for its length."""
    before, now = (experiment.model_dump(mode="json") for experiment in (kept, given))
    for values in (before, now):
        values["search"] |= {"trials": None, "workers": None}
    differing = [key for key in before if before[key] != now[key]]
    if differing:
        raise ExperimentError(
            f"The run in {folder} was started with another experiment: `"
            + "`, `".join(differing)
            + f"` differ. Resume it with {folder / 'config.toml'}, or start a new --out."
        )


def check_same_device(table: LatencyTable, experiment: Experiment) -> None:
    config = experiment.measurement
    setting = RUNTIMES[config.runtime](threads=config.threads).setting
    differing = table.differences(local_device(), setting)
    if differing:
        fields = "; ".join(f"{key}: {a} then, {b} now" for key, (a, b) in differing.items())
        raise ExperimentError(
            f"The run was priced with a table of another device or runtime ({fields}). Go on with "
            "it there, or start a new one."
        )
