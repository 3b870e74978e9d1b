"""Any Optuna study can use the sampler that knows the costs: here, of a made-up network."""

import optuna

from nas.cost_aware_sampler import CostAwareSampler
from nas.function_problem import FunctionProblem

CHOICES = {"depth": [1, 2, 3, 4, 6, 8], "width": [16, 32, 64, 128], "kernel": [1, 3, 5]}


def price(config):
    return {"macs": config["depth"] * config["width"] ** 2 * config["kernel"] ** 2}


def objective(trial):
    config = {name: trial.suggest_categorical(name, choices) for name, choices in CHOICES.items()}
    error = 1 / config["depth"] + 8 / config["width"] + 0.2 / config["kernel"]  # Train here.
    return error, price(config)["macs"]


if __name__ == "__main__":
    sampler = CostAwareSampler(FunctionProblem(CHOICES, price), seed=0)
    study = optuna.create_study(directions=["minimize", "minimize"], sampler=sampler)
    study.optimize(objective, n_trials=40)
    for trial in study.best_trials:
        print(trial.values, trial.params)
