"""Members of a set as a report lists them: every value with its unit, interval and provenance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from nas.candidates import Evaluated
from nas.indicators import Indicator
from nas.report_document import Cell, Section, Table, number
from nas.report_runs import RunRecord
from nas.uncertainty import NORMAL_95, in_unit
from predictors import Value

__all__ = [
    "budget_section",
    "glossary",
    "members_section",
    "quality_text",
    "scaled_text",
    "status_of",
    "value_text",
]


def _unit_of(known: Indicator) -> str:
    """The unit that a value over the indicator's scale is in, as its heading ends."""
    return known.symbol.rpartition(" ")[2] if known.scale != 1 else ""


def status_of(record: RunRecord, knee: str, candidate: Evaluated) -> list[str]:
    """How a candidate stands in the set; nothing where it is not in it."""
    marks = []
    if candidate.id in {member.id for member in record.pareto.members}:
        marks.append("in the set")
    if candidate.id in record.pareto.representative:
        marks.append("stands for others")
    if candidate.id == knee:
        marks.append("knee")
    return marks


def quality_text(record: RunRecord, candidate: Evaluated) -> str:
    """The quality, with half of its 95 % interval where that is known."""
    error = record.quality_errors.get(candidate.id)
    value = number(candidate.quality.value)
    return value if error is None else f"{value} ± {NORMAL_95 * error:.2g}"


def value_text(value: Value, known: Indicator) -> str:
    """A value with its unit, interval and provenance."""
    interval = _interval(value, known)
    beside = ", ".join(filter(None, [interval, value.provenance, value.at or ""]))
    return f"{scaled_text(value.value, known)} ({beside})"


def scaled_text(value: float, known: Indicator) -> str:
    """A value in the unit that people read it in."""
    return f"{number(value / known.scale)} {_unit_of(known)}".rstrip()


def _interval(value: Value, known: Indicator) -> str:
    if value.low is None or value.high is None or value.low == value.high:
        return ""
    return f"{number(value.low / known.scale)} to {number(value.high / known.scale)}"


def members_section(record: RunRecord, knee: str) -> Section:
    """The set as a table."""
    pareto, members = record.pareto, record.pareto.members
    first = record.candidates[0]
    rows = {candidate.id: i for i, candidate in enumerate(record.candidates)}
    tested = any(member.test_quality is not None for member in members)
    headings = [
        Cell("member", first.kind),
        Cell("marks", "knee; stands for others"),
        Cell(first.quality.name, "95 % interval"),
    ]
    if tested:
        headings.append(Cell("on test data", "seen by no search"))
    if pareto.probabilities:
        headings.append(Cell("in the set", "probability, as values are uncertain"))
    for name in record.names:
        known = first.indicator(name)
        more = "; more is better" * known.maximize
        headings.append(
            Cell(name, f"{_unit_of(known) or known.unit}{more}", title=known.definition)
        )
    body = []
    for member in members:
        marks = [mark for mark in status_of(record, knee, member) if mark != "in the set"]
        error = record.quality_errors.get(member.id)
        note = "" if error is None else f"± {NORMAL_95 * error:.2g}"
        row = [
            Cell(member.id, member.label),
            Cell(", ".join(marks)),
            Cell(number(member.quality.value), note, member.quality.value),
        ]
        if tested:
            test = member.test_quality
            row.append(
                Cell("") if test is None else Cell(number(test.value), test.name, test.value)
            )
        if pareto.probabilities:
            share = pareto.probabilities[member.id]
            row.append(Cell(f"{share:.0%}", "", share))
        row.extend(_indicator_cell(member, name) for name in record.names)
        body.append(tuple(row))
    table = Table(
        "set",
        "The set. Below each value its 95 % interval, where there is one, and where it comes from; "
        "below what was predicted what was measured on the whole network.",
        tuple(headings),
        tuple(body),
        tuple(rows[member.id] for member in members),
    )
    return Section("members", f"The set ({len(members)})", _set_text(record), (table,))


def _indicator_cell(member: Evaluated, name: str) -> Cell:
    value, known = member.indicators[name], member.indicator(name)
    note = ", ".join(filter(None, [_interval(value, known), value.provenance, value.at or ""]))
    measured = member.measured.get(name)
    if measured is not None:
        seen = _interval(measured, known)
        note += f"; measured {number(measured.value / known.scale)}{f' ({seen})' if seen else ''}"
    return Cell(number(value.value / known.scale), note, float(value.value))


def _set_text(record: RunRecord) -> tuple[str, ...]:
    pareto = record.pareto
    error = f" ± {pareto.hypervolume_error:.2g}" if pareto.hypervolume_error else ""
    lines = [
        f"Hypervolume {pareto.hypervolume:.4g}{error} of the box from the best to the reference "
        f"point ({pareto.hypervolume_method})."
    ]
    if 0 < len(pareto.representative) < len(pareto.members):
        sizes = ", ".join(
            f"{name} {number(size) if in_unit(name, pareto.members) else f'{size:.0%}'}"
            for name, size in pareto.resolutions.items()
        )
        lines.append(
            f"{len(pareto.representative)} members stand for all: every other is better than one "
            f"of these by at most {sizes}."
        )
    return tuple(lines)


def budget_section(record: RunRecord) -> Section:
    """Limits, and how members and everything else that was evaluated keep to them."""
    budgets = record.experiment.budgets
    if not budgets:
        return Section("budgets", "Budgets", ("The search had no budgets.",))
    first, rows = record.candidates[0], []
    for name, limit in budgets.items():
        known = first.indicator(name)
        values = [member.indicators[name].value for member in record.pareto.members]
        missed = [each for each in record.candidates if name in each.violations]
        worst = max((each.violations[name] for each in missed), default=0.0)
        sure = [
            share
            for member in record.pareto.members
            if (share := member.feasibility.get(name)) is not None
        ]
        rows.append(
            (
                Cell(name, "at least" if known.maximize else "at most"),
                Cell(scaled_text(limit, known), "", limit),
                Cell(
                    f"{number(min(values) / known.scale)} to {scaled_text(max(values), known)}"
                    if values
                    else "no member"
                ),
                Cell(str(len(missed)), f"by up to {worst:.0%}" * bool(missed), len(missed)),
                Cell(f"{min(sure):.0%}" if sure else "not known"),
            )
        )
    text = (
        "What breaks a budget is not trained, so that none of the evaluated does, unless the "
        "budgets changed since."
        if record.dataset is not None
        else "Configurations that break a budget are not asked for."
    )
    headings = (
        Cell("budget"),
        Cell("limit"),
        Cell("members take"),
        Cell("evaluated that break it"),
        Cell("kept once measured", "least probability of a member"),
    )
    table = Table("budget-table", "Limits, and how members keep to them.", headings, tuple(rows))
    return Section("budgets", "Budgets and violations", (text,), (table,))


def glossary(record: RunRecord, notes: Mapping[str, str]) -> Table:
    """Every indicator of a run: unit, direction, provenance and definition."""
    first, rows = record.candidates[0], []
    for name in record.names:
        known = first.indicator(name)
        sources = Counter(each.indicators[name].provenance for each in record.candidates)
        setup = getattr(record.experiment, "training_setup", None)
        rows.append(
            (
                Cell(name, known.symbol if known.symbol != name else ""),
                Cell(known.unit or "as the column says"),
                Cell(known.direction),
                Cell(known.phase),
                Cell(", ".join(f"{source} ({n})" for source, n in sources.items())),
                Cell(notes[name]),
                Cell(known.defined(setup)),
            )
        )
    headings = ("indicator", "unit", "direction", "phase", "where from", "holds for", "what it is")
    return Table(
        "glossary",
        "Every indicator of the run.",
        tuple(map(Cell, headings)),
        tuple(rows),
    )
