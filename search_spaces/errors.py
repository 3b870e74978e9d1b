"""Errors that every package raises; the command line turns each into an exit status."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["BlockError", "CorruptFileError", "UncountedOperatorError", "UnknownNameError"]


class UnknownNameError(LookupError, ValueError):
    """A name that is not known, with the names that are.

    Args:
        kind: What the name should have named, in the singular (``"indicator"``).
        name: The name that was given.
        known: Every name that would have been accepted.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        self.kind, self.name, self.known = kind, name, tuple(known)
        near = difflib.get_close_matches(name, self.known, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        super().__init__(
            f"Unknown {kind} {name!r}.{hint} Known: {', '.join(self.known) or 'none'}."
        )


class CorruptFileError(ValueError):
    """A file that cannot be read as what it should be; the message names it."""


class BlockError(ValueError):
    """A block that cannot be built or run on its inputs, or does not compute example by example."""


class UncountedOperatorError(NotImplementedError):
    """A module called an operator that has no cost formula, so its counts would be wrong.

    Not a TypeError: the binary operators of PyTorch's tensors turn those into ``NotImplemented``.
    """
