"""The search: an Optuna study whose costs are known before anything is trained."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna
from optuna.trial import FrozenTrial, Trial, TrialState

from hw_profiles import BlockTable, local_device
from hw_profiles.store import Store
from nas.candidates import Candidate, violations
from nas.cost_aware_sampler import QUALITY_ERROR
from nas.early_stopping import CURVE, DECISION, EXPECTED
from nas.errors import InterruptedSearch, TooManyFailuresError
from nas.evaluation import Evaluate, evaluator
from nas.experiment import Experiment
from nas.indicators import indicator
from nas.interrupts import uninterrupted
from nas.members import front_certificate, known_tests, measure_members, score_members
from nas.pareto import ParetoSet, pareto_set
from nas.preparation import prepare, space_of
from nas.pricer import Pricer
from nas.problem_sampler import ProblemSampler
from nas.progress import Bar, Reporter
from nas.quality import Quality
from nas.redundancy import RedundantGroup, leading
from nas.resuming import check_same_experiment, check_study
from nas.run_energy import metered
from nas.run_folder import RunFolder
from nas.sampler_names import COST_AWARE
from nas.samplers import make_sampler
from nas.search_stopping import SearchStopping
from nas.space_problem import SpaceProblem
from nas.splits import Dataset
from nas.uncertainty import sampling_error, sampling_errors
from search_spaces import Architecture, Choice, Suggest, UnionSpace

if TYPE_CHECKING:
    from nas.training import Evaluation, Stopped

__all__ = ["Outcome", "Search", "free_folder", "run_experiment"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a search ended.

    Attributes:
        folder: Where it is kept.
        pareto: Its Pareto set, members tested and measured.
        trained: Distinct candidates that were trained.
        failed: How many trainings failed.
        exhausted: Whether no candidate within the budgets was left before enough were trained.
        stopped: How many trainings ended early.
    """

    folder: Path
    pareto: ParetoSet
    trained: int
    failed: int
    exhausted: bool
    stopped: int = 0


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
    space = space_of(experiment, dataset, report)
    run = RunFolder.open(folder) if resume else None
    if run is not None:
        check_same_experiment(run.experiment(), experiment, folder)
        check_study(run)
    else:
        RunFolder.check_free(folder)
    ready = prepare(experiment, space, dataset, store, report, run=run, again=again)
    assert ready.table is not None  # This machine is one of the places of every search.
    if run is not None:
        run.start(experiment)
    pricer, redundant = ready.pricer, ready.redundant
    steering = leading(experiment.search.objectives, redundant)
    problem = SpaceProblem(space, pricer, steering, experiment.budgets)
    if experiment.search.sampler == COST_AWARE and steering != experiment.search.objectives:
        report.line(f"The sampler goes by the quality and {', '.join(steering)}.")
    run = run or RunFolder.create(folder, experiment, ready.priced, local_device())
    search = Search(experiment, run, space, dataset, pricer, problem, report, redundant=redundant)
    with metered(run):
        return search.run(ready.table)


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
        problem: The candidates within the budgets, as the sampler knows them.
        report: Where progress is written.
        redundant: Indicators that order the space alike.
    """

    experiment: Experiment
    folder: RunFolder
    space: UnionSpace
    dataset: Dataset
    pricer: Pricer
    problem: SpaceProblem
    report: Reporter
    evaluated: dict[str, Candidate] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    stopped: set[str] = field(default_factory=set)
    exhausted: bool = False
    redundant: tuple[RedundantGroup, ...] = ()

    def __post_init__(self) -> None:
        settings = self.experiment.search
        # How often the study was opened: a resumed sampler must not repeat its first draws.
        seed = self.experiment.seed + self.folder.openings()
        self._sampler: ProblemSampler = make_sampler(
            settings.sampler, self.problem, seed=seed, trials=settings.trials, batch=settings.batch
        )
        self._cut_off: dict[str, dict[str, Choice]] = {}
        self._stopping = SearchStopping(self.experiment, self.pricer, self.dataset)

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
        if self.stopped:
            self.report.line(self._stopping.summary())
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
            exhausted=self.exhausted,
            stopped=len(self.stopped),
        )

    def _done(self) -> int:
        return len(self.evaluated) + len(self.failures) + len(self.stopped)

    def _open_study(self) -> optuna.Study:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        settings = self.experiment.search
        return optuna.create_study(
            storage=f"sqlite:///{self.folder.study}",
            study_name=self.experiment.name,
            directions=["minimize", *(indicator(n).direction for n in settings.objectives)],
            sampler=self._sampler,
            load_if_exists=True,
        )

    def _recall(self, study: optuna.Study) -> None:
        """Takes up what an earlier part of the run left in the study."""
        self._stop_running(study)
        for trial in study.get_trials(deepcopy=False):
            key = trial.user_attrs.get("candidate")
            if key is None:
                continue
            if trial.state == TrialState.COMPLETE:
                assert trial.values is not None
                architecture = self._architecture(trial)
                self.evaluated[key] = self._candidate(
                    architecture, self.dataset.measure.quality("validation", trial.values[0])
                )
                told = trial.user_attrs
                curve = [value for _, value in told.get(CURVE, [])]
                spared = DECISION in told
                self._stopping.finish(self.evaluated[key], curve, spared, told["seconds"])
            elif trial.state == TrialState.PRUNED:
                self.stopped.add(key)
                step = trial.user_attrs[DECISION]["step"]
                self._stopping.stop(self._architecture(trial), step, trial.user_attrs["seconds"])
            elif trial.state == TrialState.FAIL and "failure" in trial.user_attrs:
                self.failures[key] = trial.user_attrs["failure"]
            elif trial.state == TrialState.FAIL:
                self._cut_off[key] = trial.params
        known = self.evaluated.keys() | self.failures.keys() | self.stopped
        for key in self._cut_off.keys() & known:
            del self._cut_off[key]
        if self._done():
            self.report.line(f"Going on after {self._done()} candidates.")

    def _stop_running(self, study: optuna.Study) -> None:
        for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            study.tell(trial.number, state=TrialState.FAIL)
        for _ in study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
            study.tell(study.ask(), state=TrialState.FAIL)

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
                batch = self._propose(study, wanted)
            architectures = [architecture for _, architecture in batch]
            # After what was finished before the batch began: when others end changes nothing.
            results = evaluate(architectures, self._stopping.hurdles(architectures))
            for (trial, architecture), result in zip(batch, results, strict=True):
                with uninterrupted():
                    self._record(study, trial, architecture, result)
                bar(self._done(), settings.trials, self._best())
        if self.exhausted:
            within = " within the budgets" if self.experiment.budgets else ""
            self.report.line(
                f"Every candidate{within} that could be found was trained, {self._done()} of "
                f"{settings.trials} asked for; the search ends."
            )

    def _best(self) -> str:
        reached = [candidate.quality for candidate in self.evaluated.values()]
        return f"best {min(reached, key=lambda q: q.value)}" if reached else ""

    def _propose(self, study: optuna.Study, wanted: int) -> list[tuple[Trial, Architecture]]:
        """Candidates to train that were not before; fewer than wanted where no more are left."""
        batch: list[tuple[Trial, Architecture]] = []
        while len(batch) < wanted:
            if self._cut_off:
                study.enqueue_trial(self._cut_off.pop(next(iter(self._cut_off))))
            elif self._sampler.exhausted(study):
                self.exhausted = True
                break
            trial = study.ask()
            architecture = self.space.sample(_suggest_with(trial))
            trial.set_user_attr("candidate", architecture.id)
            batch.append((trial, architecture))
        return batch

    def _objectives(self, candidate: Candidate) -> list[float]:
        names = self.experiment.search.objectives
        return [candidate.quality.value, *(float(candidate.indicators[n].value) for n in names)]

    def _record(
        self,
        study: optuna.Study,
        trial: Trial,
        architecture: Architecture,
        result: Evaluation | Stopped | str,
    ) -> None:
        from nas.training import Stopped

        key = architecture.id
        if isinstance(result, str):
            self.failures[key] = result
            trial.set_user_attr("failure", result)
            study.tell(trial, state=TrialState.FAIL)
            self.folder.log("failed", candidate=key, reason=result)
            self.report.line(f"Candidate {key} failed: {result}. The search goes on.")
            return
        trial.set_user_attr("seconds", result.seconds)
        told: dict[str, Any] = {"loss": result.train_loss, "seconds": result.seconds}
        if result.curve:
            rungs = self.experiment.search.stopping.rule(self.experiment.training.epochs).rungs
            told["curve"] = [
                [step, value if math.isfinite(value) else None]
                for step, value in zip(rungs, result.curve, strict=False)
            ]
            trial.set_user_attr(CURVE, told["curve"])
        if result.decision is not None:
            told["decision"] = result.decision.to_json()
            trial.set_user_attr(DECISION, told["decision"])
        if isinstance(result, Stopped):
            expected = self.dataset.measure.quality("validation", result.decision.expected)
            trial.set_user_attr(EXPECTED, expected.value)
            self._set_error(trial, architecture, expected)  # A forecast is no surer than a measure.
            study.tell(trial, state=TrialState.PRUNED)
            self.stopped.add(key)
            self._stopping.stop(architecture, result.decision.step, result.seconds)
            self.folder.log("stopped", candidate=key, **told)
            return
        candidate = self._candidate(architecture, result.quality)
        self._set_error(trial, architecture, result.quality)
        self.folder.save_weights(key, result.weights)
        study.tell(trial, self._objectives(candidate))
        self.evaluated[key] = candidate
        spared = result.decision is not None
        self._stopping.finish(candidate, result.curve, spared, result.seconds)
        self.folder.log("trained", candidate=key, quality=result.quality.to_json(), **told)

    def _set_error(self, trial: Trial, architecture: Architecture, quality: Quality) -> None:
        error = sampling_error(quality, architecture, self.dataset)
        if error is not None:
            trial.set_user_attr(QUALITY_ERROR, error)

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
