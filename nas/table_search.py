"""The search of a table: every step of a search of networks, but what is asked is looked up.

A study is kept in memory while configurations are asked for, since a lookup takes no time and a
trial in a database takes tens of milliseconds, and is added to the run's own at the end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState

from hw_profiles import local_device
from hw_profiles.files import sha256_of
from nas.budget_table import listed_budget_table, report_budget_table
from nas.cost_aware_sampler import QUALITY_ERROR
from nas.errors import ExperimentError, InterruptedSearch
from nas.interrupts import uninterrupted
from nas.pareto import ParetoSet, pareto_set
from nas.problem_sampler import ProblemSampler
from nas.progress import Bar, Reporter
from nas.recomputation import complete_trials, nothing_feasible
from nas.redundancy import RedundantGroup, leading, redundant_groups, report_redundant
from nas.resuming import LENGTH, check_same_experiment
from nas.run_folder import RunFolder
from nas.sampler_names import COST_AWARE
from nas.samplers import make_sampler
from nas.steered_problem import SteeredProblem
from nas.table_candidate import TableCandidate, column_indicators, table_candidates
from nas.table_experiment import TableExperiment
from nas.table_problem import TableProblem

__all__ = [
    "TableOutcome",
    "check_same_table",
    "redundant_of_table",
    "report_size",
    "run_table",
    "search_table",
    "table_pareto_under",
    "table_within",
]

COMPARED = 10_000
"""Configurations that redundant costs are found by, of tables with more at random."""
NEAREST = 3


@dataclass(frozen=True, slots=True)
class TableOutcome:
    """How the search of a table ended.

    Attributes:
        folder: Where it is kept.
        pareto: Its Pareto set.
        evaluated: Distinct configurations that were evaluated.
        exhausted: Whether the table has no more of them within the budgets.
    """

    folder: Path
    pareto: ParetoSet[TableCandidate]
    evaluated: int
    exhausted: bool


def run_table(
    experiment: TableExperiment,
    folder: Path,
    *,
    resume: bool = False,
    report: Reporter | None = None,
) -> TableOutcome:
    """Runs an experiment on a table to its Pareto set.

    Args:
        experiment: What to do.
        folder: The run folder; new, unless ``resume``.
        resume: Whether to go on with the run in the folder.
        report: Where progress is written.

    Raises:
        ExperimentError: A column is not what it must be, the folder is taken, or it holds another
            experiment or table.
        UnknownNameError: A column is not in the table.
        NothingFeasibleError: No configuration meets the budgets; the message has the nearest.
        InterruptedSearch: Ctrl-C; what was done is saved.
        FileNotFoundError: There is no such table, or no run to go on with.
        CorruptFileError: A file of the run is damaged.
    """
    report = report or Reporter()
    run = None
    if resume:
        run = RunFolder.open(folder)
        check_same_table(run, experiment)
    else:
        RunFolder.check_free(folder)
    table = experiment.read()
    everything = experiment.problem(table)
    report_size(everything, len(table.rows), report)
    redundant = redundant_of_table(everything, experiment.seed)
    if run is None:
        report_redundant(redundant, report, "the configurations")
    problem = table_within(everything, experiment, report, said=run is not None)
    steering = leading(experiment.objectives, redundant)
    if experiment.search.sampler == COST_AWARE and steering != tuple(everything.costs):
        report.line(f"The sampler goes by the quality and {', '.join(steering)}.")
    if run is None:
        run = RunFolder.create(folder, experiment, (), local_device())
    else:
        run.start(experiment)
    return _Search(experiment, run, problem, steering, redundant, report).run()


def search_table(
    problem: TableProblem,
    trials: int,
    *,
    sampler: str = COST_AWARE,
    batch: int = 4,
    seed: int = 0,
    budgets: Mapping[str, float] | None = None,
) -> ParetoSet[TableCandidate]:
    """The Pareto set of those configurations of a table that a sampler asks for; nothing is kept.

    Args:
        problem: The table.
        trials: Configurations to evaluate; fewer where there are no more.
        sampler: Name of the sampler.
        batch: Configurations proposed at once.
        seed: Of every random choice.
        budgets: The most of a cost, or the least of one that is maximised.

    Raises:
        UnknownNameError: A budget is on no cost.
        NothingFeasibleError: No configuration keeps to the budgets.

    >>> widths = [1, 2, 3, 4]
    >>> table = TableProblem({"width": widths}, [0.4, 0.2, 0.3, 0.1], {"macs": [1, 4, 9, 16]})
    >>> found = search_table(table, 4)
    >>> [(m.config["width"], m.quality.value) for m in found.members]
    [(4, 0.1), (2, 0.2), (1, 0.4)]
    """
    within = problem.within(budgets or {})
    proposing = make_sampler(sampler, within, seed=seed, trials=trials, batch=batch)
    study = _new_study(within, within.costs, proposing)
    left = min(trials, within.size)
    while left > 0 and _evaluate(study, within, within.costs, proposing, min(batch, left)):
        left = min(trials, within.size) - len(study.get_trials(deepcopy=False))
    codes = _codes_of(within, study.get_trials(deepcopy=False))
    return pareto_set(table_candidates(within, codes, {}))


def table_pareto_under(run: RunFolder, budgets: Mapping[str, float]) -> ParetoSet[TableCandidate]:
    """The Pareto set of a run's configurations under other budgets; the run is not changed.

    Args:
        run: Finished, or stopped.
        budgets: By cost, in place of the run's own of the same names; the others hold still.

    Raises:
        NothingFeasibleError: No evaluated configuration meets them; the message has the nearest.
        CorruptFileError: The study cannot be read.
    """
    experiment, before = run.table_experiment(), run.read_table_pareto()
    limits = {**experiment.budgets, **budgets}
    candidates = evaluated_configurations(run, limits)
    if not any(candidate.feasible for candidate in candidates):
        raise nothing_feasible(candidates, limits, f"{len(candidates)} evaluated configurations")
    return _pareto_set(candidates, experiment, before.redundant)


def evaluated_configurations(
    run: RunFolder, budgets: Mapping[str, float] | None = None
) -> list[TableCandidate]:
    """The distinct configurations that a run evaluated, in order; the run is not changed.

    Args:
        run: Of a table.
        budgets: By cost; those of the run when absent.

    Raises:
        CorruptFileError: The study cannot be read.
    """
    experiment = run.table_experiment()
    problem = experiment.problem(experiment.read())
    codes = _codes_of(problem, complete_trials(run, experiment.name))
    limits = experiment.budgets if budgets is None else budgets
    return list({c.id: c for c in table_candidates(problem, codes, limits)}.values())


class _Search:
    """One run of a study on a table."""

    def __init__(
        self,
        experiment: TableExperiment,
        folder: RunFolder,
        problem: TableProblem,
        steering: tuple[str, ...],
        redundant: tuple[RedundantGroup, ...],
        report: Reporter,
    ) -> None:
        self.experiment, self.folder, self.problem = experiment, folder, problem
        self.redundant, self.report = redundant, report
        settings = experiment.search
        # How often the study was opened: a resumed sampler must not repeat its first draws.
        self.sampler = make_sampler(
            settings.sampler,
            SteeredProblem(problem, steering),
            seed=experiment.seed + folder.openings(),
            trials=settings.trials,
            batch=settings.batch,
        )
        self.study = _new_study(problem, experiment.objectives, self.sampler)
        self.kept = 0

    def run(self) -> TableOutcome:
        """Asks and looks up until enough is evaluated, then writes the set."""
        settings, size = self.experiment.search, self.problem.size
        try:
            with uninterrupted():
                self._recall()
            with self.report.bar("Evaluating configurations") as bar:
                self._loop(min(settings.trials, size), bar)
            with uninterrupted():
                pareto = self._keep()
        except KeyboardInterrupt as interrupt:
            with uninterrupted():
                self._keep()
                self.folder.finish("interrupted")
            raise InterruptedSearch(
                f"Stopped after {self._done()} of {settings.trials} configurations; everything so "
                f"far is saved. Go on with:\n{self.folder.resume_line()}"
            ) from interrupt
        self.folder.finish("complete")
        exhausted = self._done() >= size
        if exhausted:
            within = " within the budgets" if self.experiment.budgets else ""
            self.report.line(
                f"Every configuration of the table{within} was evaluated, {size:,} of "
                f"{settings.trials:,} asked for; the search ends."
            )
        return TableOutcome(self.folder.path, pareto, self._done(), exhausted)

    def _done(self) -> int:
        return len(self.study.get_trials(deepcopy=False))

    def _recall(self) -> None:
        """Takes up what an earlier part of the run left in its study."""
        known = complete_trials(self.folder, self.experiment.name)
        self.study.add_trials(known)
        self.kept = len(known)
        if known:
            self.report.line(f"Going on after {len(known)} configurations.")

    def _loop(self, wanted: int, bar: Bar) -> None:
        objectives = self.experiment.objectives
        error = self.experiment.table.quality_error
        asked = True
        while asked and self._done() < wanted:
            bar(self._done(), wanted)
            batch = min(self.experiment.search.batch, wanted - self._done())
            with uninterrupted():
                asked = _evaluate(self.study, self.problem, objectives, self.sampler, batch, error)

    def _keep(self) -> ParetoSet[TableCandidate]:
        """Writes the study, the events and the Pareto set."""
        trials = self.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        codes = _codes_of(self.problem, trials)
        candidates = table_candidates(self.problem, codes, self.experiment.budgets)
        kept = optuna.create_study(
            storage=f"sqlite:///{self.folder.study}",
            study_name=self.experiment.name,
            directions=self.study.directions,
            load_if_exists=True,
        )
        new = slice(self.kept, None)
        for trial, candidate in zip(trials[new], candidates[new], strict=True):
            kept.add_trial(trial)
            self.folder.log(
                "evaluated", candidate=candidate.id, quality=candidate.quality.to_json()
            )
        self.kept = len(trials)
        pareto = _pareto_set(candidates, self.experiment, self.redundant)
        self.folder.write_pareto(pareto)
        return pareto


def _pareto_set(
    candidates: list[TableCandidate],
    experiment: TableExperiment,
    redundant: tuple[RedundantGroup, ...],
) -> ParetoSet[TableCandidate]:
    error = experiment.table.quality_error
    errors = {} if error is None else {candidate.id: error for candidate in candidates}
    return pareto_set(candidates, redundant=redundant, quality_errors=errors)


def _new_study(
    problem: TableProblem, objectives: tuple[str, ...], sampler: ProblemSampler
) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    names = (problem.quality_name, *objectives)
    more, less = StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE
    directions = [more if name in problem.maximize else less for name in names]
    return optuna.create_study(directions=directions, sampler=sampler)


def _evaluate(
    study: optuna.Study,
    problem: TableProblem,
    objectives: tuple[str, ...],
    sampler: ProblemSampler,
    wanted: int,
    error: float | None = None,
) -> bool:
    """Asks for some configurations and tells what the table says; returns whether any was left."""
    asked: list[Trial] = []
    while len(asked) < wanted and not sampler.exhausted(study):
        trial = study.ask()
        for name, choices in problem.parameters.items():
            trial.suggest_categorical(name, choices)
        asked.append(trial)
    measured = problem.measured(_codes_of(problem, asked))
    columns = [measured[name].tolist() for name in (problem.quality_name, *objectives)]
    for trial, values in zip(asked, zip(*columns, strict=True), strict=True):
        if error is not None:
            trial.set_user_attr(QUALITY_ERROR, error)
        study.tell(trial, values)
    return bool(asked)


def _codes_of(problem: TableProblem, trials: list[Trial] | list[FrozenTrial]) -> NDArray[np.int64]:
    """Codes ``[n, parameters]`` of trials."""
    rows = [
        [choices.index(trial.params[name]) for name, choices in problem.parameters.items()]
        for trial in trials
    ]
    return np.array(rows, dtype=np.int64).reshape(len(rows), len(problem.parameters))


def check_same_table(
    run: RunFolder, given: TableExperiment, may_differ: Sequence[str] = LENGTH
) -> None:
    """The same as :func:`nas.resuming.check_same_experiment`, of a run that keeps its table."""
    kept = run.table_experiment()
    own, other = Path(kept.table.file), Path(given.table.file)
    if not other.is_file():
        raise FileNotFoundError(f"There is no table {other}.")
    if sha256_of(own.read_bytes()) != sha256_of(other.read_bytes()):
        raise ExperimentError(
            f"The run in {run.path} was started with another table: {other} is not what it was. "
            f"Resume it with {run.config}, or start a new --out."
        )
    table = given.table.model_copy(update={"file": kept.table.file})
    check_same_experiment(kept, given.model_copy(update={"table": table}), run.path, may_differ)


def report_size(problem: TableProblem, rows: int, report: Reporter) -> None:
    """Says how many configurations there are in so many rows."""
    line = f"Table: {rows:,} rows, {problem.size:,} configurations of "
    columns = len(problem.parameters)
    line += f"{columns} columns" if columns > 1 else "one column"
    if problem.size < rows:
        line += "; rows of the same configuration are one, with the medians of their values"
    report.line(f"{line}.")


def redundant_of_table(problem: TableProblem, seed: int) -> tuple[RedundantGroup, ...]:
    """Costs that order the configurations alike."""
    codes = problem.candidates
    if len(codes) > COMPARED:
        codes = codes[np.random.default_rng(seed).permutation(len(codes))[:COMPARED]]
    measured = problem.measured(codes)
    values = {name: measured[name] for name in problem.costs}
    return redundant_groups(values, [name for name in values if name in problem.maximize])


def table_within(
    problem: TableProblem, experiment: TableExperiment, report: Reporter, said: bool
) -> TableProblem:
    """The configurations that keep to the budgets; says what each budget leaves, once."""
    budgets = experiment.budgets
    if not budgets:
        return problem
    columns = column_indicators(problem.costs, problem.maximize)
    values = problem.measured(problem.candidates)
    table = listed_budget_table({name: values[name] for name in budgets}, budgets, columns)
    if not said:
        report_budget_table(table, report)
    if not table.share:
        candidates = table_candidates(problem, problem.candidates, budgets)
        raise nothing_feasible(candidates, budgets, f"{len(candidates):,} configurations")
    return problem.within(budgets)
