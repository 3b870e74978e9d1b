"""Tables for people: what is stored in SI is shown in the units that fit."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table

from hw_profiles import BlockTable, Score
from hw_profiles.certificate import Measured
from nas.candidates import Evaluated
from nas.indicators import LOCAL, Indicator, indicator, split_name
from nas.pareto import ParetoSet
from nas.pricer import paper_gflops
from nas.quality import Quality
from nas.uncertainty import in_unit
from predictors import Value
from predictors.footprint import BreakEven, Share, Tariff
from predictors.profile_pricer import COUNTED
from search_spaces import TrainingSetup

if TYPE_CHECKING:
    from nas.lifetimes import Lifetime

__all__ = [
    "print_certificate",
    "print_indicators",
    "print_json",
    "print_lifetimes",
    "print_members",
    "print_pareto",
    "print_rows",
    "score_cells",
]


def print_json(data: Any) -> None:
    """Prints what a command was asked for with ``--json``."""
    print(json.dumps(data, indent=1, allow_nan=False))


def _console(width: int) -> Console:
    """Stdout, as wide as the table at least: a narrower terminal wraps rows, and none is cut."""
    return Console(highlight=False, width=max(width, Console().width))


def print_rows(headings: Sequence[str], rows: Sequence[Sequence[str]], title: str = "") -> None:
    """Prints a table below its title; every column but the first is aligned right."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for position, heading in enumerate(headings):
        table.add_column(heading, justify="left" if position == 0 else "right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    widths = [max(map(cell_len, column)) for column in zip(headings, *rows, strict=True)]
    console = _console(sum(widths) + 3 * len(widths))
    with console.capture() as captured:
        console.print(table)
    # A title of its own table would wrap at the width of the columns.
    _, *lines = captured.get().splitlines()
    print(*([title] if title else []), *(line.rstrip() for line in lines), sep="\n")


def _number(value: float) -> str:
    if value == int(value) and abs(value) < 1e6:
        return f"{int(value)}"
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


MORE = " (more is better)"

SURE = 0.95
"""A probability of keeping to a budget from which nothing is said."""

STANDS, MEMBERSHIP = "stands for all", "in the set"
"""Headings of the columns that say how a member stands in the set."""

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


def _telling(members: Sequence[Evaluated]) -> tuple[list[str], dict[str, str]]:
    """The indicators that say something of these members, and of the others why they do not."""
    columns: dict[tuple[float, ...], str] = {}
    same: dict[str, str] = {}
    for name in members[0].indicators:
        column = tuple(member.indicators[name].value for member in members)
        followed, place = members[0].indicator(name).follows, split_name(name)[1]
        if followed:
            same[name] = f"follows {followed}@{place}"
        elif not any(column):
            same[name] = "0"
        elif column in columns:
            same[name] = f"as {columns[column]}"
        else:
            columns[column] = name
    return list(columns.values()), same


def print_pareto(pareto: ParetoSet[Any], how: str = "trained") -> None:
    """Prints the set: a member a row, quality, that on the test split and every indicator.

    Indicators that are 0, or equal to another, for all of them are named below.

    Args:
        pareto: The set.
        how: What was done to evaluate a candidate.
    """
    if not pareto.members:
        print(f"The Pareto set is empty: no feasible candidate was {how}.")
        return
    extra = _beside(pareto)
    same = _print_table(pareto.members, "Pareto set across quality and every indicator", extra)
    share = len(pareto.members) / pareto.feasible
    error = f" ± {pareto.hypervolume_error:.2g}" if pareto.hypervolume_error else ""
    print(
        f"{len(pareto.members)} of {pareto.feasible} feasible candidates ({share:.0%}) are in the "
        f"set; {pareto.evaluated} were {how}. Hypervolume {pareto.hypervolume:.4g}{error} of "
        f"the box from the best to the reference point ({pareto.hypervolume_method})."
    )
    if STANDS in extra:
        sizes = [
            f"{name} {size:.2g}" if in_unit(name, pareto.members) else f"{name} {size:.0%}"
            for name, size in pareto.resolutions.items()
        ]
        print(
            f"{len(pareto.representative)} of them stand for all (`--pick representative`): every "
            f"other is better than one of these by at most {', '.join(sizes)}."
        )
    if pareto.redundant:
        print(f"Order the space alike: {'; '.join(map(str, pareto.redundant))}.")
    if MEMBERSHIP in extra:
        print(f"{MEMBERSHIP}: probability of belonging to the set, as values are uncertain.")
    if pareto.front_certificate:
        print(_front(pareto.front_certificate))
    _print_notes(pareto.members, same)


def print_members(members: Sequence[Evaluated], title: str) -> None:
    """Prints some members as :func:`print_pareto` does, and nothing of the set."""
    if not members:
        print("No member.")
        return
    _print_notes(members, _print_table(members, title))


def _beside(pareto: ParetoSet[Any]) -> dict[str, list[str]]:
    """Columns that say how a member stands in the set, where that tells members apart."""
    columns, members = {}, pareto.members
    if 0 < len(pareto.representative) < len(members):
        chosen = set(pareto.representative)
        columns[STANDS] = ["yes" if member.id in chosen else "" for member in members]
    if any(probability < SURE for probability in pareto.probabilities.values()):
        columns[MEMBERSHIP] = [f"{pareto.probabilities[member.id]:.0%}" for member in members]
    return columns


def _print_table(
    members: Sequence[Evaluated], title: str, extra: Mapping[str, Sequence[str]] | None = None
) -> dict[str, str]:
    """Prints a member a row, with more columns; returns why an indicator is not among them."""
    names, same = _telling(members)
    whole = {name for member in members for name in member.measured}
    quality = members[0].quality
    headings = ["id", members[0].kind, *_quality_headings(quality)]
    tests = len(headings) > 3
    for name in names:
        headings.append(_heading(name, members[0].indicator(name)))
        if name in whole:
            headings.append("measured")
    rows = []
    for member in members:
        row = [member.id, member.label, _quality(member.quality)]
        if tests:
            row.append("" if member.test_quality is None else _quality(member.test_quality))
        for name in names:
            value = member.indicators[name]
            scale = member.indicator(name).scale
            flag = "*" if _guessed(name, value) else ""
            row.append(_number(value.value / scale) + flag)
            if name in whole:
                measured = member.measured.get(name)
                row.append(_number(measured.value / scale) if measured else "")
        rows.append(row)
    for heading, cells in (extra or {}).items():
        headings.append(heading)
        for row, cell in zip(rows, cells, strict=True):
            row.append(cell)
    print_rows(headings, rows, title)
    return same


def _print_notes(members: Sequence[Evaluated], same: Mapping[str, str]) -> None:
    """Prints what the table leaves out, and what is uncertain in it."""
    if same:
        print(f"Not shown: {', '.join(f'{name} ({why})' for name, why in same.items())}.")
    if any(_guessed(name, v) for m in members for name, v in m.indicators.items()):
        print("* A block of it was not timed but predicted.")
    for member in members:
        for name, probability in member.feasibility.items():
            if probability is not None and probability < SURE:
                print(f"{member.id} keeps to the budget of {name} with probability "
                      f"{probability:.0%} once it is measured.")  # fmt: skip


def _quality_headings(quality: Quality) -> tuple[str, ...]:
    """Those of the quality and, where there is one, of the same on the test split."""
    if quality.name in _QUALITIES:
        return _QUALITIES[quality.name]
    return (f"{quality.name}{MORE if quality.maximize else ''}",)


def _heading(name: str, known: Indicator) -> str:
    place = split_name(name)[1]
    where = "table" if place == LOCAL else place
    return f"{known.symbol}{MORE if known.maximize else ''} {where}".rstrip()


def _guessed(name: str, value: Value) -> bool:
    """Whether a block's value was predicted, rather than counted."""
    return value.provenance == "predicted" and split_name(name)[0] not in COUNTED


def _front(score: Mapping[str, float]) -> str:
    n = f"{score['n']:.0f} members" if score["n"] > 1 else "one member"
    return (
        f"The {n} measured whole: latency {score['within_10']:.0%} within ±10 % of what the table "
        f"says, {score['within_5']:.0%} within ±5 % (repeated: {score['aa_within_5']:.0%}), bias "
        f"{score['bias']:+.1%}."
    )


def print_indicators(values: Mapping[str, Value], training: TrainingSetup) -> None:
    """Prints every indicator of one architecture with its interval, provenance and definition."""
    rows = []
    for name, value in values.items():
        known = indicator(name)
        exact = value.low is None or value.low == value.high
        interval = "" if exact else f"{value.low:.4g} to {value.high:.4g}"
        whole = value.provenance == "exact" or split_name(name)[0] in COUNTED
        number = f"{value.value:,.0f}" if whole else f"{value.value:.4g}"
        row = [name, number, known.unit, interval, value.provenance, known.phase]
        rows.append([*row, value.at or ""])
    headings = ["indicator", "value", "unit", "95 % interval", "provenance", "phase", "at"]
    title = "At fp32 and batch 1, training at its own batch; on a device as its setting says"
    print_rows(headings, rows, title)
    for name in values:
        print(f"{name}: {indicator(name).defined(training)}")
    gflops = paper_gflops(values)
    print(
        f"GFLOPs as the tables of The Efficiency Misnomer print them: {gflops:.4g} (flops / 2e9)."
    )


def print_certificate(table: BlockTable) -> None:
    """Prints how a table was made and how wrong it is, by family."""
    conditions = table.conditions
    print(f"{table.name} on {table.device.name}, made {conditions['date']}")
    if "meter" in conditions:
        held_to = f"{conditions['meter_source']}; idle {conditions['idle_w']:.4g} W"
    else:
        held_to = (
            f"reference {1e3 * conditions['reference_s']:.4g} ms, its 5 to 95 % range "
            f"{conditions['reference_drift'] - 1:.0%}"
        )
    print(
        f"{len(table.entries)} blocks from {conditions['networks']} networks, "
        f"{conditions['statistic']}; {held_to}; noise of a network "
        f"{conditions['timing_noise']:.1%}; {conditions['blocks_unmeasured']} blocks not measured."
    )
    versions = {table.setting.runtime: table.setting.version, **conditions.get("versions", {})}
    told = ", ".join(" ".join([name, *version.split()]) for name, version in versions.items())
    core = conditions.get("core")
    print(f"With {told}{'' if core is None else f'; on core {core}'}.")
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
    predicted = [item.predicted for item in measured]
    first, second = zip(*(item.measured for item in measured), strict=True)
    means = [sum(item.measured) / 2 for item in measured]
    *shares, aa_within_10, tau, aa_tau = score_cells(score)
    return [
        *shares,
        f"{score.within_10_low:.1%}",
        aa_within_10,
        tau if _ranked(predicted, means) else "",
        aa_tau if _ranked(first, second) else "",
    ]


def score_cells(score: Score) -> list[str]:
    """Networks, bias, MAPE, and shares and tau each followed by A/A's."""
    return [
        str(score.n),
        f"{score.bias:+.1%}",
        f"{score.mape:.1%}",
        f"{score.within_5:.1%}",
        f"{score.aa_within_5:.1%}",
        f"{score.within_10:.1%}",
        f"{score.aa_within_10:.1%}",
        f"{score.tau:.3f}",
        f"{score.aa_tau:.3f}",
    ]


def _ranked(*sequences: Sequence[float]) -> bool:
    """Whether a rank correlation of the sequences is defined."""
    return all(len(set(sequence)) > 1 for sequence in sequences)


def print_lifetimes(
    lifetimes: Sequence[Lifetime], tariff: Tariff, found: Mapping[str, BreakEven]
) -> None:
    """Prints what networks take over their lives, and at how many queries two break even."""
    headings = ["", "chip hours", "energy kWh", "carbon kg CO2e", "USD"]
    for lifetime in lifetimes:
        life = lifetime.footprint
        shares = {f"{life.queries:,.0f} queries": life.inference, "one query": life.query}
        trained = ""
        if lifetime.trained is not None:
            chips = "1 chip" if life.chips == 1 else f"{life.chips} chips"
            shares |= {f"training on {chips}": life.training, "together": life.total}
            trained = f", trained on {lifetime.trained}"
        network = f"{lifetime.name} ({lifetime.architecture.id})"
        title = f"{network}, queries on {lifetime.served}{trained}"
        print_rows(headings, [[name, *_share_cells(s)] for name, s in shares.items()], title)
    stated = {
        "PUE": tariff.pue,
        "carbon intensity": tariff.carbon_intensity,
        "price of a chip": tariff.chip_price,
    }
    for name, known in stated.items():
        said = "not known" if known is None else f"{known.value:g} {known.unit} ({known.source})"
        print(f"{name}: {said}")
    if any(lifetime.footprint.query.energy_j is None for lifetime in lifetimes):
        print("Energy is not counted there, so it and its carbon are not known.")
    names = {"a": lifetimes[0].name, "b": lifetimes[-1].name}
    for name, item in found.items():
        print(f"{name}: {_break_even(item, names)}")


def _share_cells(share: Share) -> list[str]:
    known = (
        (share.chip_s, 3600.0),
        (share.energy_j, 3.6e6),
        (share.carbon_g, 1e3),
        (share.cost_usd, 1.0),
    )
    return ["unknown" if value is None else f"{value / scale:.4g}" for value, scale in known]


def _break_even(item: BreakEven, names: Mapping[str, str]) -> str:
    if item.queries is None:
        if item.below == "same":
            return "both take the same at any number of queries"
        return f"{names[item.below]} takes less at any number of queries"
    below, above = names[item.below], names[item.above]
    return f"{below} takes less up to {item.queries:,.0f} queries, {above} beyond"
