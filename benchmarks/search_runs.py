"""One search of one seed, scored after each evaluation; and many of them in several processes."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from benchmarks.search_problems import Subject
from benchmarks.search_samplers import make_search
from benchmarks.search_score import SHARES, Score, evaluations_to
from nas.errors import ExperimentError

__all__ = ["Job", "Record", "Run", "run", "run_all"]

STALLED = 200
"""Asks in a row without a new candidate after which a sampler has seen all that it finds."""
MARKS = (50, 100, 150, 200, 300, 400, 600, 800, 1_000, 1_500, 2_000)
"""Evaluations after which the share is kept."""


@dataclass(frozen=True)
class Run:
    """One search of one seed.

    Attributes:
        shares: Share of the hypervolume after each evaluation.
        seconds: CPU seconds of the sampler itself: making it, asking and telling.
        exhausted: Whether it ended because no new candidate was found.
    """

    shares: NDArray[np.float64]
    seconds: float
    exhausted: bool


def run(subject: Subject, sampler: str, seed: int, evaluations: int, stop: float = 1.1) -> Run:
    """Searches until so many distinct candidates are evaluated.

    Args:
        subject: The problem and its answers.
        sampler: A name of :data:`benchmarks.search_samplers.SAMPLERS`.
        seed: Of the sampler, and of the noise of what it is told.
        evaluations: Distinct candidates at most.
        stop: A share of the hypervolume that is enough.

    Raises:
        UnknownNameError: There is no such sampler.
        ExperimentError: The sampler cannot be used for this problem.
        ImportError: The sampler is of a package that is not installed.
    """
    problem, noise = subject.problem, np.random.default_rng([seed, 1])
    started = time.process_time()
    search = make_search(sampler, problem, seed)
    seconds = time.process_time() - started
    seen: dict[bytes, float] = {}
    score, shares, stalled = Score(subject.front), list[float](), 0
    while len(seen) < evaluations and score.share < stop:
        started = time.process_time()
        codes = search.ask()
        seconds += time.process_time() - started
        if not len(codes) or stalled >= STALLED:
            return Run(np.array(shares), seconds, True)
        keys, before = problem.keys(codes), len(seen)
        told, values = subject.told(codes, noise), subject.objectives(codes)
        for key, value, row in zip(keys, told.tolist(), values, strict=True):
            if key not in seen:
                seen[key] = value
                shares += score.add(row[None, :])
        stalled = 0 if len(seen) > before else stalled + 1
        # A candidate that is proposed again has the quality that it had.
        again = np.array([seen[key] for key in keys])
        started = time.process_time()
        search.tell(codes, again, subject.noise)
        seconds += time.process_time() - started
    return Run(np.array(shares[:evaluations]), seconds, False)


@dataclass(frozen=True, slots=True)
class Record:
    """What is kept of a search.

    Attributes:
        problem: What was searched.
        sampler: By what.
        seed: With which seed.
        limit: Evaluations after which it would have ended.
        evaluations: Evaluations that it took.
        stop: The share of the hypervolume that was enough.
        reached: Of each share, the evaluations that it took to reach it; ``None`` if it did not.
        shares: The share after so many evaluations, and at the end.
        seconds: CPU seconds of the sampler.
        exhausted: Whether no new candidate was left.
    """

    problem: str
    sampler: str
    seed: int
    limit: int
    evaluations: int
    stop: float
    reached: dict[str, int | None]
    shares: dict[str, float]
    seconds: float
    exhausted: bool

    @classmethod
    def of(cls, problem: str, job: Job, found: Run) -> Record:
        """The record of a search."""
        counts = {f"{share:g}": evaluations_to(found.shares, share) for share in SHARES}
        taken = len(found.shares)
        marks = [mark for mark in MARKS if mark < taken] + [taken] * (taken > 0)
        return cls(
            problem=problem,
            sampler=job.sampler,
            seed=job.seed,
            limit=job.evaluations,
            evaluations=taken,
            stop=job.stop,
            reached={key: int(n) if math.isfinite(n) else None for key, n in counts.items()},
            shares={str(mark): round(float(found.shares[mark - 1]), 5) for mark in marks},
            seconds=round(found.seconds, 4),
            exhausted=found.exhausted,
        )

    def as_dict(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return asdict(self)

    def answers(self, evaluations: int, stop: float) -> bool:
        """Whether a search to be run would tell nothing that this does not."""
        enough = self.stop >= min(stop, 1.0) or self.evaluations >= evaluations
        return self.exhausted or (self.limit >= evaluations and enough)

    def looked_for(self, share: float) -> bool:
        """Whether it went on until it reached a share, or to its end."""
        return share <= self.stop or self.exhausted or self.evaluations >= self.limit

    def share_after(self, evaluations: int) -> float:
        """The share after so many evaluations, a mark or more than it took."""
        return self.shares[str(min(evaluations, self.evaluations))] if self.shares else 0.0

    @property
    def seconds_per_trial(self) -> float:
        """CPU seconds of the sampler for each evaluation."""
        return self.seconds / max(self.evaluations, 1)


@dataclass(frozen=True, slots=True)
class Job:
    """A search to be run.

    Attributes:
        sampler: By what.
        seed: With which seed.
        evaluations: Distinct candidates at most.
        stop: A share of the hypervolume that is enough.
    """

    sampler: str
    seed: int
    evaluations: int
    stop: float = 1.1


_SUBJECT: list[Subject] = []
"""What the processes that were forked off search on."""


def _do(job: Job) -> Run:
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    with threadpool_limits(1):
        return run(_SUBJECT[-1], job.sampler, job.seed, job.evaluations, job.stop)


def run_all(
    subject: Subject, jobs: Sequence[Job], workers: int = 1
) -> Iterator[tuple[Job, Run | Exception]]:
    """Runs searches, each on one thread, several at once with more workers; as they end.

    What a search raised because its sampler cannot be used here takes the place of its result.
    """
    _ = subject.front  # Before processes are forked, so that it is made once.
    _SUBJECT.append(subject)
    try:
        if workers == 1:
            for job in jobs:
                try:
                    yield job, _do(job)
                except (ImportError, ExperimentError) as error:
                    yield job, error
            return
        with ProcessPoolExecutor(workers, mp_context=get_context("fork")) as pool:
            waiting = {pool.submit(_do, job): job for job in jobs}
            for done in as_completed(waiting):
                error = done.exception()
                if error is not None and not isinstance(error, ImportError | ExperimentError):
                    raise error
                yield waiting[done], done.result() if error is None else error
    finally:
        _SUBJECT.pop()
