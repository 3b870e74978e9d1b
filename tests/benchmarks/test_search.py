"""The benchmark of samplers: the score, the adapters, and what is printed."""

import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import search_problems
from benchmarks.search import main, report, run
from benchmarks.search_problems import SmoothError, Subject, large_vit, long_run, table_subject
from benchmarks.search_rivals import SAMPLERS, Distinct, make_search
from benchmarks.search_score import EXACT, Front, evaluations_to, reference_front, summarise
from nas.table_problem import TableProblem

QUICK = ["cost-aware", "random", "nsga2", "nsga3", "tpe", "local", "lemonade"]


@pytest.fixture
def problem() -> TableProblem:
    """Each of 60 of 64 configurations: what is dear is good, but for a wiggle."""
    grid = np.array(list(itertools.product(range(4), repeat=3)))[:60]
    cost = grid.sum(axis=1) + 1.0
    return TableProblem(
        {"a": grid[:, 0], "b": grid[:, 1], "c": np.array(["w", "x", "y", "z"])[grid[:, 2]]},
        10 - cost + 2 * np.sin(grid @ [1, 5, 9]),
        {"cost": cost, "other": 20.0 - grid[:, 0]},
    )


def test_the_reference_point_is_that_of_the_front_within_the_median() -> None:
    # (0.3, 7) is dominated; (0.8, 1) is beyond the median: neither moves the costs' nadir.
    points = np.array([[0.1, 9.0], [0.2, 5.0], [0.3, 7.0], [0.3, 4.0], [0.8, 1.0]])
    front = reference_front(points, 0.5)
    assert sorted(front.points[:, 1].tolist()) == [4, 5, 9]
    assert front.reference.tolist() == [0.5, 9 + 0.1 * (9 - 4)]


def test_a_cost_that_does_not_vary_decides_nothing() -> None:
    points = np.array([[0.1, 9.0], [0.2, 5.0]])
    same = np.column_stack([points, [7.0, 7.0]])
    found = points[1:]
    plain, wider = reference_front(points, 0.5), reference_front(same, 0.5)
    assert wider.share(same[1:]) == pytest.approx(plain.share(found))


def test_shares_by_hand() -> None:
    # To (4, 4): 3 x 1, 2 x 2 and 1 x 3 overlap to a staircase of 6.
    front = Front(np.array([[1.0, 3.0], [2.0, 2.0], [3.0, 1.0]]), np.array([4.0, 4.0]))
    found = np.array([[5.0, 0.0], [3.0, 3.0], [2.0, 2.0], [2.0, 3.0], [1.0, 3.0], [3.0, 1.0]])
    assert front.shares(found) == pytest.approx(np.array([0, 1, 4, 4, 5, 6]) / 6)
    assert front.share(found) == pytest.approx(1)
    assert front.standard_error(0.5) == 0
    assert front.share(found[:0]) == 0


@pytest.mark.parametrize("spread", [0.1, 0.9])
def test_sampled_shares_are_within_their_error(spread: float) -> None:
    rng = np.random.default_rng(0)
    # Two boxes that do not meet have the sum of their volumes, and one more adds its own.
    columns = EXACT + 1
    first, second = np.full(columns, 0.5), np.full(columns, 0.5)
    first[0], second[1] = spread / 2, spread / 2
    front = Front(np.stack([first, second]), np.ones(columns))
    assert not front.exact
    both = 0.5**columns * 2 * ((1 - spread / 2) / 0.5) - 0.5**columns
    alone = 0.5 ** (columns - 1) * (1 - spread / 2)
    share, error = front.share(first[None, :]), front.standard_error(alone / both)
    assert 0 < error < 0.01
    assert share == pytest.approx(alone / both, abs=4 * error)
    found = np.concatenate([rng.random((20, columns)), [first, second]])
    shares = front.shares(found)
    assert (np.diff(shares) >= 0).all()
    assert shares[-1] == pytest.approx(1)


def test_evaluations_are_counted_from_one() -> None:
    shares = np.array([0.2, 0.9, 0.9, 1.0])
    assert [evaluations_to(shares, share) for share in (0.1, 0.9, 0.95)] == [1, 2, 4]
    assert evaluations_to(shares, 1.1) == math.inf


def test_the_interval_of_a_median_holds_95_percent() -> None:
    # Of 10, the 2nd and the 9th: outside lies 2 (1 + 10) / 1024 = 2.1 %; the 3rd would be 10.9 %.
    ten = summarise(range(1, 11))
    assert (ten.median, ten.low, ten.high, ten.reached) == (5.5, 2, 9, 10)
    assert (summarise([4, 2, 9]).low, summarise([4, 2, 9]).high) == (2, 9)
    half = summarise([1, 2, math.inf, math.inf])
    assert (half.median, half.reached) == (math.inf, 2)
    assert str(half) == "- (2/4)"


@pytest.mark.parametrize("name", QUICK)
def test_a_sampler_sees_each_candidate_once_and_ends_with_all(
    problem: TableProblem, name: str
) -> None:
    found = run(table_subject("small", problem), name, seed=1, evaluations=100)
    assert found.exhausted
    assert len(found.shares) == problem.size == 60
    assert found.shares[-1] == pytest.approx(1)


@pytest.mark.parametrize("name", QUICK)
def test_a_seed_decides_a_search(problem: TableProblem, name: str) -> None:
    subject = table_subject("small", problem)
    first, same, other = (run(subject, name, seed, 40).shares.tolist() for seed in (1, 1, 2))
    assert first == same != other


def test_proposals_are_new_rows(problem: TableProblem) -> None:
    search, seen = make_search("nsga2", problem, 0), set()
    for _ in range(45):
        codes = search.ask()
        assert problem.exist(codes).all()
        keys = problem.keys(codes)
        assert not seen & set(keys)
        seen |= set(keys)
        search.tell(codes, problem.quality(codes))


def test_evolution_is_no_random_search(problem: TableProblem) -> None:
    """With conditional names, Optuna's NSGA-II falls back to it."""
    proposed = {}
    for name in ("random", "nsga2"):
        search, rows = make_search(name, problem, 0), []
        for _ in range(40):
            codes = search.ask()
            rows += codes.tolist()
            search.tell(codes, problem.quality(codes))
        proposed[name] = rows
    assert proposed["random"][20:] != proposed["nsga2"][20:]


def test_what_is_no_row_becomes_the_nearest(problem: TableProblem) -> None:
    distinct = Distinct(problem, np.random.default_rng(0))
    # Of the last four configurations, 3, 3, w to z, none is in the table.
    missing = np.array([3, 3, 0])
    assert not problem.exist(missing[None, :])[0]
    near = distinct.nearest(missing)
    assert near is not None
    assert near.tolist() == [3, 2, 0] or near.tolist() == [2, 3, 0]
    distinct.take(near)
    again = distinct.nearest(missing)
    assert again is not None
    assert again.tolist() != near.tolist()


def test_samplers_are_told_nothing_of_the_score(
    problem: TableProblem, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Any] = []

    class Fixed:
        def __init__(self, *arguments: Any) -> None:
            given.extend(arguments)

        def ask(self) -> np.ndarray:
            return problem.members[:1]

        def tell(self, codes: np.ndarray, quality: np.ndarray) -> None:
            given.append(quality.tolist())

    monkeypatch.setattr("benchmarks.search_rivals.SAMPLERS", {"fixed": Fixed})
    found = run(table_subject("small", problem), "fixed", 7, 5)
    assert given[:2] == [problem, 7]
    # Told again and again, but evaluated once; the search ends all the same.
    assert given[2:] == [[float(problem.quality(problem.members[:1])[0])]] * (len(given) - 2)
    assert len(found.shares) == 1


def test_noise_is_told_and_not_scored(problem: TableProblem) -> None:
    exact = table_subject("small", problem)
    noisy = Subject("noisy", problem, problem.quality, lambda: exact.front, noise=3.0)
    assert run(noisy, "random", 0, 60).shares[-1] == pytest.approx(1)
    codes = problem.members
    told = noisy.told(codes, np.random.default_rng(0)) - problem.quality(codes)
    assert np.std(told) == pytest.approx(3, rel=0.3)


def test_a_report_has_what_was_asked_for(problem: TableProblem) -> None:
    subject = table_subject("small", problem)
    row = report("random", [run(subject, "random", seed, 60) for seed in range(3)])
    assert (row["sampler"], row["seeds"]) == ("random", 3)
    assert set(row["median_evaluations"]) == set(row["reached"]) == {"0.9", "0.95", "0.99"}
    assert row["reached"]["0.9"] == 3
    assert 0 < row["median_evaluations"]["0.9"] <= row["median_evaluations"]["0.99"] <= 60
    assert row["seconds_per_trial"] > 0
    few = report("random", [run(subject, "random", seed, 1) for seed in range(3)])
    assert few["median_evaluations"]["0.99"] is None


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
    said += ["--sampler", "random", "--seeds", "1", "--evaluations", "99", "--json"]
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


def test_published_tables_are_read(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    cells = np.array(list(itertools.product(range(5), repeat=6)), dtype=np.int8)
    cells = cells[rng.permutation(len(cells))[:400]]
    connected = (cells[:, 3] > 0) | ((cells[:, 0] > 0) & (cells[:, 4] > 0))
    connected |= (cells[:, 1] > 0) & (cells[:, 5] > 0)
    connected |= (cells[:, 0] > 0) & (cells[:, 2] > 0) & (cells[:, 5] > 0)
    accuracy, cost = rng.uniform(80, 95, 400), rng.uniform(1, 9, 400)
    np.savez(
        tmp_path / "nb201_cifar10.npz",
        **{f"edge{i}": cells[:, i] for i in range(6)},
        c10_test_acc=accuracy, macs_c10=cost, lat_ms_titan_rtx_256=cost, connected=connected,
    )  # fmt: skip
    subject = search_problems.make_subject("nb201-3", tmp_path)
    assert len(subject.problem.members) == connected.sum()  # type: ignore[attr-defined]
    assert subject.front.reference[0] == pytest.approx(
        np.median(subject.quality(subject.problem.members))  # type: ignore[attr-defined]
    )
    layers = rng.integers(10, 13, 50)
    columns = {
        "n_embd": rng.choice([192, 384], 50), "n_layer": layers, "bias": rng.random(50) < 0.5,
        "n_head": [",".join(map(str, rng.choice([4, 8], n))) for n in layers],
        "mlp_ratio": [",".join(map(str, rng.choice([2, 3], n))) for n in layers],
        "perplexity": rng.uniform(20, 40, 50),
    }  # fmt: skip
    costs = ("lat_ms_a100", "energy_wh_a100", "lat_ms_cpu_meta", "mem_mb_a100")
    np.savez(tmp_path / "hwgpt_s.npz", **columns, **{c: rng.uniform(1, 9, 50) for c in costs})
    transformers = search_problems.make_subject("hwgpt-s", tmp_path).problem
    assert transformers.costs == costs
    assert transformers.size == 50  # type: ignore[attr-defined]


def test_the_made_up_error_is_smooth_and_of_the_network_alone() -> None:
    space = large_vit()
    quality = SmoothError(space)
    rng = np.random.default_rng(0)
    codes = space.random_codes(2_000, rng)
    error = quality(codes)
    assert error.min() > 0.04
    assert error.max() < 0.9
    assert space.size > 10**12
    names = list(space.parameters)
    # A layer that is not there makes no difference.
    depth = np.array(space.parameters["depth"])[codes[:, names.index("depth")]]
    changed = codes.copy()
    changed[:, names.index("mlp_ratio_15")] = 0
    assert np.array_equal(quality(changed)[depth < 16], error[depth < 16])
    assert (quality(changed)[depth == 16] != error[depth == 16]).any()
    # One step of one layer moves it by little, one in width downwards.
    step = codes[codes[:, names.index("width")] < 3].copy()
    before = quality(step)
    step[:, names.index("width")] += 1
    assert (quality(step) < before).all()


def test_a_longer_run_finds_no_less(problem: TableProblem) -> None:
    limit = float(np.median(problem.quality(problem.members)))
    true = table_subject("small", problem).front
    found = long_run(problem, problem.quality, limit, np.random.default_rng(0), generations=1)
    assert true.share(found.points) == pytest.approx(1)
    assert found.reference == pytest.approx(true.reference)


def test_every_rival_has_a_name() -> None:
    assert set(QUICK) | {"pymoo-nsga2"} == set(SAMPLERS)


def test_pymoo_is_one_of_them(problem: TableProblem) -> None:
    pytest.importorskip("pymoo")
    found = run(table_subject("small", problem), "pymoo-nsga2", 0, 50)
    assert len(found.shares) == 50
    assert (np.diff(found.shares) >= 0).all()
