"""Problems: what a sampler that knows the costs has to know of the candidates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from search_spaces import Choice

__all__ = ["Codes", "Floats", "Problem"]

Floats = NDArray[np.float64]
Codes = NDArray[np.integer[Any]]
"""Candidates as integer codes ``[n, parameters]``: of each parameter the position of its choice."""


class Problem(Protocol):
    """Candidates whose costs are exact and cheap, while their quality must be evaluated.

    Every method takes any number of candidates at once, and equal codes give equal answers.
    """

    @property
    def parameters(self) -> Mapping[str, tuple[Choice, ...]]:
        """Choices of each parameter, in order; the same for every candidate."""

    @property
    def costs(self) -> tuple[str, ...]:
        """Names of the costs."""

    def random_codes(self, n: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Random candidates ``[n, parameters]``; repeats are allowed."""

    def exist(self, codes: Codes) -> NDArray[np.bool_]:
        """Which codes are candidates at all, and within the budgets: ``[n]``."""

    def keys(self, codes: Codes) -> list[bytes]:
        """What tells one candidate from another: equal for codes of the same candidate."""

    def cost_values(self, codes: Codes) -> NDArray[np.float64]:
        """Costs ``[n, costs]``, each to be minimised: of what is maximised, the negative.

        Asked only for codes that exist.
        """

    def features(self, codes: Codes) -> NDArray[np.float64]:
        """What the quality may depend on: ``[n, features]``, finite. For codes that exist."""
