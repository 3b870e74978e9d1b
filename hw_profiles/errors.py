"""Errors that measuring ends with; the command line turns each into an exit status."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["ForeignTableError", "UnavailableError"]


class UnavailableError(RuntimeError):
    """What is asked for needs something that is not here: a GPU, a counter, an optional package."""


class ForeignTableError(ValueError):
    """A table is of another device, version or setting than what it is used or measured on.

    Args:
        what: The table or profile, as the start of a sentence.
        differences: Value of each differing field there and here.
        advice: The way out.
    """

    def __init__(
        self, what: str, differences: Mapping[str, tuple[Any, Any]], advice: str = ""
    ) -> None:
        self.differences = dict(differences)
        rows = [("", "there", "here")]
        rows += [(name, str(there), str(here)) for name, (there, here) in differences.items()]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        ]
        said = f"{what} is of another device, version or setting:"
        super().__init__("\n".join([said, *lines, *([advice] if advice else [])]))
