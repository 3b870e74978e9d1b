"""What comes before a search of networks: counts, tables, prices, and what the budgets leave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hw_profiles import BlockTable
from hw_profiles.profile import HardwareProfile
from hw_profiles.store import Store
from nas.budget_table import report_budgets
from nas.errors import InterruptedSearch
from nas.experiment import Experiment
from nas.feasibility import feasible_pool
from nas.fitting import check_fit
from nas.indicators import LOCAL, split_name, split_place
from nas.places import check_local_names, devices_of_run, other_devices, ready_local_devices
from nas.pricer import Pricer
from nas.pricing import count_space, report_others
from nas.progress import Reporter
from nas.redundancy import RedundantGroup, redundant_of_space, report_redundant
from nas.resuming import check_same_code, check_same_device
from nas.run_folder import RunFolder
from nas.splits import Dataset
from predictors import ProfilePricer
from predictors.profile_pricer import COUNTED, QUANTITY_OF
from search_spaces import UnionSpace

__all__ = ["Preparation", "prepare", "space_of"]

THROUGHPUT = "throughput_per_s"


@dataclass(frozen=True, slots=True, eq=False)
class Preparation:
    """What a search of networks begins with.

    Attributes:
        space: Where candidates come from.
        pricer: What they cost.
        table: This machine's latency table; ``None`` where nothing of this machine is priced.
        redundant: Indicators that order the space alike.
    """

    space: UnionSpace
    pricer: Pricer
    table: BlockTable | None
    redundant: tuple[RedundantGroup, ...]

    @property
    def priced(self) -> list[tuple[HardwareProfile, Sequence[BlockTable]]]:
        """What candidates are priced with: profiles, and tables of them."""
        return [(device.profile, device.tables) for device in self.pricer.devices.values()]


def space_of(experiment: Experiment, dataset: Dataset, report: Reporter) -> UnionSpace:
    """The space of an experiment; says how large it is and what whoever uses it should be told."""
    space = experiment.space(dataset)
    report.line(
        f"Space {space.name}: {space.size:,} architectures of {len(space.blocks):,} distinct "
        f"blocks. Counts are at fp32 and batch 1; training at batch "
        f"{experiment.training.batch_size} with {experiment.training.optimizer}."
    )
    report.remarks(space.blocks)
    return space


def prepare(
    experiment: Experiment,
    space: UnionSpace,
    dataset: Dataset,
    store: Store,
    report: Reporter,
    *,
    run: RunFolder | None = None,
    again: str = "",
    places: Sequence[str] | None = None,
) -> Preparation:
    """Counts a space, measures what tables are missing, and prices; nothing is trained.

    Args:
        experiment: What will be done.
        space: Of the experiment.
        dataset: What its networks learn.
        store: Where tables and counts are kept.
        report: Told what was found.
        run: The run that is gone on with: its own tables are used.
        again: The command that does all this, for whoever stops it.
        places: Where candidates are priced; in all of the experiment's places when absent.

    Raises:
        ExperimentError: A space makes networks that do not fit the data set, or an objective or
            budget names what a profile does not have.
        ForeignTableError: The run was begun on another device or version.
        NothingFeasibleError: The budgets leave nothing of the space.
        InterruptedSearch: Ctrl-C; what was timed is kept.
        CorruptFileError: A file of the run or of the store is damaged.
    """
    places = experiment.places if places is None else places
    local = any(split_place(place)[0] == LOCAL for place in places)
    table = None
    if run is not None:
        if local:
            table = run.latency_table()
            check_same_device(table, experiment)
            check_same_code(table, space)
        counts = count_space(space, store, report)
        devices = devices_of_run(experiment, run.profiles(), space, counts, places)
        limits = experiment.budgets  # Reported when the run was begun.
    else:
        try:
            counts = count_space(space, store, report)
            check_fit(space, dataset, counts, experiment.seed)
            # What needs no table of this machine can be refused before one is measured.
            devices = other_devices(experiment, space, counts, store)
            check_local_names(experiment, space, store)
            _report_tables(experiment.steering, devices, report)
            known = Pricer(counts, experiment.training_setup, devices)
            limits = {k: v for k, v in experiment.budgets.items() if k in known.names}
            report_budgets(space, known, limits, experiment.seed, report)
            feasible_pool(space, known, limits, experiment.seed)
            if local:
                own, table = ready_local_devices(experiment, space, counts, store, report)
                devices = own | devices
            devices = {place: devices[place] for place in places}
        except KeyboardInterrupt as interrupt:
            go_on = f"Go on with:\n{again}" if again else "Give the same command again."
            raise InterruptedSearch(
                "Stopped before any candidate was trained; what was timed so far is kept. " + go_on
            ) from interrupt
    pricer = Pricer(counts, experiment.training_setup, devices)
    pricer.require(experiment.steering)
    redundant = redundant_of_space(space, pricer, experiment.seed)
    report_redundant(redundant, report)
    if set(experiment.budgets) != set(limits):
        report_budgets(space, pricer, experiment.budgets, experiment.seed, report)
    if experiment.budgets:
        pool = feasible_pool(space, pricer, experiment.budgets, experiment.seed)
        report.line(f"Budgets: {pool.share:.1%} of random architectures meet all of them.")
    return Preparation(space, pricer, table, redundant)


def _report_tables(
    names: Sequence[str], devices: Mapping[str, ProfilePricer], report: Reporter
) -> None:
    """Says how far each table can be trusted that decides about candidates, once.

    Args:
        names: Indicators that steer; of a place without any, all of its setting's tables decide.
        devices: What prices in each place.
        report: Where it is said.
    """
    told: set[str] = set()
    for place, device in devices.items():
        named = {split_name(name)[0] for name in names if split_name(name)[1] == place}
        asked = {QUANTITY_OF[base] for base in named or QUANTITY_OF if base not in COUNTED}
        for table in device.tables:
            # Throughput is that of the best batch, so it comes from every batch's table.
            elsewhere = table.setting.name != device.setting.name
            if elsewhere and (THROUGHPUT not in named or table.quantity != QUANTITY_OF[THROUGHPUT]):
                continue
            if table.quantity in asked and table.sha256 not in told:
                told.add(table.sha256)
                report_others(device.profile.name, [table], report)
