"""Recomputation: the Pareto set of a finished run under other budgets, without training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from hw_profiles.store import Store
from nas.candidates import Candidate, Evaluated, violations
from nas.errors import NothingFeasibleError
from nas.pareto import ParetoSet, pareto_set
from nas.places import devices_of_run
from nas.pricer import Pricer
from nas.pricing import count_space
from nas.progress import Reporter
from nas.run_folder import RunFolder
from nas.splits import Dataset
from nas.uncertainty import sampling_errors
from search_spaces import CorruptFileError, UnionSpace, UnknownNameError

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

__all__ = [
    "complete_trials",
    "evaluated_candidates",
    "nothing_feasible",
    "pareto_under",
    "run_candidates",
]

NEAREST = 3


def pareto_under(
    run: RunFolder, budgets: Mapping[str, float], store: Store, report: Reporter
) -> ParetoSet:
    """The Pareto set of a run's trained candidates under other budgets; the run is not changed.

    Members keep what was tested and measured of them.

    Args:
        run: Finished, or stopped.
        budgets: By indicator, in place of the run's own of the same names; the others hold still.
        store: Where counts are kept.
        report: Where progress is written.

    Raises:
        UnknownNameError: A budget names what the run's candidates were not priced with.
        NothingFeasibleError: No trained candidate meets them; the message has the nearest.
        CorruptFileError: The study cannot be read.
    """
    experiment, before = run.experiment(), run.read_pareto()
    dataset = experiment.load_dataset()
    space, pricer = _priced_space(run, dataset, store, report)
    for name in budgets:
        if name not in pricer.names:
            raise UnknownNameError("indicator of the run", name, pricer.names)
    limits = {**experiment.budgets, **budgets}
    candidates = evaluated_candidates(run, space, dataset, pricer, limits)
    if not any(candidate.feasible for candidate in candidates):
        raise nothing_feasible(candidates, limits, f"{len(candidates)} trained candidates")
    found = pareto_set(
        candidates,
        redundant=before.redundant,
        quality_errors=sampling_errors(candidates, dataset),
    )
    known = {member.id: member for member in before.members}
    members = tuple(
        replace(m, test_quality=known[m.id].test_quality, measured=known[m.id].measured)
        if m.id in known
        else m
        for m in found.members
    )
    return replace(found, members=members)


def run_candidates(
    run: RunFolder, dataset: Dataset, store: Store, report: Reporter
) -> list[Candidate]:
    """The distinct candidates that a run trained, under its own budgets; the run is not changed.

    Args:
        run: Of an experiment.
        dataset: What the candidates learned.
        store: Where counts are kept.
        report: Where progress is written.

    Raises:
        CorruptFileError: The study or a table cannot be read.
    """
    space, pricer = _priced_space(run, dataset, store, report)
    return evaluated_candidates(run, space, dataset, pricer, run.experiment().budgets)


def _priced_space(
    run: RunFolder, dataset: Dataset, store: Store, report: Reporter
) -> tuple[UnionSpace, Pricer]:
    """The space of a run, and what prices it with the run's own copies of tables."""
    experiment = run.experiment()
    space = experiment.space(dataset)
    counts = count_space(space, store, report)
    devices = devices_of_run(experiment, run.profiles(), space, counts)
    return space, Pricer(counts, experiment.training_setup, devices)


def evaluated_candidates(
    run: RunFolder,
    space: UnionSpace,
    dataset: Dataset,
    pricer: Pricer,
    budgets: Mapping[str, float],
) -> list[Candidate]:
    """The distinct candidates that a run trained, priced again.

    Args:
        run: Of an experiment.
        space: Of the experiment.
        dataset: What the candidates learned.
        pricer: What they cost.
        budgets: What decides which are feasible.

    Raises:
        CorruptFileError: The study cannot be read.
    """
    found: dict[str, Candidate] = {}
    for trial in complete_trials(run, run.experiment().name):
        assert trial.values is not None
        architecture = space.architecture(trial.params)
        if architecture.id in found:
            continue
        quality = dataset.measure.quality("validation", trial.values[0])
        values = pricer.price(architecture)
        missed = violations({name: v.value for name, v in values.items()}, budgets)
        likely = pricer.feasibility(architecture, budgets)
        found[architecture.id] = Candidate(
            architecture, quality, values, not missed, missed, likely
        )
    return list(found.values())


def complete_trials(run: RunFolder, name: str) -> list[FrozenTrial]:
    """Those of the run's study, which has a name, read without writing to it.

    Raises:
        CorruptFileError: The study cannot be read.
    """
    import optuna
    from optuna.trial import TrialState

    if not run.study.exists():
        return []
    # Optuna's storage may upgrade or lock the file, whose checksum the run keeps.
    storage = optuna.storages.RDBStorage(
        f"sqlite:///file:{run.study.resolve().as_uri().removeprefix('file://')}?mode=ro&uri=true"
    )
    try:
        study = optuna.load_study(study_name=name, storage=storage)
        return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    except KeyError as error:
        raise CorruptFileError(f"{run.study} holds no study of the run.") from error
    finally:
        storage.remove_session()


def nothing_feasible(
    candidates: Sequence[Evaluated], budgets: Mapping[str, float], what: str
) -> NothingFeasibleError:
    """The error of candidates of which none meets the budgets, with those that miss least.

    Args:
        candidates: Those, or at least the nearest of them.
        budgets: Limits by indicator.
        what: How many there are of what.
    """
    nearest = sorted(candidates, key=lambda c: (sum(c.violations.values()), c.id))[:NEAREST]
    lines = [
        f"  {candidate.id} {candidate.label}: "
        + ", ".join(
            f"{name} {candidate.indicators[name].value:.4g} (budget {budgets[name]:.4g}, missed "
            f"by {miss:+.1%})"
            for name, miss in candidate.violations.items()
        )
        for candidate in nearest
    ]
    return NothingFeasibleError(
        f"None of {what} meets the budgets "
        f"{', '.join(f'{name} {limit:.4g}' for name, limit in budgets.items())}. Nearest:",
        lines,
    )
