"""What each budget leaves of a space, against every architecture of it."""

from pathlib import Path

import numpy as np
import pytest

from nas.budget_table import budget_table, listed_budget_table, report_budgets
from nas.cli import main
from nas.indicators import Indicator
from nas.pricer import Pricer
from nas.progress import Reporter
from search_spaces import CountTable, TrainingSetup, UnionSpace


def test_shares_and_smallest_values_are_those_of_all_codes(
    tiny_space: UnionSpace, tiny_pricer: Pricer, tiny_codes: np.ndarray
) -> None:
    values = tiny_pricer.price_codes(tiny_space, tiny_codes)
    budgets = {
        "macs": float(np.quantile(values["macs"], 0.4)),
        "latency_s@local": float(np.quantile(values["latency_s@local"], 0.6)),
        "throughput_per_s@local": float(np.quantile(values["throughput_per_s@local"], 0.5)),
    }
    table = budget_table(tiny_space, tiny_pricer, budgets, seed=0)
    assert [row.name for row in table.rows] == list(budgets)
    met = []
    for row in table.rows:
        column, most = values[row.name], row.name.startswith("throughput")
        met.append(column >= row.limit if most else column <= row.limit)
        assert row.share == pytest.approx(met[-1].mean(), abs=0.02)
        assert row.reachable == pytest.approx(column.max() if most else column.min())
        assert row.possible
    assert table.share == pytest.approx(np.all(met, axis=0).mean(), abs=0.02)
    assert table == budget_table(tiny_space, tiny_pricer, budgets, seed=0)


def test_a_pair_that_excludes_each_other(
    tiny_space: UnionSpace, tiny_pricer: Pricer, tiny_codes: np.ndarray
) -> None:
    # The fewest parameters are a CNN's, the fewest activations a transformer's.
    values = tiny_pricer.price_codes(tiny_space, tiny_codes)
    budgets = {name: float(values[name].min()) for name in ("params", "activations")}
    budgets["macs"] = float(values["macs"].max())
    table = budget_table(tiny_space, tiny_pricer, budgets, seed=0)
    assert table.conflicts == (("params", "activations"),)
    assert table.share == 0.0
    assert all(row.possible for row in table.rows)


def test_what_nothing_meets_is_said_once(
    tiny_space: UnionSpace, tiny_pricer: Pricer, tiny_codes: np.ndarray, quiet: Reporter
) -> None:
    values = tiny_pricer.price_codes(tiny_space, tiny_codes)
    budgets = {"params": float(values["params"].min()) / 2, "macs": float(values["macs"].max())}
    table = budget_table(tiny_space, tiny_pricer, budgets, seed=0)
    assert [row.possible for row in table.rows] == [False, True]
    assert table.rows[0].share == 0.0
    assert table.conflicts == ()  # It goes with no other anyway.
    report_budgets(tiny_space, tiny_pricer, budgets, 0, quiet)
    text = quiet.text  # type: ignore[attr-defined]
    assert f"the smallest found is {values['params'].min():.4g}: nothing meets it." in text
    assert "100.0% of random architectures meet it" in text
    assert "All of them: 0.0% meet them." in text


def test_without_budgets_nothing_is_said(
    tiny_space: UnionSpace, tiny_pricer: Pricer, quiet: Reporter
) -> None:
    report_budgets(tiny_space, tiny_pricer, {}, 0, quiet)
    assert quiet.text == ""  # type: ignore[attr-defined]
    assert budget_table(tiny_space, tiny_pricer, {}, 0).share == 1.0


def test_the_smallest_value_of_a_large_space_is_found(
    vast_space: UnionSpace, tiny_pricer: Pricer
) -> None:
    # One network is the smallest; 20,000 random draws do not hit it.
    space, pricer = vast_space, Pricer(tiny_pricer.counts, TrainingSetup(), {})
    least = np.zeros((1, len(space.parameters)), dtype=np.int64)
    smallest = float(pricer.price_codes(space, least)["macs"][0])
    (row,) = budget_table(space, pricer, {"macs": 2 * smallest}, seed=0).rows
    assert row.reachable == smallest


def test_a_table_as_json(tiny_space: UnionSpace) -> None:
    pricer = Pricer(CountTable(), TrainingSetup(), {})
    table = budget_table(tiny_space, pricer, {"macs": 1e12}, seed=0)
    data = table.to_json()
    assert data["rows"][0]["share"] == data["share"] == 1.0
    assert data["conflicts"] == []


def test_a_search_prints_the_table_before_it_gives_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "x.toml"
    file.write_text(
        'name = "x"\n[spaces.vit]\ndepth = [1]\n[budgets]\nparams = 1\nmodel_mb = 100\n'
    )
    assert main(["search", str(file), "--out", str(tmp_path / "run")]) == 4
    error = capsys.readouterr().err
    table, nearest = error.index("nothing meets it"), error.index("Nearest:")
    assert table < nearest
    assert "model_bytes <= 1e+08 bytes: 100.0% of random architectures meet it" in error


def test_of_candidates_that_are_all_known_nothing_is_estimated() -> None:
    columns = {
        name: Indicator(name, "", "inference", "", name, maximize=name == "speed")
        for name in ("ms", "speed", "mb")
    }
    values = {
        "ms": np.array([1.0, 2.0, 3.0, 4.0]),
        "speed": np.array([1.0, 2.0, 3.0, 4.0]),
        "mb": np.array([5.0, 6.0, 7.0, 8.0]),
    }
    table = listed_budget_table(values, {"ms": 2.0, "speed": 3.0, "mb": 1.0}, columns)
    assert [(row.share, row.reachable, row.possible) for row in table.rows] == [
        (0.5, 1.0, True), (0.5, 4.0, True), (0.0, 5.0, False)
    ]  # fmt: skip
    assert (table.share, table.drawn, table.conflicts) == (0.0, 4, (("ms", "speed"),))
    assert list(table.lines()) == [
        "Budgets, of 4 configurations:",
        "  ms <= 2: 50.0% of configurations meet it; the smallest is 1.",
        "  speed >= 3: 50.0% of configurations meet it; the largest is 4.",
        "  mb <= 1: 0.0% of configurations meet it; the smallest is 5: nothing meets it.",
        "  All of them: 0.0% meet them.",
        "  ms and speed: nothing meets both.",
    ]
