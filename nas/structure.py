"""Structures: what some columns of a configuration stand for together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from search_spaces import Choice

__all__ = ["Structure", "Values"]

Values = Mapping[str, NDArray[Any]]
"""Of each column of a configuration its values ``[n]``."""


class Structure(Protocol):
    """What some columns of a configuration stand for together, as a cell or a stack of layers."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns."""

    def canonical(
        self, codes: NDArray[np.int64], parameters: Mapping[str, tuple[Choice, ...]]
    ) -> NDArray[np.int64]:
        """Codes ``[n, parameters]`` in which choices without effect are the first ones."""

    def keys(self, values: Values) -> list[bytes]:
        """What tells one from another, of values ``[n]`` for each column."""

    def features(self, values: Values) -> NDArray[np.float64]:
        """What the quality may depend on: ``[n, features]``, finite."""
