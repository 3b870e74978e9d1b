"""The project's own errors, and the exit status that each ends the command line with."""

from __future__ import annotations

from collections.abc import Sequence

from hw_profiles.errors import ForeignTableError, UnavailableError
from search_spaces import BlockError, CorruptFileError, UncountedOperatorError, UnknownNameError

__all__ = [
    "EXIT_STATUS",
    "ExperimentError",
    "InterruptedSearch",
    "NothingFeasibleError",
    "QualityError",
    "StaleCertificateError",
    "TooManyFailuresError",
    "VerificationError",
    "exit_status",
]


class ExperimentError(ValueError):
    """An experiment file, or the command line, does not say something that can be done."""


class QualityError(RuntimeError):
    """An architecture could not be trained; the message is the reason."""


class NothingFeasibleError(ValueError):
    """No candidate meets the budgets.

    Args:
        message: What was asked and what is nearest.
        nearest: The least-violating candidates, as lines.
    """

    def __init__(self, message: str, nearest: Sequence[str] = ()) -> None:
        self.nearest = tuple(nearest)
        super().__init__("\n".join([message, *nearest]))


class VerificationError(RuntimeError):
    """An exported file is not the network that was searched."""


class StaleCertificateError(RuntimeError):
    """A table is further from what this machine does now than its certificate says."""


class TooManyFailuresError(RuntimeError):
    """More trials failed than the experiment allows."""


class InterruptedSearch(KeyboardInterrupt):
    """A search was stopped and saved; the message is the command that goes on with it."""


EXIT_STATUS: tuple[tuple[type[BaseException], int], ...] = (
    (InterruptedSearch, 130),
    (KeyboardInterrupt, 130),
    (CorruptFileError, 7),
    (TooManyFailuresError, 6),
    (VerificationError, 5),
    (StaleCertificateError, 5),
    (NothingFeasibleError, 4),
    (UnknownNameError, 3),
    (FileNotFoundError, 3),
    (ExperimentError, 2),
    (UnavailableError, 2),
    (ForeignTableError, 2),
    (UncountedOperatorError, 2),
    (BlockError, 2),
)
"""Exit status by error, the most specific first; anything else is 1."""


def exit_status(error: BaseException) -> int:
    """The status that the command line ends with for an error."""
    return next((status for kind, status in EXIT_STATUS if isinstance(error, kind)), 1)
