"""Early stopping in a run: what is stopped, kept, told and gone on with."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState

from hw_profiles.runtime import initial_weights
from nas import training
from nas.cost_aware_sampler import QUALITY_ERROR
from nas.early_stopping import CURVE, DECISION, EXPECTED
from nas.errors import ExperimentError, InterruptedSearch
from nas.experiment import Experiment
from nas.quality import ERROR
from nas.run_folder import RunFolder
from nas.search import Outcome
from search_spaces import Architecture

EPOCHS = 4
ON: dict[str, Any] = {
    "training": {"epochs": EPOCHS},
    "search": {
        "trials": 40,
        "sampler": "random",
        "objectives": ["macs", "params"],
        "stopping": {"enabled": True, "level": 0.2, "costs": "objectives"},
    },
}
Run = Callable[..., Outcome]


def final(architecture: Architecture) -> float:
    return 0.05 + int(architecture.id, 16) % 360 / 720


class Learning:
    """In place of training: an error that halves with each epoch down to where it ends."""

    def __init__(self) -> None:
        self.epochs: dict[str, int] = {}
        self.interrupt_at: int | None = None

    def __call__(
        self, architecture: Architecture, dataset: Any, config: Any, seed: int, hurdle: Any = None
    ) -> training.Evaluation | training.Stopped:
        if len(self.epochs) == self.interrupt_at:
            raise KeyboardInterrupt
        assert architecture.id not in self.epochs
        curve: list[float] = []
        decision = None
        for epoch in hurdle.rule.rungs if hurdle else ():
            curve.append(final(architecture) * (1 + 0.5**epoch))
            decision = decision or hurdle.decide(curve)
            if decision is not None and not decision.spared:
                self.epochs[architecture.id] = epoch
                return training.Stopped(decision, tuple(curve), 1.0, 0.5 * epoch)
        self.epochs[architecture.id] = EPOCHS
        quality = ERROR.quality("validation", final(architecture))
        weights = initial_weights(architecture)
        return training.Evaluation(quality, weights, 1.0, 2.0, tuple(curve), decision)


@pytest.fixture
def learning(stub: Any, monkeypatch: pytest.MonkeyPatch) -> Learning:
    stand_in = Learning()
    monkeypatch.setattr("nas.training.train", stand_in)
    return stand_in


def trials(folder: Path, *states: TrialState) -> list[FrozenTrial]:
    study = optuna.load_study(study_name=None, storage=f"sqlite:///{folder / 'study.db'}")
    return study.get_trials(deepcopy=False, states=states or None)


def events(folder: Path, kind: str) -> list[dict[str, Any]]:
    lines = map(json.loads, (folder / "events.jsonl").read_text().splitlines())
    return [line for line in lines if line["event"] == kind]


def test_what_is_dominated_ends_early_and_everything_is_written_down(
    stub_search: Run, learning: Learning, quiet: Any
) -> None:
    outcome = stub_search(report=quiet, **ON)
    pruned = trials(outcome.folder, TrialState.PRUNED)
    assert outcome.stopped == len(pruned) > 3
    assert outcome.trained + outcome.stopped == len(learning.epochs) == 40
    told = {event["candidate"]: event for event in events(outcome.folder, "stopped")}
    values = {t.user_attrs["candidate"]: t.values for t in trials(outcome.folder) if t.values}
    for trial in pruned:
        key, decision = trial.user_attrs["candidate"], trial.user_attrs[DECISION]
        assert told[key]["decision"] == decision
        assert told[key]["curve"] == trial.user_attrs[CURVE]
        assert decision["step"] == learning.epochs[key] < EPOCHS
        assert decision["to_beat"] == values[decision["dominated_by"]][0]
        assert decision["to_beat"] < decision["optimistic"] <= trial.user_attrs[EXPECTED]
        # As of a measured quality: the least that a forecast may be off by.
        assert 0 < trial.user_attrs[QUALITY_ERROR] < 0.1
        assert not (outcome.folder / "checkpoints" / f"{key}.safetensors").exists()
    members = {member.id for member in outcome.pareto.members}
    assert members.isdisjoint(told)
    spent = sum(0.5 * epochs for epochs in learning.epochs.values())
    assert f"{len(pruned)} of 40 trainings ended early" in quiet.text
    assert f"about {1 - spent / 80:.0%} of the seconds" in quiet.text


def test_nothing_is_stopped_unless_it_is_asked_for(
    stub_search: Run, learning: Learning, quiet: Any
) -> None:
    outcome = stub_search(report=quiet, search=ON["search"] | {"stopping": {"enabled": False}})
    assert outcome.stopped == 0
    assert outcome.trained == 40
    assert "Early stopping" not in quiet.text
    assert not any(CURVE in trial.user_attrs for trial in trials(outcome.folder))


def test_domination_in_every_indicator_stops_less(
    stub_search: Run, learning: Learning, tmp_path: Path
) -> None:
    by_objectives = stub_search(folder=tmp_path / "objectives", **ON)
    learning.epochs.clear()
    every = ON["search"] | {"stopping": ON["search"]["stopping"] | {"costs": "all"}}
    by_all = stub_search(folder=tmp_path / "all", **(ON | {"search": every}))
    assert 0 < by_all.stopped < by_objectives.stopped


def test_a_run_goes_on_with_what_was_stopped_before(
    stub_search: Run, learning: Learning, quiet: Any
) -> None:
    learning.interrupt_at = 30
    with pytest.raises(InterruptedSearch):
        stub_search(**ON)
    learning.interrupt_at = None
    outcome = stub_search(report=quiet, resume=True, **ON)
    assert "Going on after 30 candidates" in quiet.text
    assert outcome.trained + outcome.stopped == len(learning.epochs) == 40
    ended = [key for key, epochs in learning.epochs.items() if epochs < EPOCHS]
    assert outcome.stopped == len(ended)
    spent = sum(0.5 * epochs for epochs in learning.epochs.values())
    assert f"{len(ended)} of 40 trainings ended early" in quiet.text
    assert f"about {1 - spent / 80:.0%} of the seconds" in quiet.text
    assert RunFolder.open(outcome.folder).state() == "complete"


def test_decisions_of_a_batch_follow_from_what_was_finished_before_it(
    stub_search: Run, learning: Learning, tmp_path: Path
) -> None:
    ended = []
    for name in ("one", "two"):
        learning.epochs.clear()
        stub_search(folder=tmp_path / name, **ON)
        ended.append(dict(learning.epochs))
    assert ended[0] == ended[1]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"level": 1.5}, "search.stopping.level"),
        ({"costs": "macs"}, "search.stopping.costs"),
        ({"patience": 3}, "unknown key `search.stopping.patience`"),
        ({"enabled": True}, "`search.stopping`: `total` = 1 leaves no rung from `first` = 1"),
    ],
)
def test_settings_that_make_no_rule_are_refused(
    tiny: Callable[..., Experiment], changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(ExperimentError, match=said):
        tiny(search={"stopping": changes})
