"""Whether a run can be gone on with: the same experiment, the same device, the same code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hw_profiles import RUNTIMES, LatencyTable, local_device
from hw_profiles.code import timing_code
from nas.errors import ExperimentError
from nas.experiment import Experiment
from search_spaces import SearchSpace

__all__ = ["check_same_code", "check_same_device", "check_same_experiment", "code_changed"]


def check_same_experiment(kept: Experiment, given: Experiment, folder: Path) -> None:
    """Raises ExperimentError unless a resumed experiment is the kept one, but for its length."""
    before, now = (experiment.model_dump(mode="json") for experiment in (kept, given))
    for values in (before, now):
        values["search"] |= {"trials": None, "workers": None}
    differing = _differing(before, now)
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


def code_changed(table: LatencyTable, space: SearchSpace) -> bool:
    """Whether the blocks of a space are of other code than a table was measured with."""
    code = timing_code(space)
    return bool(table.conditions.get("code", code) != code)


def check_same_code(table: LatencyTable, space: SearchSpace) -> None:
    """Raises ExperimentError unless a run's blocks are what its table was measured with."""
    if code_changed(table, space):
        raise ExperimentError(
            "The code of the run's blocks is not what it was when the run's table was measured; "
            "go on with the code as it was, or start a new --out."
        )
