"""Processes that work for this one: none outlives it, and Ctrl-C is its to answer."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import wait
from typing import Any

from nas.interrupts import ignoring_interrupts

__all__ = ["worker_pool"]


@contextmanager
def worker_pool(
    workers: int, start: Callable[..., None], *arguments: Any
) -> Iterator[ProcessPoolExecutor]:
    """A pool of processes; where the block ends with an error they are ended at once.

    Args:
        workers: How many.
        start: Called in each before its first job. A function of a module, as jobs are.
        arguments: What it is called with.

    Raises:
        RuntimeError: A process died.
    """
    others = set(multiprocessing.active_children())
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(
        workers, mp_context=context, initializer=_begin, initargs=(start, arguments)
    )
    with ignoring_interrupts():  # Workers inherit it.
        for _ in range(workers):
            pool.submit(_nothing)
    try:
        yield pool
    except BaseException as error:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in set(multiprocessing.active_children()) - others:
            process.terminate()
        if isinstance(error, BrokenProcessPool):
            raise RuntimeError(
                "A worker process died, perhaps for want of memory. Go on with --resume, and with "
                "fewer `search.workers`. A script must start a search under "
                '`if __name__ == "__main__":`.'
            ) from error
        raise
    pool.shutdown()


def _begin(start: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    start(*arguments)


def _end_with_parent() -> None:
    """Ends this worker when the process that started it is gone, however it went."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _nothing() -> None:
    """Makes a worker start."""
