"""The command line: exit statuses, what goes to which stream, and stopping it."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nas.cli import main
from nas.errors import EXIT_STATUS, exit_status
from nas.indicators import indicator, indicator_names
from nas.pricer import Pricer
from nas.run_folder import RunFolder
from predictors.profile_pricer import COUNTED
from search_spaces import Architecture, CorruptFileError, TrainingSetup, UncountedOperatorError
from search_spaces.presets import preset

COMMANDS = [
    [],
    ["search"],
    ["pareto"],
    ["cost"],
    ["compare"],
    ["export"],
    ["footprint"],
    ["profile"],
    ["profile", "measure"],
    ["profile", "list"],
    ["profile", "show"],
    ["profile", "validate"],
    ["doctor"],
    ["report"],
]
HEAVY = (
    "torch", "optuna", "sklearn", "scipy", "numpy", "onnx", "onnxruntime", "pydantic", "rich",
    "moocore", "sqlalchemy", "safetensors",
)  # fmt: skip


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, finished: Any) -> Path:
    """The finished run's store, for commands that only read."""
    monkeypatch.setenv("HWNAS_HOME", str(finished.home))
    return Path(finished.home)


@pytest.fixture
def knee(opened: RunFolder) -> Any:
    return opened.read_pareto().pick("knee")[0]


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)


class TestHelp:
    """What is answered before anything heavy is imported."""

    def test_help_of_every_command_imports_nothing_heavy(self) -> None:
        code = f"""
import sys
from nas.cli import main
for words in {COMMANDS!r}:
    try:
        main([*words, "--help"])
    except SystemExit as stop:
        assert not stop.code, words
try:
    main(["--version"])
except SystemExit as stop:
    assert not stop.code
print(sorted(set({HEAVY!r}) & set(sys.modules)))
"""
        result = python("-c", code)
        assert result.returncode == 0, result.stderr
        assert result.stdout.splitlines()[-1] == "[]"

    @pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
    def test_help_is_data(self, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit) as stop:
            main([*words, "--help"])
        assert stop.value.code == 0
        captured = capsys.readouterr()
        assert captured.out.startswith(" ".join(["usage: hwnas", *words]))
        assert captured.err == ""

    def test_help_names_every_command_and_exit_status(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(SystemExit):
            main(["--help"])
        text = capsys.readouterr().out
        for words in COMMANDS[1:]:
            assert words[0] in text
        for status in (0, 1, 2, 3, 4, 5, 6, 7, 130):
            assert f"{status} " in text

    @pytest.mark.parametrize(
        "words", [[], ["serch"], ["search"], ["search", "x.toml", "--trials", "x"], ["profile"]]
    )
    def test_wrong_usage_is_2(self, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit) as stop:
            main(words)
        assert stop.value.code == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert "usage: hwnas" in captured.err

    def test_pricing_what_is_counted_imports_no_torch(
        self, home: Path, knee: Any, tmp_path: Path
    ) -> None:
        path = tmp_path / "knee.json"
        path.write_text(json.dumps(knee.architecture.to_json()))
        code = f"""
import sys
from nas.cli import main
assert main(["cost", {str(path)!r}, "--json"]) == 0
print(sorted({{"torch", "optuna", "sklearn"}} & set(sys.modules)), file=sys.stderr)
"""
        result = python("-c", code)
        assert result.returncode == 0, result.stderr
        assert result.stderr.splitlines()[-1] == "[]"
        assert json.loads(result.stdout)["id"] == knee.id


class TestStatus:
    """Errors end with their status, a message on stderr and nothing on stdout."""

    @pytest.mark.parametrize(("kind", "status"), EXIT_STATUS)
    def test_the_status_of_each_error(self, kind: type[BaseException], status: int) -> None:
        error = kind.__new__(kind)  # Whatever it is made with.
        assert exit_status(error) == status

    def test_statuses_of_the_design(self) -> None:
        by_name = {kind.__name__: status for kind, status in EXIT_STATUS}
        assert by_name["ExperimentError"] == 2
        assert by_name["UnknownNameError"] == by_name["FileNotFoundError"] == 3
        assert by_name["NothingFeasibleError"] == 4
        assert by_name["VerificationError"] == 5
        assert by_name["TooManyFailuresError"] == 6
        assert exit_status(CorruptFileError("x")) == 7  # Though it is a ValueError.
        assert exit_status(UncountedOperatorError("x")) == 2
        assert exit_status(KeyboardInterrupt()) == 130
        assert exit_status(RuntimeError("x")) == 1

    @pytest.mark.parametrize(
        ("content", "status", "said"),
        [
            ("name = 'x'\n[spaces.vit]\n[search]\ntrails = 3", 2, "`search.trails`"),
            ("name = 'x'\n[spaces.vit]\ndept = [3]", 2, "`spaces.vit.dept`"),
            ("name = 'x'\n[spaces.vit]\n[budgets]\nmacs = 0", 2, "`budgets.macs`"),
            ("name = ", 2, "is not TOML"),
            ("name = 'x'\n[spaces.vti]", 3, "Did you mean 'vit'"),
            ("name = 'x'\n[spaces.vit]\n[search]\nobjectives = ['mac']", 3, "'macs'"),
            ("name = 'x'\n[spaces.vit]\n[search]\nobjectives = ['latency_s@moon']", 3, "local"),
            ("name = 'x'\n[spaces.vit]\n[measurement]\nruntime = 'onnx'", 3, "onnxruntime"),
            ("name = 'x'\n[spaces.vit]\ndepth = [1]\n[budgets]\nparams = 1", 4, "missed by"),
        ],
    )
    def test_an_experiment_that_cannot_be(
        self,
        tmp_path: Path,
        content: str,
        status: int,
        said: str,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        def refuse(*_: Any, **__: Any) -> Any:
            raise AssertionError("measured")

        monkeypatch.setattr("hw_profiles.measurement.time_networks", refuse)
        path = tmp_path / "x.toml"
        path.write_text(content)
        assert main(["search", str(path), "--out", str(tmp_path / "run")]) == status
        captured = capsys.readouterr()
        assert captured.out == ""
        assert said in captured.err
        assert "Traceback" not in captured.err
        assert not (tmp_path / "run").exists()

    def test_what_is_not_there_is_3(
        self, tmp_path: Path, finished: Any, capsys: pytest.CaptureFixture[str]
    ) -> None:
        none = str(tmp_path / "none")
        for words in (
            ["search", none],
            ["pareto", none],
            ["pareto", str(finished.folder / "pareto.json")],
            ["cost", none],
            ["cost", str(tmp_path), "knee"],
            ["cost", "vit_b_15"],
            ["cost", "vit_ti_64", "--optimizer", "adma"],
            ["cost", str(finished.folder), "zzz"],
            ["export", none],
            ["export", str(finished.folder), "--pick", "zzz"],
            ["export", str(finished.folder), "--verify-only", "--out", none],
            ["profile", "measure", none],
            ["search", none, "--resume", "--out", none],
        ):
            assert main(words) == 3, words
            captured = capsys.readouterr()
            assert captured.out == ""
            assert captured.err.count("\n") >= 1
            assert "Traceback" not in captured.err

    def test_words_that_do_not_go_together_are_2(
        self, finished: Any, tiny_file: Any, home: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        file, run = str(tiny_file()), str(finished.folder)
        for words in (
            ["search", file, "--resume"],
            ["search", file, "--out", run],
            ["search", file, "--trials", "0"],
            ["search", file, "--set", "trials"],
            ["search", file, "--set", "search.trails=3"],
            ["search", file, "--out", run, "--resume", "--set", "seed=4"],
            ["cost", run],
            ["cost", run, "all"],
            ["cost", "vit_ti_64", "knee"],
            ["cost", run, "knee", "--batch-size", "0"],
            ["cost", run, "knee", "--batch-size", "-5"],
        ):
            try:
                status = main(words)
            except SystemExit as stop:
                status = int(stop.code or 0)
            assert status == 2, words
            captured = capsys.readouterr()
            assert captured.out == ""
            assert "Traceback" not in captured.err

    def test_an_error_of_our_own_is_1_with_its_traceback(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def fail(_: Any) -> int:
            raise RuntimeError("inside")

        monkeypatch.setattr("nas.commands.pareto", fail)
        assert main(["pareto", "x"]) == 1
        assert "Traceback" in capsys.readouterr().err

    @pytest.mark.parametrize(
        "name", ["config.toml", "study.db", "pareto.json", "profiles/local/*.latency_s.*.json"]
    )
    def test_a_damaged_run_is_7_and_the_file_is_named(
        self, run_copy: Path, name: str, tiny_file: Any, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (path,) = run_copy.glob(name)
        path.write_bytes(path.read_bytes()[:-20])
        file = str(tiny_file())
        for words in (
            ["pareto", str(run_copy)],
            ["cost", str(run_copy), "knee"],
            ["export", str(run_copy)],
            ["search", file, "--out", str(run_copy), "--resume"],
        ):
            assert main(words) == 7, words
            captured = capsys.readouterr()
            assert captured.out == ""
            assert path.name in captured.err

    @pytest.mark.parametrize("error", [ValueError("odd"), KeyError("odd")], ids=repr)
    def test_an_architecture_that_cannot_be_priced_is_7_and_named(
        self,
        tiny_space: Any,
        tmp_path: Path,
        error: Exception,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        def fail(*_: Any) -> Any:
            raise error

        file = tmp_path / "odd.json"
        architecture = tiny_space.decode([0] * len(tiny_space.parameters))
        file.write_text(json.dumps(architecture.to_json()))
        assert main(["cost", str(file)]) == 0
        config = ", ".join(f"{key}={value}" for key, value in architecture.config.items())
        assert f"\nconfig: {config}\n" in capsys.readouterr().out
        monkeypatch.setattr("nas.pricer.count", fail)
        assert main(["cost", str(file)]) == 7
        assert f"{file} is not a network that can be priced" in capsys.readouterr().err

    def test_a_damaged_table_is_7_and_named(
        self, home_copy: Path, tiny_file: Any, tables_in: Any, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (path,) = tables_in(home_copy)
        path.write_bytes(path.read_bytes()[:-20])
        for words in (["profile", "list"], ["profile", "show", "local"], ["search", tiny_file()]):
            assert main([str(word) for word in words]) == 7
            assert path.name in capsys.readouterr().err

    @pytest.mark.parametrize(
        "content",
        [
            "{",
            "[1]",
            "3",
            '"vit"',
            "{}",
            '{"foo": 1}',
            '{"space": "x", "config": {}, "nodes": []}',
            '{"space": "x", "config": {}, "nodes": [{"block": 3, "inputs": [-1]}]}',
            '{"architecture": null}',
            '{"space": NaN}',
        ],
    )
    def test_a_foreign_file_is_7_and_named(
        self, tmp_path: Path, content: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = tmp_path / "foreign.json"
        path.write_text(content)
        assert main(["cost", str(path)]) == 7
        captured = capsys.readouterr()
        assert captured.out == ""
        assert "foreign.json" in captured.err

    def test_a_field_that_an_architecture_does_not_have_is_7(
        self, tmp_path: Path, knee: Any, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = tmp_path / "foreign.json"
        path.write_text(json.dumps(knee.architecture.to_json() | {"colour": "red"}))
        assert main(["cost", str(path)]) == 7
        assert "colour" in capsys.readouterr().err

    def test_all_trainings_failing_is_6(
        self,
        home: Path,
        stub: Any,
        tiny_file: Any,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        stub.fails = lambda architecture: True
        file = str(tiny_file(search={"trials": 2}))
        assert main(["search", file, "--out", str(tmp_path / "run")]) == 6
        assert "the training loss became nan" in capsys.readouterr().err

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda n: n.name)
    def test_a_signal_is_130_and_the_line_that_goes_on_is_printed(
        self,
        number: signal.Signals,
        home: Path,
        stub: Any,
        tiny_file: Any,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        def signalled(_: Any) -> bool:
            if len(stub.trained) == 2:
                os.kill(os.getpid(), number)
            return False

        stub.fails = signalled
        file, out = str(tiny_file(search={"trials": 3})), tmp_path / "run"
        before = signal.getsignal(signal.SIGTERM)
        assert main(["search", file, "--out", str(out)]) == 130
        assert signal.getsignal(signal.SIGTERM) is before
        captured = capsys.readouterr()
        assert captured.out == ""
        assert "Traceback" not in captured.err
        stub.fails = lambda architecture: False
        words = shlex.split(captured.err.strip().splitlines()[-1])
        assert words[0] == "hwnas"
        assert main(words[1:]) == 0
        assert len(set(fresh(out))) == 3


def fresh(folder: Path) -> list[str]:
    """Candidates that were trained."""
    events = map(json.loads, (folder / "events.jsonl").read_text().splitlines())
    return [event["candidate"] for event in events if event["event"] == "trained"]


class TestData:
    """Data stands on stdout, in the form that is promised."""

    def test_search_prints_its_set_and_reports_beside_it(
        self,
        home: Path,
        stub: Any,
        tiny_file: Any,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        file, out = str(tiny_file()), tmp_path / "run"
        words = ["search", file, "--out", str(out), "--trials", "2", "--set", "search.batch=1"]
        assert main([*words, "--json"]) == 0
        captured = capsys.readouterr()
        assert json.loads(captured.out) == json.loads((out / "pareto.json").read_text())
        assert "Trained 2 distinct candidates" in captured.err
        assert "\x1b" not in captured.err  # No animation off a terminal.
        assert RunFolder.open(out).experiment().search.batch == 1
        assert main(["search", file, "--out", str(out), "--resume", *words[4:]]) == 0
        assert "Pareto set" in capsys.readouterr().out

    def test_search_without_a_folder_takes_the_next_free_one(
        self,
        home: Path,
        stub: Any,
        tiny_file: Any,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.chdir(tmp_path)
        for name in ("tiny", "tiny-2"):
            assert main(["search", str(tiny_file()), "--trials", "1"]) == 0
            assert f"runs/{name}" in capsys.readouterr().err
            assert RunFolder.open(Path("runs") / name).state() == "complete"

    def test_pareto_json_has_the_form_of_the_design(
        self, finished: Any, tiny_pricer: Pricer, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["pareto", str(finished.folder), "--json"]) == 0
        captured = capsys.readouterr()
        assert captured.err == ""
        data = json.loads(captured.out)
        assert isinstance(data["hypervolume"], float)
        assert set(data["reference_point"]) == {"quality", *tiny_pricer.names}
        assert data["front_certificate"]["n"] == len(data["candidates"])
        assert data["candidates"]
        for item in data["candidates"]:
            assert isinstance(item["id"], str)
            assert {"space", "config", "nodes"} <= set(item["architecture"])
            assert set(item["quality"]) == {"name", "value", "direction"}
            assert item["quality"]["direction"] == "minimize"
            assert item["feasible"] is True
            assert item["feasibility"] == {}
            assert set(item["indicators"]) == set(tiny_pricer.names)
            for name, value in item["indicators"].items():
                assert set(value) - {"at"} == {"value", "low", "high", "provenance"}
                if name.split("@")[0] in COUNTED:
                    assert (value["low"], value["high"]) == (None, None)
                else:
                    assert value["low"] <= value["value"] <= value["high"]
                assert value["provenance"] in {"exact", "table", "predicted", "measured"}

    def test_pareto_is_a_table_with_every_member_and_indicator(
        self, finished: Any, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["pareto", str(finished.folder)]) == 0
        captured = capsys.readouterr()
        assert captured.err.startswith("Certificate on ")
        for member in finished.outcome.pareto.members:
            (row,) = (line for line in captured.out.splitlines() if member.id in line)
            assert member.architecture.space in row
            assert f"{100 * member.quality.value:.1f}" in row
            assert f"{100 - 100 * member.test_quality.value:.1f}" in row
        for heading in ("params k", "MACs M", "peak kB", "train MB", "latency ms", "measured"):
            assert heading in captured.out
        assert "10 were trained" in captured.out

    def test_cost_of_a_member_equals_what_the_run_says(
        self, home: Path, finished: Any, knee: Any, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["cost", str(finished.folder), knee.id[:8], "--json"]) == 0
        data = json.loads(capsys.readouterr().out)
        assert data["id"] == knee.id
        assert data["indicators"] == {
            name: value.to_json()
            | {"unit": indicator(name).unit, "definition": indicator(name).defined(TrainingSetup())}
            for name, value in knee.indicators.items()
        }
        assert main(["cost", str(finished.folder), "knee", "--json"]) == 0
        assert json.loads(capsys.readouterr().out) == data

    def test_cost_of_what_cost_printed_is_the_same(
        self,
        home: Path,
        finished: Any,
        knee: Any,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        assert main(["cost", str(finished.folder), knee.id, "--json"]) == 0
        printed = capsys.readouterr().out
        path = tmp_path / "knee.json"
        for content in (printed, json.dumps(knee.architecture.to_json())):
            path.write_text(content)
            assert main(["cost", str(path), "--json"]) == 0
            assert capsys.readouterr().out == printed

    def test_cost_follows_the_batch_size(
        self, home: Path, finished: Any, capsys: pytest.CaptureFixture[str]
    ) -> None:
        values = []
        for size in ("64", "128"):
            assert main(["cost", str(finished.folder), "knee", "--json", "--batch-size", size]) == 0
            values.append(json.loads(capsys.readouterr().out)["indicators"])
        assert values[1]["train_macs"]["value"] == 2 * values[0]["train_macs"]["value"]
        assert values[1]["macs"] == values[0]["macs"]

    def test_cost_for_people_names_units_and_provenance(
        self, home: Path, finished: Any, knee: Any, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["cost", str(finished.folder), "knee"]) == 0
        captured = capsys.readouterr()
        assert captured.err == ""
        assert knee.id in captured.out
        for name in indicator_names():  # Those that are not available too, and why.
            assert name in captured.out
        assert f"{knee.indicators['params'].value:,}" in captured.out
        for word in ("elements", "bytes", "seconds", "exact", "table", "training"):
            assert word in captured.out

    def test_cost_of_a_preset(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["cost", "vit_ti_64", "--json", "--optimizer", "sgd"]) == 0
        captured = capsys.readouterr()
        data = json.loads(captured.out)
        assert data["id"] == preset("vit_ti_64").id
        assert Architecture.from_json(data["architecture"]) == preset("vit_ti_64")
        assert set(data["indicators"]) == {name for name in indicator_names() if "@" not in name}
        for name, value in data["indicators"].items():
            assert set(value) == {"value", "low", "high", "provenance", "unit", "definition"}
            assert value["unit"] == indicator(name).unit
            assert value["provenance"] == "exact"
        assert "with sgd" in data["indicators"]["train_macs"]["definition"]
        # Patches of 64 leave 224 - 3 * 64 = 32 pixels.
        assert "patches of 64 pixels leave the last 32 rows and columns" in captured.err
        assert main(["cost", "vit_ti_64"]) == 0
        gflops = data["indicators"]["flops"]["value"] / 2e9
        assert data["paper_gflops"] == gflops
        assert f"The Efficiency Misnomer print them: {gflops:.4g}" in capsys.readouterr().out

    def test_a_file_comes_before_a_preset_of_its_name(
        self,
        knee: Any,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.chdir(tmp_path)
        Path("vit_ti_64").write_text(json.dumps(knee.architecture.to_json()))
        assert main(["cost", "vit_ti_64", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["id"] == knee.id

    def test_an_unknown_preset_is_named_with_the_nearest(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["cost", "vit_b_15"]) == 3
        assert "Unknown preset 'vit_b_15'. Did you mean 'vit_b_16'?" in capsys.readouterr().err

    def test_cost_without_a_table_says_so(
        self, knee: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = tmp_path / "knee.json"
        path.write_text(json.dumps(knee.architecture.to_json()))
        assert main(["cost", str(path), "--json"]) == 0
        assert "latency_s@local" not in json.loads(capsys.readouterr().out)["indicators"]
        assert main(["cost", str(path)]) == 0
        assert "latency_s@local is not available" in capsys.readouterr().err

    def test_export_prints_what_was_shown(
        self, finished: Any, knee: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        words = ["export", str(finished.folder), "--out", str(tmp_path)]
        assert main(words) == 0
        captured = capsys.readouterr()
        assert f"{knee.id}.onnx: verified" in captured.out
        assert "1 of 1 verified" in captured.err
        assert main([*words, "--pick", "knee", "--json"]) == 0
        (item,) = json.loads(capsys.readouterr().out)
        assert item == json.loads((tmp_path / f"{knee.id}.json").read_text())

    def test_export_goes_into_the_run(self, run_copy: Path, knee: Any) -> None:
        assert main(["export", str(run_copy), "--pick", knee.id[:6]]) == 0
        assert (run_copy / "exports" / f"{knee.id}.onnx").is_file()
        assert main(["pareto", str(run_copy)]) == 0  # It is no damage.

    def test_doctor_as_json(self, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["doctor", "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert {"packages", "tables", "timing noise"} <= {item["name"] for item in found}
        for item in found:
            assert set(item) == {"name", "ok", "detail"}
            assert isinstance(item["ok"], bool)


def in_session(session: int) -> list[int]:
    """Processes of a session that still run."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] not in "ZX":
            found.append(int(path.parent.name))
    return found


def wait_until_alone(session: int) -> None:
    """Waits until nothing of a session runs, ten seconds at most."""
    deadline = time.monotonic() + 10
    while in_session(session) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert in_session(session) == []


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts Python in a session of its own; what is left of it is killed in the end."""
    started: list[subprocess.Popen[str]] = []

    def run(*arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        for child in in_session(process.pid):
            os.kill(child, signal.SIGKILL)
        process.communicate()


needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")


@needs_proc
def test_ctrl_c_with_two_workers_and_the_line_that_goes_on(
    start: Callable[..., subprocess.Popen[str]],
    home_copy: Path,
    tiny_file: Any,
    tmp_path: Path,
) -> None:
    file = tiny_file(search={"trials": 5, "batch": 2, "workers": 2}, training={"epochs": 8})
    out = tmp_path / "my run"
    events = out / "events.jsonl"
    process = start("-m", "nas", "search", str(file), "--out", str(out))
    while not (events.exists() and events.read_text().endswith("\n")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)  # As a terminal does: every process of the group.
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert stdout == ""
    assert "Traceback" not in stderr
    wait_until_alone(process.pid)
    before = fresh(out)
    assert 1 <= len(before) < 5
    assert RunFolder.open(out).state() == "interrupted"

    line = stderr.strip().splitlines()[-1]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path}
    result = subprocess.run(
        line, shell=True, capture_output=True, text=True, env=environment, check=False
    )
    assert result.returncode == 0, result.stderr
    assert "Traceback" not in result.stderr
    after = fresh(out)
    assert after[: len(before)] == before
    assert len(after) == len(set(after)) == 5, result.stderr
    assert RunFolder.open(out).state() == "complete"
    assert "Pareto set" in result.stdout


@needs_proc
def test_workers_end_with_a_search_that_is_killed(
    start: Callable[..., subprocess.Popen[str]], tiny_file: Any
) -> None:
    code = f"""
import multiprocessing, pathlib, signal, types
from nas.evaluation import evaluator
from nas.experiment import Experiment
experiment = Experiment.load(pathlib.Path({str(tiny_file(search={"workers": 2}))!r}))
with evaluator(experiment, types.SimpleNamespace(name="digits")):
    print(len(multiprocessing.active_children()), flush=True)
    signal.pause()
"""
    process = start("-c", code)
    assert process.stdout is not None
    assert int(process.stdout.readline()) >= 1
    process.kill()
    process.wait()
    wait_until_alone(process.pid)
