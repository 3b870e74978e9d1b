"""Places: a profile and a setting in which candidates are priced, and what prices them there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from hw_profiles import BlockTable, make_runtime, space_digest
from hw_profiles.code import timing_code
from hw_profiles.errors import ForeignTableError, UnavailableError
from hw_profiles.gauge import gauge_of
from hw_profiles.profile import HardwareProfile
from hw_profiles.quantity import quantity as find_quantity
from hw_profiles.store import Store
from nas.errors import ExperimentError
from nas.experiment import Experiment
from nas.indicators import LOCAL, split_name, split_place
from nas.planning import SECONDS_OF
from nas.pricer import Pricer
from nas.pricing import ready_table
from nas.progress import Reporter
from predictors import ProfilePricer
from predictors.device_tables import families_of
from predictors.profile_pricer import CONSTANTS_OF, QUANTITY_OF
from search_spaces import Architecture, CountTable, SearchSpace, UnknownNameError

__all__ = [
    "check_local_names",
    "check_made_here",
    "devices_of_run",
    "local_device_of",
    "other_devices",
    "place_device",
    "ready_local_devices",
]

ADVICE = (
    "Measure one with `hwnas profile measure`; a shipped profile can be priced with by its name."
)


def other_devices(
    experiment: Experiment, space: SearchSpace, counts: CountTable, store: Store
) -> dict[str, ProfilePricer]:
    """What prices an experiment's candidates in the places that are not this machine.

    Raises:
        UnknownNameError: There is no such profile or setting.
        ExperimentError: An objective or a budget names what its profile cannot give.
        CorruptFileError: A table cannot be read.
    """
    families, devices = families_of(space), {}
    for place in experiment.places:
        profile, setting = split_place(place)
        if profile != LOCAL:
            devices[place] = ProfilePricer(store.profile(profile), setting, counts, families)
    named = (name for name in experiment.steering if split_name(name)[1] in devices)
    Pricer(counts, experiment.training_setup, devices).require(list(named))
    return devices


def check_local_names(experiment: Experiment, space: SearchSpace, store: Store) -> None:
    """Refuses what an experiment names of this machine and cannot be had, before it is measured.

    Raises:
        UnknownNameError: A setting is named that no table of the space was measured in.
        ExperimentError: Something is named that the runtime cannot do, or that follows from a
            number that the profile does not state.
        UnavailableError: Something is named that is not counted here.
    """
    profile, config = store.profile(LOCAL), experiment.measurement
    known = {setting for setting, _, _ in _files_of(profile, space)} | {config.setting_name}
    for place in experiment.places:
        name, setting = split_place(place)
        if name == LOCAL and setting and setting not in known:
            raise UnknownNameError(f"setting of profile {LOCAL}", setting, sorted(known))
    for quantity in _quantities(experiment):
        gauge_of(find_quantity(quantity), config.make_runtime(quantity))
    for name in experiment.steering:
        base, place = split_name(name)
        stated = CONSTANTS_OF.get(base, ()) if split_place(place)[0] == LOCAL else ()
        gone = [constant for constant in stated if constant not in profile.constants]
        if gone:
            raise ExperimentError(
                f"`{name}` is not available: the profile {LOCAL} states no {' and no '.join(gone)}."
            )


def ready_local_devices(
    experiment: Experiment,
    space: SearchSpace,
    counts: CountTable,
    store: Store,
    report: Reporter,
) -> tuple[dict[str, ProfilePricer], BlockTable]:
    """What prices an experiment's candidates on this machine, by tables of the space.

    Tables that are not kept or do not hold are measured: latency, and what objectives and budgets
    name.

    Returns:
        That, and the latency table in the experiment's setting.

    Raises:
        UnknownNameError: A setting is named that no valid table was measured in.
        CorruptFileError: A table cannot be read.
    """
    ready = [
        ready_table(space, experiment, counts, store, report, quantity)
        for quantity in ("latency_s", *_quantities(experiment))
    ]
    profile, code = store.profile(LOCAL), timing_code(space)
    tables = [
        table
        for table in (BlockTable.load(path) for _, _, path in _files_of(profile, space))
        if _made_here(table) and table.conditions.get("code", code) == code
    ]
    families, devices = families_of(space), {}
    for place in experiment.places:
        name, setting = split_place(place)
        if name == LOCAL:
            setting = setting or experiment.measurement.setting_name
            devices[place] = ProfilePricer(profile, setting, counts, families, tables)
    return devices, ready[0]


def _quantities(experiment: Experiment) -> list[str]:
    """What objectives and budgets need of this machine, beside latency."""
    named = (split_name(name) for name in experiment.steering)
    needed = [QUANTITY_OF.get(base, "latency_s") for base, place in named if place == LOCAL]
    first = [SECONDS_OF[quantity] for quantity in needed if quantity in SECONDS_OF]
    return [quantity for quantity in dict.fromkeys(first + needed) if quantity != "latency_s"]


def _files_of(profile: HardwareProfile, space: SearchSpace) -> list[tuple[str, str, Path]]:
    """Those of a profile's tables that are of a space."""
    ending = f".{space_digest(space)}.json"
    return [item for item in profile.files if item[2].name.endswith(ending)]


def devices_of_run(
    experiment: Experiment,
    profiles: Mapping[str, HardwareProfile],
    networks: SearchSpace | Architecture,
    counts: CountTable,
    places: Sequence[str] | None = None,
) -> dict[str, ProfilePricer]:
    """What a run's candidates were priced with, from its own copies.

    Args:
        experiment: Of the run.
        profiles: The run's copies.
        networks: What will be priced.
        counts: Counts of blocks.
        places: Where; in all of the experiment's places when absent.
    """
    families, devices = families_of(networks), {}
    for place in experiment.places if places is None else places:
        name, setting = split_place(place)
        if name == LOCAL:
            setting = setting or experiment.measurement.setting_name
        devices[place] = ProfilePricer(profiles[name], setting, counts, families)
    return devices


def place_device(
    place: str, architecture: Architecture, counts: CountTable, store: Store
) -> ProfilePricer:
    """What prices an architecture in a place.

    Raises:
        UnknownNameError: There is no such profile or setting.
        FileNotFoundError: It is this machine, and nothing was measured yet.
        ForeignTableError: It is this machine, and what was measured was not measured on it.
        CorruptFileError: A table cannot be read.
    """
    name, setting = split_place(place)
    profile = store.profile(name)
    if name != LOCAL:
        return ProfilePricer(profile, setting, counts, families_of(architecture))
    if not profile.files:
        raise FileNotFoundError(f"The profile {LOCAL} has no table yet. {ADVICE}")
    tables = profile.tables(profile.setting(setting) if setting else None)
    here = [table for table in tables if _made_here(table)]
    if not here:
        check_made_here(tables[-1])
    return _with_fewest_missing(profile, here, architecture, counts)


def local_device_of(
    architecture: Architecture, counts: CountTable, store: Store
) -> tuple[ProfilePricer | None, str]:
    """What prices an architecture on this machine, if its tables hold any of its blocks.

    Returns:
        That, or else why there is none.
    """
    profile = store.profile(LOCAL)
    tables = profile.tables()
    here = [table for table in tables if _made_here(table)]
    if not here:
        known = "every one is of another device or version" if tables else "none was measured"
        return None, f"no table of this machine holds its blocks; {known}"
    device = _with_fewest_missing(profile, here, architecture, counts)
    predictor = device.predictor("latency_s", architecture.space)
    if predictor is None or not any(block in predictor.table for block in architecture.blocks):
        return None, "no table of this machine holds its blocks"
    return device, ""


def check_made_here(table: BlockTable) -> None:
    """Refuses a table that this machine, with its versions, would not make.

    Raises:
        ForeignTableError: It was made elsewhere; the message has both sides.
        UnavailableError: Its runtime is not here at all.
    """
    setting = table.setting
    runtime = make_runtime(
        setting.runtime, dtype=setting.dtype, batch=setting.batch, threads=setting.threads
    )
    table.check_made_on(runtime.device, runtime.setting, ADVICE)


def _made_here(table: BlockTable) -> bool:
    try:
        check_made_here(table)
    except (ForeignTableError, UnavailableError, ValueError):
        return False
    return True


def _with_fewest_missing(
    profile: HardwareProfile,
    tables: Sequence[BlockTable],
    architecture: Architecture,
    counts: CountTable,
) -> ProfilePricer:
    """In the setting whose latency table holds the most of an architecture's blocks."""

    def missing(setting: str) -> int:
        own = [t for t in tables if (t.setting.name, t.quantity) == (setting, "latency_s")]
        blocks = set(architecture.blocks)
        return min((_count(table.missing(blocks)) for table in own), default=len(blocks) + 1)

    names = [name for name in profile.settings if any(t.setting.name == name for t in tables)]
    setting = min(names, key=missing)
    return ProfilePricer(profile, setting, counts, families_of(architecture), tables)


def _count(items: Iterable[object]) -> int:
    return sum(1 for _ in items)
