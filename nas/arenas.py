"""Where searches are compared: made ready once, and opened again in each process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hw_profiles import BlockTable
from hw_profiles.profile import HardwareProfile
from hw_profiles.store import Store
from nas.arena import Arena
from nas.comparison_folder import ComparisonFolder
from nas.experiment import Experiment
from nas.indicators import split_name
from nas.places import devices_of_run
from nas.preparation import prepare, space_of
from nas.pricer import Pricer
from nas.pricing import count_space
from nas.progress import Reporter
from nas.redundancy import report_redundant
from nas.resuming import check_same_experiment
from nas.splits import Dataset
from nas.table_arena import TableArena
from nas.table_experiment import TableExperiment
from nas.table_search import check_same_table, redundant_of_table, report_size, table_within
from nas.training_arena import TrainingArena

__all__ = ["ReadyArena", "open_arena", "ready_arena"]

MAY_DIFFER = ("search.workers", "compare.workers", "compare.seeds")
"""What of an experiment may change when a comparison is gone on with."""


@dataclass(frozen=True, slots=True, eq=False)
class ReadyArena:
    """An arena, and what a folder must keep of it.

    Attributes:
        arena: The arena.
        priced: What candidates are priced with: profiles, and tables of them.
    """

    arena: Arena
    priced: Sequence[tuple[HardwareProfile, Sequence[BlockTable]]] = ()


def ready_arena(
    experiment: Experiment | TableExperiment,
    folder: ComparisonFolder,
    report: Reporter,
    *,
    resume: bool = False,
    store: Store | None = None,
    dataset: Dataset | None = None,
    again: str = "",
) -> ReadyArena:
    """Prices a space, or reads a table; what is to be known of it is said.

    Args:
        experiment: What is compared.
        folder: Where the comparison is, or will be.
        report: Where it is said.
        resume: Whether the comparison is there already.
        store: Where tables and counts are kept.
        dataset: In place of the one that the experiment names.
        again: The command that does all this, for whoever stops it.

    Raises:
        ExperimentError: The comparison in the folder is another one; and as :func:`prepare` does.
        NothingFeasibleError: The budgets leave nothing.
        FileNotFoundError: There is no such table.
    """
    if isinstance(experiment, TableExperiment):
        if resume:
            check_same_table(folder, experiment, MAY_DIFFER)
        return ReadyArena(_table_arena(experiment, report, resume))
    if resume:
        check_same_experiment(folder.experiment(), experiment, folder.path, MAY_DIFFER)
    dataset = dataset or experiment.load_dataset()
    steered = _steered(experiment)
    ready = prepare(
        steered,
        space_of(steered, dataset, report),
        dataset,
        store or Store(),
        report,
        run=folder if resume else None,
        again=again,
        places=_places(steered),
    )
    if experiment.search.stopping.enabled:
        report.line("No training ends early in a comparison: arms would decide for each other.")
    arena = TrainingArena(experiment, dataset, ready.space, ready.pricer, folder, ready.redundant)
    return ReadyArena(arena, ready.priced)


def open_arena(path: Path, root: Path) -> Arena:
    """The arena of a comparison that was begun, in another process; nothing is said.

    Args:
        path: Folder of the comparison.
        root: Of the store with the counts of its space.
    """
    folder = ComparisonFolder(path)
    if folder.of_table:
        table = folder.table_experiment()
        return TableArena(table, table.problem(table.read()).within(table.budgets))
    experiment = folder.experiment()
    dataset, steered = experiment.load_dataset(), _steered(experiment)
    space = steered.space(dataset)
    counts = count_space(space, Store(root), Reporter())
    devices = devices_of_run(steered, folder.profiles(), space, counts, _places(steered))
    pricer = Pricer(counts, experiment.training_setup, devices)
    return TrainingArena(experiment, dataset, space, pricer, folder)


def _table_arena(experiment: TableExperiment, report: Reporter, resume: bool) -> TableArena:
    table = experiment.read()
    everything = experiment.problem(table)
    report_size(everything, len(table.rows), report)
    redundant = redundant_of_table(everything, experiment.seed)
    if not resume:
        report_redundant(redundant, report, "the configurations")
    within = table_within(everything, experiment, report, said=resume)
    return TableArena(experiment, within, redundant)


def _steered(experiment: Experiment) -> Experiment:
    """The experiment with every compared indicator as an objective."""
    search = experiment.search.model_copy(update={"objectives": experiment.compared})
    return experiment.model_copy(update={"search": search})


def _places(experiment: Experiment) -> list[str]:
    """Where candidates must be priced; this machine only where it is named."""
    named = (split_name(name)[1] for name in experiment.steering)
    return list(dict.fromkeys(filter(None, named)))
