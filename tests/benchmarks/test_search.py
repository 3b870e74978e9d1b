"""The benchmark of samplers: runs, what is kept of them, and what is printed."""

import itertools
import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.search import main, search_all
from benchmarks.search_problems import Subject, table_subject
from benchmarks.search_results import About, Results
from benchmarks.search_runs import Job, Record, Run, run
from benchmarks.search_tables import report, tables
from nas.errors import ExperimentError
from nas.table_problem import TableProblem


def test_samplers_are_told_nothing_of_the_score(
    problem: TableProblem, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Any] = []
    errors: set[float] = set()

    class Fixed:
        def __init__(self, *arguments: Any) -> None:
            given.extend(arguments)

        def ask(self) -> np.ndarray:
            return problem.members[:1]

        def tell(self, codes: np.ndarray, quality: np.ndarray, error: float) -> None:
            given.append(quality.tolist())
            errors.add(error)

    monkeypatch.setattr("benchmarks.search_samplers.SAMPLERS", {"fixed": Fixed})
    found = run(table_subject("small", problem), "fixed", 7, 5)
    assert given[:2] == [problem, 7]
    # Told again and again, but evaluated once; the search ends all the same.
    assert given[2:] == [[float(problem.quality(problem.members[:1])[0])]] * (len(given) - 2)
    assert errors == {0.0}
    run(replace(table_subject("small", problem), noise=0.25), "fixed", 7, 5)
    assert errors == {0.0, 0.25}
    assert len(found.shares) == 1


def records(problem: TableProblem, n: int, evaluations: int) -> list[Record]:
    jobs = [Job("random", seed, evaluations) for seed in range(n)]
    subject = table_subject("small", problem)
    return [Record.of("small", j, run(subject, j.sampler, j.seed, j.evaluations)) for j in jobs]


def test_a_report_has_what_was_asked_for(problem: TableProblem) -> None:
    row = report(records(problem, 3, 60))
    assert (row["sampler"], row["seeds"]) == ("random", 3)
    assert set(row["median_evaluations"]) == set(row["reached"]) == {"0.9", "0.95", "0.99"}
    assert row["reached"]["0.9"] == 3
    assert 0 < row["median_evaluations"]["0.9"] <= row["median_evaluations"]["0.99"] <= 60
    assert row["seconds_per_trial"] > 0
    assert row["final_share"] == pytest.approx(1)
    few = report(records(problem, 3, 1))
    assert few["median_evaluations"]["0.99"] is None
    assert few["reached"]["0.99"] == 0


def test_a_search_ends_with_the_share_that_is_enough(problem: TableProblem) -> None:
    subject = table_subject("small", problem)
    whole, short = run(subject, "random", 0, 60), run(subject, "random", 0, 60, stop=0.9)
    assert short.shares[-1] >= 0.9 > short.shares[-2]
    assert short.shares.tolist() == whole.shares[: len(short.shares)].tolist()
    assert not short.exhausted


def test_what_is_kept_of_a_search() -> None:
    shares = np.concatenate([np.full(60, 0.5), np.full(50, 0.92), [0.96]])
    kept = Record.of("p", Job("random", 4, 200, 0.95), Run(shares, 2.22, False))
    assert kept.reached == {"0.9": 61, "0.95": 111, "0.99": None}
    assert kept.shares == {"50": 0.5, "100": 0.92, "111": 0.96}
    assert [kept.share_after(n) for n in (50, 100, 111, 200)] == [0.5, 0.92, 0.96, 0.96]
    assert kept.seconds_per_trial == pytest.approx(0.02)
    # It was to end at 0.95 or after 200: more of either is another search.
    assert [kept.answers(*ask) for ask in ((200, 0.95), (100, 0.9), (100, 0.99), (201, 0.95))] == [
        True, True, True, False,
    ]  # fmt: skip
    assert not kept.answers(200, 0.99)
    assert [kept.looked_for(share) for share in (0.9, 0.95, 0.99)] == [True, True, False]
    assert replace(kept, evaluations=200).looked_for(0.99)
    assert replace(kept, exhausted=True).answers(10_000, 1.1)
    nothing = Record.of("p", Job("random", 4, 200), Run(np.zeros(0), 0.1, True))
    assert (nothing.evaluations, nothing.share_after(100)) == (0, 0)


def made_up(
    sampler: str, counts: Sequence[int | None], limit: int = 500, problem: str = "nb201-3"
) -> list[Record]:
    """Searches that reached 90 % after so many evaluations, 95 % after ten more, never 99 %."""
    return [
        Record(
            problem=problem, sampler=sampler, seed=seed, limit=limit, evaluations=limit, stop=1.1,
            reached={"0.9": n, "0.95": n + 10 if n else None, "0.99": None},
            shares={"100": 0.25, str(limit): 0.5}, seconds=limit * 0.125, exhausted=False,
        )
        for seed, n in enumerate(counts)
    ]  # fmt: skip


@pytest.fixture
def results() -> Results:
    found = Results(problems={"nb201-3": About("Cells", 3, 25, 1.5, 0.0)})
    for record in (
        *made_up("cost-aware", [40, 50, 60]),
        *made_up("nsga2", [300, None, 200]),
        *made_up("pymoo-nsga2", [None, None, 450]),
        *made_up("pymoo-nsga3", [400, 410, None]),
        *made_up("one-hot", [None, 90, None], limit=300),
    ):
        found.add(record)
    return found


def test_tables_by_hand(results: Results) -> None:
    printed = tables(results)
    short, problem, without = printed.split("\n\n**Cells")
    titles, _, row = ([c.strip() for c in r.split("|")[1:-1]] for r in short.splitlines())
    assert dict(zip(titles, row, strict=True)) == {
        "evaluations to 90% / 95%": "Cells",
        "cost-aware": "50 / 60",
        "best of pymoo": "410 / 420",  # NSGA-II of pymoo did not reach it in two of three.
        "Optuna NSGA-II": "300 / 310",
        "Optuna NSGA-III": "-",
        "Optuna TPE": "-",
        "random": "-",
        "local search": "-",
        "LEMONADE": "-",
        "qNEHVI": "-",
        "best stock / cost-aware": "6.0",
    }
    assert "| nsga2 | 300 (200 to over 500) | 310 (210 to over 500) | over 500 (0/3) |" in problem
    assert (
        "| pymoo-nsga2 | over 500 (1/3) | over 500 (1/3) | over 500 (0/3) | 0.250 | 3 | 0.125 |"
        in problem
    )
    assert "one-hot" not in problem
    assert "each part left out" in without
    assert "| one-hot | over 300 (1/3) |" in without
    assert "| cost-aware | 50 (40 to 60) |" in without


def test_where_no_stock_sampler_arrives_the_ratio_is_a_bound(results: Results) -> None:
    for name in ("nsga2", "pymoo-nsga2", "pymoo-nsga3"):
        for record in made_up(name, [None, None, None]):
            results.add(record)
    assert tables(results).splitlines()[2].endswith("| over 10.0 |")


def test_a_share_that_a_search_was_not_to_reach_is_not_told_of(results: Results) -> None:
    for record in made_up("cost-aware", [40, 50, 60]):
        results.add(replace(record, stop=0.95, evaluations=90, shares={"90": 0.96}))
    assert "| cost-aware | 50 (40 to 60) | 60 (50 to 70) | - |" in tables(results)


def test_results_are_read_as_they_were_written(results: Results, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "results.json"
    results.save(path)
    again = Results.load(path)
    assert again.records == results.records
    assert again.problems == results.problems
    assert tables(again) == tables(results)
    assert again.versions["moocore"]
    # Of two files the later one's searches count.
    other = Results(problems=dict(results.problems))
    (better, *_) = made_up("nsga2", [11])
    other.add(better)
    other.save(tmp_path / "other.json")
    both = Results.load(path, tmp_path / "other.json")
    assert both.records["nb201-3", "nsga2", 0].reached["0.9"] == 11
    assert len(both.records) == len(results.records)


def test_results_of_another_problem_are_refused(results: Results, tmp_path: Path) -> None:
    with pytest.raises(ExperimentError, match="its front had 25 members, now 26"):
        results.take_up("nb201-3", About("Cells", 3, 26, 1.5, 0.0))
    results.drop("nb201-3", ("cost-aware", "nsga2"))
    with pytest.raises(ExperimentError):
        results.take_up("nb201-3", About("Cells", 3, 25, 1.7, 0.0))
    results.drop("nb201-3", ("pymoo-nsga2", "pymoo-nsga3", "one-hot"))
    results.take_up("nb201-3", About("Cells", 3, 26, 1.5, 0.0))
    path = tmp_path / "no.json"
    for text in ("{", "[]", '{"problems": {}}', '{"problems": {}, "records": [{"a": 1}]}'):
        path.write_text(text)
        with pytest.raises(ExperimentError, match="Give another file"):
            Results.load(path)


def test_what_was_done_is_not_done_again(
    problem: TableProblem, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject, results = table_subject("small", problem), Results()
    done: list[tuple[str, int]] = []

    def note(record: Record) -> None:
        done.append((record.sampler, record.seed))

    def go(**more: int) -> list[tuple[str, int]]:
        done.clear()
        settings: dict[str, Any] = {"seeds": 2, "evaluations": 20, "stop": 1.1} | more
        search_all(results, "small", subject, ["random", "local"], done=note, **settings)
        return sorted(done)

    every = [("local", 0), ("local", 1), ("random", 0), ("random", 1)]
    assert go() == every
    assert go() == []
    assert go(seeds=3) == [("local", 2), ("random", 2)]
    first = dict(results.records)
    del results.records["small", "local", 1]
    assert go() == [("local", 1)]
    assert go(evaluations=25, seeds=1) == [("local", 0), ("random", 0)]
    assert results.records["small", "random", 0].evaluations == 25
    # What one process does, several do as well.
    apart = Results()
    search_all(
        apart, "small", subject, ["random", "local"], seeds=3, evaluations=20, stop=1.1, workers=2
    )
    assert {key: replace(r, seconds=0.0) for key, r in apart.records.items()} == {
        key: replace(r, seconds=0.0) for key, r in first.items()
    }


def test_a_sampler_that_cannot_be_used_is_left_out(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(problem: Any, seed: int) -> Any:
        raise ImportError("No module named 'pymoo'")

    monkeypatch.setattr("benchmarks.search_samplers.SAMPLERS", {"away": missing})
    numbers = np.arange(9.0)
    problem = TableProblem({"a": numbers}, numbers, {"b": -numbers})
    results = Results()
    search_all(results, "small", table_subject("small", problem), ["away"], seeds=2)
    assert not results.records
    assert capsys.readouterr().err.count("away is left out of small: No module named") == 1


def test_a_problem_is_told_apart_by_its_front(problem: TableProblem) -> None:
    about = About.of(table_subject("small", problem))
    assert about.same(About.of(table_subject("another title", problem)))
    assert (about.objectives, about.standard_error) == (3, 0)
    worse = Subject("small", problem, lambda codes: 1.5 * problem.quality(codes), lambda: front)
    front = table_subject("small", problem).front
    front = replace(front, reference=front.reference + 0.01)
    assert not about.same(About.of(worse))


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "table.csv"
    rows = [
        f"{op},{w},{80 + i % 7 + w},{w * (i + 1)}" for w in (1, 2, 3) for i, op in enumerate("abcd")
    ]
    path.write_text("\n".join(["op,width,accuracy,macs", *rows]))
    return path  # fmt: skip


def test_a_table_is_searched_from_the_command_line(
    table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = ["--table", str(table), "--quality", "accuracy:max", "--costs", "macs"]
    said += ["--config", "op,width", "--seeds", "2", "--evaluations", "12"]
    assert main([*said, "--sampler", "local", "--json"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert row["sampler"] == "local"
    assert row["reached"] == {"0.9": 2, "0.95": 2, "0.99": 2}
    assert set(row) >= {"seeds", "median_evaluations", "seconds_per_trial"}
    assert main([*said, "--samplers", "random,lemonade"]) == 0
    printed = capsys.readouterr().out
    assert "| sampler | 90% | 95% | 99% |" in printed
    assert "\n| random | " in printed
    assert "\n| lemonade | " in printed


def test_a_table_of_cells_is_searched_by_live_paths(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, rows = tmp_path / "cells.csv", ["a,b,c,err,cost"]
    for i, cell in enumerate(itertools.product(range(3), range(3), (1, 2))):
        rows.append(",".join(map(str, (*cell, 20 - i, sum(cell)))))
    path.write_text("\n".join(rows))
    said = ["--table", str(path), "--quality", "err", "--costs", "cost", "--config", "a,b,c"]
    said += ["--sampler", "random", "--seeds", "1", "--evaluations", "99", "--json", "--stop", "2"]
    evaluations = []
    for more in ([], ["--cell", "a=0-1,b=1-2,c=0-2", "--none", "0"]):
        assert main([*said, *more]) == 0
        evaluations.append(json.loads(capsys.readouterr().out)["evaluations"])
    # 3 x 3 x 2; or c alone, or with one of the 2 x 2 paths through a and b.
    assert evaluations == [18, 2 + 2 * 4]
    assert main([*said, "--cell", "a:0-1"]) == 2
    assert "COLUMN=FROM-TO" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "status", "said"),
    [
        ({"--quality": "acc"}, 3, "Unknown column"),
        ({"--sampler": "rando"}, 3, "Did you mean 'random'"),
        ({"--seeds": "0"}, 2, "`--seeds` must be above 0"),
        ({"--config": ""}, 2, "needs --config"),
        ({"--table": "nowhere.csv"}, 3, "nowhere.csv"),
    ],
)
def test_bad_input_ends_with_a_reason(
    table: Path,
    capsys: pytest.CaptureFixture[str],
    changes: dict[str, str],
    status: int,
    said: str,
) -> None:
    options = {
        "--table": str(table), "--quality": "accuracy:max", "--costs": "macs",
        "--config": "op,width", "--sampler": "random", "--seeds": "1", "--evaluations": "5",
    } | changes  # fmt: skip
    assert main([word for pair in options.items() for word in pair]) == status
    assert said in capsys.readouterr().err


def test_without_the_published_tables_it_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--data", str(tmp_path), "--problems", "nb201-3", "--samplers", "random"]) == 3
    assert "give the folder of the published tables with --data" in capsys.readouterr().err


def test_results_are_kept_gone_on_with_and_shown(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "results.json"
    said = ["--table", str(table), "--quality", "accuracy:max", "--costs", "macs"]
    said += ["--config", "op,width", "--evaluations", "12", "--out", str(out)]
    assert main([*said, "--samplers", "random", "--seeds", "1"]) == 0
    first = capsys.readouterr()
    assert first.err.count("seed 0") == 1
    assert main([*said, "--samplers", "random,local", "--seeds", "2", "--workers", "2"]) == 0
    second = capsys.readouterr()
    assert "random seed 0" not in second.err
    assert [second.err.count(text) for text in ("random seed 1", "local seed")] == [1, 2]
    assert main(["--show", str(out)]) == 0
    assert second.out.strip() in capsys.readouterr().out
    assert main([*said, "--samplers", "random", "--seeds", "1", "--again"]) == 0
    again = capsys.readouterr()
    assert "random seed 0" in again.err
    kept = Results.load(out)
    assert {key[1:] for key in kept.records} == {("random", 0), ("local", 0), ("local", 1)}


def test_published_results_are_those_of_the_tables(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--show", "nowhere.json"]) == 3
    assert "nowhere.json" in capsys.readouterr().err


def test_a_table_whose_costs_are_maximised(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """300 rows with numbers for a configuration; error and speed, of which more is better."""
    rng = np.random.default_rng(0)
    grid = np.array(list(itertools.product(range(10), range(6), range(5))))
    error = 1 / (1 + grid[:, 0]) + 0.1 * rng.random(300).round(1)  # With ties.
    lines = [
        f"{a},{b / 2},{c},{e},{100 - 5 * a - b}" for (a, b, c), e in zip(grid, error, strict=True)
    ]
    path = tmp_path / "many.csv"
    path.write_text("\n".join(["depth,ratio,kernel,error,speed", *lines]))
    said = ["--table", str(path), "--quality", "error", "--costs", "speed:max", "--config"]
    said += ["depth,ratio,kernel", "--seeds", "2", "--evaluations", "400", "--json", "--stop", "2"]
    assert main([*said, "--sampler", "random"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert row["evaluations"] == 300
    assert row["final_share"] == pytest.approx(1)
    assert row["reached"] == {"0.9": 2, "0.95": 2, "0.99": 2}
    # With the wrong direction another front is sought: its best rows are the deepest networks.
    problem = TableProblem(
        {"depth": grid[:, 0]}, error, {"speed": 100 - 5 * grid[:, 0]}, maximize=["speed"]
    )
    front = table_subject("many", problem).front
    assert front.points[:, 1].max() <= -100 + 5 * 9
    assert math.isclose(front.points[:, 0].min(), problem.quality(problem.members).min())


def test_a_table_of_one_quality_has_nothing_to_search_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "same.csv"
    path.write_text("a,error,cost\n" + "\n".join(f"{i},5,{i}" for i in range(9)))
    said = ["--table", str(path), "--quality", "error", "--costs", "cost", "--config", "a"]
    assert main([*said, "--sampler", "random", "--json"]) == 2
    assert "better than the median quality, 5" in capsys.readouterr().err
