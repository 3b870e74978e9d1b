"""Tables for people: what is stored in SI is shown in the units that fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table

from hw_profiles import LatencyTable, Score
from hw_profiles.certificate import Measured
from nas.candidates import Candidate
from nas.indicators import Value, indicator, paper_gflops
from nas.pareto import ParetoSet
from nas.quality import Quality
from search_spaces import TrainingSetup

__all__ = ["print_certificate", "print_indicators", "print_pareto", "print_rows"]


def _console(width: int) -> Console:
    """Stdout, as wide as the table at least: a narrower terminal wraps rows, and none is cut."""
    return Console(highlight=False, width=max(width, Console().width))


def print_rows(headings: Sequence[str], rows: Sequence[Sequence[str]], title: str = "") -> None:
    """Prints a table; every column but the first is aligned right."""
    table = Table(title=title or None, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for position, heading in enumerate(headings):
        table.add_column(heading, justify="left" if position == 0 else "right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    widths = [max(map(cell_len, column)) for column in zip(headings, *rows, strict=True)]
    _console(max(sum(widths) + 3 * len(widths), len(title) + 1)).print(table)


def _number(value: float) -> str:
    if value == int(value) and abs(value) < 1e6:
        return f"{int(value)}"
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


_QUALITIES = {
    "validation_error": ("val err %", "test acc %"),
    "validation_bits_per_byte": ("val bits/byte", "test bits/byte"),
}
"""Headings of the columns of a quality and of the same on the test split."""


def _quality(quality: Quality) -> str:
    if quality.name == "validation_error":
        return f"{100 * quality.value:.1f}"
    if quality.name == "test_error":
        return f"{100 * (1 - quality.value):.1f}"
    return f"{quality.value:.4g}"


def _telling(members: Sequence[Candidate]) -> tuple[list[str], dict[str, str]]:
    """The indicators that say something of these members, and of the others why they do not."""
    columns: dict[tuple[float, ...], str] = {}
    same: dict[str, str] = {}
    for name in members[0].indicators:
        column = tuple(member.indicators[name].value for member in members)
        if not any(column):
            same[name] = "0"
        elif column in columns:
            same[name] = f"as {columns[column]}"
        else:
            columns[column] = name
    return list(columns.values()), same


def print_pareto(pareto: ParetoSet) -> None:
    """Prints the set: a member a row, quality, that on the test split and every indicator.

    Indicators that are 0, or equal to another, for all of them are named below.
    """
    if not pareto.members:
        print("The Pareto set is empty: no feasible candidate was trained.")
        return
    names, same = _telling(pareto.members)
    kind = pareto.members[0].quality.name
    headings = ["id", "space", *_QUALITIES.get(kind, (kind, "test"))]
    for name in names:
        headings.append(indicator(name).symbol + (" table" if "@" in name else ""))
        if any(name in member.measured for member in pareto.members):
            headings.append("measured")
    rows = []
    for member in pareto.members:
        tested = "" if member.test_quality is None else _quality(member.test_quality)
        row = [member.id, member.architecture.space, _quality(member.quality), tested]
        for name in names:
            value = member.indicators[name]
            scale = indicator(name).scale
            flag = "*" if value.provenance == "predicted" else ""
            row.append(_number(value.value / scale) + flag)
            if "measured" in headings and "@" in name:
                whole = member.measured.get(name)
                row.append(_number(whole.value / scale) if whole else "")
        rows.append(row)
    print_rows(headings, rows, "Pareto set across quality and every indicator")
    share = len(pareto.members) / pareto.feasible
    print(
        f"{len(pareto.members)} of {pareto.feasible} feasible candidates ({share:.0%}) are in the "
        f"set; {pareto.evaluated} were trained. Hypervolume {pareto.hypervolume:.4g} of the box "
        f"from the best to the reference point ({pareto.hypervolume_method})."
    )
    if same:
        print(f"Not shown: {', '.join(f'{name} ({why})' for name, why in same.items())}.")
    if any(v.provenance == "predicted" for m in pareto.members for v in m.indicators.values()):
        print("* A block of it was not timed but predicted.")


def print_indicators(values: Mapping[str, Value], training: TrainingSetup) -> None:
    """Prints every indicator of one architecture with its interval, provenance and definition."""
    rows = []
    for name, value in values.items():
        known = indicator(name)
        exact = value.low is None or value.low == value.high
        interval = "" if exact else f"{value.low:.4g} to {value.high:.4g}"
        number = f"{value.value:,.0f}" if value.provenance == "exact" else f"{value.value:.4g}"
        rows.append([name, number, known.unit, interval, value.provenance, known.phase])
    headings = ["indicator", "value", "unit", "95 % interval", "provenance", "phase"]
    print_rows(headings, rows, "At fp32 and batch 1; training at its own batch")
    for name in values:
        print(f"{name}: {indicator(name).defined(training)}")
    gflops = paper_gflops(values)
    print(
        f"GFLOPs as the tables of The Efficiency Misnomer print them: {gflops:.4g} (flops / 2e9)."
    )


def print_certificate(table: LatencyTable) -> None:
    """Prints how a table was made and how wrong it is, by family."""
    conditions = table.conditions
    print(f"{table.name} on {table.device.name}, made {conditions['date']}")
    print(
        f"{len(table.entries)} blocks from {conditions['networks']} networks, "
        f"{conditions['statistic']}; reference {1e3 * conditions['reference_s']:.4g} ms, its 5 to "
        f"95 % range {conditions['reference_drift'] - 1:.0%}; timing noise "
        f"{conditions['timing_noise']:.1%}; {conditions['blocks_unmeasured']} blocks not timed."
    )
    if table.certificate is None:
        print("No certificate: its error is not known.")
        return
    measured, scores = table.certificate.measured, table.certificate.families
    rows = []
    for family in sorted({*table.space.split("+"), *scores} - {"all"}):
        of_family = [item for item in measured if item.family == family]
        rows.append([family, *_score_cells(scores.get(family), of_family)])
    rows.append(["all", *_score_cells(scores["all"], measured)])
    headings = [
        "family", "networks", "bias", "MAPE", "within 5 %", "A/A", "within 10 %", "at least",
        "A/A", "tau", "A/A",
    ]  # fmt: skip
    print_rows(headings, rows, "Certificate: whole networks that the table was not fitted to")
    print("A/A is the same network measured twice; at least: one-sided 95 % bound of the share.")


def _score_cells(score: Score | None, measured: Sequence[Measured]) -> list[str]:
    if score is None:
        return ["0", "none", *[""] * 8]
    predicted = [item.predicted_s for item in measured]
    first, second = zip(*(item.measured_s for item in measured), strict=True)
    means = [sum(item.measured_s) / 2 for item in measured]
    return [
        str(score.n),
        f"{score.bias:+.1%}",
        f"{score.mape:.1%}",
        f"{score.within_5:.0%}",
        f"{score.aa_within_5:.0%}",
        f"{score.within_10:.0%}",
        f"{score.within_10_low:.0%}",
        f"{score.aa_within_10:.0%}",
        f"{score.tau:.3f}" if _ranked(predicted, means) else "",
        f"{score.aa_tau:.3f}" if _ranked(first, second) else "",
    ]


def _ranked(*sequences: Sequence[float]) -> bool:
    """Whether a rank correlation of the sequences is defined."""
    return all(len(set(sequence)) > 1 for sequence in sequences)
