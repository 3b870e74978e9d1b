"""The search of a table from its file to picks, against every row of it."""

import csv
import itertools
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest

import nas.table_search
from nas.cli import main
from nas.dominance import nondominated
from nas.errors import NothingFeasibleError
from nas.run_folder import RunFolder
from nas.table_problem import TableProblem
from nas.table_search import search_table

COLUMNS = ("op", "depth", "width", "accuracy", "macs", "latency_ms", "weights")


def rows() -> list[list[Any]]:
    """48 made-up networks: accuracy grows with macs, and one operation is slower than they say."""
    found = []
    for op, depth, width in itertools.product(
        ("conv", "shift"), (1, 2, 3, 4), (4, 8, 12, 16, 20, 24)
    ):
        macs = depth * width * (width if op == "conv" else 2)
        latency = macs / 100 * (1 if op == "conv" else 5)
        accuracy = 100 - 90 / (1 + depth * width) ** 0.5 - (op == "shift")
        found.append([op, depth, width, round(accuracy, 3), macs, latency, 3 * macs])
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with (tmp_path / "nets.csv").open("w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows()])
    (tmp_path / "nets.toml").write_text(
        'name = "nets"\n[table]\nfile = "nets.csv"\nquality = "accuracy:max"\n'
        'costs = ["macs", "latency_ms", "weights"]\nconfig = ["op", "depth", "width"]\n'
        "[search]\ntrials = 20\n"
    )
    return tmp_path


def search(folder: Path, *arguments: str, out: str = "run") -> int:
    return main(["search", str(folder / "nets.toml"), "--out", str(folder / out), *arguments])


def read(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_a_whole_table_gives_the_true_set(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert search(folder, "--json", "--trials", "100") == 0
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    table = np.array([row[3:] for row in rows()], dtype=float)
    true = nondominated(table, np.array([True, False, False, False]))
    told = {(c["quality"]["value"], c["indicators"]["macs"]["value"]) for c in found["candidates"]}
    assert told == {(row[0], row[1]) for row in table[true].tolist()}
    assert (found["evaluated"], found["feasible"]) == (48, 48)
    assert found["candidates"][0]["quality"] == {
        "name": "accuracy", "value": table[:, 0].max(), "direction": "maximize"
    }  # fmt: skip
    assert found["reference_point"]["quality"] == pytest.approx(
        table[:, 0].min() - 0.1 * np.ptp(table[:, 0])
    )
    assert found["redundant"] == [{"names": ["macs", "weights"], "correlation": 1.0}]
    assert "Every configuration of the table was evaluated, 48 of 100 asked for" in captured.err
    assert "The sampler goes by the quality and macs, latency_ms." in captured.err


def test_what_is_printed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert search(folder, "--set", "budgets.latency_us=5000", "--set", "budgets.macs=800") == 0
    captured = capsys.readouterr()
    costs = np.array([row[4:6] for row in rows()], dtype=float)
    meets = costs <= [800, 5]
    for said in (
        "Table: 48 rows, 48 configurations of 3 columns.",
        f"macs <= 800: {meets[:, 0].mean():.1%} of configurations meet it; the smallest is 8.",
        f"latency_ms <= 5: {meets[:, 1].mean():.1%} of configurations meet it",
        f"All of them: {meets.all(axis=1).mean():.1%} meet them.",
        "Evaluated 20 configurations; the knee of the set is ",
    ):
        assert said in captured.err
    for said in (
        "accuracy (more is better)",
        "op=conv depth=",
        "stands for all",
        "20 were evaluated.",
    ):
        assert said in captured.out


@pytest.mark.parametrize("sampler", ["cost-aware", "nsga2", "random"])
def test_a_seed_decides_a_run_that_asks_nothing_twice(
    folder: Path, capsys: pytest.CaptureFixture[str], sampler: str
) -> None:
    found = []
    for out in ("one", "two"):
        assert search(folder, "--json", "--set", f"search.sampler={sampler}", out=out) == 0
        found.append(read(capsys))
    assert found[0] == found[1]
    run = RunFolder.open(folder / "one")
    assert run.state() == "complete"
    study = optuna.load_study(study_name="nets", storage=f"sqlite:///{run.study}")
    asked = [tuple(trial.params.values()) for trial in study.trials]
    assert len(set(asked)) == len(asked) == 20
    table = {tuple(row[:3]): row[3:] for row in rows()}
    for trial in study.trials:
        assert trial.values == table[tuple(trial.params[n] for n in COLUMNS[:3])]
    events = [json.loads(line) for line in run.events.read_text().splitlines()]
    assert [event["event"] for event in events] == ["evaluated"] * 20
    assert run.read_table_pareto().to_json() == found[0]


def test_going_on_is_with_the_runs_own_copy(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert search(folder) == 0
    assert search(folder, "--resume", "--trials", "48", "--json") == 0
    captured = capsys.readouterr()
    assert "Going on after 20 configurations." in captured.err
    run = RunFolder.open(folder / "run")
    assert len(run.events.read_text().splitlines()) == 48
    shutil.move(folder / "run", folder / "elsewhere")
    (folder / "nets.csv").unlink()
    moved = folder / "elsewhere"
    again = ["search", str(moved / "config.toml"), "--out", str(moved), "--resume"]
    assert main([*again, "--trials", "60"]) == 0
    assert "Every configuration of the table was evaluated" in capsys.readouterr().err


def test_going_on_with_something_else_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert search(folder) == 0
    assert search(folder) == 2
    assert search(folder, "--resume", "--set", "seed=1") == 2
    assert "`seed` differ" in capsys.readouterr().err
    (folder / "nets.csv").write_text((folder / "nets.csv").read_text().replace("shift", "pool"))
    assert search(folder, "--resume") == 2
    assert "was started with another table" in capsys.readouterr().err
    (folder / "run" / "table" / "nets.csv").write_text("a,b\n")
    assert main(["pareto", str(folder / "run")]) == 7


def test_a_run_that_is_interrupted_goes_on(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_up, calls = nas.table_search._evaluate, []

    def interrupted(*arguments: Any) -> bool:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return looked_up(*arguments)

    monkeypatch.setattr(nas.table_search, "_evaluate", interrupted)
    assert search(folder) == 130
    assert "Stopped after 8 of 20 configurations" in capsys.readouterr().err
    run = RunFolder.open(folder / "run")
    assert run.state() == "interrupted"
    assert run.read_table_pareto().evaluated == 8
    assert main([*run.resume_line().split()[1:], "--json"]) == 0
    assert read(capsys)["evaluated"] == 20


def test_budgets_on_a_finished_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert search(folder, "--trials", "48") == 0
    run = folder / "run"
    before = {p: p.read_bytes() for p in run.rglob("*") if p.is_file()}
    capsys.readouterr()
    assert main(["pareto", str(run), "--budget", "latency_us<=4000", "--json"]) == 0
    found = read(capsys)
    table = np.array([row[3:] for row in rows()], dtype=float)
    table = table[table[:, 2] <= 4]
    true = table[nondominated(table, np.array([True, False, False, False]))]
    assert {c["quality"]["value"] for c in found["candidates"]} == set(true[:, 0].tolist())
    assert found["feasible"] == len(table)
    assert main(["pareto", str(run), "--budget", "macs<=4"]) == 4
    assert "None of 48 evaluated configurations meets the budgets" in capsys.readouterr().err
    assert main(["pareto", str(run), "--budget", "macs>=4"]) == 2
    assert main(["pareto", str(run), "--budget", "latency_kg<=4"]) == 2
    assert main(["pareto", str(run), "--budget", "joules<=4"]) == 3
    assert before == {p: p.read_bytes() for p in run.rglob("*") if p.is_file()}


def test_picks(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert search(folder, "--trials", "48") == 0
    capsys.readouterr()

    def picked(text: str) -> list[Any]:
        assert main(["pareto", str(folder / "run"), "--pick", text, "--json"]) == 0
        found = read(capsys)
        return [[*c["config"].values(), c["quality"]["value"]] for c in found]

    best = max((row for row in rows() if row[5] <= 3), key=lambda row: row[3])
    for name in ("quality", "accuracy"):
        assert picked(f"most:{name},latency_us<=3000") == [best[:4]]
    assert picked("least:macs") == [min(rows(), key=lambda row: row[4])[:4]]
    assert len(picked("knee")) == 1
    within = [row for row in picked("all,accuracy>=80") if row[3] < 80]
    assert within == []
    assert main(["pareto", str(folder / "run"), "--pick", "least:accuracy"]) == 2
    assert "write most:accuracy" in capsys.readouterr().err
    assert main(["pareto", str(folder / "run"), "--pick", "least:latency"]) == 3


@pytest.mark.parametrize("command", [["export"], ["cost"]])
def test_what_needs_networks_says_so(
    folder: Path, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    assert search(folder) == 0
    member = RunFolder.open(folder / "run").read_table_pareto().members[0]
    rest = [member.id] if command == ["cost"] else []
    assert main([*command, str(folder / "run"), *rest]) == 2
    assert "of a table of configurations: it has no networks" in capsys.readouterr().err


def test_nothing_feasible_names_the_nearest(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert search(folder, "--set", "budgets.macs=4") == 4
    error = capsys.readouterr().err
    # Of depth 1 and width 4, 8 with a shift and 16 with a convolution.
    assert "macs <= 4: 0.0% of configurations meet it; the smallest is 8: nothing meets" in error
    lines = error.split("Nearest:\n")[1].splitlines()
    assert "op=shift depth=1 width=4: macs 8 (budget 4, missed by +100.0%)" in lines[0]
    assert not (folder / "run").exists()
    # The least latency is a convolution's of 16 multiply-accumulates.
    budgets = ("--set", "budgets.macs=8", "--set", "budgets.latency_ms=0.2")
    assert search(folder, *budgets) == 4
    assert "macs and latency_ms: nothing meets both." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("old", "new", "said", "status"),
    [
        ("conv,1,8,", "conv,1,8,nan;", "row 3 has", 2),
        ("conv,1,8", "conv,one,8", "row 3, column `depth`: 'one' is no number", 2),
        (",0.64,", ",inf,", "row 3, column `latency_ms`: 'inf' is no finite number", 2),
        (",0.64,", ",,", "row 3, column `latency_ms`: there is no value", 2),
        ("latency_ms", "latency", "Unknown column of", 3),
    ],
)
def test_bad_cells_are_named(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    old: str,
    new: str,
    said: str,
    status: int,
) -> None:
    text = (folder / "nets.csv").read_text().replace(old, new.replace(";", ","), 1)
    (folder / "nets.csv").write_text(text)
    assert search(folder) == status
    assert said in capsys.readouterr().err
    assert not (folder / "run").exists()


def test_rows_that_lack_a_value_can_be_left_out(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (folder / "nets.csv").read_text().replace(",0.64,", ",,").replace("shift,1,4,", ",1,4,")
    (folder / "nets.csv").write_text(text)
    assert search(folder, "--set", "table.complete=true") == 0
    # Convolutions of 1 x 8 and of 4 x 4 have that latency.
    assert "Table: 45 rows" in capsys.readouterr().err


def test_equal_configurations_are_one_with_their_medians(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (folder / "nets.csv").open("a", newline="") as file:
        csv.writer(file).writerows([["conv", 1, 4, accuracy, 16, 0.2, 48] for accuracy in (1, 2)])
    assert search(folder, "--trials", "60", "--json") == 0
    captured = capsys.readouterr()
    assert "50 rows, 48 configurations of 3 columns; rows of the same" in captured.err
    assert json.loads(captured.out)["evaluated"] == 48
    study = optuna.load_study(study_name="nets", storage=f"sqlite:///{folder / 'run' / 'study.db'}")
    wanted = {"op": "conv", "depth": 1, "width": 4}
    (trial,) = (trial for trial in study.trials if trial.params == wanted)
    # Of 0.16 and twice 0.2 the median is 0.2.
    assert trial.values == [2, 16, 0.2, 48]


def test_an_error_of_the_quality_sizes_what_counts(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert search(folder, "--json", "--set", "table.quality_error=0.5") == 0
    found = read(capsys)
    assert found["resolutions"]["quality"] == pytest.approx(1.959964 * 0.5)
    assert set(found["probabilities"]) == {c["id"] for c in found["candidates"]}
    assert any(value < 1 for value in found["probabilities"].values())
    study = optuna.load_study(study_name="nets", storage=f"sqlite:///{folder / 'run' / 'study.db'}")
    assert {trial.user_attrs["quality_error"] for trial in study.trials} == {0.5}


def test_objectives_steer_and_all_costs_are_compared(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert search(folder, "--json", "--set", 'search.objectives=["latency_ms"]') == 0
    captured = capsys.readouterr()
    assert "The sampler goes by the quality and latency_ms." in captured.err
    assert set(json.loads(captured.out)["ideal_point"]) == {
        "quality", "macs", "latency_ms", "weights"
    }  # fmt: skip
    storage = f"sqlite:///{folder / 'run' / 'study.db'}"
    directions = optuna.load_study(study_name="nets", storage=storage).directions
    assert [direction.name for direction in directions] == ["MAXIMIZE", "MINIMIZE"]


def test_a_table_on_the_command_line(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    table = ["--table", "nets.csv", "--quality", "accuracy:max", "--costs", "macs,latency_ms"]
    line = ["search", *table, "--config", "op, depth,width", "--trials", "6", "--json"]
    assert main([*line, "--set", "budgets.macs=500"]) == 0
    found = read(capsys)
    assert found["evaluated"] == 6
    assert max(c["indicators"]["macs"]["value"] for c in found["candidates"]) <= 500
    assert RunFolder.open(folder / "runs" / "nets").of_table
    for wrong in (["search", *table], ["search", "nets.toml", *table[2:]]):
        assert main(wrong) == 2
        assert "In place of an experiment file stand --table" in capsys.readouterr().err
    for wrong in (["search"], ["search", "nets.toml", *line[1:]]):
        with pytest.raises(SystemExit) as stop:
            main(wrong)
        assert stop.value.code == 2
        assert "either EXPERIMENT.toml or --table" in capsys.readouterr().err


def problem() -> TableProblem:
    columns = dict(zip(COLUMNS, zip(*rows(), strict=True), strict=True))
    return TableProblem(
        {name: columns[name] for name in ("op", "depth", "width")},
        columns["accuracy"],
        {name: columns[name] for name in ("macs", "latency_ms")},
        maximize=["accuracy"],
        quality_name="accuracy",
    )


def test_a_table_is_searched_from_python() -> None:
    table = problem()
    found = search_table(table, 100, batch=7)
    points = np.array([row[3:6] for row in rows()], dtype=float)
    true = points[nondominated(points, np.array([True, False, False]))]
    assert sorted(m.quality.value for m in found.members) == sorted(true[:, 0].tolist())
    assert found.evaluated == 48
    few = [search_table(table, 10, seed=seed) for seed in (0, 0, 1)]
    assert few[0] == few[1] != few[2]
    assert all(each.evaluated == 10 for each in few)
    within = search_table(table, 10, budgets={"macs": 100})
    assert all(m.indicators["macs"].value <= 100 for m in within.members)
    with pytest.raises(NothingFeasibleError):
        search_table(table, 10, budgets={"macs": 1})


def test_knowing_the_costs_finds_more_than_chance() -> None:
    # 8,000 configurations of which evaluations see 60; shares of the best volume over five seeds.
    sizes = range(20)
    config = np.array(list(itertools.product(sizes, sizes, sizes)))
    cost = 1 + config.sum(axis=1) + 0.1 * config[:, 0]
    error = np.exp(-(config @ [0.03, 0.05, 0.08])) + 0.02 * (config[:, 1] % 3)
    table = TableProblem(
        {name: config[:, i] for i, name in enumerate("abc")}, error, {"cost": cost}
    )

    def volume(sampler: str, seed: int) -> float:
        members = search_table(table, 60, sampler=sampler, seed=seed, batch=5).members
        points = sorted((m.indicators["cost"].value / 60, m.quality.value) for m in members)
        # Of two minimised columns with the reference point (1, 1): steps from left to right.
        ends = [point[0] for point in points[1:]] + [1.0]
        return sum((end - x) * (1 - y) for (x, y), end in zip(points, ends, strict=True))

    known, chance = (
        np.mean([volume(s, seed) for seed in range(5)]) for s in ("cost-aware", "random")
    )
    assert known > chance
