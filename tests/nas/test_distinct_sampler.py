"""Optuna's samplers on a problem's candidates: nothing twice, nothing that does not exist."""

import pickle
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.samplers import BaseSampler, NSGAIIISampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.trial import TrialState

from nas.cost_aware_sampler import CostAwareSampler
from nas.distinct_sampler import DistinctSampler
from nas.function_problem import FunctionProblem
from nas.pricer import Pricer
from nas.problem import Problem
from nas.problem_sampler import ExhaustedError, ProblemSampler
from nas.space_problem import SpaceProblem
from nas.table_problem import TableProblem
from search_spaces import UnionSpace

optuna.logging.set_verbosity(optuna.logging.ERROR)
pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")

CHOICES: dict[str, list[Any]] = {
    "depth": [1, 2, 3, 4],
    "width": [8, 16, 32],
    "wide": [True, False],
    "kind": ["a"],
}


def macs(config: Any) -> dict[str, float]:
    return {"macs": float(config["depth"] * config["width"] ** 2)}


def function_problem(limit: float = np.inf) -> FunctionProblem:
    return FunctionProblem(CHOICES, macs, {"macs": limit})


STOCK: dict[str, Callable[[int], BaseSampler]] = {
    "nsga2": lambda seed: NSGAIISampler(population_size=4, seed=seed),
    "nsga3": lambda seed: NSGAIIISampler(population_size=4, seed=seed),
    "tpe": lambda seed: TPESampler(n_startup_trials=4, seed=seed),
    "tpe, multivariate": lambda seed: TPESampler(n_startup_trials=4, multivariate=True, seed=seed),
    "random": lambda seed: RandomSampler(seed=seed),
}


def distinct(name: str, problem: Problem, seed: int = 0) -> DistinctSampler:
    return DistinctSampler(STOCK[name](seed), problem, seed=seed)


SAMPLERS: dict[str, Callable[[Problem, int], ProblemSampler]] = {
    **{name: lambda p, s, name=name: distinct(name, p, s) for name in STOCK},  # type: ignore[misc]
    "cost-aware": lambda p, s: CostAwareSampler(p, seed=s, initial=4, batch=2),
}


def suggest(trial: optuna.Trial, problem: Problem) -> np.ndarray:
    """Codes of what a trial is given."""
    return np.array(
        [
            choices.index(trial.suggest_categorical(name, choices))
            for name, choices in problem.parameters.items()
        ]
    )


def study_with(sampler: ProblemSampler) -> optuna.Study:
    return optuna.create_study(directions=["minimize"] * 2, sampler=sampler)


def objective_of(problem: Problem, seen: list[bytes]) -> Callable[[optuna.Trial], Any]:
    def objective(trial: optuna.Trial) -> tuple[float, float]:
        codes = suggest(trial, problem)[None, :]
        assert problem.exist(codes)[0]
        seen.extend(problem.keys(codes))
        return float(codes.sum() % 7), float(problem.cost_values(codes)[0, 0])

    return objective


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize(("limit", "candidates"), [(np.inf, 24), (600.0, 12)])
def test_every_candidate_comes_once_and_then_the_study_ends(
    name: str, limit: float, candidates: int
) -> None:
    # Within 600 MACs are four depths at width 8 and two at 16, each with both values of `wide`.
    problem, seen = function_problem(limit), list[bytes]()
    study = study_with(SAMPLERS[name](problem, 0))
    with pytest.warns(UserWarning, match="Every candidate was proposed; the study ends"):
        study.optimize(objective_of(problem, seen), n_trials=40)
    assert len(seen) == len(set(seen)) == candidates == len(study.trials)
    assert {trial.state for trial in study.trials} == {TrialState.COMPLETE}
    assert study.sampler.exhausted(study)  # type: ignore[attr-defined]
    # Going on with it ends at once, and so does a new sampler on the same study.
    for sampler in (study.sampler, SAMPLERS[name](problem, 1)):
        study.sampler = sampler
        with pytest.warns(UserWarning, match="the study ends"):
            study.optimize(objective_of(problem, seen), n_trials=5)
        assert len(seen) == candidates
    assert [trial.state for trial in study.trials[candidates:]] == [TrialState.PRUNED] * 2


@pytest.mark.parametrize("name", SAMPLERS)
def test_asked_and_told_the_end_is_an_error_that_can_be_seen_before(name: str) -> None:
    problem = FunctionProblem({"depth": [1, 2, 3]}, lambda config: {"macs": config["depth"]})
    sampler = SAMPLERS[name](problem, 0)
    study = study_with(sampler)
    depths = []
    while not sampler.exhausted(study):
        trial = study.ask()
        depths.append(trial.suggest_categorical("depth", [1, 2, 3]))
        study.tell(trial, [0.0, 0.0])
    assert sorted(depths) == [1, 2, 3]
    with pytest.raises(ExhaustedError, match="widen the problem's choices or budgets"):
        study.ask().suggest_categorical("depth", [1, 2, 3])


@pytest.mark.parametrize("name", ["cost-aware", "nsga2", "random"])
def test_a_space_of_networks_is_seen_to_its_last(
    name: str, tiny_space: UnionSpace, tiny_pricer: Pricer
) -> None:
    problem = SpaceProblem(tiny_space, tiny_pricer, ["macs"])
    sampler, seen = SAMPLERS[name](problem, 0), set()
    study = study_with(sampler)
    while not sampler.exhausted(study):
        trial = study.ask()
        codes = suggest(trial, problem)
        seen.add(tiny_space.decode(codes).id)
        study.tell(
            trial, [float(codes.sum() % 5), float(problem.cost_values(codes[None, :])[0, 0])]
        )
    assert len(seen) == len(study.trials) == problem.size == 64


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_seed_decides_what_is_proposed(name: str) -> None:
    problem = function_problem()

    def proposed(seed: int) -> list[Any]:
        study = study_with(SAMPLERS[name](problem, seed))
        study.optimize(objective_of(problem, []), n_trials=16)
        return [trial.params for trial in study.trials]

    assert proposed(0) == proposed(0)
    assert proposed(0) != proposed(1)


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_new_sampler_repeats_nothing_that_was_evaluated_failed_or_runs(name: str) -> None:
    problem, seen = function_problem(), list[bytes]()
    study = study_with(SAMPLERS[name](problem, 0))
    study.optimize(objective_of(problem, seen), n_trials=5)

    def fails(trial: optuna.Trial) -> Any:
        seen.extend(problem.keys(suggest(trial, problem)[None, :]))
        raise RuntimeError("no memory")

    study.optimize(fails, n_trials=3, catch=(RuntimeError,))
    for _ in range(2):
        seen += problem.keys(suggest(study.ask(), problem)[None, :])
    study.sampler = SAMPLERS[name](problem, 0)
    # Several are pending at a time.
    pending = [study.ask() for _ in range(4)]
    seen += problem.keys(np.array([suggest(trial, problem) for trial in pending]))
    for trial in pending:
        study.tell(trial, [1.0, 1.0])
    with pytest.warns(UserWarning, match="the study ends"):
        study.optimize(objective_of(problem, seen), n_trials=30)
    assert len(seen) == len(set(seen)) == problem.size == 24


@pytest.mark.parametrize("name", SAMPLERS)
def test_what_a_user_puts_in_is_evaluated_and_not_proposed_again(name: str) -> None:
    problem, seen = function_problem(), list[bytes]()
    study = study_with(SAMPLERS[name](problem, 0))
    study.optimize(objective_of(problem, seen), n_trials=3)
    fixed = {"depth": 4, "width": 32, "wide": False, "kind": "a"}
    other = fixed | {"depth": 1}
    for params in (fixed, other):
        study.enqueue_trial(params)
    with pytest.warns(UserWarning, match="the study ends"):
        study.optimize(objective_of(problem, seen), n_trials=30)
    assert study.trials[3].params == fixed or fixed in [t.params for t in study.trials[:3]]
    rows = [tuple(trial.params.values()) for trial in study.trials]
    assert len(set(rows)) == 24
    assert len(rows) <= 26  # What was put in may have been proposed before.


@pytest.mark.parametrize("name", SAMPLERS)
def test_threads_repeat_nothing(name: str) -> None:
    problem, seen = function_problem(), list[bytes]()
    study = study_with(SAMPLERS[name](problem, 0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        study.optimize(objective_of(problem, seen), n_trials=40, n_jobs=4)
    assert len(seen) == len(set(seen)) == 24


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_saved_sampler_goes_on(name: str) -> None:
    problem, seen = function_problem(), list[bytes]()
    study = study_with(SAMPLERS[name](problem, 0))
    study.optimize(objective_of(problem, seen), n_trials=6)
    study.sampler = pickle.loads(pickle.dumps(study.sampler))
    study.optimize(objective_of(problem, seen), n_trials=6)
    assert len(set(seen)) == 12


def table_problem() -> TableProblem:
    """A table that holds few of the combinations: 30 rows of 10 x 10 x 10."""
    rng = np.random.default_rng(0)
    places = rng.choice(1000, size=30, replace=False)
    rows = np.stack(np.unravel_index(places, (10, 10, 10)), axis=1)
    return TableProblem(
        {"a": rows[:, 0], "b": rows[:, 1], "c": [f"w{i}" for i in rows[:, 2]]},
        rows.sum(axis=1).astype(float),
        {"macs": (30.0 - rows.sum(axis=1)) ** 2},
    )


@pytest.mark.parametrize("name", SAMPLERS)
def test_of_a_sparse_table_only_rows_are_proposed_and_all_of_them(name: str) -> None:
    problem, seen = table_problem(), list[bytes]()
    study = study_with(SAMPLERS[name](problem, 0))
    with pytest.warns(UserWarning, match="the study ends"):
        study.optimize(objective_of(problem, seen), n_trials=99)
    assert len(seen) == len(set(seen)) == problem.size == 30


WIDE = {f"op{i}": ["skip", "conv", "pool", "dense"] for i in range(12)}


def wide_problem(limit: float = np.inf) -> FunctionProblem:
    """4^12 configurations, too many to be listed."""
    return FunctionProblem(
        WIDE, lambda config: {"macs": float(sum(v == "conv" for v in config.values()))},
        {"macs": limit},
    )  # fmt: skip


def wide_study(name: str, trials: int) -> list[Any]:
    problem = wide_problem()
    study = study_with(distinct(name, problem))

    def objective(trial: optuna.Trial) -> tuple[float, float]:
        codes = suggest(trial, problem)
        return float((codes == 3).sum()), float(problem.cost_values(codes[None, :])[0, 0])

    study.optimize(objective, n_trials=trials)
    return [trial.values for trial in study.trials]


@pytest.mark.parametrize("name", ["nsga2", "nsga3", "tpe", "tpe, multivariate"])
def test_a_sampler_that_learns_is_no_random_search(name: str) -> None:
    # By the least of both is meant nothing but `skip` and `pool`: a random configuration has 3 of
    # 12 each of the others.
    random, learned = wide_study("random", 120), wide_study(name, 120)
    assert random != learned
    late = np.array(learned[80:]).sum(axis=1).mean()
    assert late < np.array(random[80:]).sum(axis=1).mean() - 1


def test_evolution_breeds_from_what_was_evaluated() -> None:
    problem = wide_problem()
    crossing = DistinctSampler(
        NSGAIISampler(population_size=4, mutation_prob=0.0, crossover_prob=1.0, seed=0), problem
    )
    study, rows = study_with(crossing), []
    for number in range(24):
        trial = study.ask()
        rows.append(suggest(trial, problem))
        study.tell(trial, [float(number % 5), float(number % 3)])
    parents = np.array(rows[:4])
    for child in rows[4:8]:
        # Nothing mutates, so that every parameter is some parent's.
        assert (child[None, :] == parents).any(axis=0).all()


def test_budgets_that_hardly_anything_meets_are_kept_without_a_list() -> None:
    # Of 12 operations at least 11 are no convolution: (3^12 + 12 * 3^11) / 4^12 = 16 %; at most 0
    # leaves 3^12 / 4^12 = 3 %.
    problem, seen = wide_problem(0.0), list[bytes]()
    for name in STOCK:
        study = study_with(distinct(name, problem))
        study.optimize(objective_of(problem, seen), n_trials=20)
    assert len(seen) == 20 * len(STOCK)


class Corner:
    """All but 3 of 4^12 configurations do not exist, and random draws never meet those."""

    def __init__(self) -> None:
        self.inner = wide_problem()
        self.there = np.zeros((3, 12), dtype=np.int64)
        self.there[1, 0], self.there[2, 1] = 1, 1
        self.parameters, self.costs = self.inner.parameters, self.inner.costs

    def random_codes(self, n: int, rng: np.random.Generator) -> np.ndarray:
        return np.full((n, 12), 3)

    def exist(self, codes: np.ndarray) -> np.ndarray:
        return (codes[:, None, :] == self.there[None]).all(axis=2).any(axis=1)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


def test_what_random_draws_miss_is_found_next_to_what_was_seen() -> None:
    problem = Corner()
    sampler = distinct("random", problem)
    study = study_with(sampler)
    first = {name: choices[0] for name, choices in problem.parameters.items()}
    study.enqueue_trial(first)
    for _ in range(3):
        trial = study.ask()
        suggest(trial, problem)
        study.tell(trial, [0.0, 0.0])
    assert len({tuple(trial.params.values()) for trial in study.trials}) == 3
    assert sampler.exhausted(study)
    assert distinct("random", Corner()).exhausted(study_with(sampler))


def test_parameters_of_others_are_refused() -> None:
    study = study_with(distinct("random", function_problem()))
    with pytest.raises(ValueError, match=r"`dropout` with .* suggest its own.*depth, width"):
        study.optimize(lambda trial: trial.suggest_float("dropout", 0, 1), n_trials=1)
