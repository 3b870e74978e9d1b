"""Samplers by name."""

import optuna
import pytest

from nas.sampler_names import SAMPLER_NAMES
from nas.samplers import make_sampler

KINDS = {
    "nsga2": optuna.samplers.NSGAIISampler,
    "nsga3": optuna.samplers.NSGAIIISampler,
    "tpe": optuna.samplers.TPESampler,
    "random": optuna.samplers.RandomSampler,
}


def drawn(name: str, seed: int) -> list[int]:
    study = optuna.create_study(directions=["minimize"] * 2, sampler=make_sampler(name, seed))
    values = []
    for _ in range(20):
        trial = study.ask()
        value = trial.suggest_categorical("x", list(range(100)))
        study.tell(trial, [float(value), float(-value)])
        values.append(value)
    return values


def test_every_name_has_a_sampler() -> None:
    assert set(SAMPLER_NAMES) == set(KINDS)


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.parametrize("name", SAMPLER_NAMES)
def test_a_sampler_is_what_it_is_called_and_seeded(name: str) -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    assert type(make_sampler(name, 0)) is KINDS[name]
    assert drawn(name, 0) == drawn(name, 0)
    assert drawn(name, 0) != drawn(name, 1)
