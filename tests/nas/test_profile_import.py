"""``hwnas profile import`` and ``predict``: tables of a law that is known."""

import csv
import io
import json
import re
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hw_profiles import Device
from hw_profiles.profile import HardwareProfile
from nas.cli import main

GIVEN = {
    "n", "bias", "mape", "within_5", "within_10", "tau", "aa_within_5", "aa_within_10", "aa_tau",
}  # fmt: skip
"""Figures that ``hwnas profile list --json`` has of each family."""


@dataclass
class Ended:
    """A command that is over."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def hwnas(*words: object) -> Ended:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        try:
            status = main([str(word) for word in words])
        except SystemExit as stop:
            status = int(stop.code or 0)
    assert "Traceback" not in err.getvalue(), err.getvalue()
    return Ended(status, out.getvalue(), err.getvalue())


def milliseconds(depth: int, width: int) -> float:
    return 1 + 0.1 * depth + 1e-4 * depth * width**2


def rows(n: int = 60) -> list[list[Any]]:
    """Depth, width, latency on two devices in turn, and the device."""
    rng = np.random.default_rng(0)
    found: list[list[Any]] = []
    for i in range(2 * n):
        depth, width = int(rng.integers(1, 9)), 8 * int(rng.integers(1, 9))
        noise = float(np.exp(0.01 * rng.standard_normal()))
        found.append([depth, width, (1 + 2 * (i % 2)) * milliseconds(depth, width) * noise])
        found[-1].append(("fast", "slow")[i % 2])
    return found


def write(path: Path, cells: Sequence[Sequence[Any]]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["depth", "width", "ms", "device"], *cells])
    return path


OPTIONS = ("--latency", "ms:ms", "--features", "depth", "width", "--folds", "3")
FAST = ("--where", "device=fast")


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("table") / "zoo.csv", rows())


@pytest.fixture(scope="module")
def imported(table: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ended]:
    """A folder with the two devices' measurements, and what importing the first printed."""
    folder = tmp_path_factory.mktemp("profiles") / "bench"
    first = hwnas("profile", "import", table, *OPTIONS, *FAST, "--out", folder, "--setting", "fast")
    assert first.status == 0, first.err
    where = ("--where", "device=slow", "--setting", "slow", "--in-order")
    assert hwnas("profile", "import", table, *OPTIONS, *where, "--out", folder).status == 0
    return folder, first


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HWNAS_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("hw_profiles.profile.DATA", tmp_path / "shipped")
    return tmp_path / "home"


def test_import_prints_the_certificate(imported: tuple[Path, Ended]) -> None:
    folder, ended = imported
    assert "column ms (ms) of zoo.csv, device = fast" in ended.out
    assert "depth: 1 to 8" in ended.out
    assert re.search(r"all +60 ", ended.out)
    assert "Cross-validated in 3 parts" in ended.out
    assert f"hwnas profile predict {folder}:fast" in ended.err


def test_list_and_show_have_the_certificate(imported: tuple[Path, Ended]) -> None:
    folder, _ = imported
    items = hwnas("profile", "list", folder, "--json").json
    assert [(item["profile"], item["setting"]) for item in items] == [
        ("bench", "fast"),
        ("bench", "slow"),
    ]
    for item in items:
        assert item["energy"] is False
        score = item["certificate"]["published"]
        assert set(score) >= GIVEN
        assert (score["n"], score["folds"], score["aa_tau"]) == (60, 3, None)
        assert score["mape"] < 0.03
        assert score["within_10"] > 0.95
    assert items[0]["published"]["steady"] is None
    assert items[1]["published"]["steady"]["n"] > 40
    listed = hwnas("profile", "list", folder)
    assert re.search(r"bench +fast .*published \d+\.\d% \(\d+\.\d%\) of 60", listed.out)
    shown = hwnas("profile", "show", f"{folder}:slow")
    assert shown.status == 0
    assert "usual state" in shown.out
    assert "fast" not in shown.out
    assert hwnas("profile", "show", folder, "--json").json == items


def test_import_with_no_folder_is_found_by_name(table: Path, home: Path) -> None:
    assert hwnas("profile", "import", table, *OPTIONS, *FAST).status == 0
    assert (home / "profiles" / "zoo" / "imported" / "zoo.json").is_file()
    (item,) = hwnas("profile", "list", "--json").json
    assert (item["profile"], item["setting"]) == ("zoo", "zoo")
    assert hwnas("profile", "show", "zoo", "--json").json == [item]
    assert hwnas("profile", "predict", "zoo", "depth=4", "width=32").status == 0
    unknown = hwnas("profile", "show", "zo")
    assert unknown.status == 3
    assert "Did you mean 'zoo'" in unknown.err


def test_import_prints_json(table: Path, tmp_path: Path) -> None:
    ended = hwnas("profile", "import", table, *OPTIONS, *FAST, "--out", tmp_path / "p", "--json")
    assert ended.json["published"]["source"]["where"] == {"device": "fast"}
    assert [ended.json] == hwnas("profile", "list", tmp_path / "p", "--json").json


def test_predicted_values_are_those_of_the_law(imported: tuple[Path, Ended]) -> None:
    folder, _ = imported
    for setting, factor in (("fast", 1e-3), ("slow", 3e-3)):
        place = f"{folder}:{setting}"
        (item,) = hwnas("profile", "predict", place, "depth=5", "width=40", "--json").json
        true = factor * milliseconds(5, 40)
        assert item["config"] == {"depth": "5", "width": "40"}
        assert item["latency_s"] == pytest.approx(true, rel=0.03)
        assert item["low_s"] < true < item["high_s"]


def test_rows_of_a_file_are_predicted(imported: tuple[Path, Ended], tmp_path: Path) -> None:
    folder, _ = imported
    path = write(tmp_path / "new.csv", [[2, 64, "", ""], [8, 8, "", ""]])
    items = hwnas("profile", "predict", f"{folder}:fast", "--table", path, "--json").json
    assert [item["config"]["width"] for item in items] == ["64", "8"]
    for item, values in zip(items, ((2, 64), (8, 8)), strict=True):
        assert item["latency_s"] == pytest.approx(1e-3 * milliseconds(*values), rel=0.05)
    shown = hwnas("profile", "predict", f"{folder}:fast", "--table", path)
    assert f"{1e3 * items[0]['latency_s']:.4g}" in shown.out
    write(path, [[2, 64, "", ""], [80, 8, "", ""]])
    wrong = hwnas("profile", "predict", f"{folder}:fast", "--table", path)
    assert wrong.status == 2
    assert "new.csv, row 2: `depth` must be within what was measured, 1 to 8; got 80" in wrong.err


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["depth=5", "width=400"], 2, "8 to 64; got 400"),
        (["depth=5"], 2, "lacks ['width']"),
        (["depth=5", "width=40", "x=1"], 3, "Unknown feature 'x'"),
        (["depth=5", "width"], 2, "must be NAME=VALUE, each name once; got 'width'"),
        (["depth=5", "depth=6"], 2, "each name once; got 'depth=6'"),
        ([], 2, "depth=... width=..."),
        (["depth=5", "--table", "t.csv"], 2, "one of the two"),
        (["--table", "gone.csv"], 3, "gone.csv"),
        (["--table", "gone.xls"], 2, "must end in"),
    ],
)
def test_prediction_that_cannot_be_is_refused(
    imported: tuple[Path, Ended], words: list[str], status: int, message: str
) -> None:
    ended = hwnas("profile", "predict", f"{imported[0]}:fast", *words)
    assert (ended.status, ended.out) == (status, "")
    assert message in ended.err


def test_profile_with_several_imports_needs_the_setting(imported: tuple[Path, Ended]) -> None:
    ended = hwnas("profile", "predict", imported[0], "depth=5", "width=40")
    assert ended.status == 2
    assert "It has fast, slow." in ended.err
    unknown = hwnas("profile", "predict", f"{imported[0]}:fats", "depth=5", "width=40")
    assert unknown.status == 3
    assert "Did you mean 'fast'" in unknown.err


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        ([], 2, "it has depth, width, ms, device"),
        (["--latency", "ms:ms"], 2, "--features"),
        (["--latency", "ms", "--features", "depth"], 2, "a column and its unit, as in 'ms:ms'"),
        (["--latency", "ms:h", "--features", "depth"], 3, "Known: s, ms, us, ns"),
        (["--latency", "mss:ms", "--features", "depth"], 3, "Did you mean 'ms'"),
        ([*OPTIONS, "--where", "device=x"], 3, "Known: fast, slow"),
        ([*OPTIONS, "--where", "device"], 2, "NAME=VALUE"),
        ([*OPTIONS, "--folds", "1"], 2, "and 1 folds"),
        ([*OPTIONS, *FAST, "--setting", "a/b"], 2, "`--setting` must be letters"),
    ],
)
def test_import_that_cannot_be_is_refused(
    table: Path, tmp_path: Path, words: list[str], status: int, message: str
) -> None:
    ended = hwnas("profile", "import", table, *words, "--out", tmp_path / "p")
    assert (ended.status, ended.out) == (status, "")
    assert message in ended.err
    assert not (tmp_path / "p").exists()


@pytest.mark.parametrize(("cell", "what"), [("nan", "nan"), ("-1", "-1"), ("fast", "fast")])
def test_cell_that_is_no_latency_is_named(tmp_path: Path, cell: str, what: str) -> None:
    cells = rows()
    cells[6][2] = cell
    path = write(tmp_path / "t.csv", cells)
    ended = hwnas("profile", "import", path, *OPTIONS, *FAST, "--out", tmp_path / "p")
    assert ended.status == 7
    assert f"t.csv, row 7, column 'ms' must hold a time above 0; got '{what}'" in ended.err


def test_files_that_are_no_tables(tmp_path: Path) -> None:
    assert hwnas("profile", "import", tmp_path / "gone.csv", *OPTIONS).status == 3
    (tmp_path / "t.npz").write_bytes(b"no")
    assert hwnas("profile", "import", tmp_path / "t.npz", *OPTIONS).status == 7
    (tmp_path / "t.txt").write_text("no")
    assert hwnas("profile", "import", tmp_path / "t.txt", *OPTIONS).status == 2
    few = write(tmp_path / "few.csv", rows(10))
    ended = hwnas("profile", "import", few, *OPTIONS)
    assert ended.status == 2
    assert "at least 30 architectures" in ended.err


def test_import_that_was_changed_is_corrupt(table: Path, tmp_path: Path) -> None:
    folder = tmp_path / "p"
    assert hwnas("profile", "import", table, *OPTIONS, *FAST, "--out", folder).status == 0
    path = folder / "imported" / "zoo.json"
    path.write_text(path.read_text().replace('"depth"', '"death"', 1))
    for action in ("list", "show"):
        ended = hwnas("profile", action, folder)
        assert ended.status == 7
        assert "zoo.json has a wrong checksum" in ended.err


def test_import_again_takes_the_place_of_the_first(table: Path, tmp_path: Path) -> None:
    folder = tmp_path / "p"
    for device in ("fast", "slow"):
        where = ("--where", f"device={device}")
        assert hwnas("profile", "import", table, *OPTIONS, *where, "--out", folder).status == 0
    (item,) = hwnas("profile", "list", folder, "--json").json
    assert item["published"]["source"]["where"] == {"device": "slow"}


def test_imports_and_tables_are_not_mixed(
    table: Path, imported: tuple[Path, Ended], tmp_path: Path
) -> None:
    device = Device("Moon 1", "sm_99", 132, 80 << 30, "def", "gpu")
    HardwareProfile("moon", tmp_path / "moon", device).save()
    ended = hwnas("profile", "import", table, *OPTIONS, *FAST, "--out", tmp_path / "moon")
    assert ended.status == 2
    assert "a folder of their own" in ended.err
    measure = hwnas(
        "profile", "measure", "--space", "vit_96", "--runtime", "onnxruntime", "--out", imported[0]
    )
    assert measure.status == 2
    assert "holds published measurements of another device" in measure.err
    validate = hwnas("profile", "validate", imported[0])
    assert validate.status == 2
    assert "cannot be repeated" in validate.err
    plot = hwnas("profile", "show", imported[0], "--plot", tmp_path / "p.svg")
    assert plot.status == 2
    assert "are of tables" in plot.err
    predict = hwnas("profile", "predict", tmp_path / "moon", "depth=1")
    assert predict.status == 2
    assert "holds no imported measurements" in predict.err


def test_help_says_what_an_import_can_do() -> None:
    said = " ".join(hwnas("profile", "import", "--help").out.split())
    assert "certified by cross-validation" in said
    assert "architectures of hwnas are not priced with it" in said
    assert "predict" in hwnas("profile", "--help").out
