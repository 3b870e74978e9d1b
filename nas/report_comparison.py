"""Reports of comparisons: what one indicator would have concluded, and what is right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hw_profiles.files import read_json
from hw_profiles.store import Store
from nas.comparison import Comparison
from nas.comparison_folder import ComparisonFolder, Trained
from nas.comparison_scores import ComparisonScores, score
from nas.disagreement import Disagreement, correlate
from nas.headline import headline
from nas.matching import MatchRequest
from nas.model_table import ModelTable
from nas.progress import Reporter
from nas.report_arm_curves import quality_figures
from nas.report_arm_tables import (
    conclusion_table,
    front_tables,
    match_table,
    miss_tables,
    regret_tables,
    test_table,
)
from nas.report_arms import excess_figure, regret_figure
from nas.report_conditions import run_facts
from nas.report_devices import device_facts
from nas.report_disagreement import disagreement_section
from nas.report_document import Cell, Document, Facts, Section, Table, number
from nas.report_spending import duration, energy_text
from nas.report_training import arm_training_section, training_counts
from nas.score_tests import PRIMARY

__all__ = ["comparison_document", "read_comparison_document"]

MOST = 1_000
"""Models that disagreement is counted over, evenly spaced."""


def read_comparison_document(folder: ComparisonFolder, store: Store, report: Reporter) -> Document:
    """The report of a comparison that is over.

    Args:
        folder: Its folder.
        store: Where counts are kept.
        report: Where progress is written.

    Raises:
        FileNotFoundError: It is not over, or a file of its data is gone.
        CorruptFileError: A file of it is damaged.
    """
    comparison, manifest = folder.read_comparison(), read_json(folder.manifest)
    device = folder.device()
    own = "" if folder.of_table else folder.experiment().measurement.setting_name
    boxes = [
        *device_facts(folder.profiles(), comparison.names, own),
        run_facts(datetime.fromisoformat(manifest["created"]), manifest, device),
    ]
    counts = training_counts(folder, comparison, store, report)
    spent = _spent(folder, comparison, manifest)
    return comparison_document(comparison, score(comparison), boxes, spent, counts)


def comparison_document(
    comparison: Comparison,
    scores: ComparisonScores,
    boxes: list[Facts],
    spent: Mapping[str, str],
    counts: Mapping[str, NDArray[np.float64]],
) -> Document:
    """The report of a comparison.

    Args:
        comparison: What was found.
        scores: Of it.
        boxes: What else it holds for, beside its conditions.
        spent: What it took, beside what each arm is charged.
        counts: What one training step of each model takes, by indicator: ``[models]``.
    """
    evaluated = _some(ModelTable.of_comparison(comparison, told=True))
    found = Disagreement.of(evaluated)
    space = correlate(_some(ModelTable.of_population(comparison)))
    sections = (
        Section(
            "conditions",
            "What all of this holds for",
            ("No claim here is one about another device, runtime, batch, data set or training.",),
            (Facts("Conditions", dict(comparison.conditions)), _design(comparison, scores), *boxes),
        ),
        Section(
            "loss",
            "What a user of each arm loses",
            (
                f"The primary endpoint, set before the run: {PRIMARY.title} of the {PRIMARY.kind} "
                f"at equal {PRIMARY.charge}.",
            ),
            (regret_figure(scores), *regret_tables(scores)),
        ),
        Section(
            "curves",
            f"Quality against every indicator ({len(comparison.names)})",
            (),
            quality_figures(comparison),
        ),
        Section(
            "indicators",
            "What each arm misses, indicator by indicator",
            (),
            (excess_figure(scores), *miss_tables(scores)),
        ),
        Section("tests", "Tests", _power(scores), tuple(test_table(scores))),
        Section(
            "right",
            "What a single indicator would have concluded",
            () if scores.conclusions else ("No single-cost arm, or models have no traits.",),
            tuple(conclusion_table(scores)),
        ),
        disagreement_section(found, {}, space=space),
        _matching(comparison),
        arm_training_section(comparison, counts),
        Section("fronts", "Fronts and archives", (), tuple(front_tables(scores)), folded=True),
        _spending(comparison, spent),
    )
    return Document(
        f"Comparison report: {comparison.name}",
        f"{len(comparison.arms)} arms, {scores.seeds} seeds, {comparison.evaluations} evaluations "
        f"each, {len(comparison.names)} indicators, {len(comparison.models)} models",
        tuple(headline(comparison, scores)),
        sections,
    )


def _some(table: ModelTable) -> ModelTable:
    if len(table) <= MOST:
        return table
    return table.take(np.linspace(0, len(table) - 1, MOST).round().astype(np.int64))


def _design(comparison: Comparison, scores: ComparisonScores) -> Facts:
    quality = f"{comparison.quality}, {'more' if comparison.maximize else 'less'} is better"
    return Facts(
        "Design",
        {
            "quality": quality,
            "indicators": ", ".join(comparison.names),
            "arms": ", ".join(arm.name for arm in comparison.arms),
            "evaluations": f"{comparison.evaluations} in each run, the first {comparison.initial} "
            "the same in all arms of a seed",
            "charged": "in full, whether or not another arm had trained a model with that seed",
            "scored": f"{int(np.isfinite(comparison.scored).sum())} of {len(comparison.models)} "
            "models, where no search looked",
            "gain": f"{number(scores.gain)}, from the median of the first designs "
            f"({number(scores.first_loss)}) to the best known ({number(scores.least_loss)})",
        },
    )


def _power(scores: ComparisonScores) -> tuple[str, ...]:
    if not scores.primary:
        return ("Nothing is tested: there is no arm to test against.",)
    if scores.seeds < scores.enough:
        return (
            f"{scores.seeds} seeds are fewer than the {scores.enough} that tests need to find what "
            "is not large; what is not shown may still be there.",
        )
    return ()


def _matching(comparison: Comparison) -> Section:
    title, families = "Who wins at equal cost", {model.family for model in comparison.models}
    if len(families - {""}) < 2:
        return Section("matching", title, ("All models are of one family.",))
    matches = MatchRequest(comparison.names).of(ModelTable.of_comparison(comparison))
    return Section("matching", title, (), tuple(match_table(matches, comparison)))


def _spending(comparison: Comparison, spent: Mapping[str, str]) -> Section:
    rows = []
    for arm in comparison.arms:
        runs = comparison.runs_of(arm.name)
        seconds = [run.charged_seconds for run in runs]
        proposing = [run.sampler_seconds for run in runs]
        rows.append(
            (
                Cell(arm.name),
                Cell(str(len(runs)), "", len(runs)),
                Cell(
                    duration(float(np.median(seconds))) if any(seconds) else "none",
                    "",
                    sum(seconds),
                ),
                Cell(duration(sum(seconds)) if any(seconds) else "none", "", sum(seconds)),
                Cell(duration(float(np.median(proposing))), "", float(np.median(proposing))),
            )
        )
    headings = (
        Cell("arm"),
        Cell("searches"),
        Cell("training of one", "charged, median"),
        Cell("training of all", "charged"),
        Cell("proposing of one", "median"),
    )
    table = Table("charged", "What each arm is charged.", headings, tuple(rows))
    facts = Facts("The whole comparison", spent)
    return Section("spending", "What the comparison itself took", (), (facts, table))


def _spent(
    folder: ComparisonFolder, comparison: Comparison, manifest: Mapping[str, Any]
) -> dict[str, str]:
    begun, ended = (datetime.fromisoformat(manifest[key]) for key in ("created", "updated"))
    times, device = folder.openings(), folder.device()
    pauses = f", the pauses of {times} interruptions included" if times else ""
    kept: dict[bool, list[Trained]] = {True: [], False: []}
    for path in sorted((folder.path / "trainings").glob("*/*.json")):
        seed = int(path.parent.name)
        training = folder.read_training(seed, path.stem)
        if training is not None:
            kept[seed in comparison.seeds].append(training)
    charged = sum(run.charged_seconds for run in comparison.runs)
    trainings = {
        "trained for searches": _trainings(kept[True]),
        "charged to arms": f"{duration(charged)}, as each pays in full for what others had too",
        "trained to score": _trainings(kept[False]),
        "tables of devices": "what measuring them took is not in it",
    }
    return {
        "begun to ended": f"{duration((ended - begun).total_seconds())}{pauses}",
        **(trainings if kept[True] else {"training": "none: the table was asked"}),
        "energy": energy_text(manifest),
        "machine": f"{device.name}, {device.cores} cores",
    }


def _trainings(trainings: Sequence[Trained]) -> str:
    failed = sum(training.quality is None for training in trainings)
    return (
        f"{len(trainings)} trainings, {duration(sum(each.seconds for each in trainings))} of one "
        f"core{f', {failed} of them failed' if failed else ''}"
    )
