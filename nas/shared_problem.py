"""A problem that many searches ask for the same."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from nas.listing import every_code
from nas.problem import Codes, Problem
from search_spaces import Choice

__all__ = ["SharedProblem"]

LARGE = 5_000
"""Codes from which on a request is worth remembering."""

Answer = TypeVar("Answer")


class SharedProblem:
    """Another :class:`nas.problem.Problem` that remembers its last large answers.

    Searches with the same seed price the same candidates at their start, which takes seconds. What
    is answered must not be written to.

    Args:
        problem: The other one.
    """

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._known: dict[str, tuple[bytes, Any]] = {}

    def __copy__(self) -> SharedProblem:
        """One that draws on its own and remembers the same."""
        result = SharedProblem(copy.copy(self._problem))
        result._known = self._known
        return result

    @property
    def parameters(self) -> Mapping[str, tuple[Choice, ...]]:
        """As of the problem."""
        return self._problem.parameters

    @property
    def costs(self) -> tuple[str, ...]:
        """As of the problem."""
        return self._problem.costs

    @cached_property
    def members(self) -> NDArray[np.int64] | None:
        """Codes ``[n, parameters]`` of every candidate at least once; ``None`` of too many."""
        return every_code(self._problem)

    def random_codes(self, n: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """As of the problem."""
        return self._problem.random_codes(n, rng)

    def exist(self, codes: Codes) -> NDArray[np.bool_]:
        """As of the problem."""
        return self._remembered("exist", self._problem.exist, codes)

    def keys(self, codes: Codes) -> list[bytes]:
        """As of the problem."""
        return self._remembered("keys", self._problem.keys, codes)

    def cost_values(self, codes: Codes) -> NDArray[np.float64]:
        """As of the problem."""
        return self._remembered("cost_values", self._problem.cost_values, codes)

    def features(self, codes: Codes) -> NDArray[np.float64]:
        """As of the problem."""
        return self._remembered("features", self._problem.features, codes)

    def _remembered(self, what: str, ask: Callable[[Codes], Answer], codes: Codes) -> Answer:
        if len(codes) < LARGE:
            return ask(codes)
        rows = np.ascontiguousarray(codes, dtype=np.int64)
        digest = hashlib.sha256(rows.tobytes()).digest()
        known = self._known.get(what)
        if known is None or known[0] != digest:
            known = digest, ask(codes)
            self._known[what] = known
        answer: Answer = known[1]
        return answer
