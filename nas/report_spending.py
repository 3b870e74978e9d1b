"""What things took: training beside inference, and the search itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nas.candidates import Evaluated
from nas.indicators import split_name
from nas.report_curves import axis_of
from nas.report_document import Cell, Facts, Section, Table, number
from nas.report_figures import GREY, Figure, Panel, Series
from nas.report_runs import RunRecord
from nas.run_energy import run_energies

__all__ = ["duration", "energy_text", "spending_section", "training_section"]

JOULES_PER_KWH = 3.6e6
COUNTERPARTS = {
    "train_macs": "macs",
    "train_memory_bytes": "peak_memory_bytes",
    "train_step_s": "latency_s",
    "train_energy_j": "energy_j",
    "train_cost_usd": "cost_usd",
}
"""Of what training takes what an inference takes of the same."""


def duration(seconds: float) -> str:
    """Seconds as a person says them.

    >>> duration(7.5), duration(90), duration(7260)
    ('7.5 s', '1 min 30 s', '2 h 1 min')
    """
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def energy_text(manifest: Mapping[str, Any]) -> str:
    """The energy of a run as its manifest has it, or why it is not known; never a guess."""
    found = run_energies(manifest)
    counted = [item.joules for item in found if item.joules is not None]
    if not counted:
        reasons = dict.fromkeys(item.source for item in found)
        return f"not measured: {'; '.join(reasons) or 'no counter was read'}"
    joules = sum(counted)
    times, whole = len(counted), 1 + int(manifest.get("openings", 0))
    part = "" if times == whole else f", in {times} of the {whole} times that it was worked on"
    source = next(item.source for item in found if item.joules is not None)
    amount = f"{number(joules)} J ({number(joules / JOULES_PER_KWH)} kWh)"
    return f"{amount}{part}, as counted by {source}"


def training_section(record: RunRecord, notes: Mapping[str, str]) -> Section:
    """What training the candidates takes, beside what running them takes."""
    title = "Training beside inference"
    if record.dataset is None:
        return Section(
            "training",
            title,
            ("Nothing was trained: the table was asked. What training took it may say itself.",),
        )
    first = record.candidates[0]
    panels = []
    for name in record.names:
        base, place = split_name(name)
        other = COUNTERPARTS.get(base, "")
        other = f"{other}@{place}" if place else other
        if other not in record.names:
            continue
        known, seen = first.indicator(other), first.indicator(name)
        x = [each.indicators[other].value / known.scale for each in record.candidates]
        y = [each.indicators[name].value / seen.scale for each in record.candidates]
        panels.append(
            Panel(
                f"{name} beside {other}",
                axis_of(known.symbol, x),
                axis_of(seen.symbol, y),
                _points(record, x, y),
                f"{notes[name]}; {notes[other]}",
            )
        )
    timed = [i for i, each in enumerate(record.candidates) if each.id in record.cost.seconds]
    latency = next((name for name in record.names if name.startswith("latency_s@local")), None)
    if timed and latency is not None:
        known = first.indicator(latency)
        x = [record.candidates[i].indicators[latency].value / known.scale for i in timed]
        y = [record.cost.seconds[record.candidates[i].id] for i in timed]
        panels.append(
            Panel(
                f"seconds of training beside {latency}",
                axis_of(known.symbol, x),
                axis_of("training s", y),
                _points(record, x, y, timed),
                f"as this search trained them, side by side; {notes[latency]}",
            )
        )
    figure = Figure(
        "training-inference",
        "What training takes against what running takes",
        "A candidate that is cheap to run need not be cheap to train.",
        tuple(panels),
    )
    return Section("training", title, (), (figure, _table(record)) if panels else (_table(record),))


def _points(
    record: RunRecord, x: list[float], y: list[float], rows: list[int] | None = None
) -> tuple[Series, ...]:
    members = {member.id for member in record.pareto.members}
    rows = list(range(len(record.candidates))) if rows is None else rows
    series = []
    for inside in (False, True):
        own = [k for k, i in enumerate(rows) if (record.candidates[i].id in members) == inside]
        if own:
            series.append(
                Series(
                    "in the set" if inside else "evaluated, not in the set",
                    tuple(x[k] for k in own),
                    tuple(y[k] for k in own),
                    0 if inside else GREY,
                    "circle",
                    filled=inside,
                    subjects=tuple(rows[k] for k in own),
                )
            )
    return tuple(series)


def _table(record: RunRecord) -> Table:
    first = record.candidates[0]
    names = [
        name
        for name in record.names
        if first.indicator(name).phase == "training" or split_name(name)[0] in COUNTERPARTS.values()
    ]
    rows = {candidate.id: i for i, candidate in enumerate(record.candidates)}
    body = [
        (
            Cell(member.id, member.label),
            _seconds(record, member),
            *(
                Cell(
                    number(member.indicators[name].value / first.indicator(name).scale),
                    member.indicators[name].provenance,
                    float(member.indicators[name].value),
                )
                for name in names
            ),
        )
        for member in record.pareto.members
    ]
    return Table(
        "training-table",
        "Members: what training them took in this search and takes a step, and what running them "
        "takes.",
        (
            Cell("member"),
            Cell("trained in", "seconds, in this search"),
            *(
                Cell(name, f"{first.indicator(name).symbol}; {first.indicator(name).phase}")
                for name in names
            ),
        ),
        tuple(body),
        tuple(rows[member.id] for member in record.pareto.members),
    )


def _seconds(record: RunRecord, candidate: Evaluated) -> Cell:
    seconds = record.cost.seconds.get(candidate.id)
    return Cell("not known") if seconds is None else Cell(f"{seconds:.1f}", "", seconds)


def spending_section(record: RunRecord) -> Section:
    """What the search itself took."""
    cost, pareto = record.cost, record.pareto
    items: dict[str, str | list[str]] = {}
    if record.dataset is None:
        items["evaluations"] = f"{pareto.evaluated}, looked up in the table; nothing was trained"
    else:
        items["evaluations"] = (
            f"{len(cost.seconds)} trained, {len(cost.stopped)} ended early, "
            f"{len(cost.failed)} failed"
        )
        items["training, in all"] = f"{duration(cost.training_s)} of one core"
        if cost.stopped:
            items["of that, ended early"] = duration(sum(cost.stopped.values()))
        if cost.failed:
            items["failed trainings"] = "what they took is not kept, and is not in it"
    pauses = f", the pauses of {cost.openings} interruptions included" if cost.openings else ""
    items["begun to ended"] = f"{duration(cost.wall_s)}{pauses}"
    if record.dataset is not None:
        items["tables of devices"] = "what measuring them took is not in it"
    items["energy"] = energy_text(record.manifest)
    device = record.run.device()
    items["machine"] = f"{device.name}, {device.cores} cores"
    if cost.failed:
        items["why they failed"] = [f"{key}: {why}" for key, why in cost.failed.items()]
    return Section("spending", "What the search itself took", (), (Facts("Search", items),))
