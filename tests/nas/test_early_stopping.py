"""Early stopping in studies of Optuna's own."""

import math
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState

from nas.cost_aware_sampler import CostAwareSampler
from nas.early_stopping import CURVE, DECISION, EXPECTED, EarlyStopping
from nas.function_problem import FunctionProblem
from nas.study_front import front_trials

EPOCHS = 8
CHOICES: dict[str, list[Any]] = {"depth": list(range(1, 13)), "width": [8, 16, 32, 64]}
optuna.logging.set_verbosity(optuna.logging.WARNING)


def price(config: Any) -> dict[str, float]:
    return {"macs": float(config["depth"] * config["width"] ** 2)}


def learned(config: Any, epoch: int) -> float:
    """An error that falls as a power law, to a floor that does not follow the cost."""
    floor = 0.02 + 0.9 * math.sin(7 * config["depth"] + config["width"]) ** 2 / config["width"]
    return floor * (EPOCHS / epoch) ** (0.8 + 0.2 * math.cos(config["depth"]))


def run(
    stopping: EarlyStopping,
    sampler: Any = None,
    trials: int = 40,
    sign: float = 1.0,
    swapped: bool = False,
) -> optuna.Study:
    def objective(trial: optuna.Trial) -> tuple[float, ...]:
        config = {name: trial.suggest_categorical(name, c) for name, c in CHOICES.items()}
        cost = price(config)["macs"]
        for epoch in range(1, EPOCHS + 1):
            error = learned(config, epoch)
            if stopping.should_stop(trial, epoch, sign * error, [cost]):
                raise optuna.TrialPruned
        return (cost, sign * error) if swapped else (sign * error, cost)

    directions = ["minimize" if sign > 0 else "maximize", "minimize"]
    study = optuna.create_study(
        directions=directions[::-1] if swapped else directions,
        sampler=sampler or optuna.samplers.RandomSampler(seed=0),
    )
    study.optimize(objective, n_trials=trials)
    return study


def stopping_of(**options: Any) -> EarlyStopping:
    return EarlyStopping(EPOCHS, **({"level": 0.2, "ideal": 0.0} | options))


def stopped(study: optuna.Study) -> list[FrozenTrial]:
    return study.get_trials(states=(TrialState.PRUNED,))


@pytest.fixture(scope="module")
def study() -> optuna.Study:
    return run(stopping_of())


def test_trials_are_stopped_with_their_reason(study: optuna.Study) -> None:
    assert 5 <= len(stopped(study)) < 40
    for trial in stopped(study):
        told = trial.user_attrs[DECISION]
        better = study.trials[told["dominated_by"]]
        cost = price(trial.params)["macs"]
        assert better.number < trial.number
        assert better.values[1] <= cost
        assert better.values[0] == told["to_beat"] < told["optimistic"] <= told["expected"]
        assert trial.user_attrs[EXPECTED] == told["expected"]
        assert trial.user_attrs[CURVE][-1] == [told["step"], told["quality"]]
        assert told["quality"] == learned(trial.params, told["step"])
        assert told["step"] in (1, 2, 4)


def test_what_was_stopped_is_never_among_the_best(study: optuna.Study) -> None:
    best = {trial.number for trial in front_trials(study)}
    assert best == {trial.number for trial in study.best_trials}
    assert best
    assert best.isdisjoint(trial.number for trial in stopped(study))
    assert all(trial.values is None for trial in stopped(study))


def test_some_that_would_be_stopped_are_finished_and_say_so() -> None:
    study = run(stopping_of(spare=0.5))
    spared = [
        t for t in study.get_trials(states=(TrialState.COMPLETE,)) if DECISION in t.user_attrs
    ]
    assert len(spared) >= 3
    assert all(trial.user_attrs[DECISION]["spared"] for trial in spared)
    assert all(EXPECTED not in trial.user_attrs for trial in spared)
    assert all(len(trial.user_attrs[CURVE]) == 3 for trial in spared)


def test_the_same_seed_decides_the_same(study: optuna.Study) -> None:
    again = run(stopping_of())
    assert [t.state for t in again.trials] == [t.state for t in study.trials]
    assert [t.user_attrs for t in again.trials] == [t.user_attrs for t in study.trials]
    other = run(stopping_of(seed=1, spare=0.5))
    assert [t.state for t in other.trials] != [
        t.state for t in run(stopping_of(seed=2, spare=0.5)).trials
    ]


def test_quality_may_be_maximised_and_stand_anywhere(study: optuna.Study) -> None:
    for options, changes in (({}, {"sign": -1.0}), ({"quality": 1}, {"swapped": True})):
        other = run(stopping_of(**options), **changes)
        assert [t.state for t in other.trials] == [t.state for t in study.trials]
    told = stopped(run(stopping_of(), sign=-1.0))[0].user_attrs[DECISION]
    assert told["to_beat"] > told["optimistic"] >= told["expected"]


def test_an_accuracy_is_learned_by_what_it_lacks() -> None:
    def finals(ideal: float, offset: float, sign: float) -> list[TrialState]:
        stopping = stopping_of(ideal=ideal)
        ended = []
        study = optuna.create_study(
            directions=["maximize" if sign < 0 else "minimize", "minimize"],
            sampler=optuna.samplers.RandomSampler(seed=0),
        )
        for _ in range(30):
            trial = study.ask()
            config = {name: trial.suggest_categorical(name, c) for name, c in CHOICES.items()}
            cost = price(config)["macs"]
            values = [offset + sign * learned(config, e) for e in range(1, EPOCHS + 1)]
            ends = any(stopping.should_stop(trial, e, v, [cost]) for e, v in enumerate(values, 1))
            state = TrialState.PRUNED if ends else TrialState.COMPLETE
            study.tell(trial, None if ends else [values[-1], cost], state)
            ended.append(state)
        return ended

    assert finals(1.0, 1.0, -1.0) == finals(0.0, 0.0, 1.0)


def test_a_sampler_learns_what_is_expected_of_stopped_trials(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    problem = FunctionProblem(CHOICES, price)
    sampler = CostAwareSampler(problem, seed=0, initial=10)
    study = run(stopping_of(), sampler=sampler, trials=30)
    assert stopped(study)
    fresh = CostAwareSampler(problem, seed=1, initial=10)
    told: list[float] = []
    fresh._search = fresh._begun(study)
    tell = fresh._search.tell

    def noted(codes: Any, values: Any, errors: Any) -> None:
        told.extend(values)
        tell(codes, values, errors)

    monkeypatch.setattr(fresh._search, "tell", noted)
    study.sampler = fresh
    study.ask(
        {
            name: optuna.distributions.CategoricalDistribution(c)
            for name, c in problem.parameters.items()
        }
    )
    expected = [
        trial.values[0] if trial.state == TrialState.COMPLETE else trial.user_attrs[EXPECTED]
        for trial in study.trials[:30]
    ]
    assert told == expected


def ask(quality: int = 0) -> tuple[EarlyStopping, optuna.Trial]:
    study = optuna.create_study(directions=["minimize", "maximize"])
    return EarlyStopping(EPOCHS, quality=quality), study.ask()


@pytest.mark.parametrize("costs", [[], [1.0, 2.0], [math.inf], [math.nan]])
def test_costs_must_be_those_of_the_study(costs: list[float]) -> None:
    stopping, trial = ask()
    with pytest.raises(ValueError, match="`costs` must be the study's 1 objectives beside"):
        stopping.should_stop(trial, 1, 0.5, costs)


def test_rungs_come_in_order_and_other_steps_are_nothing() -> None:
    stopping, trial = ask()
    assert not stopping.should_stop(trial, 3, 0.5, [])
    assert trial.user_attrs == {}
    with pytest.raises(ValueError, match=r"`step` 2 comes after \[\], but the rungs are \[1, 2, 4"):
        stopping.should_stop(trial, 2, 0.5, [1.0])
    assert not stopping.should_stop(trial, 1, math.nan, [1.0])
    with pytest.raises(ValueError, match="call this once at each"):
        stopping.should_stop(trial, 1, 0.5, [1.0])


def test_the_quality_must_be_an_objective() -> None:
    stopping, trial = ask(quality=2)
    with pytest.raises(ValueError, match="`quality` is 2, but the study has 2 objectives"):
        stopping.should_stop(trial, 1, 0.5, [1.0])
    with pytest.raises(ValueError, match="`quality` must be at least 0; got -1"):
        EarlyStopping(EPOCHS, quality=-1)


def test_infeasible_trials_dominate_nothing() -> None:
    study = optuna.create_study(directions=["minimize", "minimize"])
    stopping = EarlyStopping(2, level=0.2)
    rng = np.random.default_rng(0)
    for i in range(12):
        trial = study.ask()
        value = 1.0 + rng.random()
        stopping.should_stop(trial, 1, value + 1, [10.0 + i])
        trial.set_constraint("memory", 1.0 if i % 2 else -1.0)
        study.tell(trial, [value, 10.0 + i])
    assert not stopping.should_stop(study.ask(), 1, 1e6, [30.0])  # Six are too few.


def test_the_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    path = Path(__file__).parents[2] / "examples" / "early_stopping.py"
    runpy.run_path(str(path), run_name="__main__")
    lines = capsys.readouterr().out.splitlines()
    assert "trials were stopped" in lines[0]
    assert len(lines) > 5
