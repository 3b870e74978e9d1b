"""Any Optuna study of quality and known costs can stop trials early: here, of a made-up network."""

import optuna

from nas.early_stopping import EarlyStopping

EPOCHS = 20
stopping = EarlyStopping(EPOCHS, ideal=0.0)  # No error is below 0.


def objective(trial):
    depth = trial.suggest_int("depth", 1, 16)
    width = trial.suggest_categorical("width", [16, 32, 64, 128, 256])
    speed = trial.suggest_float("learning_rate", 0.1, 1.0)
    macs = depth * width**2
    for epoch in range(1, EPOCHS + 1):  # Train an epoch here.
        error = 0.2 / depth + 2 / width + 0.8 * epoch ** (-2 * speed)
        if stopping.should_stop(trial, epoch, error, costs=[macs]):
            raise optuna.TrialPruned
    return error, macs


if __name__ == "__main__":
    sampler = optuna.samplers.RandomSampler(seed=0)
    study = optuna.create_study(directions=["minimize", "minimize"], sampler=sampler)
    study.optimize(objective, n_trials=80)
    stopped = study.get_trials(states=[optuna.trial.TrialState.PRUNED])
    print(f"{len(stopped)} of {len(study.trials)} trials were stopped, the first because")
    print(stopped[0].user_attrs["early_stopping:decision"])
    for trial in study.best_trials:
        print(trial.values, trial.params)
