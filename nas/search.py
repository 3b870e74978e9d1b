"""The search: an Optuna study whose costs are known before anything is trained."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import optuna
from optuna.trial import FrozenTrial, Trial, TrialState

from hw_profiles import BlockTable, local_device
from hw_profiles.store import Store
from nas.budget_table import report_budgets
from nas.candidates import Candidate, excess, violations
from nas.errors import InterruptedSearch, TooManyFailuresError
from nas.evaluation import Evaluate, evaluator
from nas.experiment import Experiment
from nas.feasibility import Pool, Unseen, feasible_pool
from nas.fitting import check_fit
from nas.indicators import indicator
from nas.interrupts import uninterrupted
from nas.members import front_certificate, known_tests, measure_members, score_members
from nas.pareto import ParetoSet, pareto_set
from nas.places import check_local_names, devices_of_run, other_devices, ready_local_devices
from nas.pricer import Pricer
from nas.pricing import count_space, report_others
from nas.progress import Bar, Reporter
from nas.quality import Quality
from nas.redundancy import RedundantGroup, redundant_of_space, report_redundant
from nas.resuming import check_same_code, check_same_device, check_same_experiment
from nas.run_folder import RunFolder
from nas.samplers import make_sampler
from nas.splits import Dataset
from nas.uncertainty import sampling_errors
from search_spaces import Architecture, Choice, Suggest, UnionSpace

if TYPE_CHECKING:
    from nas.training import Evaluation

__all__ = ["Outcome", "Search", "free_folder", "run_experiment"]

IDLE_ASKS = 20
"""Proposals in a row that bring nothing new before a random unseen candidate is put in."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a search ended.

    Attributes:
        folder: Where it is kept.
        pareto: Its Pareto set, members tested and measured.
        trained: Distinct candidates that were trained.
        failed: How many trainings failed.
        over_budget: Proposals that a budget ruled out untrained.
        repeats: Proposals that were known already.
        exhausted: Whether the space ran out of unseen feasible candidates.
    """

    folder: Path
    pareto: ParetoSet
    trained: int
    failed: int
    over_budget: int
    repeats: int
    exhausted: bool


def run_experiment(
    experiment: Experiment,
    folder: Path,
    *,
    resume: bool = False,
    store: Store | None = None,
    report: Reporter | None = None,
    dataset: Dataset | None = None,
    again: str = "",
) -> Outcome:
    """Runs an experiment from its file to a tested and measured Pareto set.

    Args:
        experiment: What to do.
        folder: The run folder; new, unless ``resume``.
        resume: Whether to go on with the run in the folder.
        store: Where tables and counts are kept.
        report: Where progress is written.
        dataset: In place of the one that the experiment names.
        again: The command that does all this, for whoever stops it before there is a run.

    Raises:
        ExperimentError: The folder is taken, or holds another experiment or one of other code, a
            space makes networks that do not fit the data set, or an objective or budget names what
            a profile does not have.
        ForeignTableError: The run in the folder was begun on another device or version.
        NothingFeasibleError: The budgets leave nothing of the space.
        TooManyFailuresError: More trainings failed than the experiment allows.
        InterruptedSearch: Ctrl-C; what was done is saved.
        CorruptFileError: A file of the run or of the store is damaged.
    """
    store, report = store or Store(), report or Reporter()
    dataset = dataset or experiment.load_dataset()
    space = experiment.space(dataset)
    report.line(
        f"Space {space.name}: {space.size:,} architectures of {len(space.blocks):,} distinct "
        f"blocks. Counts are at fp32 and batch 1; training at batch "
        f"{experiment.training.batch_size} with {experiment.training.optimizer}."
    )
    report.remarks(space.blocks)
    if resume:
        run = RunFolder.open(folder)
        check_same_experiment(run.experiment(), experiment, folder)
        table = run.latency_table()
        check_same_device(table, experiment)
        check_same_code(table, space)
        counts = count_space(space, store, report)
        devices = devices_of_run(experiment, run.profiles(), space, counts)
        limits = experiment.budgets  # Reported when the run was begun.
        run.start(experiment)
    else:
        RunFolder.check_free(folder)
        run = None
        try:
            counts = count_space(space, store, report)
            check_fit(space, dataset, counts, experiment.seed)
            # What needs no table of this machine can be refused before one is measured.
            devices = other_devices(experiment, space, counts, store)
            check_local_names(experiment, space, store)
            for place, device in devices.items():
                report_others(place, device.tables, report)
            known = Pricer(counts, experiment.training_setup, devices)
            limits = {k: v for k, v in experiment.budgets.items() if k in known.names}
            report_budgets(space, known, limits, experiment.seed, report)
            feasible_pool(space, known, limits, experiment.seed)
            own, table = ready_local_devices(experiment, space, counts, store, report)
            devices = {place: (own | devices)[place] for place in experiment.places}
        except KeyboardInterrupt as interrupt:
            go_on = f"Go on with:\n{again}" if again else "Give the same command again."
            raise InterruptedSearch(
                "Stopped before any candidate was trained; what was timed so far is kept. " + go_on
            ) from interrupt
    pricer = Pricer(counts, experiment.training_setup, devices)
    pricer.require(experiment.steering)
    redundant = redundant_of_space(space, pricer, experiment.seed)
    report_redundant(redundant, report)
    if set(experiment.budgets) != set(limits):
        report_budgets(space, pricer, experiment.budgets, experiment.seed, report)
    pool = feasible_pool(space, pricer, experiment.budgets, experiment.seed)
    if experiment.budgets:
        report.line(f"Budgets: {pool.share:.1%} of random architectures meet all of them.")
    priced = [(device.profile, device.tables) for device in devices.values()]
    run = run or RunFolder.create(folder, experiment, priced, local_device())
    search = Search(experiment, run, space, dataset, pricer, pool, report, redundant=redundant)
    return search.run(table)


def free_folder(name: str, parent: Path = Path("runs")) -> Path:
    """The first of ``runs/NAME``, ``runs/NAME-2``, ... that is not taken."""
    folder, number = parent / name, 2
    while folder.exists():
        folder = parent / f"{name}-{number}"
        number += 1
    return folder


@dataclass
class Search:
    """One run of a study.

    Attributes:
        experiment: What to do.
        folder: Where it is kept.
        space: Where candidates come from.
        dataset: What they learn.
        pricer: What they cost.
        pool: Random candidates within the budgets.
        report: Where progress is written.
        redundant: Indicators that order the space alike.
    """

    experiment: Experiment
    folder: RunFolder
    space: UnionSpace
    dataset: Dataset
    pricer: Pricer
    pool: Pool
    report: Reporter
    evaluated: dict[str, Candidate] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    over_budget: int = 0
    repeats: int = 0
    exhausted: bool = False
    redundant: tuple[RedundantGroup, ...] = ()

    def __post_init__(self) -> None:
        budgets, seed = self.experiment.budgets, self.experiment.seed
        self._unseen = Unseen(self.space, self.pricer, budgets, self.pool.codes, seed)

    def run(self, table: BlockTable) -> Outcome:
        """Asks, trains and tells until enough candidates are trained, then writes the set."""
        settings = self.experiment.search
        study = self._open_study()
        try:
            with uninterrupted():
                self._recall(study)
            with self.report.bar("Training candidates") as bar:
                if self._done() < settings.trials:
                    with evaluator(self.experiment, self.dataset) as evaluate:
                        self._loop(study, evaluate, bar)
            pareto = self._finish(table)
        except KeyboardInterrupt as interrupt:
            with uninterrupted():
                self._stop_running(study)
                self._write_untested()
                self.folder.finish("interrupted")
            raise InterruptedSearch(
                f"Stopped after {self._done()} of {settings.trials} candidates; everything so far "
                f"is saved. Go on with:\n{self.folder.resume_line()}"
            ) from interrupt
        self.folder.finish("complete")
        if len(self.failures) > settings.max_failed * max(1, self._done()):
            reasons = "; ".join(f"{key}: {why}" for key, why in list(self.failures.items())[:3])
            raise TooManyFailuresError(
                f"{len(self.failures)} of {self._done()} trainings failed, more than "
                f"`search.max_failed` = {settings.max_failed} allows ({reasons}). The run is kept "
                f"in {self.folder.path}."
            )
        return Outcome(
            folder=self.folder.path,
            pareto=pareto,
            trained=len(self.evaluated),
            failed=len(self.failures),
            over_budget=self.over_budget,
            repeats=self.repeats,
            exhausted=self.exhausted,
        )

    def _done(self) -> int:
        return len(self.evaluated) + len(self.failures)

    def _open_study(self) -> optuna.Study:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        settings = self.experiment.search
        return optuna.create_study(
            storage=f"sqlite:///{self.folder.study}",
            study_name=self.experiment.name,
            directions=["minimize", *(indicator(n).direction for n in settings.objectives)],
            sampler=make_sampler(settings.sampler, self.experiment.seed + self._epoch()),
            load_if_exists=True,
        )

    def _epoch(self) -> int:
        """How often the study was opened: a resumed sampler must not repeat its first draws."""
        return self.folder.openings()

    def _recall(self, study: optuna.Study) -> None:
        """Takes up what an earlier part of the run left in the study."""
        self._stop_running(study)
        for trial in study.get_trials(deepcopy=False):
            key = trial.user_attrs.get("candidate")
            cut_off = trial.state == TrialState.FAIL and "failure" not in trial.user_attrs
            if key is not None and not cut_off:
                self._unseen.leave_out(trial.params)
            if trial.state == TrialState.PRUNED:
                self.over_budget += 1
            elif "repeats" in trial.user_attrs:
                self.repeats += 1
            elif trial.state == TrialState.COMPLETE and key is not None:
                assert trial.values is not None
                architecture = self._architecture(trial)
                self.evaluated[key] = self._candidate(
                    architecture, self.dataset.measure.quality("validation", trial.values[0])
                )
            elif trial.state == TrialState.FAIL and "failure" in trial.user_attrs:
                self.failures[str(key)] = trial.user_attrs["failure"]
        if self._done():
            self.report.line(f"Going on after {self._done()} candidates.")

    def _stop_running(self, study: optuna.Study) -> None:
        for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            study.tell(trial.number, state=TrialState.FAIL)

    def _architecture(self, trial: FrozenTrial | Trial) -> Architecture:
        return self.space.architecture(trial.params)

    def _candidate(self, architecture: Architecture, quality: Quality) -> Candidate:
        values, budgets = self.pricer.price(architecture), self.experiment.budgets
        missed = violations({k: v.value for k, v in values.items()}, budgets)
        likely = self.pricer.feasibility(architecture, budgets)
        return Candidate(architecture, quality, values, not missed, missed, likely)

    def _loop(self, study: optuna.Study, evaluate: Evaluate, bar: Bar) -> None:
        settings = self.experiment.search
        bar(self._done(), settings.trials)
        while self._done() < settings.trials and not self.exhausted:
            wanted = min(settings.batch, settings.trials - self._done())
            with uninterrupted():
                batch, waiting = self._propose(study, wanted)
            results = evaluate([architecture for _, architecture in batch])
            for (trial, architecture), result in zip(batch, results, strict=True):
                with uninterrupted():
                    self._record(study, trial, architecture, result)
                bar(self._done(), settings.trials, self._best())
            with uninterrupted():
                for trial, key in waiting:
                    self._tell_repeat(study, trial, key)

    def _best(self) -> str:
        reached = [candidate.quality for candidate in self.evaluated.values()]
        return f"best {min(reached, key=lambda q: q.value)}" if reached else ""

    def _propose(
        self, study: optuna.Study, wanted: int
    ) -> tuple[list[tuple[Trial, Architecture]], list[tuple[Trial, str]]]:
        """New candidates to train, and repeats of them that wait for the same result."""
        batch: dict[str, tuple[Trial, Architecture]] = {}
        waiting: list[tuple[Trial, str]] = []
        idle = 0
        while len(batch) < wanted:
            if idle >= IDLE_ASKS:
                fresh = self._unseen.draw()
                if fresh is None:
                    self.exhausted = True
                    self.report.line("Every feasible candidate that could be found was trained.")
                    break
                study.enqueue_trial(fresh)
            trial = study.ask()
            architecture = self.space.sample(_suggest_with(trial))
            key = architecture.id
            trial.set_user_attr("candidate", key)
            self._unseen.leave_out(trial.params)
            if self._over_budget(study, trial, architecture):
                idle += 1
            elif key in batch:
                waiting.append((trial, key))
                idle += 1
            elif key in self.evaluated or key in self.failures:
                self._tell_repeat(study, trial, key)
                idle += 1
            else:
                batch[key] = (trial, architecture)
                idle = 0
        return list(batch.values()), waiting

    def _over_budget(self, study: optuna.Study, trial: Trial, architecture: Architecture) -> bool:
        budgets = self.experiment.budgets
        values = self.pricer.price(architecture, budgets)
        over = {name: excess(name, values[name].value, limit) for name, limit in budgets.items()}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            for name, value in over.items():
                trial.set_constraint(name, value)
        if all(value <= 0 for value in over.values()):
            return False
        study.tell(trial, state=TrialState.PRUNED)
        self.over_budget += 1
        return True

    def _tell_repeat(self, study: optuna.Study, trial: Trial, key: str) -> None:
        trial.set_user_attr("repeats", key)
        self.repeats += 1
        if key in self.evaluated:
            study.tell(trial, self._objectives(self.evaluated[key]))
        else:
            study.tell(trial, state=TrialState.FAIL)

    def _objectives(self, candidate: Candidate) -> list[float]:
        names = self.experiment.search.objectives
        return [candidate.quality.value, *(float(candidate.indicators[n].value) for n in names)]

    def _record(
        self,
        study: optuna.Study,
        trial: Trial,
        architecture: Architecture,
        result: Evaluation | str,
    ) -> None:
        key = architecture.id
        if isinstance(result, str):
            self.failures[key] = result
            trial.set_user_attr("failure", result)
            study.tell(trial, state=TrialState.FAIL)
            self.folder.log("failed", candidate=key, reason=result)
            self.report.line(f"Candidate {key} failed: {result}. The search goes on.")
            return
        candidate = self._candidate(architecture, result.quality)
        self.folder.save_weights(key, result.weights)
        trial.set_user_attr("seconds", result.seconds)
        study.tell(trial, self._objectives(candidate))
        self.evaluated[key] = candidate
        self.folder.log(
            "trained", candidate=key, quality=result.quality.to_json(), loss=result.train_loss,
            seconds=result.seconds,
        )  # fmt: skip

    def _pareto(self) -> ParetoSet:
        candidates = list(self.evaluated.values())
        errors = sampling_errors(candidates, self.dataset)
        return pareto_set(candidates, redundant=self.redundant, quality_errors=errors)

    def _write_untested(self) -> None:
        pareto = self._pareto()
        known = known_tests(self.folder)
        members = tuple(replace(m, test_quality=known.get(m.id)) for m in pareto.members)
        self.folder.write_pareto(replace(pareto, members=members))

    def _finish(self, table: BlockTable) -> ParetoSet:
        pareto = self._pareto()
        tested = score_members(self.folder, pareto.members, self.dataset)
        config = self.experiment.measurement
        members, measured = measure_members(tested, table, config, self.report)
        pareto = replace(pareto, members=members, front_certificate=front_certificate(measured))
        self.folder.write_pareto(pareto)
        return pareto


def _suggest_with(trial: Trial) -> Suggest:
    def suggest(name: str, choices: Sequence[Choice]) -> Choice:
        picked = trial.suggest_categorical(name, list(choices))
        return choices[choices.index(picked)]  # As the space spells it; Optuna may give None.

    return suggest
