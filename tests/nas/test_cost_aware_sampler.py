"""The sampler in studies of Optuna's own."""

import math
import runpy
from pathlib import Path
from typing import Any

import optuna
import pytest

from nas.cost_aware import CostAwareSearch
from nas.cost_aware_sampler import CostAwareSampler
from nas.function_problem import FunctionProblem

CHOICES: dict[str, list[Any]] = {"depth": [1, 2, 3, 4], "width": [8, 16, 32], "wide": [True, False]}
optuna.logging.set_verbosity(optuna.logging.WARNING)


def price(config: Any) -> dict[str, float]:
    return {"macs": float(config["depth"] * config["width"] ** 2)}


def objective(trial: optuna.Trial, sign: float = 1.0) -> tuple[float, float]:
    config = {name: trial.suggest_categorical(name, choices) for name, choices in CHOICES.items()}
    return sign * (1 / config["depth"] + 4 / config["width"]), price(config)["macs"]


def sampler_of(**options: Any) -> CostAwareSampler:
    return CostAwareSampler(
        FunctionProblem(CHOICES, price), **({"seed": 0, "initial": 6} | options)
    )


def params(study: optuna.Study) -> list[tuple[tuple[type, Any], ...]]:
    return [tuple((type(v), v) for v in t.params.values()) for t in study.get_trials()]


def test_no_candidate_comes_twice_and_a_seed_repeats_the_study() -> None:
    studies = []
    for _ in range(2):
        study = optuna.create_study(directions=["minimize"] * 2, sampler=sampler_of())
        study.optimize(objective, n_trials=20)
        studies.append(params(study))
    assert len(set(studies[0])) == 20
    assert studies[0] == studies[1]


@pytest.mark.parametrize(("direction", "sign"), [("minimize", 1.0), ("maximize", -1.0)])
def test_quality_of_either_direction_is_the_same_search(direction: str, sign: float) -> None:
    study = optuna.create_study(directions=[direction, "minimize"], sampler=sampler_of())
    study.optimize(lambda trial: objective(trial, sign), n_trials=18)
    other = optuna.create_study(directions=["minimize"] * 2, sampler=sampler_of())
    other.optimize(objective, n_trials=18)
    assert params(study) == params(other)


def test_quality_may_stand_at_any_place() -> None:
    study = optuna.create_study(directions=["minimize"] * 2, sampler=sampler_of(quality=1))
    study.optimize(lambda trial: objective(trial)[::-1], n_trials=14)
    other = optuna.create_study(directions=["minimize"] * 2, sampler=sampler_of())
    other.optimize(objective, n_trials=14)
    assert params(study) == params(other)
    wrong = optuna.create_study(sampler=sampler_of(quality=1))
    with pytest.raises(ValueError, match="`quality` is 1, but the study has 1 objectives"):
        wrong.optimize(lambda trial: objective(trial)[0], n_trials=1)


def test_a_new_sampler_goes_on_where_the_study_was() -> None:
    study = optuna.create_study(directions=["minimize"] * 2, sampler=sampler_of())
    study.optimize(objective, n_trials=10)
    study.sampler = sampler_of(seed=5)
    with pytest.warns(UserWarning, match="the study ends"):
        study.optimize(objective, n_trials=20)
    assert len(set(params(study))) == 24 == FunctionProblem(CHOICES, price).size


def test_failed_and_running_candidates_are_not_proposed_again() -> None:
    study = optuna.create_study(directions=["minimize"] * 2, sampler=sampler_of(batch=2))

    def fails(trial: optuna.Trial) -> tuple[float, float]:
        values = objective(trial)
        if trial.number % 3 == 0:
            raise RuntimeError("no memory")
        return values

    running = study.ask()
    objective(running)
    study.optimize(fails, n_trials=16, catch=(RuntimeError,))
    assert len(set(params(study))) == 17


@pytest.mark.parametrize("bad", [math.nan, -1, math.inf, "5 %", None])
def test_known_errors_reach_the_search(monkeypatch: pytest.MonkeyPatch, bad: Any) -> None:
    told: list[list[float]] = []

    class Noted(CostAwareSearch):
        def tell(self, codes: Any, quality: Any, errors: Any = None) -> None:
            told.append(errors.tolist())
            super().tell(codes, quality, errors)

    def noisy(trial: optuna.Trial) -> tuple[float, float]:
        if trial.number % 2:
            trial.set_user_attr("quality_error", 0.01 * trial.number)
        elif trial.number == 4:
            trial.set_user_attr("quality_error", bad)
        values = objective(trial)
        if trial.number == 3:
            trial.set_user_attr("expected_quality", 0.7)
            raise optuna.TrialPruned
        return values

    monkeypatch.setattr("nas.cost_aware_sampler.CostAwareSearch", Noted)
    study = optuna.create_study(directions=["minimize"] * 2, sampler=sampler_of(batch=2))
    with pytest.warns(UserWarning, match="`quality_error` of trial 4 must be a finite number"):
        study.optimize(noisy, n_trials=11)
    flat = [error for each in told for error in each]
    assert flat[:8] == pytest.approx([0, 0.01, 0, 0.03, 0, 0.05, 0, 0.07])


def test_a_quality_that_is_infinite_is_said_each_time() -> None:
    study = optuna.create_study(directions=["minimize"] * 2, sampler=sampler_of(initial=2, batch=1))
    study.optimize(objective, n_trials=3)

    def endless(trial: optuna.Trial) -> tuple[float, float]:
        return math.inf, objective(trial)[1]

    study.optimize(endless, n_trials=1)
    for _ in range(2):
        with pytest.raises(ValueError, match="`quality` must be finite; got inf"):
            study.optimize(objective, n_trials=1)


def test_parameters_of_others_are_refused() -> None:
    study = optuna.create_study(sampler=sampler_of())
    with pytest.raises(ValueError, match=r"`dropout` with .* suggest its own.*depth, width"):
        study.optimize(lambda trial: trial.suggest_float("dropout", 0, 1), n_trials=1)


@pytest.mark.parametrize("name", ["initial", "batch", "pool"])
def test_numbers_must_be_above_zero(name: str) -> None:
    with pytest.raises(ValueError, match=f"`{name}` must be at least 1; got 0"):
        sampler_of(**{name: 0})


def test_the_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    path = Path(__file__).parents[2] / "examples" / "cost_aware_sampler.py"
    runpy.run_path(str(path), run_name="__main__")
    assert len(capsys.readouterr().out.splitlines()) > 5
