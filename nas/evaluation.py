"""Training candidates, one by one or in several processes; the results are the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from nas.datasets import DATASETS
from nas.errors import QualityError
from nas.splits import Dataset
from nas.worker_pool import worker_pool
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

    def in_parallel(
        architectures: Sequence[Architecture], hurdles: Sequence[Hurdle] | None = None
    ) -> Iterator[Evaluation | Stopped | Failure]:
        yield from pool.map(_train_in_worker, _paired(architectures, hurdles))

    with worker_pool(workers, _start_worker, experiment) as pool:
        yield in_parallel


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
    import torch

    torch.set_num_threads(1)
    experiment.space_classes()  # A block of the user's own can only be read once it is known.
    _worker.append((experiment, experiment.load_dataset()))


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
