"""The problems that samplers are compared on."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from benchmarks import search_problems
from benchmarks.search_problems import SmoothError, Subject, large_vit, long_run, table_subject
from benchmarks.search_runs import run
from nas.table_problem import TableProblem


def test_noise_is_told_and_not_scored(problem: TableProblem) -> None:
    exact = table_subject("small", problem)
    noisy = Subject("noisy", problem, problem.quality, lambda: exact.front, noise=3.0)
    assert run(noisy, "random", 0, 60).shares[-1] == pytest.approx(1)
    codes = problem.members
    told = noisy.told(codes, np.random.default_rng(0)) - problem.quality(codes)
    assert np.std(told) == pytest.approx(3, rel=0.3)


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
