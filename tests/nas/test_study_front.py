"""The front of an Optuna study, against Optuna's own."""

import math
import warnings

import numpy as np
import optuna
import pytest

from nas.study_front import front_trials

optuna.logging.set_verbosity(optuna.logging.WARNING)


def study_of(rows: np.ndarray, directions: list[str], constrained: bool = False) -> optuna.Study:
    study = optuna.create_study(directions=directions)
    for number, row in enumerate(rows):
        trial = study.ask()
        if constrained:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                trial.set_constraint("odd", float(number % 2))
        study.tell(trial, row.tolist())
    return study


@pytest.mark.parametrize("directions", [["minimize"] * 3, ["minimize", "maximize", "maximize"]])
@pytest.mark.parametrize("constrained", [False, True])
def test_it_is_what_optuna_finds(directions: list[str], constrained: bool) -> None:
    rows = np.random.default_rng(0).integers(0, 6, size=(60, 3)).astype(float)
    study = study_of(rows, directions, constrained)
    found = [trial.number for trial in front_trials(study)]
    assert found == [trial.number for trial in study.best_trials]
    assert not (constrained and any(number % 2 for number in found))


def test_what_did_not_end_is_left_out() -> None:
    study = study_of(np.array([[2.0, 2.0]]), ["minimize", "minimize"])
    study.tell(study.ask(), state=optuna.trial.TrialState.FAIL)
    study.ask()
    assert [trial.number for trial in front_trials(study)] == [0]


def test_infinite_values_are_compared() -> None:
    rows = np.array([[math.inf, 1.0], [1.0, 2.0], [math.inf, 3.0]])
    study = study_of(rows, ["minimize", "minimize"])
    assert [trial.number for trial in front_trials(study)] == [0, 1]


def test_a_study_without_trials_has_no_front() -> None:
    assert front_trials(optuna.create_study(directions=["minimize", "minimize"])) == []
