"""Conditions: the device, runtime, batch and data that a claim of a report was made on."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from hw_profiles import BlockTable, Device
from nas.experiment import Experiment
from nas.indicators import Indicator, split_name
from nas.report_devices import THROUGHPUT, device_facts, processor, quantity_of, tables_of
from nas.report_document import Facts
from nas.report_runs import RunRecord
from nas.table_experiment import TableExperiment
from predictors.profile_pricer import COUNTED

__all__ = ["conditions_of_run", "devices_of", "place_of", "run_facts"]


def conditions_of_run(record: RunRecord) -> tuple[Facts, ...]:
    """What the claims of a search hold for, a box for each of its parts."""
    if isinstance(record.experiment, TableExperiment):
        boxes = [_table(record, record.experiment)]
    else:
        own = record.experiment.measurement.setting_name
        certificate = record.pareto.front_certificate
        devices = device_facts(record.run.profiles(), record.names, own, certificate)
        boxes = [_task(record, record.experiment), *devices]
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
    table = next((t for t in tables if t.quantity == quantity_of(name)), None)
    table = table or next(iter(tables), None)
    if table is None:
        return place
    setting = table.setting
    threads = f", {setting.threads} thread{'s' * (setting.threads > 1)}" if setting.threads else ""
    base = split_name(name)[0]
    batch = "" if base in (*COUNTED, THROUGHPUT) else f", batch {setting.batch}"
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


def _tables(record: RunRecord, place: str) -> tuple[BlockTable, ...]:
    """The run's tables of a place, in the setting that it stands for."""
    assert isinstance(record.experiment, Experiment)
    own = record.experiment.measurement.setting_name
    return tables_of(record.run.profiles(), place, own)


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
            "machine": processor(device),
            "versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
        },
    )
