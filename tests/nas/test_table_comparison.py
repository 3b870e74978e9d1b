"""Comparison of indicators on a table that somebody else wrote."""

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import kendalltau

from nas.cli import main
from nas.derived_columns import DerivedColumn
from nas.errors import ExperimentError
from nas.matching import MatchRequest
from nas.table_comparison import TableQuestion, compare_table
from nas.tolerance import Tolerance

COLUMNS = ("model", "arch", "accuracy", "params", "macs", "rate")
GAPS = {3: "", 8: "n/a"}
"""Rows without a rate."""


def rows(n: int = 40) -> list[dict[str, Any]]:
    """Models of two families, each trained in two ways; every fourth is another's architecture."""
    rng = np.random.default_rng(0)
    result: list[dict[str, Any]] = []
    for i in range(n):
        params = float(rng.uniform(1, 100))
        family = "deep" if i % 2 else "wide"
        row: dict[str, Any] = {
            "model": f"{family}_{i}.{'in21k' if i % 3 == 0 else 'in1k'}",
            "arch": f"{family}_{i - i % 4}",
            "accuracy": round(50 + 10 * np.log10(params) + float(rng.normal()), 3),
            "params": round(params, 3),
            "macs": round(params * float(rng.uniform(0.5, 2)), 3),
            "rate": round(1e4 / params * float(rng.uniform(0.3, 3)) / (1 + i % 2), 2),
        }
        result.append(row | {"rate": GAPS.get(i, row["rate"])})
    return result


def write(path: Path, found: list[dict[str, Any]]) -> Path:
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "wt", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(found[0]))
        writer.writeheader()
        writer.writerows(found)
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write(tmp_path / "models.csv", rows())


def asked(path: Path, **changes: Any) -> TableQuestion:
    given: dict[str, Any] = {
        "file": path,
        "quality": "accuracy:max",
        "costs": ("params", "macs", "rate:max"),
    }
    return TableQuestion(**(given | changes))


def run(path: Path, *arguments: str) -> int:
    costs = ("--quality", "accuracy:max", "--costs", "params,macs,rate:max")
    return main(["compare", "--table", str(path), *costs, *arguments])


FAMILY = DerivedColumn.parse("family=model~^([a-z]+)")
TRAINED = DerivedColumn.parse("trained=model~in21k|in1k")


class TestQuestion:
    def test_a_table_is_read_with_its_gaps(self, path: Path) -> None:
        table = asked(path).read()
        assert len(table) == 40
        assert table.missing == {"accuracy": 0, "params": 0, "macs": 0, "rate": 2}
        assert table.names[0] == "wide_0.in21k"
        assert table.maximized == {"accuracy", "rate"}

    def test_csv_gz_and_npz_say_the_same(self, path: Path, tmp_path: Path) -> None:
        found = rows()
        zipped = write(tmp_path / "models.csv.gz", found)
        columns = {name: [row[name] for row in found] for name in COLUMNS}
        rates = [float(rate) if isinstance(rate, float) else np.nan for rate in columns["rate"]]
        arrays = tmp_path / "models.npz"
        np.savez(arrays, **{n: np.array(columns[n]) for n in COLUMNS[:5]}, rate=np.array(rates))
        expected = compare_table(asked(path)).to_json()
        assert compare_table(asked(zipped)).to_json() == expected
        assert compare_table(asked(arrays)).to_json() == expected

    def test_models_are_called_by_a_column_or_their_row(self, path: Path, tmp_path: Path) -> None:
        assert asked(path, name=("arch",)).read().names[5] == "deep_4"
        assert asked(path, name=("arch", "model")).read().names[5] == "deep_4 deep_5.in1k"
        unnamed = [{k: v for k, v in row.items() if k != "model"} for row in rows()]
        bare = write(tmp_path / "bare.csv", unnamed)
        # The first line holds the names.
        assert asked(bare).read().names[:2] == ("row 2", "row 3")

    def test_of_equal_rows_the_best_is_kept(self, path: Path) -> None:
        table = asked(path, unique=("arch",)).read()
        best: dict[str, dict[str, Any]] = {}
        for row in rows():
            if row["arch"] not in best or row["accuracy"] > best[row["arch"]]["accuracy"]:
                best[row["arch"]] = row
        assert set(table.names) == {row["model"] for row in best.values()}
        assert len(asked(path, unique=("arch", "model")).read()) == 40

    def test_rows_with_gaps_are_left_out_first_where_asked_for(self, path: Path) -> None:
        table = asked(path, complete=True, unique=("model",)).read()
        assert len(table) == 38
        assert table.complete.all()

    def test_only_rows_with_a_value(self, path: Path) -> None:
        table = asked(path, derived=(TRAINED,), where={"trained": ["in21k"]}).read()
        assert len(table) == 14
        assert all(name.endswith("in21k") for name in table.names)

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"quality": "top1:max"}, r"Unknown column .*'top1'.*Known: model, arch, accuracy"),
            ({"costs": ("params", "flops")}, r"Unknown column .*'flops'.*Known: model"),
            ({"name": ("nam",)}, "Unknown column"),
            ({"family": "famly"}, "Unknown column"),
            ({"strata": ("year",)}, "Unknown column"),
            ({"unique": ("arc",)}, "Unknown column"),
            ({"where": {"year": ["1"]}}, "Unknown column"),
            ({"derived": (DerivedColumn.parse("a=b~c"),)}, "Unknown column"),
            ({"where": {"arch": ["none"]}}, "no row has"),
            ({"where": {"model": ["deep_1.in1k"]}}, "one row to compare"),
            ({"costs": ("params", "arch")}, r"row 2, column `arch`: 'wide_0' is no number"),
            ({"costs": ("params", "params")}, "a name of its own"),
            ({"costs": ("params", "accuracy")}, "a name of its own"),
            ({"costs": ()}, "There is no cost"),
            ({"errors": {"flops": Tolerance(0.1)}}, "flops is neither"),
            ({"match": MatchRequest(("params",))}, "at least two; got none"),
            ({"match": MatchRequest(("flops",)), "family": "arch"}, "none of the costs"),
        ],
    )
    def test_what_cannot_be_done_is_said(
        self, path: Path, changes: dict[str, Any], message: str
    ) -> None:
        with pytest.raises(ExperimentError, match=message):
            compare_table(asked(path, **changes))

    def test_text_in_a_numeric_column_names_row_and_column(self, tmp_path: Path) -> None:
        found = rows()
        found[6]["macs"] = "about 12"
        with pytest.raises(ExperimentError, match=r"row 8, column `macs`: 'about 12' is no number"):
            compare_table(asked(write(tmp_path / "text.csv", found)))

    def test_a_column_without_a_value(self, tmp_path: Path) -> None:
        found = [row | {"macs": ""} for row in rows()]
        with pytest.raises(ExperimentError, match="no value in column `macs`"):
            compare_table(asked(write(tmp_path / "empty.csv", found)))


class TestAnswer:
    def test_rank_correlations_use_what_each_pair_has(self, path: Path) -> None:
        found = compare_table(asked(path)).to_json()
        data = [row for row in rows() if isinstance(row["rate"], float)]
        expected = kendalltau(
            [row["params"] for row in data], [1 / row["rate"] for row in data]
        ).statistic
        # A throughput ranks as the latency that it is one over.
        assert found["kendall"]["params"]["rate"] == pytest.approx(expected)
        assert found["kendall"]["rate"]["params"] == found["kendall"]["params"]["rate"]
        intervals = found["kendall_intervals"]
        assert intervals["params"]["rate"]["n"] == 38
        assert intervals["params"]["macs"]["n"] == 40
        assert intervals["params"]["rate"]["low"] < expected < intervals["params"]["rate"]["high"]
        accuracy = kendalltau(*([row[c] for row in rows()] for c in ("params", "accuracy")))
        assert found["kendall"]["params"]["accuracy"] == pytest.approx(-accuracy.statistic)

    def test_a_rate_and_the_time_it_is_one_over_say_the_same(self, tmp_path: Path) -> None:
        both = [
            row | {"time": 1 / row["rate"] if isinstance(row["rate"], float) else ""}
            for row in rows()
        ]
        path = write(tmp_path / "both.csv", both)
        rate, time = (
            compare_table(asked(path, costs=("params", cost))).to_json()
            for cost in ("rate:max", "time")
        )
        for key in ("kendall", "front_size", "flips", "telling", "membership", "recommendations"):
            told = json.dumps(time[key]).replace('"time"', '"rate"')
            assert _rounded(json.loads(told)) == _rounded(rate[key])

    def test_json_has_what_is_promised(self, path: Path) -> None:
        question = asked(
            path, derived=(FAMILY, TRAINED), family="family", strata=("trained",),
            match=MatchRequest(("params",)), errors={"rate": Tolerance(0.05)},
        )  # fmt: skip
        found = json.loads(json.dumps(compare_table(question).to_json(), allow_nan=False))
        assert {"kendall", "front_size", "flips", "redundant"} <= set(found)
        assert set(found["front_size"]) == {"params", "macs", "rate", "all"}
        assert found["n"] == {"models": 40, "scored": 40, "complete": 38}
        assert found["missing"]["rate"] == 2
        assert sum(found["families"]["params"].values()) == pytest.approx(1)
        assert [m["indicators"] for m in found["match"]] == [["params"]] * 3
        assert [g["labels"]["trained"] for g in found["strata"]["groups"]] == ["in1k", "in21k"]
        assert [g["n"]["models"] for g in found["strata"]["groups"]] == [26, 14]
        flips = found["flips"][0]
        assert flips["indicators"] == ["params", "macs"]
        assert flips["share"] == flips["flipped"] / (flips["pairs"] - flips["tied"])

    def test_a_stratum_is_the_table_of_its_rows(self, path: Path) -> None:
        divided = compare_table(asked(path, derived=(TRAINED,), strata=("trained",)))
        alone = compare_table(asked(path, derived=(TRAINED,), where={"trained": ["in21k"]}))
        assert divided.strata[1].disagreement.to_json() == alone.overall.to_json()
        assert divided.small == 0
        assert compare_table(asked(path, strata=("arch",))).small == 20

    def test_what_strata_mix_is_no_correlation_within(self, tmp_path: Path) -> None:
        # Within each way of training macs fall with params, and the second is dearer in both.
        found = [
            {"accuracy": i, "params": i % 20 + 100 * (i // 20), "macs": -(i % 20) + 100 * (i // 20),
             "trained": i // 20}
            for i in range(40)
        ]  # fmt: skip
        path = write(tmp_path / "mixed.csv", found)
        answer = compare_table(asked(path, costs=("params", "macs"), strata=("trained",)))
        assert answer.overall.kendall["params"]["macs"].tau > 0
        assert answer.pooled["params"]["macs"].tau == -1

    def test_indicators_that_rank_alike_are_redundant(self, tmp_path: Path) -> None:
        found = [row | {"bytes": 4 * row["params"]} for row in rows()]
        path = write(tmp_path / "bytes.csv", found)
        answer = compare_table(asked(path, costs=("params", "bytes", "rate:max")))
        assert [group.names for group in answer.overall.redundant] == [("params", "bytes")]


def _rounded(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _rounded(value) for key, value in data.items()}
    if isinstance(data, list):
        return [_rounded(value) for value in data]
    return round(data, 9) if isinstance(data, float) else data


class TestCommand:
    def test_the_first_lines_say_what_single_indicators_conclude(
        self, path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run(path) == 0
        out, error = capsys.readouterr()
        first, second, *_ = out.splitlines()
        recommended = compare_table(asked(path)).overall.recommendations[1]
        assert first.startswith("At accuracy ")
        assert f"recommend {len(set(recommended.cheapest.values()))} different models" in first
        assert " alone it is " in second
        assert "Missing, and left out where they are needed: rate 2." in out
        assert error == ""

    def test_everything_is_shown_where_it_is_asked_for(
        self, path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        status = run(
            path, "--derive", "family=model~^([a-z]+)", "--derive", "trained=model~in21k|in1k",
            "--family", "family", "--strata", "trained", "--match", "params,rate",
            "--error", "rate=5%", "--error", "accuracy=0.1", "--unique", "model",
        )  # fmt: skip
        assert status == 0
        out = capsys.readouterr().out
        for heading in (
            "Share of the front against each indicator, by family",
            "Rank correlation within strata",
            "Family with most on each front",
            "Best accuracy of each family at equal cost",
            "The winner ",
        ):
            assert heading in " ".join(out.split())

    def test_it_fits_a_terminal_of_100_columns(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        long = {name: f"{name}__amp-pt291-cu130-on-some-device" for name in COLUMNS[2:]}
        renamed = [
            {long.get(name, name): f"{cell}_of_a_long_name_{'x' * 20}" if name == "model" else cell
             for name, cell in row.items()}
            for row in rows()
        ]  # fmt: skip
        quality, *costs = long.values()
        status = main([
            "compare", "--table", str(write(tmp_path / "long.csv", renamed)),
            "--quality", f"{quality}:max", "--costs", ",".join(costs),
            "--derive", "family=model~^([a-z]+)", "--derive", "trained=model~in21k|in1k",
            "--family", "family", "--strata", "trained", "--match", f"{costs[0]},{costs[1]}",
        ])  # fmt: skip
        assert status == 0
        out = capsys.readouterr().out
        assert max(map(len, out.splitlines())) <= 100
        for place, name in enumerate(costs):
            assert f"{'ABC'[place]} is {name}" in " ".join(out.split())
        best = max(renamed, key=lambda row: row[quality])
        assert best["model"] in out

    def test_json_is_that_of_the_answer(
        self, path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run(path, "--json", "--where", "arch=wide_0", "--where", "arch=deep_4") == 0
        found = json.loads(capsys.readouterr().out)
        expected = compare_table(asked(path, where={"arch": ["wide_0", "deep_4"]})).to_json()
        assert found == json.loads(json.dumps(expected))
        assert found["n"]["models"] == 4

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--quality", "accuracy:max"], "no --costs; columns are model, arch, accuracy"),
            (["--costs", "params"], "no --quality; columns are model, arch, accuracy"),
            ([], "no --quality and no --costs; columns are model"),
            (["--quality", "top1", "--costs", "params"], "Known: model, arch, accuracy"),
            (["--quality", "accuracy", "--costs", "params", "--seeds", "3"], "--seeds is no"),
            (["--quality", "accuracy", "--costs", "params", "--arms", "all"], "--arms is no opt"),
            (["--quality", "accuracy", "--costs", "params", "--error", "rate"], "--error takes"),
            (["--quality", "accuracy", "--costs", "params", "--error", "params=x"], "error is a"),
            (["--quality", "accuracy", "--costs", "params", "--where", "=1"], "--where takes"),
            (["--quality", "accuracy", "--costs", "params", "--derive", "x"], "NAME=COLUMN~"),
            (["--quality", "accuracy", "--costs", "params", "--at", "params=1"], "not matched on"),
        ],
    )  # fmt: skip
    def test_bad_usage_ends_with_2(
        self, path: Path, arguments: list[str], message: str,
        capsys: pytest.CaptureFixture[str],
    ) -> None:  # fmt: skip
        assert main(["compare", "--table", str(path), *arguments]) == 2
        out, error = capsys.readouterr()
        assert out == ""
        assert message in error

    def test_a_file_that_is_not_there_ends_with_3(self, tmp_path: Path) -> None:
        assert run(tmp_path / "none.csv") == 3

    def test_a_folder_is_no_table(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(tmp_path) == 2
        assert f"{tmp_path} is a folder, no table; name a CSV" in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [([], "neither is given"), (["a.toml", "--table", "b.csv"], "both are given")],
    )
    @pytest.mark.parametrize("command", ["compare", "search"])
    def test_an_experiment_or_a_table_is_compared(
        self, command: str, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(SystemExit) as stop:
            main([command, *arguments])
        assert stop.value.code == 2
        out, error = capsys.readouterr()
        assert out == ""
        assert error.startswith(f"usage: hwnas {command} ")
        assert f"{said}. `hwnas {command} --help`" in error

    def test_options_of_a_table_are_none_of_an_experiment(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        status = main(["compare", str(tmp_path / "a.toml"), "--costs", "params", "--complete"])
        assert status == 2
        assert "--costs, --complete is no option" in capsys.readouterr().err
