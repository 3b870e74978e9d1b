"""What a person sees while something takes long: on stderr, and still where it is no terminal."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from search_spaces import Block

__all__ = ["Bar", "Reporter"]

QUIET_S = 10.0
"""Off a terminal, seconds between two lines of the same bar."""


class Bar(Protocol):
    """Shows how far something is."""

    def __call__(self, done: int, total: int, detail: str = "") -> None:
        """Says that ``done`` of ``total`` is over."""


class Reporter:
    """Writes lines and progress to a console.

    Args:
        console: Where to; stderr when absent.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True, soft_wrap=True, highlight=False)

    def line(self, text: str) -> None:
        """Writes a line."""
        self.console.print(text, markup=False)

    def remarks(self, blocks: Iterable[Block]) -> None:
        """Writes what whoever uses the blocks should be told, each thing once."""
        for remark in dict.fromkeys(block.remark for block in blocks):
            if remark is not None:
                self.line(f"Note: {remark}.")

    @contextmanager
    def bar(self, title: str) -> Iterator[Bar]:
        """A progress bar on a terminal; elsewhere a line every ten seconds."""
        if self.console.is_terminal:
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.completed}/{task.total} {task.fields[detail]}"),
                TimeElapsedColumn(),
            )
            with Progress(*columns, console=self.console, transient=True) as progress:
                task = progress.add_task(title, total=None, detail="")

                def show(done: int, total: int, detail: str = "") -> None:
                    progress.update(task, completed=done, total=total, detail=detail)

                yield show
            return
        last = time.monotonic()

        def note(done: int, total: int, detail: str = "") -> None:
            nonlocal last
            if time.monotonic() - last >= QUIET_S:
                last = time.monotonic()
                self.line(f"{title}: {done}/{total} {detail}".rstrip())

        yield note
