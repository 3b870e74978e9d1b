"""Training candidates, one by one or in several processes; the results are the same."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Protocol

from nas.datasets import DATASETS
from nas.errors import QualityError
from nas.interrupts import ignoring_interrupts
from nas.splits import Dataset
from search_spaces import Architecture

if TYPE_CHECKING:
    from nas.experiment import Experiment
    from nas.stopping_rule import Hurdle
    from nas.training import Evaluation, Stopped

__all__ = ["Evaluate", "Failure", "evaluator"]

Failure = str
"""Why a candidate could not be trained."""


class Evaluate(Protocol):
    """Trains architectures side by side."""

    def __call__(
        self, architectures: Sequence[Architecture], hurdles: Sequence[Hurdle] | None = None
    ) -> Iterator[Evaluation | Stopped | Failure]:
        """Yields the results in order; each has its hurdle to pass, or none has."""


@contextmanager
def evaluator(experiment: Experiment, dataset: Dataset) -> Iterator[Evaluate]:
    """A function that trains architectures as the experiment says.

    Each training runs on one thread, so that its result does not depend on the machine's cores.

    Args:
        experiment: Its training settings, seed and number of workers.
        dataset: Its data set; a worker process loads it again, as the experiment says.
    """
    workers = experiment.search.workers
    if workers == 1 or dataset.name not in DATASETS:

        def in_turn(
            architectures: Sequence[Architecture], hurdles: Sequence[Hurdle] | None = None
        ) -> Iterator[Evaluation | Stopped | Failure]:
            for architecture, hurdle in _paired(architectures, hurdles):
                yield _train(architecture, dataset, experiment, hurdle)

        with _one_thread():
            yield in_turn
        return
    others = set(multiprocessing.active_children())
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(
        workers, mp_context=context, initializer=_start_worker, initargs=(experiment,)
    )
    with ignoring_interrupts():  # Workers inherit it: Ctrl-C is the search's to answer.
        for _ in range(workers):
            pool.submit(_nothing)

    def in_parallel(
        architectures: Sequence[Architecture], hurdles: Sequence[Hurdle] | None = None
    ) -> Iterator[Evaluation | Stopped | Failure]:
        try:
            yield from pool.map(_train_in_worker, _paired(architectures, hurdles))
        except BrokenProcessPool as error:
            raise RuntimeError(
                "A worker process died, perhaps for want of memory. Go on with --resume, and with "
                "fewer `search.workers`. A script must start a search under "
                '`if __name__ == "__main__":`.'
            ) from error

    try:
        yield in_parallel
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in set(multiprocessing.active_children()) - others:
            process.terminate()
        raise
    pool.shutdown()


@contextmanager
def _one_thread() -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


_worker: list[tuple[Experiment, Dataset]] = []
"""What this process, if it is a worker, trains for."""


def _start_worker(experiment: Experiment) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    import torch

    torch.set_num_threads(1)
    experiment.space_classes()  # A block of the user's own can only be read once it is known.
    _worker.append((experiment, experiment.load_dataset()))


def _end_with_parent() -> None:
    """Ends this worker when the search is gone, however it went."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _nothing() -> None:
    """Makes a worker start."""


def _paired(
    architectures: Sequence[Architecture], hurdles: Sequence[Hurdle] | None
) -> list[tuple[Architecture, Hurdle | None]]:
    every = [None] * len(architectures) if hurdles is None else hurdles
    return list(zip(architectures, every, strict=True))


def _train_in_worker(job: tuple[Architecture, Hurdle | None]) -> Evaluation | Stopped | Failure:
    ((experiment, dataset),) = _worker
    architecture, hurdle = job
    return _train(architecture, dataset, experiment, hurdle)


def _train(
    architecture: Architecture, dataset: Dataset, experiment: Experiment, hurdle: Hurdle | None
) -> Evaluation | Stopped | Failure:
    from nas.training import train

    try:
        if hurdle is None:
            return train(architecture, dataset, experiment.training, experiment.seed)
        return train(architecture, dataset, experiment.training, experiment.seed, hurdle)
    except (QualityError, RuntimeError, ValueError) as error:  # The last two are PyTorch's.
        return str(error)
