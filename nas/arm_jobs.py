"""The searches of a comparison, and the scoring of its finalists, here or in several processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.arena import Arena
from nas.arm_search import Found, Plan, first_design, search_arm
from nas.comparison import Arm
from nas.comparison_folder import ComparisonFolder
from nas.problem import Codes
from nas.progress import Bar
from nas.weighted_product import WeightedProduct
from nas.worker_pool import worker_pool

__all__ = ["ArmJobs", "arm_jobs"]

GLANCE_S = 1.0
"""Seconds between two looks at how far other processes are."""


@dataclass(frozen=True, slots=True, eq=False)
class ArmJobs:
    """What is done for a comparison, in parts that depend on nothing but themselves.

    Attributes:
        arena: The arena.
        folder: Where searches are kept.
        plan: What is the same in all of them.
        product: What the arm that goes by one number goes by.
        pool: Other processes; ``None`` where all is done here.
    """

    arena: Arena
    folder: ComparisonFolder
    plan: Plan
    product: WeightedProduct
    pool: ProcessPoolExecutor | None = None

    def search(
        self, arms: Sequence[Arm], seeds: Sequence[int], together: bool, bar: Bar
    ) -> list[Found]:
        """Every arm with every seed, in that order of seeds; those that are kept are read.

        Args:
            arms: The arms.
            seeds: Their seeds.
            together: Whether one process takes all arms of a seed, since they share trainings.
            bar: Told how many searches are over.
        """
        total = len(arms) * len(seeds)
        placed = dict(enumerate(arms))
        parts = [
            (part, seed)
            for seed in seeds
            for part in ([placed] if together else [{place: arm} for place, arm in placed.items()])
            if any(self.folder.read_search(seed, a.name, k) is None for k, a in part.items())
        ]
        if self.pool is None:
            for part, seed in parts:
                for place, arm in part.items():
                    _search(self.arena, self.folder, self.plan, self.product, {place: arm}, seed)
                    self._tell(bar, total)
        else:
            jobs = [
                self.pool.submit(_search_in_worker, self.plan, self.product, part, seed)
                for part, seed in parts
            ]
            _await(jobs, lambda: self._tell(bar, total))
        found = [
            self.folder.read_search(seed, arm.name, place)
            for seed in seeds
            for place, arm in placed.items()
        ]
        return [item for item in found if item is not None]

    def _tell(self, bar: Bar, total: int) -> None:
        trained = self.folder.trained()
        bar(len(self.folder.searches()), total, f"{trained} trainings" if trained else "")

    def score(self, codes: Codes, seeds: Sequence[int], bar: Bar) -> NDArray[np.float64]:
        """Quality of candidates with training seeds that no search saw: ``[seeds, n]``."""
        wanted = [(row, seed) for seed in seeds for row in np.asarray(codes, dtype=np.int64)]
        scores: list[float] = []
        if self.pool is None:
            for row, seed in wanted:
                scores += self.arena.score(row[None], seed).tolist()
                bar(len(scores), len(wanted))
        else:
            jobs = [self.pool.submit(_score_in_worker, row, seed) for row, seed in wanted]
            _await(jobs, lambda: bar(sum(job.done() for job in jobs), len(jobs)))
            scores = [job.result() for job in jobs]
        return np.array(scores, dtype=float).reshape(len(seeds), len(codes))


@contextmanager
def arm_jobs(
    arena: Arena,
    folder: ComparisonFolder,
    plan: Plan,
    product: WeightedProduct,
    *,
    workers: int,
    root: Path,
) -> Iterator[ArmJobs]:
    """The jobs of a comparison, in so many processes that end with the block.

    Args:
        arena: Ready here; other processes open it from the folder.
        folder: See :class:`ArmJobs`, also for the next two.
        plan: See there.
        product: See there.
        workers: Processes; with 1 all is done here.
        root: Of the store with the counts of the space.
    """
    if workers == 1:
        yield ArmJobs(arena, folder, plan, product)
        return
    with worker_pool(workers, _start_worker, folder.path, root) as pool:
        yield ArmJobs(arena, folder, plan, product, pool)


def _await(jobs: Sequence[Future[Any]], glance: Callable[[], None]) -> None:
    """Waits until all jobs are over; the first error is raised at once."""
    pending = set(jobs)
    while pending:
        over, pending = wait(pending, timeout=GLANCE_S, return_when="FIRST_EXCEPTION")
        for job in over:
            job.result()
        glance()


_worker: list[tuple[Arena, ComparisonFolder]] = []
"""What this process, if it is a worker, searches."""


def _start_worker(path: Path, root: Path) -> None:
    from nas.arenas import open_arena

    _worker.append((open_arena(path, root), ComparisonFolder(path)))


def _search_in_worker(
    plan: Plan, product: WeightedProduct, arms: Mapping[int, Arm], seed: int
) -> None:
    ((arena, folder),) = _worker
    _search(arena, folder, plan, product, arms, seed)


def _score_in_worker(row: NDArray[np.int64], seed: int) -> float:
    ((arena, _),) = _worker
    return float(arena.score(row[None], seed)[0])


def _search(
    arena: Arena,
    folder: ComparisonFolder,
    plan: Plan,
    product: WeightedProduct,
    arms: Mapping[int, Arm],
    seed: int,
) -> None:
    """Searches by those arms, given with their positions, that are not over."""
    design = first_design(arena.problem, plan, seed)
    for place, arm in arms.items():
        if folder.read_search(seed, arm.name, place) is None:
            folder.write_search(search_arm(arm, seed, arena, plan, design, product), place)
