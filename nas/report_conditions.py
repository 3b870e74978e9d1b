"""Conditions: the device, runtime, batch and data that a claim of a report was made on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from hw_profiles import BlockTable, Device
from hw_profiles.profile import HardwareProfile
from nas.experiment import Experiment
from nas.indicators import LOCAL, Indicator, split_name, split_place
from nas.pricing import describe_table, doubt_of
from nas.report_document import Facts
from nas.report_runs import RunRecord
from nas.table_experiment import TableExperiment
from predictors.profile_pricer import COUNTED, QUANTITY_OF

__all__ = ["conditions_of_run", "device_facts", "devices_of", "place_of", "run_facts"]


def conditions_of_run(record: RunRecord) -> tuple[Facts, ...]:
    """What the claims of a search hold for, a box for each of its parts."""
    if isinstance(record.experiment, TableExperiment):
        boxes = [_table(record, record.experiment)]
    else:
        boxes = [_task(record, record.experiment), *_places(record, record.experiment)]
    run = run_facts(record.cost.started, record.manifest, record.run.device())
    return (*boxes, _search(record), run)


def place_of(name: str, known: Indicator, record: RunRecord) -> str:
    """What one indicator holds for, in a line."""
    place = split_name(name)[1]
    if isinstance(record.experiment, TableExperiment):
        return "as the table says"
    setup = record.experiment.training_setup
    if not place:
        if known.phase == "training":
            return f"counted, batch {setup.batch_size} with {setup.optimizer}"
        return "counted, fp32, batch 1, of any device"
    tables = _tables(record, place)
    table = next((t for t in tables if t.quantity == _quantity(name)), None)
    table = table or next(iter(tables), None)
    if table is None:
        return place
    setting = table.setting
    threads = f", {setting.threads} thread{'s' * (setting.threads > 1)}" if setting.threads else ""
    base = split_name(name)[0]
    batch = "" if base in (*COUNTED, "throughput_per_s") else f", batch {setting.batch}"
    return (
        f"{table.device.name}, {setting.runtime} {setting.version}, {setting.dtype}{batch}{threads}"
    )


def devices_of(record: RunRecord) -> tuple[str, ...]:
    """Every device, runtime and setting that candidates were priced with, in a clause each."""
    experiment = record.experiment
    if isinstance(experiment, TableExperiment):
        return ()
    tables = [table for place in experiment.places for table in _tables(record, place)[:1]]
    return tuple(
        dict.fromkeys(
            f"{table.device.name} with {table.setting.runtime} {table.setting.version} at "
            f"{table.setting.dtype} and batch {table.setting.batch}"
            for table in tables
        )
    )


def _quantity(name: str) -> str:
    return QUANTITY_OF.get(split_name(name)[0], "latency_s")


def _tables(record: RunRecord, place: str) -> tuple[BlockTable, ...]:
    """The run's tables of a place, in the setting that it stands for."""
    assert isinstance(record.experiment, Experiment)
    name, setting = split_place(place)
    if name == LOCAL and not setting:
        setting = record.experiment.measurement.setting_name
    profile = record.run.profiles().get(name)
    if profile is None:
        return ()
    setting = setting or profile.setting()
    return tuple(table for table in profile.tables() if table.setting.name == setting)


def _task(record: RunRecord, experiment: Experiment) -> Facts:
    training, dataset = experiment.training, record.dataset
    assert dataset is not None
    splits = (
        dataset.fitted(record.pareto.members[0].architecture) if record.pareto.members else None
    )
    sizes: tuple[str, ...] = ()
    if splits is not None:
        sizes = (
            f"{len(splits.train):,} examples to train, {len(splits.validation):,} to validate, "
            f"{len(splits.test):,} to test",
        )
    quality = record.candidates[0].quality
    return Facts(
        "Task and training",
        {
            "data": (f"{experiment.task.dataset}", *sizes),
            "quality": f"{quality.name}, to be {'maximised' if quality.maximize else 'minimised'}",
            "training": (
                f"{training.epochs} epochs of batch {training.batch_size} with "
                f"{training.optimizer}, learning rate {training.learning_rate:g}, weight decay "
                f"{training.weight_decay:g}, label smoothing {training.label_smoothing:g}"
            ),
            "repetitions": "each candidate was trained once; how far another training seed would "
            "move its quality is not known",
            "spaces": ", ".join(experiment.spaces),
            "counts": "at fp32 and batch 1, exact on every device",
        },
    )


def _places(record: RunRecord, experiment: Experiment) -> list[Facts]:
    boxes = []
    for place in experiment.places:
        front = record.pareto.front_certificate if place == LOCAL else None
        boxes.extend(_device(place, _tables(record, place), front))
    return boxes


def device_facts(profiles: Mapping[str, HardwareProfile]) -> list[Facts]:
    """A box for each setting of some profiles."""
    boxes = []
    for name, profile in profiles.items():
        for setting in profile.settings:
            tables = tuple(t for t in profile.tables() if t.setting.name == setting)
            boxes.extend(_device(f"{name}:{setting}", tables, None))
    return boxes


def _device(
    place: str, tables: Sequence[BlockTable], front: Mapping[str, float] | None
) -> list[Facts]:
    if not tables:
        return []
    setting, device = tables[0].setting, tables[0].device
    lines = [
        f"{table.quantity} ({table.space}), {str(table.conditions.get('date', ''))[:10]}: "
        f"{describe_table(table)}"
        for table in tables
    ]
    doubts = [f"{t.quantity} is noisy: {doubt}" for t in tables if (doubt := doubt_of(t))]
    statistics = [str(t.conditions["statistic"]) for t in tables if "statistic" in t.conditions]
    items: dict[str, str | list[str]] = {
        "device": _processor(device),
        "runtime": f"{setting.runtime} {setting.version}",
        "setting": f"{setting.dtype}, batch {setting.batch}"
        + (f", threads {setting.threads}" if setting.threads else ""),
        "statistic": list(dict.fromkeys(statistics)) or "not stated",
        "tables": lines,
    }
    if doubts:
        items["warning"] = doubts
    if front:
        items["the set, measured"] = (
            f"{front['n']:.0f} members run whole: latency {front['within_10']:.0%} within ±10 % of "
            f"the table, bias {front['bias']:+.1%}"
        )
    return [Facts(f"Device: {place}", items)]


def _processor(device: Device) -> str:
    memory = f"{device.memory_bytes / 2**30:.0f} GiB"
    return f"{device.name}, {device.machine}, {device.cores} cores, {memory}"


def _table(record: RunRecord, experiment: TableExperiment) -> Facts:
    asked, problem = experiment.table, experiment.problem(experiment.read())
    error = asked.quality_error
    return Facts(
        "Table",
        {
            "file": experiment.table.file.rsplit("/", 1)[-1],
            "size": f"{problem.size:,} configurations",
            "configuration": ", ".join(asked.config),
            "quality": f"{asked.quality}, error of one value "
            + ("not known" if error is None else f"{error:g}"),
            "rows left out": ", ".join(f"unless {k} is {v}" for k, v in asked.where.items())
            or "none",
            "costs": "as the table has them: on what device, runtime and batch, the table does not "
            "say but in the names of its columns",
        },
    )


def _search(record: RunRecord) -> Facts:
    experiment, pareto = record.experiment, record.pareto
    search = experiment.search
    steering = search.objectives
    if isinstance(experiment, TableExperiment):
        steering = experiment.objectives
    budgets = ", ".join(f"{name} {limit:g}" for name, limit in experiment.budgets.items())
    return Facts(
        "Search",
        {
            "evaluated": f"{pareto.evaluated} candidates, {pareto.feasible} within all budgets",
            "sampler": f"{search.sampler}, {search.batch} at once, seed {experiment.seed}",
            "steered by": f"{record.candidates[0].quality.name}, {', '.join(steering)}",
            "judged by": f"quality and all {len(record.names)} indicators",
            "budgets": budgets or "none",
        },
    )


def run_facts(begun: datetime, manifest: Mapping[str, Any], device: Device) -> Facts:
    """When, where and with what something was run."""
    versions: Mapping[str, str] = manifest["versions"]
    return Facts(
        "Run",
        {
            "begun": begun.strftime("%Y-%m-%d %H:%M UTC"),
            "state": str(manifest["state"]),
            "machine": _processor(device),
            "versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
        },
    )
