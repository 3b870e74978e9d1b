"""The comparison of searches: every arm with every seed, and what all of it came to.

A search depends on its arm and seed alone, whatever runs beside it: what was interrupted is
searched again with every training that was kept, and comes to the same.
"""

from __future__ import annotations

import copy
import json
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hw_profiles import local_device
from hw_profiles.store import Store
from nas.arena import Arena, stored_values
from nas.arenas import ready_arena
from nas.arm_jobs import arm_jobs
from nas.arm_search import Plan
from nas.arms import check_arms, make_arms
from nas.comparison import Arm, Comparison
from nas.comparison_folder import ComparisonFolder
from nas.datasets import DATASETS
from nas.errors import ExperimentError, InterruptedSearch, TooManyFailuresError
from nas.experiment import Experiment
from nas.interrupts import uninterrupted
from nas.merging import means, merged
from nas.progress import Reporter
from nas.run_energy import metered
from nas.splits import Dataset
from nas.table_experiment import TableExperiment
from nas.training_arena import TrainingArena
from nas.weighted_product import WeightedProduct
from search_spaces import UnknownNameError

if TYPE_CHECKING:
    from nas.matching import MatchRequest

__all__ = ["compare_experiment", "run_comparison"]

POPULATION = 2_000
"""Random members of the space that budgets are drawn from."""
UNSEEN_SEEDS = 1_000_000
"""How far the training seeds that finalists are scored with lie beyond those of searches."""
FEWEST_SEEDS = 2


def run_comparison(
    experiment: Experiment | TableExperiment,
    folder: Path,
    *,
    resume: bool = False,
    store: Store | None = None,
    report: Reporter | None = None,
    dataset: Dataset | None = None,
    again: str = "",
) -> Comparison:
    """Runs every arm of an experiment with every seed, and scores what they found.

    Args:
        experiment: What is compared.
        folder: Where the comparison is kept; new, unless ``resume``.
        resume: Whether to go on with the comparison in the folder.
        store: Where tables and counts are kept.
        report: Where progress is written.
        dataset: In place of the one that the experiment names.
        again: The command that does all this, for whoever stops it before there is a folder.

    Raises:
        ExperimentError: The folder is taken, or holds another comparison; or as
            :func:`nas.search.run_experiment` and :func:`nas.table_search.run_table` do, which also
            hold for the other errors.
        UnknownNameError: An arm is neither an indicator nor another arm that is known.
        TooManyFailuresError: More trainings failed than the experiment allows.
        InterruptedSearch: Ctrl-C; what was done is saved.
    """
    store, report = store or Store(), report or Reporter()
    if resume:
        kept = ComparisonFolder.open(folder)
    else:
        kept = ComparisonFolder(folder)
        kept.check_free(folder)
    ready = ready_arena(
        experiment,
        kept,
        report,
        resume=resume,
        store=store,
        dataset=dataset,
        again=again,
    )
    arena = ready.arena
    names = [indicator.name for indicator in arena.indicators]
    check_arms(experiment.compare.arms, names)
    objectives = (
        experiment.objectives
        if isinstance(experiment, TableExperiment)
        else experiment.search.objectives
    )
    arms = make_arms(experiment.compare.arms, objectives, names, arena.redundant)
    if resume:
        kept.start(experiment)
    else:
        kept = ComparisonFolder.create(folder, experiment, ready.priced, local_device())
    try:
        with metered(kept):
            comparison, failed = _compare(experiment, kept, arena, arms, store, report)
        with uninterrupted():
            kept.write_comparison(comparison, experiment.model_dump(mode="json"))
    except KeyboardInterrupt as interrupt:
        with uninterrupted():
            kept.finish("interrupted")
        raise InterruptedSearch(
            f"Stopped after {len(kept.searches())} of "
            f"{len(arms) * experiment.compare.seeds} searches; everything so far is saved. Go on "
            f"with:\n{kept.resume_line()}"
        ) from interrupt
    kept.finish("complete")
    if isinstance(experiment, Experiment):
        _check_failures(experiment, comparison, failed)
    return comparison


def _compare(
    experiment: Experiment | TableExperiment,
    folder: ComparisonFolder,
    arena: Arena,
    arms: tuple[Arm, ...],
    store: Store,
    report: Reporter,
) -> tuple[Comparison, int]:
    """The comparison, and how many evaluations failed in it."""
    from nas.comparison_scores import finalists

    search = experiment.search
    plan = Plan(search.sampler, search.trials, search.batch)
    seeds = [experiment.seed + number for number in range(experiment.compare.seeds)]
    report.line(
        f"Arms: {', '.join(arm.name for arm in arms)}. {len(seeds)} "
        f"{'seeds' if len(seeds) > 1 else 'seed'} of {plan.evaluations} evaluations each, the "
        f"first {plan.initial} the same in every arm of a seed."
    )
    if len(seeds) < FEWEST_SEEDS:
        report.line("With one seed no difference can be called significant; estimates are given.")
    # A problem may keep what it drew, and no search may depend on these.
    drawn = copy.copy(arena.problem).random_codes(
        POPULATION, np.random.default_rng(experiment.seed)
    )
    population = stored_values(arena, drawn)
    more = np.array([indicator.maximize for indicator in arena.indicators])
    product = WeightedProduct.of_population(population, more, arena.maximize)
    with arm_jobs(
        arena, folder, plan, product, workers=_workers(experiment, arena), root=store.root
    ) as jobs:
        with report.bar("Searching") as bar:
            found = jobs.search(arms, seeds, isinstance(experiment, Experiment), bar)
        codes, models, runs = merged(arena, found)
        comparison = Comparison(
            name=experiment.name,
            quality=arena.quality,
            maximize=arena.maximize,
            indicators=arena.indicators,
            models=models,
            values=stored_values(arena, codes),
            scored=np.full(len(codes), np.nan),
            arms=arms,
            runs=runs,
            evaluations=plan.evaluations,
            initial=plan.initial,
            population=population,
            conditions=_conditions(experiment, arena, plan, seeds),
        )
        if isinstance(experiment, Experiment):
            chosen = finalists(comparison)
            beyond = [
                experiment.seed + UNSEEN_SEEDS + number
                for number in range(experiment.compare.scoring_seeds)
            ]
            report.line(
                f"{len(chosen)} finalists of {len(models)} networks are trained again, with "
                f"{len(beyond)} seeds that no search saw, and tested."
            )
            with report.bar("Scoring finalists") as bar:
                scores = jobs.score(codes[chosen], beyond, bar)
            scored = comparison.scored.copy()
            scored[chosen] = means(scores)
        else:
            scored = arena.score(codes, experiment.seed)
    return replace(comparison, scored=scored), sum(len(item.failures) for item in found)


def _conditions(
    experiment: Experiment | TableExperiment, arena: Arena, plan: Plan, seeds: Sequence[int]
) -> dict[str, str]:
    said = dict(arena.conditions)
    if experiment.budgets:
        limits = ", ".join(f"{name} {limit:g}" for name, limit in experiment.budgets.items())
        said["space"] = f"only what keeps to {limits}"
    said["sampler"] = f"{plan.sampler}, {plan.evaluations} evaluations in batches of {plan.batch}"
    said["seeds"] = f"{seeds[0]} to {seeds[-1]}" if len(seeds) > 1 else str(seeds[0])
    return said


def _workers(experiment: Experiment | TableExperiment, arena: Arena) -> int:
    if isinstance(experiment, TableExperiment):
        return experiment.compare.workers
    # What is not registered by its name can only be trained on here.
    strange = isinstance(arena, TrainingArena) and arena.dataset.name not in DATASETS
    return 1 if strange else experiment.search.workers


def _check_failures(experiment: Experiment, comparison: Comparison, failed: int) -> None:
    total = failed + sum(len(run.models) for run in comparison.runs)
    if failed > experiment.search.max_failed * max(1, total):
        raise TooManyFailuresError(
            f"{failed} of {total} evaluations failed, more than `search.max_failed` = "
            f"{experiment.search.max_failed} allows. The comparison is kept."
        )


def compare_experiment(options: Namespace) -> int:
    """``hwnas compare EXPERIMENT.toml``."""
    from nas.comparison_rendering import print_comparison
    from nas.comparison_scores import score
    from nas.disagreement import Disagreement
    from nas.match_rendering import print_matches
    from nas.matching import MatchRequest
    from nas.model_table import ModelTable
    from nas.rendering import print_json
    from nas.report import write_report
    from nas.search import free_folder

    if options.resume and not options.out:
        raise ExperimentError("`--resume` needs --out, the folder of the comparison to go on with.")
    request = MatchRequest.parse(options.match, options.at, options.slack)
    experiment = _experiment(options)
    _check_match(request, experiment)
    folder = Path(options.out) if options.out else free_folder(f"{experiment.name}-compare")
    report = Reporter()
    comparison = run_comparison(
        experiment, folder, resume=options.resume, report=report, again=options.line
    )
    scores = score(comparison)
    models = ModelTable.of_comparison(comparison, told=True)
    matches = request.of(models)
    if options.json:
        found = Disagreement.of(models).to_json() | {
            "scores": scores.to_json(),
            "match": [match.to_json() for match in matches],
        }
        print_json(found)
    else:
        print_comparison(comparison, scores)
        if matches:
            print_matches(matches, comparison.quality)
    report.line(f"The comparison is in {folder}; its report is {write_report(folder)}.")
    return 0


def _check_match(request: MatchRequest, experiment: Experiment | TableExperiment) -> None:
    """Refuses a match, before anything is searched, that could not be made after it."""
    if isinstance(experiment, TableExperiment):
        names, families = tuple(experiment.costs), experiment.compare.family is not None
        way_out = "name the column that says which family a configuration is of in `compare.family`"
    else:
        names, families = experiment.compared, len(experiment.spaces) > 1
        way_out = "the experiment needs at least two spaces"
    for name in request.indicators:
        if name not in names:
            raise UnknownNameError("indicator of the comparison", name, names)
    if request.indicators and not families:
        raise ExperimentError(f"`--match` is between families: {way_out}.")


def _experiment(options: Namespace) -> Experiment | TableExperiment:
    from hw_profiles.profile import shipped_profiles
    from nas.config import read_config

    path, overrides = Path(options.experiment), list(options.set)
    if options.trials is not None:
        overrides.append(f"search.trials={options.trials}")
    if options.seeds is not None:
        overrides.append(f"compare.seeds={options.seeds}")
    if options.arms is not None:
        named = [name.strip() for name in options.arms.split(",") if name.strip()]
        if not named:
            raise ExperimentError(
                f"`--arms` names no arm; got {options.arms!r}. Leave it out for the arms of the "
                "experiment."
            )
        overrides.append(f"compare.arms={json.dumps(named)}")
    if "table" in read_config(path, overrides):
        return TableExperiment.load(path, overrides)
    known = shipped_profiles()
    if options.resume:
        known |= ComparisonFolder(Path(options.out)).profile_folders
    return Experiment.load(path, overrides, known)
