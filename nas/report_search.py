"""Reports of searches: what was found, by every indicator, and what it took to find it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from nas.candidates import Evaluated
from nas.disagreement import Disagreement
from nas.indicators import split_name
from nas.model_table import ALL, ModelTable
from nas.report_conditions import conditions_of_run, devices_of, place_of
from nas.report_curves import Curves
from nas.report_disagreement import disagreement_section, said_of_indicators
from nas.report_document import Document, Section, Subject, number
from nas.report_members import (
    budget_section,
    glossary,
    members_section,
    quality_text,
    scaled_text,
    status_of,
    value_text,
)
from nas.report_runs import RunRecord
from nas.report_spending import spending_section, training_section
from nas.table_experiment import TableExperiment
from nas.tolerance import Tolerance
from nas.uncertainty import in_unit, resolutions
from predictors.profile_pricer import COUNTED

__all__ = ["search_document"]

MOST = 1_000
"""Candidates that disagreement is counted over, evenly spaced in the order of evaluation."""
NAMED = 48
"""Characters up to which a configuration is its own name."""


def search_document(record: RunRecord) -> Document:
    """The report of a search."""
    first, names = record.candidates[0], record.names
    notes = {name: place_of(name, first.indicator(name), record) for name in names}
    found = Disagreement.of(_models(record))
    knee = next((member.id for member in _picked(record, "knee")), "")
    curves = Curves(
        record.candidates,
        frozenset(member.id for member in record.pareto.members),
        knee,
        record.experiment.budgets,
        record.quality_errors,
        notes,
    )
    sections = (
        Section(
            "conditions",
            "What all of this holds for",
            ("No number below says anything of another device, runtime, batch or data set.",),
            conditions_of_run(record),
        ),
        Section(
            "curves",
            f"Quality against every indicator ({len(names)})",
            ("Rest on a point to find the same candidate in all panels.",),
            curves.figures(),
        ),
        members_section(record, knee),
        disagreement_section(found, notes, _left_out(record)),
        budget_section(record),
        training_section(record, notes),
        spending_section(record),
        Section("indicators", "Indicators", (), (glossary(record, notes),), folded=True),
    )
    return Document(
        f"Search report: {record.experiment.name}",
        f"{len(record.candidates)} candidates by {len(names)} indicators, "
        f"{record.cost.started.strftime('%Y-%m-%d')}",
        _lead(record, found),
        sections,
        (first.quality.name, *names),
        tuple(map(partial(_subject, record, knee), record.candidates)),
    )


def name_of(candidate: Evaluated) -> str:
    """What a reader knows a candidate by."""
    if candidate.kind == "space":
        return f"{candidate.label} {candidate.id}"
    return candidate.label if len(candidate.label) <= NAMED else candidate.id


def _telling(record: RunRecord) -> tuple[str, ...]:
    """Indicators that can disagree: that differ, and are no quantile of another's runs."""
    first = record.candidates[0]
    names = tuple(
        name
        for name in record.names
        if len({each.indicators[name].value for each in record.candidates}) > 1
        and f"{first.indicator(name).follows}@{split_name(name)[1]}" not in record.names
    )
    return names or record.names


def _left_out(record: RunRecord) -> str:
    gone = [name for name in record.names if name not in _telling(record)]
    if not gone:
        return ""
    return (
        f"Left out, as all candidates are equal in them or as they are quantiles of the same runs: "
        f"{', '.join(gone)}."
    )


def _models(record: RunRecord) -> ModelTable:
    candidates = record.candidates
    if len(candidates) > MOST:
        rows = np.linspace(0, len(candidates) - 1, MOST).round().astype(int)
        candidates = tuple(candidates[i] for i in rows)
    first, names = candidates[0], _telling(record)
    more = {name for name in names if first.indicator(name).maximize}
    unsure = [
        name
        for name in names
        if candidates[0].indicators[name].provenance != "exact"
        and split_name(name)[0] not in COUNTED
    ]
    sizes = resolutions(candidates, unsure, record.quality_errors)
    return ModelTable(
        tuple(map(name_of, candidates)),
        first.quality.name,
        np.array([each.quality.value for each in candidates]),
        names,
        np.array([[each.indicators[name].value for name in names] for each in candidates], float),
        frozenset(more | ({first.quality.name} if first.quality.maximize else set())),
        tuple(each.label for each in candidates) if first.kind == "space" else (),
        tolerances={n: Tolerance(s, not in_unit(n, candidates)) for n, s in sizes.items()},
    )


def _picked(record: RunRecord, what: str) -> Sequence[Evaluated]:
    members: Sequence[Evaluated] = record.pareto.pick(what) if record.pareto.members else ()
    return members


def _lead(record: RunRecord, found: Disagreement) -> tuple[str, ...]:
    pareto, first = record.pareto, record.candidates[0]
    lines = [
        f"{len(pareto.members)} of {pareto.evaluated} evaluated candidates are in the set: no "
        f"other beats them in {first.quality.name} and all {len(record.names)} indicators at once."
    ]
    said = said_of_indicators(found)
    if said:
        lines.append(said)
    sizes = {name: size for name, size in found.fronts.sizes.items() if name != ALL}
    if sizes and found.fronts.sizes[ALL]:
        kept = {name: found.fronts.stays[ALL][name] or 0.0 for name in sizes}
        best, worst = max(kept, key=lambda n: kept[n]), min(kept, key=lambda n: kept[n])
        lines.append(
            f"A search by one indicator alone would keep {kept[worst]:.0%} ({worst}) to "
            f"{kept[best]:.0%} ({best}) of what is on the front of all of them."
        )
    knee = _picked(record, "knee")
    if knee:
        lines.append(
            f"The knee of the set, where all indicators weigh the same, is {name_of(knee[0])} "
            f"with {first.quality.name} {number(knee[0].quality.value)}."
        )
    lines.append(f"It holds for {_held(record)}, and for nothing else.")
    return tuple(lines)


def _held(record: RunRecord) -> str:
    """Data, training and devices, in a clause."""
    experiment = record.experiment
    if record.dataset is None or isinstance(experiment, TableExperiment):
        return "the configurations of this table"
    places = " and ".join(devices_of(record))
    return (
        f"{record.dataset.name}, trained for {experiment.training.epochs} epochs with one seed, "
        f"and for {places}"
    )


def _subject(record: RunRecord, knee: str, candidate: Evaluated) -> Subject:
    name = f"{candidate.id} {candidate.label}"
    status = ", ".join(status_of(record, knee, candidate)) or "evaluated, not in the set"
    if candidate.violations:
        status += f"; breaks the budget of {', '.join(candidate.violations)}"
    values = [quality_text(record, candidate)]
    for key, value in candidate.indicators.items():
        text = value_text(value, candidate.indicator(key))
        if key in candidate.measured:
            text += (
                f"; measured {scaled_text(candidate.measured[key].value, candidate.indicator(key))}"
            )
        values.append(text)
    return Subject(name, status, tuple(values))
