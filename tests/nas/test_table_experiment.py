"""Experiments on tables: what a file may say, and how it is refused."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from nas.errors import ExperimentError, exit_status
from nas.table_experiment import TableExperiment
from search_spaces import UnknownNameError

EXAMPLES = Path(__file__).parents[2] / "examples" / "tables"


def data(**changes: Any) -> dict[str, Any]:
    table: dict[str, Any] = {
        "file": "x.csv",
        "quality": "accuracy:max",
        "costs": ["macs", "latency_ms", "images_per_s:max"],
        "config": ["depth"],
    }
    return {"name": "x", "table": table} | changes


def refused(given: dict[str, Any]) -> tuple[str, int]:
    with pytest.raises((ExperimentError, UnknownNameError)) as caught:
        TableExperiment.from_data(given, "x.toml")
    return str(caught.value), exit_status(caught.value)


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.toml")), ids=lambda path: path.stem)
def test_examples_are_experiments(path: Path, tmp_path: Path) -> None:
    experiment = TableExperiment.load(path)
    assert experiment.name == path.stem
    again = tmp_path / "again.toml"
    again.write_text(experiment.to_toml())
    assert TableExperiment.load(again) == experiment


def test_budgets_are_in_the_columns_own_units() -> None:
    experiment = TableExperiment.from_data(
        data(budgets={"latency_s": 0.02, "macs": 5, "images_per_ms": 3})
    )
    assert experiment.budgets == {"latency_ms": 20.0, "macs": 5.0, "images_per_s": 3000.0}
    assert [c.maximize for c in experiment.costs.values()] == [False, False, True]
    assert experiment.objectives == ("macs", "latency_ms", "images_per_s")


@pytest.mark.parametrize(
    ("changes", "said", "status"),
    [
        ({"budgets": {"latency_kg": 2}}, "`latency_kg`: kg does not fit, as `latency_ms`", 2),
        ({"budgets": {"flops": 2}}, "`budgets`: Unknown cost 'flops'", 3),
        ({"budgets": {"accuracy": 2}}, "Unknown cost 'accuracy'", 3),
        ({"budgets": {"macs": 0}}, "`budgets.macs` must be above 0", 2),
        ({"budgets": {"latency_s": 1, "latency_us": 1}}, "two budgets of `latency_ms`", 2),
        ({"search": {"objectives": ["mac"]}}, "`search.objectives`: Unknown cost 'mac'", 3),
        ({"search": {"sampler": "nsga"}}, "`search.sampler`: Unknown sampler 'nsga'", 3),
        ({"search": {"trials": 0}}, "`search.trials`", 2),
        ({"spaces": {}}, "unknown key `spaces`", 2),
    ],
)
def test_what_cannot_be_is_said(changes: dict[str, Any], said: str, status: int) -> None:
    message, found = refused(data(**changes))
    assert said in message
    assert message.startswith("x.toml: ")
    assert found == status


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"costs": []}, "`table.costs`"),
        ({"config": []}, "`table.config`"),
        ({"costs": ["macs", "macs"]}, "each column once"),
        ({"costs": ["macs", "quality"]}, "a cost is called `quality`"),
        ({"qualty": "x"}, "Did you mean `quality`"),
        ({"quality_error": 0}, "`table.quality_error`"),
        ({"cell": {"edges": {"a": [0]}}}, "`table.cell.edges.a"),
    ],
)
def test_what_a_table_cannot_be_is_said(changes: dict[str, Any], said: str) -> None:
    given = data()
    given["table"] |= changes
    message, status = refused(given)
    assert said in message
    assert status == 2


def test_a_path_is_from_the_experiment_or_from_here(tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "own").mkdir()
    file = tmp_path / "own" / "x.toml"
    file.write_text('name="x"\n[table]\nfile="x.csv"\nquality="a"\ncosts=["b"]\nconfig=["c"]\n')
    monkeypatch.chdir(tmp_path)
    assert TableExperiment.load(file).table.file == str(tmp_path / "x.csv")
    (tmp_path / "own" / "x.csv").touch()
    assert TableExperiment.load(file).table.file == str(tmp_path / "own" / "x.csv")
    assert TableExperiment.load(file, ["table.quality=a:max"]).table.quality == "a:max"


def test_the_example_is_what_its_formulas_say() -> None:
    source = (EXAMPLES / "models.py").read_text()
    names: dict[str, Any] = {"__name__": "models"}
    exec(compile(source, "models.py", "exec"), names)
    lines = (EXAMPLES / "models.csv").read_text().splitlines()
    assert lines[0] == ",".join(names["COLUMNS"])
    for line in lines[1:]:
        operation, kernel, depth, width, *_ = line.split(",")
        row = names["row"](operation, int(kernel), int(depth), int(width))
        assert line == ",".join(map(str, row))
    # By hand: 3^2 8^2 = 576 weights a layer, twice; sqrt(576) 2 = 48, 0.04 + 0.6 48^-0.4.
    assert lines[1].split(",")[4:7] == ["0.1675", str(2 * 576 + 80), str(64 * 2 * 576)]


def test_the_example_is_valid_toml() -> None:
    read = tomllib.loads((EXAMPLES / "models.toml").read_text())
    assert read["table"]["file"] == "models.csv"
