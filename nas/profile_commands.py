"""What each action of ``hwnas profile`` does; the parser names them."""

from __future__ import annotations

import json
import math
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.errors import ExperimentError, StaleCertificateError
from nas.progress import Reporter

if TYPE_CHECKING:
    from hw_profiles import BlockTable, Runtime
    from hw_profiles.profile import HardwareProfile
    from hw_profiles.store import Store
    from nas.experiment import MeasurementConfig
    from nas.splits import Dataset
    from search_spaces import Architecture, SearchSpace, UnionSpace

__all__ = ["find_profile", "profile_list", "profile_measure", "profile_show", "profile_validate"]


def profile_measure(options: Namespace) -> int:
    """``hwnas profile measure``."""
    from hw_profiles.gauge import gauge_of
    from hw_profiles.profile import HardwareProfile
    from hw_profiles.quantity import quantity
    from hw_profiles.store import Store
    from nas.fitting import check_fit
    from nas.pricing import count_space, measure
    from nas.rendering import print_certificate

    if options.minutes is not None and not 0 < options.minutes < math.inf:
        raise ExperimentError(f"`--minutes` must be a number above 0; got {options.minutes}.")
    folder = None if options.out is None else Path(options.out)
    store, report = Store(local=folder), Reporter()
    of = quantity(options.quantity)
    also = [_chain(name) for name in options.also]
    asked = _asked(options)
    if of.name == "decode_step_s":
        _check_generating(asked.space, also)
    runtime = asked.config.make_runtime(of.name)
    gauge_of(of, runtime)  # Refused before blocks are counted, as all that cannot be is.
    _check_target(store, runtime, of.name, asked.space)
    counts = count_space(asked.space, store, report)
    if asked.dataset is not None:
        check_fit(asked.space, asked.dataset, counts, asked.seed)
    try:
        table = measure(
            asked.space,
            asked.config,
            counts,
            store,
            report,
            quantity=of.name,
            minutes=options.minutes,
            strict=options.strict,
            also=also,
        )
    except KeyboardInterrupt as error:
        raise KeyboardInterrupt(
            f"Stopped; what was timed so far is kept. Go on with: {options.line}"
        ) from error
    if folder is not None and not (folder / "profile.json").exists():
        HardwareProfile(folder.resolve().name, folder, runtime.device).save()
    print_certificate(table)
    report.line(f"The table is {store.table_path(table.setting, table.quantity, asked.space)}.")
    return 0


@dataclass(frozen=True)
class _Asked:
    """What to measure: an experiment's space, or spaces by name, which have no data set."""

    space: UnionSpace
    config: MeasurementConfig
    dataset: Dataset | None = None
    seed: int = 0


def _asked(options: Namespace) -> _Asked:
    from nas.experiment import Experiment
    from search_spaces import UnionSpace
    from search_spaces.profiled import profiled_space

    names = ("runtime", "dtype", "batch", "threads", "certificate", "max_blocks")
    given = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    if (options.experiment is None) == (not options.space):
        raise ExperimentError(
            "`hwnas profile measure` takes an experiment file, or spaces by name with --space; "
            "give one of the two."
        )
    if options.experiment is not None:
        overrides = [f"measurement.{key}={json.dumps(value)}" for key, value in given.items()]
        experiment = Experiment.load(Path(options.experiment), [*options.set, *overrides])
        dataset = experiment.load_dataset()
        return _Asked(experiment.space(dataset), experiment.measurement, dataset, experiment.seed)
    if options.set:
        raise ExperimentError("`--set` changes an experiment; with --space use the other options.")
    config = _measurement(given)
    members = [profiled_space(name) for name in dict.fromkeys(options.space)]
    try:
        return _Asked(UnionSpace(members), config)
    except ValueError as error:
        raise ExperimentError(f"`--space`: {error} Measure them one by one.") from error


def _chain(preset_name: str) -> Architecture:
    """A published network whose blocks can be measured beside a space's."""
    from hw_profiles.plan import shortened
    from search_spaces.presets import preset

    architecture = preset(preset_name)
    try:
        shortened(architecture)
    except ValueError as error:
        raise ExperimentError(f"`--also {preset_name}`: {error}") from error
    return architecture


def _measurement(given: Mapping[str, Any]) -> MeasurementConfig:
    """How to measure, as options say."""
    from pydantic import ValidationError

    from nas.config import problem
    from nas.experiment import MeasurementConfig

    try:
        return MeasurementConfig(**given)
    except ValidationError as error:
        lines = [
            f"`--{str(item['loc'][0]).replace('_', '-')}`: {problem(item)}; got {item['input']!r}."
            for item in error.errors()
        ]
        raise ExperimentError("\n".join(lines)) from error


def _runtime_of(table: BlockTable) -> Runtime:
    """The runtime of a table's setting, as this machine has it.

    Raises:
        ForeignTableError: It is not here, and neither is the table's device.
        UnavailableError: It is not here, though the table was made on this machine's processor.
    """
    from hw_profiles import local_device
    from hw_profiles.errors import ForeignTableError, UnavailableError
    from nas.experiment import MeasurementConfig

    setting = table.setting
    config = MeasurementConfig(
        runtime=setting.runtime,
        dtype=setting.dtype,
        batch=setting.batch,
        threads=setting.threads,
    )
    try:
        return config.make_runtime(table.quantity)
    except UnavailableError as error:
        differing = table.device.differences(local_device())
        if not differing:
            raise
        raise ForeignTableError(f"The table of {table.name}", differing, str(error)) from error


def _check_generating(space: UnionSpace, also: Sequence[Architecture]) -> None:
    """Refuses networks that have no step of generating text."""
    silent = [name for name, member in space.members.items() if not member.generates]
    silent += [network.space for network in also if not network.generates]
    if silent:
        raise ExperimentError(
            f"`decode_step_s` is of generating text, and the networks of {', '.join(silent)} "
            "generate none; leave them out."
        )


def _check_target(store: Store, runtime: Runtime, of: str, space: SearchSpace) -> None:
    """Refuses to measure into what was measured elsewhere."""
    from hw_profiles import BlockTable
    from hw_profiles.errors import ForeignTableError
    from hw_profiles.profile import HardwareProfile
    from nas.imports import imports_of

    about = store.local / "profile.json"
    profile = HardwareProfile.load(store.local) if about.exists() else None
    if profile is not None and profile.device is not None:
        differing = profile.device.differences(runtime.device)
        if differing:
            raise ForeignTableError(
                f"Profile {profile.name}", differing, "Give another folder with --out."
            )
    if profile is not None and imports_of(profile):
        raise ExperimentError(
            f"{store.local} holds published measurements of another device; give another folder "
            "with --out."
        )
    path = store.table_path(runtime.setting, of, space)
    if path.exists():
        BlockTable.load(path).check_made_on(
            runtime.device,
            runtime.setting,
            f"Remove {path} to measure it anew, or give another folder with --out.",
        )


def profile_list(options: Namespace) -> int:
    """``hwnas profile list``."""
    from hw_profiles.store import Store
    from nas.imports import import_item, imports_of
    from nas.profile_views import print_settings, setting_item
    from nas.rendering import print_json

    store = Store()
    named = [find_profile(text, store)[0] for text in options.profiles]
    kept = [find_profile(name, store)[0] for name in (*store.profile_names, *_kept(store))]
    found = []
    for profile in named or kept:
        found += [
            setting_item(profile.name, setting, tables)
            for setting in profile.settings
            if (tables := profile.tables(setting))
        ]
        found += [import_item(profile.name, *item) for item in imports_of(profile).items()]
    if options.json:
        print_json(found)
    elif found:
        print_settings(found)
    else:
        Reporter().line("No table yet: `hwnas search` makes one, or `hwnas profile measure`.")
    return 0


def profile_show(options: Namespace) -> int:
    """``hwnas profile show``."""
    from hw_profiles.store import Store
    from nas.imports import import_item, imports_of, print_imports
    from nas.profile_views import print_profile, print_table, profile_item
    from nas.rendering import print_json

    profile, settings = find_profile(options.profile, Store())
    tables = [table for name in settings for table in profile.tables(name)]
    imports = [item for item in imports_of(profile).items() if item[0] in settings]
    if imports and not tables:
        if options.plot is not None or options.entries:
            raise ExperimentError(
                f"`--plot` and `--entries` are of tables, and {profile.name} holds published "
                "measurements; leave them out."
            )
        if options.json:
            print_json([import_item(profile.name, *item) for item in imports])
        else:
            print(f"{profile.name}: published measurements")
            print_imports(imports)
        return 0
    if not tables:
        raise FileNotFoundError(
            f"The profile {profile.name} has no table yet. Make one with `hwnas profile measure "
            "EXPERIMENT.toml`; `hwnas search` makes one by itself."
        )
    if options.plot is not None:
        _plot(tables, settings[0], options.quantity, Path(options.plot))
    if options.json:
        print_json(profile_item(profile, tables, options.entries))
        return 0
    print_profile(profile, tables)
    for table in tables:
        print_table(table, options.entries)
    return 0


def profile_validate(options: Namespace) -> int:
    """``hwnas profile validate``."""
    from hw_profiles.quantity import quantity
    from hw_profiles.store import Store
    from nas.imports import imports_of
    from nas.profile_views import findings_item, print_findings
    from nas.rendering import print_json
    from nas.repetition import Repetition

    if options.networks < 2:
        raise ExperimentError(f"`--networks` must be at least 2; got {options.networks}.")
    store, report = Store(), Reporter()
    of = quantity(options.quantity).name
    profile, settings = find_profile(options.profile, store)
    tables = profile.tables(settings[0], of) if settings else ()
    if not tables and imports_of(profile):
        raise ExperimentError(
            f"The profile {profile.name} holds published measurements, which cannot be repeated "
            "here; `hwnas profile show` prints their cross-validated certificate."
        )
    if not tables:
        raise FileNotFoundError(
            f"The profile {profile.name} has no table of {of}"
            f"{f' in {settings[0]}' if settings else ''}; measure one with `hwnas profile measure`."
        )
    # What cannot be repeated is refused before any of them is measured.
    ready = [Repetition.of(table, _runtime_of(table)) for table in tables]
    results = []
    for repetition in ready:
        findings = repetition.findings(store, report, options.networks)
        results.append((repetition.table, findings))
        if not options.json:
            print_findings(repetition.table, findings)
    if options.json:
        print_json([findings_item(profile.name, *result) for result in results])
    reasons = [
        f"{table.name}, family {finding.family}: {'; '.join(finding.reasons)}."
        for table, findings in results
        for finding in findings
        if not finding.holds
    ]
    if reasons:
        raise StaleCertificateError("\n".join(["The certificate no longer holds.", *reasons]))
    return 0


def find_profile(text: str, store: Store) -> tuple[HardwareProfile, tuple[str, ...]]:
    """A profile, and its settings: the one that is named after the colon, or all.

    Args:
        text: ``"PROFILE"`` or ``"PROFILE:SETTING"``; a profile may be a folder too.
        store: Where ``local`` is, and what was imported without another folder.

    Raises:
        UnknownNameError: There is no such profile or setting.
        CorruptFileError: It cannot be read.
    """
    from hw_profiles.profile import HardwareProfile
    from search_spaces import UnknownNameError

    name, colon, setting = text.partition(":")
    if name in store.profile_names:
        profile = store.profile(name)
    elif (Path(name) / "profile.json").is_file():
        profile = HardwareProfile.load(Path(name))
    elif name in (kept := _kept(store)):
        profile = HardwareProfile.load(kept[name])
    else:
        raise UnknownNameError("profile", name, (*store.profile_names, *kept))
    return profile, (profile.setting(setting),) if colon else profile.settings


def _kept(store: Store) -> dict[str, Path]:
    """Folders of the profiles beside ``local``, where imported ones go, by name."""
    paths = sorted((store.root / "profiles").glob("*/profile.json"))
    return {p.parent.name: p.parent for p in paths if p.parent.name not in store.profile_names}


def _plot(tables: Sequence[BlockTable], setting: str, of: str, path: Path) -> None:
    """Draws the certificates of a quantity in a setting."""
    from hw_profiles.plotting import plot_certificate

    drawn = [t for t in tables if (t.setting.name, t.quantity) == (setting, of)]
    if not drawn:
        raise FileNotFoundError(f"There is no table of {of} in {setting} to plot.")
    try:
        plot_certificate(drawn, path)
    except ValueError as error:
        raise ExperimentError(f"`--plot`: {error}") from error
    Reporter().line(f"The plot of {of} in {setting} is {path}.")
