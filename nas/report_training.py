"""Training beside inference in a comparison: what each arm's models took to train and take to run.

Seconds are those that an arm is charged: what the training of a model took when it was first made,
whether or not another arm had it made. Counts are of one training step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial

import numpy as np
from numpy.typing import NDArray

from hw_profiles.store import Store
from nas.comparison import ArmRun, Comparison
from nas.comparison_folder import ComparisonFolder
from nas.equal_charge import trained
from nas.indicators import INDICATORS, Indicator, split_name
from nas.paired_tests import median_estimate
from nas.pricer import Pricer
from nas.pricing import count_space
from nas.progress import Reporter
from nas.report_arms import interval_text
from nas.report_curves import axis_of
from nas.report_document import Cell, Section, Table, number
from nas.report_figures import GREY, Figure, Panel, Series
from nas.report_spending import COUNTERPARTS, duration
from search_spaces import CorruptFileError

__all__ = ["arm_training_section", "training_counts"]

COUNTS = ("train_macs", "train_memory_bytes")
"""What is counted of one training step, whatever is compared."""
Floats = NDArray[np.float64]


def training_counts(
    folder: ComparisonFolder, comparison: Comparison, store: Store, report: Reporter
) -> dict[str, Floats]:
    """What one training step of each model takes that is not compared: ``[models]``, by indicator.

    Args:
        folder: Of the comparison; of a table it has none.
        comparison: Its own.
        store: Where counts are kept.
        report: Where progress is written.

    Raises:
        FileNotFoundError: A file of the data, which models are shaped by, is gone.
        CorruptFileError: A search is missing.
    """
    names = [name for name in COUNTS if name not in comparison.names]
    if folder.of_table or not names:
        return {}
    experiment = folder.experiment()
    space = experiment.space(experiment.load_dataset())
    codes: dict[int, NDArray[np.int64]] = {}
    place = {arm.name: i for i, arm in enumerate(comparison.arms)}
    for run in comparison.runs:
        found = folder.read_search(run.seed, run.arm, place[run.arm])
        if found is None or len(found.codes) != len(run.models):
            raise CorruptFileError(
                f"{folder.path} has no search of arm {run.arm} and seed {run.seed} that its "
                "comparison was made from."
            )
        codes.update(zip(run.models.tolist(), found.codes, strict=True))
    rows = np.array([codes[i] for i in range(len(comparison.models))])
    pricer = Pricer(count_space(space, store, report), experiment.training_setup, {})
    priced = pricer.price_codes(space, rows, names)
    return {name: np.asarray(priced[name], dtype=float) for name in names}


def arm_training_section(comparison: Comparison, counts: Mapping[str, Floats]) -> Section:
    """What training took beside what running takes: of every model, and of each arm's picks.

    Args:
        comparison: What was found.
        counts: See :func:`training_counts`.
    """
    columns = [
        *((INDICATORS[name], counts[name]) for name in counts),
        *zip(comparison.indicators, comparison.values.T, strict=True),
    ]
    columns.sort(key=lambda column: column[0].phase == "inference")
    text: tuple[str, ...] = ()
    if not trained(comparison):
        text = ("Nothing was trained: the table was asked. What training took it may say itself.",)
        if all(known.phase == "inference" for known, _ in columns):
            return Section("training", "Training beside inference", text)
    table = _table(comparison, columns)
    figure = _figure(comparison, columns)
    items = (figure, table) if figure.panels else (table,)
    return Section("training", "Training beside inference", text, items)


def _figure(comparison: Comparison, columns: list[tuple[Indicator, Floats]]) -> Figure:
    known = {indicator.name: (indicator, values / indicator.scale) for indicator, values in columns}
    held = {int(i) for run in comparison.runs for i in run.models[run.front]}
    took, panels = _seconds_of_models(comparison), []
    for name, (indicator, _) in known.items():
        if indicator.phase != "training" and took:
            training = f"training beside {name}", "training s", took
            panels.append(_panel(comparison, training, known[name], held))
    for name, (indicator, values) in known.items():
        base, place = split_name(name)
        other = COUNTERPARTS.get(base, "")
        other = f"{other}@{place}" if place else other
        if other in known:
            each = {i: values[[i]] for i in range(len(values))}
            training = f"{name} beside {other}", indicator.symbol, each
            panels.append(_panel(comparison, training, known[other], held))
    return Figure(
        "training-inference",
        "What training takes against what running takes",
        "A model that is cheap to run need not be cheap to train. Seconds are medians over the "
        "seeds that a model was trained with, with bars from the least to the most.",
        tuple(panels),
    )


def _panel(
    comparison: Comparison,
    training: tuple[str, str, dict[int, Floats]],
    running: tuple[Indicator, Floats],
    held: set[int],
) -> Panel:
    (title, symbol, took), (known, x) = training, running
    series = []
    for inside in (False, True):
        rows = [i for i in took if (i in held) == inside]
        if not rows:
            continue
        y = [float(np.median(took[i])) for i in rows]
        several = any(len(took[i]) > 1 for i in rows)
        series.append(
            Series(
                "on the front of a search" if inside else "evaluated, on no front",
                tuple(x[rows].tolist()),
                tuple(y),
                0 if inside else GREY,
                "circle",
                filled=inside,
                y_low=tuple(float(took[i].min()) for i in rows) if several else (),
                y_high=tuple(float(took[i].max()) for i in rows) if several else (),
                texts=tuple(
                    f"{comparison.models[i].label}: {symbol} {number(v)} at {number(float(x[i]))}"
                    for i, v in zip(rows, y, strict=True)
                ),
            )
        )
    y_all = [float(np.median(each)) for each in took.values()]
    return Panel(
        title,
        axis_of(f"{known.symbol}{' (more is better)' * known.maximize}", x.tolist()),
        axis_of(symbol, y_all),
        tuple(series),
    )


def _seconds_of_models(comparison: Comparison) -> dict[int, Floats]:
    """Seconds that the training of a model took, once for each seed: ``[seeds]`` by position."""
    if not trained(comparison):
        return {}
    known: dict[int, dict[int, float]] = {}
    for run in comparison.runs:
        for model, seconds in zip(run.models.tolist(), run.seconds.tolist(), strict=True):
            known.setdefault(model, {})[run.seed] = seconds
    return {model: np.array(list(each.values())) for model, each in known.items()}


def _table(comparison: Comparison, columns: list[tuple[Indicator, Floats]]) -> Table:
    seconds = trained(comparison)
    headings = [Cell("arm")]
    if seconds:
        headings += [
            Cell("training of a model", "s, of all that it evaluated"),
            Cell("training in all", "charged, of all seeds"),
            Cell("training of a pick", "s"),
        ]
    headings += [
        Cell(known.name, f"{known.symbol}, of a pick; {known.phase}", title=known.definition)
        for known, _ in columns
    ]
    body = []
    for arm in comparison.arms:
        runs = comparison.runs_of(arm.name)
        if not runs:
            continue
        row = [Cell(arm.name)]
        if seconds:
            total = sum(run.charged_seconds for run in runs)
            row += [
                _median(runs, lambda run: run.seconds),
                Cell(duration(total), "", total),
                _median(runs, lambda run: run.seconds[run.front]),
            ]
        for known, values in columns:
            scaled = values / known.scale
            row.append(_median(runs, partial(_of_picks, scaled)))
        body.append(tuple(row))
    return Table(
        "training-table",
        "Of each arm what training takes and what its picks, the members of its fronts, take to "
        "run: means over the models of a search, then medians over the seeds; below them "
        f"{interval_text(len(comparison.seeds))}.",
        tuple(headings),
        tuple(body),
    )


def _of_picks(values: Floats, run: ArmRun) -> Floats:
    return values[run.models[run.front]]


def _median(runs: Iterable[ArmRun], of: Callable[[ArmRun], Floats]) -> Cell:
    """Median over runs of the mean of something, with its interval."""
    found = median_estimate([float(np.mean(of(run))) for run in runs if len(of(run))])
    alone = found.low == found.high
    note = "" if alone else f"{number(found.low)} to {number(found.high)}"
    return Cell(number(found.value), note, found.value)
