"""The search, on a kept table: what is trained, what is told, and going on after a stop."""

import json
import math
import re
import shlex
import sqlite3
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
import safetensors.torch
import torch
from optuna.trial import FrozenTrial, TrialState
from sklearn import datasets as sklearn_datasets

from hw_profiles import local_device
from hw_profiles.errors import ForeignTableError
from hw_profiles.store import Store
from nas import training
from nas.candidates import Candidate
from nas.errors import (
    ExperimentError,
    InterruptedSearch,
    NothingFeasibleError,
    TooManyFailuresError,
)
from nas.experiment import Experiment
from nas.images import ImageDataset
from nas.listing import grid
from nas.pricer import Pricer
from nas.run_folder import RunFolder
from nas.sampler_names import SAMPLER_NAMES
from nas.search import Outcome, free_folder, run_experiment
from nas.splits import Split
from predictors import TablePredictor
from search_spaces import Architecture, CorruptFileError, UnionSpace
from search_spaces.network import Network

Run = Callable[..., Outcome]

REAL_TRAIN = training.train


def study_of(folder: Path) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.load_study(study_name="tiny", storage=f"sqlite:///{folder / 'study.db'}")


def trials_in(folder: Path, *states: TrialState) -> list[FrozenTrial]:
    return study_of(folder).get_trials(deepcopy=False, states=states or None)


def trained_in(folder: Path) -> list[str]:
    """Candidates of the completed trials."""
    return [trial.user_attrs["candidate"] for trial in trials_in(folder, TrialState.COMPLETE)]


class TestFinishedRun:
    """A run with real training and measuring."""

    def test_as_many_distinct_candidates_are_trained_as_asked_for(self, finished: Any) -> None:
        assert finished.outcome.trained == finished.outcome.pareto.evaluated == 10
        assert finished.outcome.failed == 0
        assert not finished.outcome.exhausted
        names = trained_in(finished.folder)
        assert len(names) == len(set(names)) == 10
        checkpoints = {path.stem for path in (finished.folder / "checkpoints").iterdir()}
        assert checkpoints == set(names)

    def test_both_families_are_evaluated(self, finished: Any) -> None:
        spaces = {trial.params["space"] for trial in trials_in(finished.folder)}
        assert spaces == {"vit", "mbconv"}

    def test_the_study_is_sqlite_that_optuna_reads(self, finished: Any) -> None:
        with sqlite3.connect(f"file:{finished.folder / 'study.db'}?mode=ro", uri=True) as file:
            assert file.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        study = study_of(finished.folder)
        assert [d.name for d in study.directions] == ["MINIMIZE"] * 4
        counted = Counter(trial.state for trial in study.trials)
        assert counted == {TrialState.COMPLETE: 10}
        # Reading it wrote nothing: the run still is what its manifest says.
        RunFolder.open(finished.folder)

    def test_a_trial_holds_the_quality_and_the_objectives(
        self, finished: Any, tiny_space: UnionSpace, tiny_pricer: Pricer
    ) -> None:
        events = (finished.folder / "events.jsonl").read_text().splitlines()
        errors = {e["candidate"]: e["quality"]["value"] for e in map(json.loads, events)}
        for trial in trials_in(finished.folder, TrialState.COMPLETE):
            architecture = tiny_space.architecture(trial.params)
            assert architecture.id == trial.user_attrs["candidate"]
            prices = tiny_pricer.price(architecture)
            names = ("macs", "latency_s@local", "params")
            expected = [errors[architecture.id], *(prices[name].value for name in names)]
            assert trial.values == pytest.approx(expected)

    def test_a_trial_says_how_far_its_quality_may_be_off(
        self, finished: Any, tiny_space: UnionSpace, digits: ImageDataset
    ) -> None:
        trials = trials_in(finished.folder, TrialState.COMPLETE)
        assert trials
        for trial in trials:
            size = digits.fitted(tiny_space.architecture(trial.params)).validation.size
            share = (trial.values[0] * size + 1) / (size + 2)
            expected = math.sqrt(share * (1 - share) / size)
            assert trial.user_attrs["quality_error"] == pytest.approx(expected)

    def test_the_set_is_what_the_folder_holds(self, finished: Any, opened: RunFolder) -> None:
        assert opened.read_pareto() == finished.outcome.pareto
        assert opened.state() == "complete"
        assert finished.outcome.folder == finished.folder

    def test_test_error_equals_an_independent_evaluation(
        self, finished: Any, digits: ImageDataset
    ) -> None:
        data = sklearn_datasets.load_digits()
        of_image = {
            image.astype(np.uint8).tobytes(): label
            for image, label in zip(data.images, data.target, strict=True)
        }
        images, floor = digits.test.inputs, digits.train.inputs.min()
        raw = np.rint((images - floor) * (16 / np.ptp(digits.train.inputs)))
        labels = [of_image[image.astype(np.uint8).tobytes()] for image in raw]
        assert finished.outcome.pareto.members
        for member in finished.outcome.pareto.members:
            network = Network(member.architecture)
            path = finished.folder / "checkpoints" / f"{member.id}.safetensors"
            network.load_state_dict(safetensors.torch.load_file(path))
            network.eval()
            with torch.no_grad():
                guesses = network(torch.from_numpy(images)).argmax(1).tolist()
            right = sum(guess == label for guess, label in zip(guesses, labels, strict=True))
            # Rounding may tip an image between two equal outputs.
            assert member.test_quality.name == "test_error"
            assert member.test_quality.value == pytest.approx(1 - right / 360, abs=1.01 / 360)

    def test_members_are_measured_whole(self, finished: Any) -> None:
        for member in finished.outcome.pareto.members:
            value = member.measured["latency_s@local"]
            assert value.provenance == "measured"
            assert 0 < value.low <= value.value <= value.high
            # In the same unit as the table's: whatever the machine did in between.
            ratio = value.value / member.indicators["latency_s@local"].value
            assert 0.01 < ratio < 100

    def test_the_members_certify_the_front(self, finished: Any) -> None:
        pareto = finished.outcome.pareto
        front, members = pareto.front_certificate, pareto.members
        assert front["n"] == len(members)
        errors = [
            member.indicators["latency_s@local"].value / member.measured["latency_s@local"].value
            - 1
            for member in members
        ]
        assert front["bias"] == pytest.approx(sum(errors) / len(errors), abs=1e-4)
        within = sum(abs(error) <= 0.1 for error in errors) / len(errors)
        assert front["within_10"] == pytest.approx(within)

    def test_what_is_reported(self, finished: Any) -> None:
        assert "64 architectures" in finished.text
        assert "Certificate on" in finished.text
        assert "about" in finished.text  # How long measuring will take.


class TestTrials:
    """What is trained and what is told to the study."""

    def test_no_network_is_trained_twice(self, stub_search: Run, stub: Any) -> None:
        outcome = stub_search(search={"trials": 12})
        assert len(stub.trained) == len(set(stub.trained)) == outcome.trained == 12
        assert sorted(trained_in(outcome.folder)) == sorted(stub.trained)

    def test_both_families_are_trained_from_another_seed_too(self, stub_search: Run) -> None:
        outcome = stub_search(seed=11, search={"trials": 8})
        trained = trials_in(outcome.folder, TrialState.COMPLETE)
        assert {trial.params["space"] for trial in trained} == {"vit", "mbconv"}

    @pytest.mark.parametrize("within", ["", " within the budgets"])
    @pytest.mark.parametrize("sampler", SAMPLER_NAMES)
    def test_a_space_smaller_than_the_trials_ends_and_says_so(
        self,
        stub_search: Run,
        stub: Any,
        quiet: Any,
        four: Any,
        tiny: Callable[..., Experiment],
        digits: ImageDataset,
        tiny_pricer: Pricer,
        sampler: str,
        within: str,
    ) -> None:
        space = tiny(spaces=four).space(digits)
        codes = grid([len(choices) for choices in space.parameters.values()])
        macs = tiny_pricer.price_codes(space, codes)["macs"]
        budgets = {"macs": float(np.unique(macs)[-2])} if within else {}
        feasible = codes[macs <= budgets["macs"]] if within else codes
        members = {space.decode(code).id for code in feasible}
        assert len(members) == (3 if within else 4)
        changes: dict[str, Any] = {"spaces": four, "budgets": budgets}
        settings = {"sampler": sampler, "batch": 3}
        outcome = stub_search(report=quiet, search=settings | {"trials": 9}, **changes)
        assert outcome.exhausted
        assert outcome.trained == len(stub.trained) == len(members)
        assert set(stub.trained) == members
        assert (
            f"Every candidate{within} that could be found was trained, {len(members)} of 9 asked "
            "for; the search ends."
        ) in quiet.text
        assert RunFolder.open(outcome.folder).state() == "complete"
        # Going on finds nothing either, and leaves no trial behind.
        more = stub_search(resume=True, search=settings | {"trials": 12}, **changes)
        assert more.exhausted
        assert len(stub.trained) == len(trials_in(outcome.folder)) == len(members)

    def test_as_many_trials_as_the_space_has_networks_are_all(
        self, stub_search: Run, stub: Any, four: Any
    ) -> None:
        outcome = stub_search(spaces=four, search={"trials": 4})
        assert (outcome.trained, outcome.exhausted) == (4, False)

    def test_the_same_seed_gives_the_same_study(
        self, stub_search: Run, stub: Any, tmp_path: Path
    ) -> None:
        def told(folder: Path) -> list[Any]:
            return [
                (t.params, t.values, t.state, t.user_attrs["candidate"]) for t in trials_in(folder)
            ]

        first = told(stub_search(search={"trials": 3}).folder)
        (tmp_path / "run").rename(tmp_path / "first")
        assert told(stub_search(search={"trials": 3}).folder) == first
        (tmp_path / "run").rename(tmp_path / "second")
        assert told(stub_search(seed=4, search={"trials": 3}).folder) != first

    def test_training_gets_the_experiments_settings(
        self, stub_search: Run, monkeypatch: pytest.MonkeyPatch, stub: Any, tiny: Any
    ) -> None:
        seen = []

        def spy(architecture: Architecture, dataset: ImageDataset, config: Any, seed: int) -> Any:
            seen.append((dataset.name, config, seed))
            return stub(architecture)

        monkeypatch.setattr("nas.training.train", spy)
        stub_search(seed=9, search={"trials": 2}, training={"epochs": 5})
        expected = tiny(training={"epochs": 5}).training
        assert seen == [("digits", expected, 9)] * 2

    @pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
    @pytest.mark.parametrize("sampler", SAMPLER_NAMES)
    def test_every_sampler_keeps_to_budgets(
        self,
        stub_search: Run,
        stub: Any,
        sampler: str,
        tiny_space: UnionSpace,
        tiny_pricer: Pricer,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("nas.samplers.POPULATION", 2)  # So that it learns within the test.
        codes = tiny_space.random_codes(500, np.random.default_rng(0))
        limit = float(np.median(tiny_pricer.price_codes(tiny_space, codes)["macs"]))
        outcome = stub_search(
            search={"trials": 12, "sampler": sampler, "objectives": ["macs"], "batch": 1},
            budgets={"macs": limit},
        )
        assert outcome.trained == len(stub.trained) == len(set(stub.trained)) == 12
        for trial in trials_in(outcome.folder):
            assert trial.state == TrialState.COMPLETE
            assert trial.values is not None
            assert trial.values[1] <= limit
        for member in outcome.pareto.members:
            assert member.feasible
            assert member.indicators["macs"].value <= limit

    @pytest.mark.parametrize("sampler", SAMPLER_NAMES)
    def test_several_budgets_are_kept_without_a_proposal_over_them(
        self,
        stub_search: Run,
        stub: Any,
        tiny_space: UnionSpace,
        tiny_pricer: Pricer,
        sampler: str,
    ) -> None:
        codes = tiny_space.random_codes(500, np.random.default_rng(0))
        columns = tiny_pricer.price_codes(tiny_space, codes)
        budgets = {
            name: float(np.quantile(columns[name], 0.4)) for name in ("macs", "latency_s@local")
        }
        outcome = stub_search(search={"trials": 6, "sampler": sampler}, budgets=budgets)
        trials = trials_in(outcome.folder)
        assert {trial.state for trial in trials} == {TrialState.COMPLETE}
        assert len(trials) == 6
        for trial in trials:
            prices = tiny_pricer.price(tiny_space.architecture(trial.params))
            assert all(prices[name].value <= limit for name, limit in budgets.items())

    def test_a_budget_at_the_very_value_of_a_network_ends(
        self,
        stub_search: Run,
        stub: Any,
        tiny: Callable[..., Experiment],
        four: Any,
        digits: ImageDataset,
        kept: Store,
        tiny_pricer: Pricer,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        tables_in: Any,
    ) -> None:
        # Times of which the sums, taken in two orders, round to either side of the budget.
        space = tiny(spaces=four).space(digits)
        sizes = [len(choices) for choices in space.parameters.values()]
        codes = np.indices(sizes).reshape(len(sizes), -1).T
        (kept_table,) = (t for t in tables_in(kept.root).values() if t.space == space.name)
        rng = np.random.default_rng(0)
        for _ in range(60):
            seconds = iter(rng.uniform(1e-5, 1e-4, 1 + len(kept_table.entries)))
            table = replace(
                kept_table,
                overhead=replace(kept_table.overhead, value=float(next(seconds))),
                entries={
                    key: replace(entry, value=float(next(seconds)))
                    for key, entry in kept_table.entries.items()
                },
            )
            predictor = TablePredictor(table, tiny_pricer.counts)
            (member,) = space.members.values()
            limit = float(predictor.price_codes(member, codes[:, 1:]).min())
            if all(predictor.price(space.decode(code)).value > limit for code in codes):
                break
        else:
            return  # Both orders round alike.
        store = Store(tmp_path / "other")
        store.save_table(table, space)
        ask, asked = optuna.Study.ask, []

        def count(study: optuna.Study, *arguments: Any) -> Any:
            asked.append(study)
            assert len(asked) < 60, "the search proposes without end"
            return ask(study, *arguments)

        monkeypatch.setattr(optuna.Study, "ask", count)
        outcome = stub_search(
            store=store, spaces=four, search={"trials": 1}, budgets={"latency_s@local": limit}
        )
        assert outcome.trained == len(stub.trained) <= 1

    def test_nothing_feasible_leaves_no_run(
        self, stub_search: Run, stub: Any, tmp_path: Path
    ) -> None:
        with pytest.raises(NothingFeasibleError):
            stub_search(budgets={"params": 1})
        assert stub.trained == []
        assert not (tmp_path / "run").exists()

    def test_a_taken_folder_is_refused_before_anything_is_done(
        self, stub_search: Run, stub: Any, tmp_path: Path
    ) -> None:
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "mine.txt").write_text("kept")
        with pytest.raises(ExperimentError, match="--resume"):
            stub_search()
        assert [path.name for path in (tmp_path / "run").iterdir()] == ["mine.txt"]
        assert stub.trained == []

    def test_an_empty_folder_is_free(self, stub_search: Run, tmp_path: Path) -> None:
        (tmp_path / "run").mkdir()
        assert stub_search(search={"trials": 1}).trained == 1

    def test_free_folder_counts_up(self, tmp_path: Path) -> None:
        names = []
        for _ in range(3):
            folder = free_folder("x", tmp_path)
            folder.mkdir()
            names.append(folder.name)
        assert names == ["x", "x-2", "x-3"]


class TestFailures:
    """Trainings that fail."""

    def test_a_loss_that_becomes_nan_fails_its_trial_alone(
        self, stub_search: Run, stub: Any, quiet: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # The first CNN is trained for real, at a rate that no network survives.
        failing: list[str] = []

        def some_fail(
            architecture: Architecture, dataset: ImageDataset, config: Any, seed: int
        ) -> Any:
            if architecture.space == "mbconv" and not failing:
                failing.append(architecture.id)
                rate = config.model_copy(update={"learning_rate": 1e30, "epochs": 3})
                return REAL_TRAIN(architecture, dataset, rate, seed)
            return stub(architecture)

        monkeypatch.setattr("nas.training.train", some_fail)
        outcome = stub_search(report=quiet, search={"trials": 8})
        (failed,) = failing
        assert (outcome.trained, outcome.failed) == (7, 1)
        trials = trials_in(outcome.folder, TrialState.FAIL)
        reasons = [t.user_attrs["failure"] for t in trials if "failure" in t.user_attrs]
        assert len(reasons) == 1
        assert re.fullmatch(r"the training loss became (nan|inf) in epoch [123]", reasons[0])
        assert all(trial.user_attrs["candidate"] == failed for trial in trials)
        assert reasons[0] in quiet.text
        assert failed in quiet.text
        assert failed not in {member.id for member in outcome.pareto.members}
        assert outcome.pareto.evaluated == 7
        assert not RunFolder(outcome.folder).checkpoint(failed).exists()
        events = (outcome.folder / "events.jsonl").read_text().splitlines()
        assert [e["candidate"] for e in map(json.loads, events) if e["event"] == "failed"] == [
            failed
        ]

    def test_a_failed_network_is_not_trained_again(
        self, stub_search: Run, stub: Any, four: Any
    ) -> None:
        failing = set()

        def fails(architecture: Architecture) -> bool:
            if len(failing) < 1:
                failing.add(architecture.id)
            return architecture.id in failing

        stub.fails = fails
        outcome = stub_search(spaces=four, search={"trials": 9, "max_failed": 0.5}, seed=1)
        assert len(stub.trained) == len(set(stub.trained)) == 4
        assert (outcome.trained, outcome.failed, outcome.exhausted) == (3, 1, True)

    def test_all_failing_is_too_many(self, stub_search: Run, stub: Any, tmp_path: Path) -> None:
        stub.fails = lambda architecture: True
        with pytest.raises(TooManyFailuresError, match="5 of 5") as caught:
            stub_search(search={"trials": 5})
        assert "nan" in str(caught.value)
        assert str(tmp_path / "run") in str(caught.value)
        run = RunFolder.open(tmp_path / "run")
        assert run.state() == "complete"
        assert run.read_pareto().members == ()

    @pytest.mark.parametrize(("allowed", "ends_well"), [(0.25, True), (0.24, False)])
    def test_the_share_that_may_fail(
        self, stub_search: Run, stub: Any, allowed: float, ends_well: bool
    ) -> None:
        stub.fails = lambda architecture: len(stub.trained) == 2
        settings = {"trials": 4, "max_failed": allowed}
        if ends_well:
            assert stub_search(search=settings).failed == 1
        else:
            with pytest.raises(TooManyFailuresError, match="1 of 4"):
                stub_search(search=settings)


class TestTestSplit:
    """The test split is looked at once the set is chosen, and then for its members only."""

    def test_shuffling_the_test_labels_changes_nothing_but_test_columns(
        self,
        finished: Any,
        tiny: Callable[..., Experiment],
        digits: ImageDataset,
        tmp_path: Path,
        quiet: Any,
    ) -> None:
        labels = np.random.default_rng(0).permutation(digits.test.labels)
        shuffled = replace(digits, test=Split(digits.test.inputs, labels))
        written, accuracies, trials = [], [], []
        for name, dataset in (("plain", digits), ("shuffled", shuffled)):
            folder = tmp_path / name
            run_experiment(
                tiny(search={"trials": 6}),
                folder,
                store=Store(finished.home),
                report=quiet,
                dataset=dataset,
            )
            data = json.loads((folder / "pareto.json").read_text())
            accuracies.append([item.pop("test_quality") for item in data["candidates"]])
            del data["front_certificate"]  # Timings differ from run to run.
            for item in data["candidates"]:
                del item["measured"]
            written.append(data)
            trials.append([(t.params, t.values, t.state) for t in trials_in(folder)])
            weights = {p.name: p.read_bytes() for p in (folder / "checkpoints").iterdir()}
            trials[-1].append(weights)
        assert written[0] == written[1]
        assert trials[0] == trials[1]
        assert accuracies[0] != accuracies[1]

    def test_only_members_are_tested_and_each_once(
        self, stub_search: Run, stub: Any, monkeypatch: pytest.MonkeyPatch, digits: ImageDataset
    ) -> None:
        tested: list[str] = []
        score = training.score

        def spy(network: Any, split: Split, measure: Any) -> float:
            assert np.array_equal(split.inputs, digits.test.inputs)
            tested.append(network.architecture.id)
            return score(network, split, measure)

        monkeypatch.setattr("nas.training.score", spy)
        first = stub_search(search={"trials": 4})
        assert sorted(tested) == sorted(member.id for member in first.pareto.members)
        longer = stub_search(resume=True, search={"trials": 8})
        members = {member.id for member in first.pareto.members + longer.pareto.members}
        assert len(tested) == len(set(tested))
        assert set(tested) == members


class TestResume:
    """Going on after a stop."""

    def test_an_interrupt_saves_and_prints_the_line_that_goes_on(
        self, stub_search: Run, stub: Any, tmp_path: Path
    ) -> None:
        stub.interrupt_at = 3
        with pytest.raises(InterruptedSearch) as caught:
            stub_search(search={"trials": 8})
        message = str(caught.value)
        assert "3 of 8" in message
        folder = tmp_path / "run"
        assert message.splitlines()[-1] == (
            f"hwnas search {folder / 'config.toml'} --out {folder} --resume"
        )
        run = RunFolder.open(folder)
        assert run.state() == "interrupted"
        pareto = run.read_pareto()
        assert pareto.evaluated == 3
        assert {member.id for member in pareto.members} <= set(stub.trained)
        assert all(member.test_quality is None for member in pareto.members)
        assert trials_in(folder, TrialState.RUNNING) == []

        stub.interrupt_at = None
        outcome = stub_search(resume=True, search={"trials": 8})
        assert outcome.trained == len(stub.trained) == len(set(stub.trained)) == 8
        assert sorted(trained_in(folder)) == sorted(stub.trained)
        assert all(member.test_quality is not None for member in outcome.pareto.members)
        assert RunFolder.open(folder).state() == "complete"

    def test_several_interrupts_lose_nothing(
        self, stub_search: Run, stub: Any, tmp_path: Path
    ) -> None:
        for resume, at in ((False, 1), (True, 1), (True, 4)):
            stub.interrupt_at = at
            with pytest.raises(InterruptedSearch):
                stub_search(resume=resume, search={"trials": 6, "batch": 2})
        stub.interrupt_at = None
        outcome = stub_search(resume=True, search={"trials": 6, "batch": 2})
        assert outcome.trained == len(stub.trained) == len(set(stub.trained)) == 6

    def test_resumed_candidates_have_the_same_numbers(
        self, stub_search: Run, stub: Any, finished: Any, tiny_space: UnionSpace, tmp_path: Path
    ) -> None:
        stub.interrupt_at = 4
        with pytest.raises(InterruptedSearch):
            stub_search(search={"trials": 5})
        before = {m.id: m for m in RunFolder.open(tmp_path / "run").read_pareto().members}
        stub.interrupt_at = None
        after = {m.id: m for m in stub_search(resume=True, search={"trials": 5}).pareto.members}
        shared = before.keys() & after.keys()
        assert shared
        for key in shared:
            assert after[key].quality == before[key].quality
            assert after[key].indicators == before[key].indicators

    def test_failures_are_recalled(
        self, stub_search: Run, stub: Any, tiny_space: UnionSpace, tiny_pricer: Pricer
    ) -> None:
        codes = tiny_space.random_codes(500, np.random.default_rng(0))
        limit = float(np.median(tiny_pricer.price_codes(tiny_space, codes)["macs"]))
        changes = {"budgets": {"macs": limit}, "search": {"trials": 6, "max_failed": 0.5}}
        stub.fails = lambda architecture: len(stub.trained) == 1
        stub.interrupt_at = 3
        with pytest.raises(InterruptedSearch, match="3 of 6"):
            stub_search(**changes)
        stub.interrupt_at = None
        outcome = stub_search(resume=True, **changes)
        assert (outcome.trained, outcome.failed) == (5, 1)
        assert len(stub.trained) == len(set(stub.trained)) == 6

    def test_a_complete_run_goes_on_with_more_trials(self, stub_search: Run, stub: Any) -> None:
        stub_search(search={"trials": 3})
        assert stub_search(resume=True, search={"trials": 5}).trained == 5
        assert len(stub.trained) == len(set(stub.trained)) == 5
        # And with no more it trains nothing.
        assert stub_search(resume=True, search={"trials": 5}).trained == 5
        assert len(stub.trained) == 5

    def test_a_killed_run_goes_on(
        self, stub_search: Run, stub: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # A kill gives no time for what an interrupt does: no trial is told, no checksum written.
        killed = SystemExit("killed")

        def die(architecture: Architecture, *_: Any) -> Any:
            if len(stub.trained) == 2:
                raise killed
            return stub(architecture)

        monkeypatch.setattr("nas.training.train", die)
        with pytest.raises(SystemExit, match="killed"):
            stub_search(search={"trials": 6})
        folder = tmp_path / "run"
        assert json.loads((folder / "manifest.json").read_text())["state"] == "running"
        assert trials_in(folder, TrialState.RUNNING)
        assert not (folder / "pareto.json").exists()
        monkeypatch.setattr("nas.training.train", stub)
        outcome = stub_search(resume=True, search={"trials": 6})
        assert outcome.trained == len(stub.trained) == len(set(stub.trained)) == 6
        assert trials_in(folder, TrialState.RUNNING) == []
        assert RunFolder.open(folder).state() == "complete"

    def test_a_trial_that_was_waiting_is_no_candidate_of_its_own(
        self,
        stub_search: Run,
        stub: Any,
        tmp_path: Path,
        four: Any,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        def stop_then_wait(architecture: Architecture, *_: Any) -> Any:
            if len(stub.trained) == 2:
                known = trials_in(tmp_path / "run", TrialState.COMPLETE)[0]
                study_of(tmp_path / "run").enqueue_trial(known.params)
                raise KeyboardInterrupt
            return stub(architecture)

        monkeypatch.setattr("nas.training.train", stop_then_wait)
        with pytest.raises(InterruptedSearch):
            stub_search(spaces=four, search={"trials": 4})
        monkeypatch.setattr("nas.training.train", stub)
        outcome = stub_search(resume=True, spaces=four, search={"trials": 4})
        assert outcome.trained == len(stub.trained) == len(set(stub.trained)) == 4

    @pytest.mark.parametrize(
        ("change", "named"),
        [
            ({"seed": 4}, "seed"),
            ({"training": {"epochs": 2}}, "training.epochs"),
            ({"search": {"objectives": ["flops"]}}, "search.objectives"),
            ({"spaces": {"vit": {}}}, "spaces.vit.depth"),
            ({"budgets": {"macs": 1e9}}, "budgets.macs"),
        ],
        ids=str,
    )
    def test_another_experiment_is_refused_and_changes_nothing(
        self,
        finished: Any,
        run_copy: Path,
        stub_search: Run,
        stub: Any,
        change: dict[str, Any],
        named: str,
    ) -> None:
        with pytest.raises(ExperimentError, match=f"another experiment: .*`{named}`"):
            stub_search(folder=run_copy, resume=True, **change)
        assert stub.trained == []
        for path in finished.folder.rglob("*"):
            if path.is_file():
                other = run_copy / path.relative_to(finished.folder)
                assert other.read_bytes() == path.read_bytes()

    def test_a_run_of_another_device_is_refused(
        self, stub_search: Run, stub: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stub_search(search={"trials": 1})
        other = replace(local_device(), name="Another processor")
        monkeypatch.setattr("hw_profiles.cpu_runtime.local_device", lambda: other)
        with pytest.raises(ForeignTableError) as caught:
            stub_search(resume=True, search={"trials": 2})
        (row,) = (line for line in str(caught.value).splitlines() if line.startswith("name"))
        assert row.split("  ")[1:] == [local_device().name, "Another processor"]
        assert len(stub.trained) == 1

    @pytest.mark.parametrize("state", [TrialState.COMPLETE, TrialState.PRUNED])
    def test_a_study_with_proposals_that_were_not_trained_is_refused(
        self, stub_search: Run, stub: Any, state: TrialState
    ) -> None:
        folder = stub_search(search={"trials": 2}).folder
        study = study_of(folder)
        study.enqueue_trial(trials_in(folder)[0].params)
        trial = study.ask()
        if state == TrialState.COMPLETE:
            trial.set_user_attr("repeats", trials_in(folder)[0].user_attrs["candidate"])
            study.tell(trial, trials_in(folder)[0].values)
        else:
            study.tell(trial, state=state)
        RunFolder(folder).finish("complete")
        with pytest.raises(ExperimentError, match=r"earlier version of hwnas: trial 2 repeats"):
            stub_search(resume=True, search={"trials": 3})
        assert RunFolder.open(folder).state() == "complete"
        assert len(stub.trained) == 2

    def test_a_run_that_is_not_there_is_not_found(self, stub_search: Run) -> None:
        with pytest.raises(FileNotFoundError, match="There is no run"):
            stub_search(resume=True)


def test_the_line_that_goes_on_survives_a_shell(
    stub_search: Run, stub: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "my run; it's $one"
    stub.interrupt_at = 1
    with pytest.raises(InterruptedSearch) as caught:
        stub_search(folder=folder)
    words = shlex.split(str(caught.value).splitlines()[-1])
    assert words == [
        "hwnas", "search", str(folder / "config.toml"), "--out", str(folder), "--resume",
    ]  # fmt: skip


def test_an_entry_missing_from_the_table_is_flagged(
    stub_search: Run, home_copy: Path, tables_in: Any
) -> None:
    ((path, table),) = tables_in(home_copy).items()
    entries = dict(table.entries)
    gone = next(key for key in entries if "ConvStem" in key)  # Every CNN holds it.
    del entries[gone]
    replace(table, entries=entries).save(path)
    outcome = stub_search(store=Store(home_copy), search={"trials": 6})
    members: tuple[Candidate, ...] = outcome.pareto.members
    assert {member.architecture.space for member in members} == {"vit", "mbconv"}
    for member in members:
        flagged = member.indicators["latency_s@local"].provenance == "predicted"
        assert flagged == (member.architecture.space == "mbconv")


def test_a_corrupt_kept_table_is_named(
    stub_search: Run, home_copy: Path, tmp_path: Path, tables_in: Any
) -> None:
    (path,) = tables_in(home_copy)
    data = json.loads(path.read_text())
    data["table"]["conditions"]["networks"] += 1
    path.write_text(json.dumps(data))
    with pytest.raises(CorruptFileError, match=re.escape(str(path))):
        stub_search(store=Store(home_copy))
    assert not (tmp_path / "run").exists()
