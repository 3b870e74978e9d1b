"""The comparison from an experiment to what is kept, on tables and with stand-in training."""

import json
import shlex
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nas.arm_jobs
from hw_profiles.runtime import initial_weights
from hw_profiles.store import Store
from nas import training
from nas.arena import Answers
from nas.cli import main
from nas.compare_search import UNSEEN_SEEDS, run_comparison
from nas.comparison import Comparison
from nas.comparison_folder import ComparisonFolder
from nas.comparison_scores import finalists
from nas.errors import (
    ExperimentError,
    InterruptedSearch,
    NothingFeasibleError,
    QualityError,
    TooManyFailuresError,
)
from nas.experiment import Experiment
from nas.problem import Codes
from nas.quality import ERROR
from nas.run_folder import RunFolder
from nas.table_experiment import TableExperiment
from nas.training_arena import TrainingArena
from search_spaces import Architecture, CorruptFileError, UnknownNameError

ARMS = ("macs", "all", "random")


def untimed(comparison: Comparison) -> Any:
    """All of a comparison but how long proposing took."""
    data = comparison.to_json()
    for run in data["runs"]:
        run["sampler_seconds"] = 0
    return data


@pytest.fixture
def of_table(tmp_path: Path) -> Callable[..., TableExperiment]:
    """An experiment on a table of 90 networks, with some sections changed."""
    lines = ["depth,width,accuracy,macs,weights"]
    for depth in range(1, 10):
        for width in range(1, 11):
            accuracy = 90 - 50 / (1 + depth * width) ** 0.5 - (width % 3)
            lines.append(f"{depth},{width},{accuracy:.4f},{depth * width**2},{width + depth % 4}")
    (tmp_path / "nets.csv").write_text("\n".join(lines) + "\n")

    def make(**changes: Any) -> TableExperiment:
        data: dict[str, Any] = {
            "name": "nets",
            "seed": 5,
            "table": {
                "file": str(tmp_path / "nets.csv"),
                "quality": "accuracy:max",
                "costs": ["macs", "weights"],
                "config": ["depth", "width"],
            },
            "search": {"trials": 9},
            "compare": {"arms": ARMS, "seeds": 2, "workers": 1},
        }
        for key, value in changes.items():
            data[key] = data.get(key, {}) | value
        return TableExperiment.from_data(data)

    return make


class TestOnATable:
    def test_every_arm_and_seed_is_searched_and_scored_by_the_table(
        self, of_table: Callable[..., TableExperiment], tmp_path: Path, quiet: Any
    ) -> None:
        found = run_comparison(of_table(), tmp_path / "out", report=quiet)
        assert [(run.seed, run.arm) for run in found.runs] == [
            (seed, arm) for seed in (5, 6) for arm in ARMS
        ]
        assert found.names == ("macs", "weights")
        assert (found.quality, found.maximize) == ("accuracy", True)
        assert found.population.shape == (2000, 2)
        assert np.isfinite(found.scored).all()
        ids = [model.id for model in found.models]
        assert len(set(ids)) == len(ids)
        for run in found.runs:
            assert len(set(run.models.tolist())) == len(run.models) == 9
            assert np.array_equal(run.told, found.scored[run.models])
            assert not run.seconds.any()
        for model, values, accuracy in zip(
            found.models, found.values.tolist(), found.scored.tolist(), strict=True
        ):
            depth, width = (int(part.split("=")[1]) for part in model.label.split())
            assert values == [depth * width**2, width + depth % 4]
            expected = 90 - 50 / (1 + depth * width) ** 0.5 - width % 3
            assert accuracy == pytest.approx(expected, abs=1e-4)

    def test_arms_of_a_seed_begin_alike(
        self, of_table: Callable[..., TableExperiment], tmp_path: Path, quiet: Any
    ) -> None:
        found = run_comparison(of_table(), tmp_path / "out", report=quiet)
        for seed in found.seeds:
            begun = [r.models[: found.initial].tolist() for r in found.runs if r.seed == seed]
            assert found.initial == 5
            assert begun[0] == begun[1] == begun[2]

    def test_what_is_kept_is_read_back_with_the_experiment(
        self, of_table: Callable[..., TableExperiment], tmp_path: Path, quiet: Any
    ) -> None:
        found = run_comparison(of_table(), tmp_path / "out", report=quiet)
        folder = ComparisonFolder.open(tmp_path / "out")
        assert folder.state() == "complete"
        assert folder.read_comparison().to_json() == found.to_json()
        data = json.loads(folder.comparison.read_text())
        assert data["experiment"]["compare"]["arms"] == list(ARMS)
        assert TableExperiment.load(folder.config).compare == of_table().compare

    def test_other_processes_come_to_the_same(
        self, of_table: Callable[..., TableExperiment], tmp_path: Path, quiet: Any
    ) -> None:
        here = run_comparison(of_table(), tmp_path / "one", report=quiet)
        experiment = of_table(compare={"arms": ARMS, "seeds": 2, "workers": 2})
        there = run_comparison(experiment, tmp_path / "two", report=quiet)
        assert untimed(there) == untimed(here)

    def test_an_interrupted_comparison_is_gone_on_with_to_the_same(
        self,
        of_table: Callable[..., TableExperiment],
        tmp_path: Path,
        quiet: Any,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        whole = run_comparison(of_table(), tmp_path / "whole", report=quiet)
        real, calls = nas.arm_jobs.search_arm, Counter[str]()

        def counted(arm: Any, *rest: Any) -> Any:
            calls[arm.name] += 1
            if calls.total() == 4:
                raise KeyboardInterrupt
            return real(arm, *rest)

        monkeypatch.setattr("nas.arm_jobs.search_arm", counted)
        out = tmp_path / "out"
        with pytest.raises(InterruptedSearch, match=r"Stopped after 3 of 6 searches") as raised:
            run_comparison(of_table(), out, report=quiet)
        line = shlex.split(str(raised.value).splitlines()[-1])
        config = str(out / "config.toml")
        assert line == ["hwnas", "compare", config, "--out", str(out), "--resume"]
        assert ComparisonFolder.open(out).state() == "interrupted"
        calls.clear()
        monkeypatch.setattr("nas.arm_jobs.search_arm", real)
        again = TableExperiment.load(out / "config.toml")
        assert untimed(run_comparison(again, out, resume=True, report=quiet)) == untimed(whole)

    def test_more_seeds_leave_the_searches_that_are_over(
        self, of_table: Callable[..., TableExperiment], tmp_path: Path, quiet: Any
    ) -> None:
        first = run_comparison(of_table(), tmp_path / "out", report=quiet)
        more = of_table(compare={"arms": ARMS, "seeds": 3, "workers": 1})
        found = run_comparison(more, tmp_path / "out", resume=True, report=quiet)
        assert len(found.runs) == 9
        assert untimed(found)["runs"][:6] == untimed(first)["runs"]
        assert found.to_json()["runs"][0] == first.to_json()["runs"][0]  # Read, not timed again.

    def test_one_seed_is_allowed_and_said(
        self, of_table: Callable[..., TableExperiment], tmp_path: Path, quiet: Any
    ) -> None:
        one = of_table(compare={"arms": ARMS, "seeds": 1, "workers": 1})
        assert run_comparison(one, tmp_path / "out", report=quiet).seeds == (5,)
        assert "no difference can be called significant" in quiet.text

    def test_budgets_hold_for_all_and_for_the_population(
        self, of_table: Callable[..., TableExperiment], tmp_path: Path, quiet: Any
    ) -> None:
        found = run_comparison(of_table(budgets={"macs": 100}), tmp_path / "out", report=quiet)
        assert found.values[:, 0].max() <= 100
        assert found.population[:, 0].max() <= 100
        assert found.conditions["space"] == "only what keeps to macs 100"
        with pytest.raises(NothingFeasibleError):
            run_comparison(of_table(budgets={"macs": 0.5}), tmp_path / "none", report=quiet)

    def test_arms_that_are_not_named_are_all_there_are(
        self, of_table: Callable[..., TableExperiment], tmp_path: Path, quiet: Any
    ) -> None:
        every = of_table(compare={"arms": (), "seeds": 1, "workers": 1}, search={"trials": 6})
        found = run_comparison(every, tmp_path / "out", report=quiet)
        assert [arm.name for arm in found.arms] == [
            "macs", "weights", "all", "random", "quality", "weighted-product",
        ]  # fmt: skip

    def test_a_taken_folder_another_comparison_and_a_damaged_one_are_refused(
        self, of_table: Callable[..., TableExperiment], tmp_path: Path, quiet: Any
    ) -> None:
        out = tmp_path / "out"
        run_comparison(of_table(), out, report=quiet)
        with pytest.raises(ExperimentError, match="is taken"):
            run_comparison(of_table(), out, report=quiet)
        with pytest.raises(ExperimentError, match=r"`search\.trials` differ"):
            run_comparison(of_table(search={"trials": 12}), out, resume=True, report=quiet)
        with pytest.raises(CorruptFileError, match="not the manifest of a run"):
            RunFolder.open(out)
        search = ComparisonFolder(out).searches()[0]
        search.write_text(search.read_text().replace('"seed": 5', '"seed": 7'))
        with pytest.raises(CorruptFileError, match="checksum differs"):
            run_comparison(of_table(), out, resume=True, report=quiet)
        with pytest.raises(CorruptFileError, match="it should be of macs and 5"):
            ComparisonFolder(out).read_search(5, "macs", 0)

    def test_an_arm_that_is_none_is_refused_with_those_that_are(
        self, of_table: Callable[..., TableExperiment]
    ) -> None:
        with pytest.raises(UnknownNameError, match=r"`compare\.arms`: Unknown arm 'mac'") as raised:
            of_table(compare={"arms": ("mac",)})
        assert {"macs", "weights", "all", "random"} <= set(raised.value.known)


@dataclass
class SeededStub:
    """Trains nothing: the error follows from the id and the seed, and the time from the id.

    Attributes:
        trained: Ids and seeds in the order in which they came.
        interrupt_at: Raises KeyboardInterrupt in place of the training of this number.
        fails: Which ids fail.
    """

    trained: list[tuple[str, int]] = field(default_factory=list)
    interrupt_at: int | None = None
    fails: Callable[[str], bool] = lambda _: False

    def __call__(
        self, architecture: Architecture, dataset: Any, config: Any, seed: int
    ) -> training.Evaluation:
        if len(self.trained) == self.interrupt_at:
            raise KeyboardInterrupt
        self.trained.append((architecture.id, seed))
        if self.fails(architecture.id):
            raise QualityError("the training loss became nan in epoch 1")
        quality = ERROR.quality("validation", self.error(architecture.id, seed))
        weights = initial_weights(architecture)
        return training.Evaluation(quality, weights, 1.0, self.seconds(architecture.id))

    @staticmethod
    def error(architecture: str, seed: int) -> float:
        return (int(architecture, 16) % 360 + seed % 7) / 400

    @staticmethod
    def seconds(architecture: str) -> float:
        return 1.0 + int(architecture[:2], 16)


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> SeededStub:
    found = SeededStub()
    monkeypatch.setattr("nas.training.train", found)
    monkeypatch.setattr("nas.training.score", lambda network, split, measure: len(split) / 1e4)
    return found


@pytest.fixture
def trained(
    tiny: Callable[..., Experiment], tmp_path: Path, quiet: Any, stand_in: SeededStub
) -> Callable[..., Comparison]:
    """Compares the tiny experiment by counts, untrained, with some sections changed."""

    def run(out: str = "out", resume: bool = False, **changes: Any) -> Comparison:
        data: dict[str, Any] = {
            "search": {"objectives": ["macs", "params"], "trials": 7},
            "compare": {"arms": [*ARMS], "seeds": 2, "indicators": ["activations"]},
        }
        for key, value in changes.items():
            data[key] = data.get(key, {}) | value
        store = Store(tmp_path / "home")
        return run_comparison(
            tiny(**data), tmp_path / out, resume=resume, store=store, report=quiet
        )

    return run


class TestWithTraining:
    def test_no_architecture_is_trained_twice_with_a_seed_and_each_arm_is_charged_for_all(
        self, trained: Callable[..., Comparison], stand_in: SeededStub
    ) -> None:
        found = trained()
        assert max(Counter(stand_in.trained).values()) == 1
        evaluated = {
            (found.models[place].id, run.seed) for run in found.runs for place in run.models
        }
        searched = {(key, seed) for key, seed in stand_in.trained if seed < UNSEEN_SEEDS}
        assert searched == evaluated
        assert len(searched) < sum(len(run.models) for run in found.runs)
        for run in found.runs:
            ids = [found.models[place].id for place in run.models]
            assert run.seconds.tolist() == [stand_in.seconds(key) for key in ids]
            assert run.told.tolist() == [stand_in.error(key, run.seed) for key in ids]

    def test_finalists_are_tested_with_seeds_that_no_search_saw(
        self, trained: Callable[..., Comparison], stand_in: SeededStub, digits: Any
    ) -> None:
        found = trained()
        beyond = [(key, seed) for key, seed in stand_in.trained if seed >= UNSEEN_SEEDS]
        chosen = {found.models[place].id for place in finalists(found)}
        assert set(beyond) == {
            (key, 3 + UNSEEN_SEEDS + number) for key in chosen for number in range(2)
        }
        assert {seed for _, seed in stand_in.trained if seed < UNSEEN_SEEDS} == {3, 4}
        there = np.isfinite(found.scored)
        assert {m.id for m, is_there in zip(found.models, there, strict=True) if is_there} == chosen
        # What is scored is the test split's number, not what the search was told.
        assert set(found.scored[there]) == {len(digits.test.labels) / 1e4}
        for run in found.runs:
            assert there[run.models[run.front]].all()

    def test_arms_are_told_how_far_the_validation_split_may_be_off(
        self, trained: Callable[..., Comparison], digits: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        answered: list[Answers] = []
        evaluate = TrainingArena.evaluate

        def noted(arena: TrainingArena, codes: Codes, seed: int) -> Answers:
            answered.append(evaluate(arena, codes, seed))
            return answered[-1]

        monkeypatch.setattr(TrainingArena, "evaluate", noted)
        trained()
        told = np.concatenate([each.told for each in answered])
        errors = np.concatenate([each.errors for each in answered])
        size = len(digits.validation.labels)
        share = (told * size + 1) / (size + 2)
        assert len(told) == 2 * len(ARMS) * 7
        assert errors == pytest.approx(np.sqrt(share * (1 - share) / size))

    def test_every_named_indicator_is_compared_and_the_design_is_over_all(
        self, trained: Callable[..., Comparison]
    ) -> None:
        found = trained(compare={"arms": ["flops", "random"], "seeds": 1})
        assert found.names == ("macs", "params", "flops", "activations")
        assert {arm.name: arm.objectives for arm in found.arms} == {
            "flops": ("flops",),
            "random": (),
        }
        assert "latency" not in found.conditions

    def test_going_on_trains_only_what_is_missing_and_comes_to_the_same(
        self, trained: Callable[..., Comparison], stand_in: SeededStub
    ) -> None:
        whole = trained("whole")
        everything, stand_in.trained = stand_in.trained, []
        for interrupt_at in (3, 11, len(everything) - 2):
            stand_in.interrupt_at = interrupt_at
            with pytest.raises(InterruptedSearch):
                trained(resume=bool(stand_in.trained))
        stand_in.interrupt_at = None
        found = trained(resume=True)
        assert untimed(found) == untimed(whole)
        assert stand_in.trained == everything

    def test_failures_cost_an_evaluation_and_too_many_are_an_error(
        self, trained: Callable[..., Comparison], stand_in: SeededStub, tmp_path: Path
    ) -> None:
        stand_in.fails = lambda key: int(key, 16) % 4 == 0
        found = trained(search={"max_failed": 1.0})
        assert all(int(model.id, 16) % 4 for model in found.models)
        assert 0 < sum(len(run.models) for run in found.runs) < 6 * 7
        assert {len(run.models) + len(run.failures) for run in found.runs} == {7}
        assert all(each.seconds > 0 for run in found.runs for each in run.failures)
        with pytest.raises(TooManyFailuresError, match=r"`search\.max_failed` = 0\.0"):
            trained("strict", search={"max_failed": 0.0})
        assert ComparisonFolder.open(tmp_path / "strict").comparison.exists()

    def test_an_arm_of_this_machine_needs_a_name_that_is_known(
        self, tiny: Callable[..., Experiment]
    ) -> None:
        with pytest.raises(UnknownNameError, match=r"`compare\.arms`: Unknown arm 'latency'"):
            tiny(compare={"arms": ["latency"]})
        with pytest.raises(UnknownNameError, match="Unknown profile 'mars'"):
            tiny(compare={"arms": ["latency_s@mars"]})
        with pytest.raises(UnknownNameError, match=r"`compare\.indicators`: Unknown indicator"):
            tiny(compare={"indicators": ["speed"]})

    def test_what_is_not_trained_is_not_measured(
        self, trained: Callable[..., Comparison], tmp_path: Path
    ) -> None:
        """Nothing of this machine is compared, so no table of it is made."""
        trained(compare={"arms": ["macs"], "seeds": 1})
        assert not Store(tmp_path / "home").profile("local").files
        assert ComparisonFolder(tmp_path / "out").profile_folders == {}


def test_a_real_comparison_in_two_processes(
    tiny: Callable[..., Experiment], kept: Store, tmp_path: Path, quiet: Any
) -> None:
    """Trained, tested, and priced on this machine by the table that is kept."""
    experiment = tiny(
        search={"trials": 6, "workers": 2, "objectives": ["macs", "latency_s@local"]},
        compare={"arms": ["latency_s@local", "random"], "seeds": 2, "scoring_seeds": 1},
    )
    found = run_comparison(experiment, tmp_path / "out", store=kept, report=quiet)
    assert found.names == ("macs", "latency_s@local")
    assert "onnxruntime" in found.conditions["@local"]
    assert all((run.seconds > 0).all() for run in found.runs)
    for first, second in zip(found.runs[:2], found.runs[2:], strict=True):
        assert first.arm == second.arm
        assert not np.array_equal(first.told, second.told)
    scored = found.scored[np.isfinite(found.scored)]
    assert len(scored)
    assert ((scored >= 0) & (scored <= 1)).all()
    again = run_comparison(experiment, tmp_path / "out", resume=True, store=kept, report=quiet)
    assert again.to_json() == found.to_json()


class TestOnTheCommandLine:
    @pytest.fixture
    def file(self, of_table: Callable[..., TableExperiment], tmp_path: Path) -> str:
        path = tmp_path / "nets.toml"
        path.write_text(of_table().to_toml())
        return str(path)

    def test_options_decide_and_json_has_the_disagreement_and_the_scores(
        self, file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        out = tmp_path / "out"
        options = ["--arms", "weights, all", "--seeds", "3", "--trials", "7", "--out", str(out)]
        assert main(["compare", file, *options, "--json"]) == 0
        captured = capsys.readouterr()
        data = json.loads(captured.out)
        assert set(data["kendall"]) == {"macs", "weights", "accuracy"}
        assert {"front_size", "flips", "redundant", "scores", "match"} <= set(data)
        found = ComparisonFolder.open(out).read_comparison()
        assert [arm.name for arm in found.arms] == ["weights", "all"]
        assert found.seeds == (5, 6, 7)
        assert found.evaluations == 7
        assert (out / "report.html").exists()
        assert f"its report is {out / 'report.html'}" in captured.err

    def test_going_on_by_the_kept_file_prints_the_same(
        self, file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        out = tmp_path / "out"
        assert main(["compare", file, "--seeds", "1", "--out", str(out)]) == 0
        first = capsys.readouterr().out
        assert main(["compare", str(out / "config.toml"), "--out", str(out), "--resume"]) == 0
        assert capsys.readouterr().out == first

    @pytest.mark.parametrize(
        ("options", "status", "said"),
        [
            (["--arms", "speed"], 3, "Unknown arm 'speed'"),
            (["--arms", " ,"], 2, "`--arms` names no arm; got ' ,'"),
            (["--resume"], 2, "`--resume` needs --out"),
            (["--seeds", "0"], 2, "compare.seeds"),
            (["--match", "speed"], 3, "Unknown indicator of the comparison 'speed'"),
            (["--match", "macs"], 2, "`compare.family`"),
            (["--set", "compare.family=colour"], 3, "`compare.family`"),
            (["--out", ".", "--trials", "5"], 2, "is taken"),
        ],
        ids=lambda item: " ".join(item) if isinstance(item, list) else "",
    )
    def test_what_cannot_be_done_is_said_before_anything_is_searched(
        self,
        file: str,
        options: list[str],
        status: int,
        said: str,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        assert main(["compare", file, *options]) == status
        captured = capsys.readouterr()
        assert said in captured.err
        assert "Arms:" not in captured.err
        assert not captured.out

    def test_families_of_a_table_are_a_column(
        self, file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        options = ["--match", "macs", "--set", "compare.family=depth", "--out", str(tmp_path / "o")]
        assert main(["compare", file, "--json", "--seeds", "1", *options]) == 0
        matches = json.loads(capsys.readouterr().out)["match"]
        assert {model["family"] for match in matches for model in match["models"]} <= set(
            "123456789"
        )
        assert all(match["indicators"] == ["macs"] for match in matches)
