"""What a report tells of a search: the run's set, everything it evaluated and what that took."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from hw_profiles.files import read_json
from hw_profiles.store import Store
from nas.candidates import Evaluated
from nas.experiment import Experiment
from nas.pareto import ParetoSet
from nas.progress import Reporter
from nas.recomputation import run_candidates
from nas.run_folder import RunFolder
from nas.splits import Dataset
from nas.table_experiment import TableExperiment
from nas.table_search import evaluated_configurations
from nas.uncertainty import sampling_errors
from search_spaces import CorruptFileError

__all__ = ["RunRecord", "SearchCost", "read_run"]


@dataclass(frozen=True, slots=True)
class SearchCost:
    """What a search took.

    Attributes:
        seconds: What the training of each candidate took that has a quality, by id.
        stopped: The same of each whose training was ended early.
        failed: Why the training of each other one failed, by id.
        started: When the run was begun.
        ended: When something last changed in it.
        openings: How often it was gone on with.
    """

    seconds: Mapping[str, float]
    stopped: Mapping[str, float]
    failed: Mapping[str, str]
    started: datetime
    ended: datetime
    openings: int

    @property
    def training_s(self) -> float:
        """Seconds of all trainings, one after the other."""
        return sum(self.seconds.values()) + sum(self.stopped.values())

    @property
    def wall_s(self) -> float:
        """Seconds from its beginning to its end, pauses included."""
        return (self.ended - self.started).total_seconds()


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A search as a report tells of it.

    Attributes:
        run: Its folder.
        experiment: What was done.
        pareto: The set.
        candidates: Everything that has a quality, in the order of evaluation; members of the set
            with what was tested and measured of them.
        quality_errors: Standard error of quality by id, where it is known.
        cost: What it took.
        manifest: Versions, device and state.
        dataset: What was learned; ``None`` of a table.
    """

    run: RunFolder
    experiment: Experiment | TableExperiment
    pareto: ParetoSet[Any]
    candidates: tuple[Evaluated, ...]
    quality_errors: Mapping[str, float]
    cost: SearchCost
    manifest: Mapping[str, Any] = field(default_factory=dict)
    dataset: Dataset | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Every indicator of the run."""
        return tuple(self.candidates[0].indicators)


def read_run(run: RunFolder, store: Store, report: Reporter) -> RunRecord:
    """Reads a run, and prices again what it evaluated, with its own copies of tables.

    Args:
        run: Finished, or stopped.
        store: Where counts are kept.
        report: Where progress is written.

    Raises:
        FileNotFoundError: There is no set yet, or a file of the data is gone.
        CorruptFileError: A file of the run is damaged.
    """
    candidates: tuple[Evaluated, ...]
    experiment: Experiment | TableExperiment
    dataset: Dataset | None = None
    pareto: ParetoSet[Any]
    if run.of_table:
        experiment, pareto = run.table_experiment(), run.read_table_pareto()
        candidates = tuple(evaluated_configurations(run))
        error = experiment.table.quality_error
        errors = {} if error is None else {candidate.id: error for candidate in candidates}
    else:
        experiment, pareto = run.experiment(), run.read_pareto()
        dataset = experiment.load_dataset()
        trained = run_candidates(run, dataset, store, report)
        candidates, errors = tuple(trained), sampling_errors(trained, dataset)
    if not candidates:
        raise FileNotFoundError(f"Nothing was evaluated in the run in {run.path}.")
    members = {member.id: member for member in pareto.members}
    strangers = members.keys() - {candidate.id for candidate in candidates}
    if strangers:
        raise CorruptFileError(
            f"{run.pareto} has members that {run.study} has not: {', '.join(sorted(strangers))}."
        )
    return RunRecord(
        run,
        experiment,
        pareto,
        tuple(members.get(candidate.id, candidate) for candidate in candidates),
        errors,
        _cost(run),
        read_json(run.manifest),
        dataset,
    )


def _cost(run: RunFolder) -> SearchCost:
    manifest, found = read_json(run.manifest), _events(run)
    kinds: dict[str, dict[str, Any]] = {"trained": {}, "stopped": {}, "failed": {}}
    for event in found:
        kind = kinds.get(event["event"], {})
        kind[event["candidate"]] = event.get("seconds", event.get("reason"))
    times = [manifest["updated"], *(event["time"] for event in found)]
    return SearchCost(
        kinds["trained"],
        kinds["stopped"],
        kinds["failed"],
        datetime.fromisoformat(manifest["created"]),
        max(map(datetime.fromisoformat, times)),
        run.openings(),
    )


def _events(run: RunFolder) -> list[dict[str, Any]]:
    """Events of a run; one that a kill cut off at the end is left out."""
    if not run.events.exists():
        return []
    lines = run.events.read_text(encoding="utf-8").split("\n")
    try:
        events = [json.loads(line) for line in lines[:-1]]
        for event in events:
            event["event"], event["candidate"], datetime.fromisoformat(event["time"])
    except (LookupError, TypeError, ValueError) as error:
        raise CorruptFileError(f"{run.events} is not what a run wrote: {error!r}.") from error
    return events
