"""Which searches and scorings are made, where, and in which order."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from nas.arm_jobs import ArmJobs, arm_jobs
from nas.arm_search import Plan
from nas.arms import make_arms
from nas.comparison_folder import ComparisonFolder, Trained
from nas.problem import Codes
from nas.table_arena import TableArena
from nas.table_experiment import TableExperiment
from nas.table_problem import TableProblem
from nas.weighted_product import WeightedProduct

COSTS = ("macs", "size")
ARMS = make_arms(("macs", "random", "size"), (), COSTS, ())
PLAN = Plan("random", 6, 2)
PRODUCT = WeightedProduct(np.ones(2), np.zeros(2, dtype=bool), maximize=False)


class Noted(TableArena):
    """An arena that notes the seeds and codes that it is asked for."""

    def __init__(self) -> None:
        data = {"file": "t.csv", "quality": "error", "costs": COSTS, "config": ["depth", "width"]}
        experiment = TableExperiment.from_data({"name": "t", "table": data})
        depth, width = (grid.ravel() for grid in np.indices((5, 6)) + 1)
        problem = TableProblem(
            {"depth": depth, "width": width},
            1.0 / (depth * width),
            {"macs": depth * width**2, "size": depth + 3 * width},
        )
        super().__init__(experiment, problem)
        self.scored: list[tuple[tuple[int, ...], int]] = []

    def score(self, codes: Codes, seed: int) -> NDArray[np.float64]:
        self.scored += [(tuple(row), seed) for row in np.asarray(codes).tolist()]
        return super().score(codes, seed) + seed


class Bar:
    """A bar that notes what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[int, int, str]] = []

    def __call__(self, done: int, total: int, note: str = "") -> None:
        self.told.append((done, total, note))


@pytest.fixture
def folder(tmp_path: Path) -> ComparisonFolder:
    return ComparisonFolder(tmp_path)


@pytest.mark.parametrize("together", [False, True])
def test_every_arm_is_searched_with_every_seed_in_order(
    folder: ComparisonFolder, together: bool
) -> None:
    bar: Any = Bar()
    jobs = ArmJobs(Noted(), folder, PLAN, PRODUCT)
    found = jobs.search(ARMS, [7, 8], together, bar)
    names = ["macs", "random", "size"]
    assert [(item.seed, item.arm) for item in found] == [(s, n) for s in (7, 8) for n in names]
    assert [path.name for path in folder.searches()] == [
        "7-0.json", "7-1.json", "7-2.json", "8-0.json", "8-1.json", "8-2.json",
    ]  # fmt: skip
    assert bar.told == [(n, 6, "") for n in range(1, 7)]
    begun = [item.codes[: PLAN.initial].tolist() for item in found]
    assert begun[0] == begun[1] == begun[2] != begun[3] == begun[4] == begun[5]


def test_what_is_kept_is_read_and_not_searched_again(folder: ComparisonFolder) -> None:
    bar: Any = Bar()
    whole = ArmJobs(Noted(), folder, PLAN, PRODUCT).search(ARMS, [7, 8], True, bar)
    before = {path: path.read_bytes() for path in folder.searches()}
    lost = folder.path / "searches" / "8-1.json"
    lost.unlink()
    arena = Noted()
    again = ArmJobs(arena, folder, PLAN, PRODUCT).search(ARMS, [7, 8], True, bar)
    # One search of 6, whose first design is asked for once.
    assert len(arena.scored) == 6
    assert {seed for _, seed in arena.scored} == {8}
    assert [i.codes.tolist() for i in again] == [i.codes.tolist() for i in whole]
    assert all(path.read_bytes() == kept for path, kept in before.items() if path != lost)


def test_scores_are_by_seed_and_candidate(folder: ComparisonFolder) -> None:
    arena, bar = Noted(), Bar()
    codes = np.array([[0, 0], [1, 2], [4, 5]])
    scores = ArmJobs(arena, folder, PLAN, PRODUCT).score(codes, [10, 20], bar)  # type: ignore[arg-type]
    plain = np.array([1.0, 1 / 6, 1 / 30])
    assert scores == pytest.approx(np.array([plain + 10, plain + 20]))
    assert arena.scored == [(tuple(row), seed) for seed in (10, 20) for row in codes.tolist()]
    assert bar.told == [(n, 6, "") for n in range(1, 7)]
    none = ArmJobs(arena, folder, PLAN, PRODUCT).score(codes[:0], [10, 20], bar)  # type: ignore[arg-type]
    assert none.shape == (2, 0)


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch, folder: ComparisonFolder) -> Iterator[Any]:
    """Threads in place of other processes."""
    with ThreadPoolExecutor(2) as pool:
        monkeypatch.setattr("nas.arm_jobs._worker", [(Noted(), folder)])
        yield pool


@pytest.mark.parametrize("together", [False, True])
def test_workers_come_to_the_same(
    folder: ComparisonFolder, tmp_path: Path, workers: Any, together: bool
) -> None:
    bar: Any = Bar()
    alone = ArmJobs(Noted(), ComparisonFolder(tmp_path / "alone"), PLAN, PRODUCT)
    jobs = ArmJobs(Noted(), folder, PLAN, PRODUCT, workers)
    here, there = (each.search(ARMS, [7, 8], together, bar) for each in (alone, jobs))
    assert [item.to_json() | {"sampler_seconds": 0} for item in here] == [
        item.to_json() | {"sampler_seconds": 0} for item in there
    ]
    assert bar.told[-1] == (6, 6, "")
    codes = np.array([[0, 0], [1, 2], [4, 5]])
    assert jobs.score(codes, [10, 20], bar).tolist() == alone.score(codes, [10, 20], bar).tolist()
    assert bar.told[-1] == (6, 6, "")


@pytest.mark.parametrize("together", [False, True])
def test_arms_that_share_trainings_are_one_job(
    folder: ComparisonFolder, workers: Any, monkeypatch: pytest.MonkeyPatch, together: bool
) -> None:
    given: list[tuple[int, list[str]]] = []
    real = workers.submit

    def submit(job: Any, plan: Any, product: Any, arms: Any, seed: int) -> Any:
        given.append((seed, [arm.name for arm in arms.values()]))
        return real(job, plan, product, arms, seed)

    monkeypatch.setattr(workers, "submit", submit)
    bar: Any = Bar()
    ArmJobs(Noted(), folder, PLAN, PRODUCT, workers).search(ARMS, [7, 8], together, bar)
    names = ["macs", "random", "size"]
    apart = [(seed, [name]) for seed in (7, 8) for name in names]
    assert given == ([(7, names), (8, names)] if together else apart)


def test_the_error_of_a_worker_is_raised(
    folder: ComparisonFolder, workers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("no memory is left")

    monkeypatch.setattr("nas.arm_jobs.search_arm", broken)
    bar: Any = Bar()
    with pytest.raises(RuntimeError, match="no memory is left"):
        ArmJobs(Noted(), folder, PLAN, PRODUCT, workers).search(ARMS, [7, 8], True, bar)


def test_trainings_that_are_kept_are_told(folder: ComparisonFolder) -> None:
    folder.write_training(7, "ab", Trained(0.5, 1.0))
    bar: Any = Bar()
    ArmJobs(Noted(), folder, PLAN, PRODUCT).search(ARMS[:1], [7], True, bar)
    assert bar.told == [(1, 1, "1 trainings")]


def test_one_worker_is_this_process(folder: ComparisonFolder) -> None:
    arena = Noted()
    with arm_jobs(arena, folder, PLAN, PRODUCT, workers=1, root=folder.path) as jobs:
        assert jobs.pool is None
        assert jobs.arena is arena
