"""A small table that every sampler can be tried on."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from nas.table_problem import TableProblem


@pytest.fixture
def problem() -> TableProblem:
    """Each of 60 of 64 configurations: what is dear is good, but for a wiggle."""
    grid = np.array(list(itertools.product(range(4), repeat=3)))[:60]
    cost = grid.sum(axis=1) + 1.0
    return TableProblem(
        {"a": grid[:, 0], "b": grid[:, 1], "c": np.array(["w", "x", "y", "z"])[grid[:, 2]]},
        10 - cost + 2 * np.sin(grid @ [1, 5, 9]),
        {"cost": cost, "other": 20.0 - grid[:, 0]},
    )


@pytest.fixture(scope="module")
def larger() -> TableProblem:
    """125 configurations, so that a search has something to choose from."""
    grid = np.array(list(itertools.product(range(5), repeat=3)))
    cost = 1.0 + grid.sum(axis=1) + 0.1 * grid[:, 1]
    return TableProblem(
        {"a": grid[:, 0], "b": grid[:, 1], "c": np.array(list("vwxyz"))[grid[:, 2]]},
        10 - cost + 2 * np.sin(grid @ [1, 5, 9]),
        {"cost": cost, "other": 20.0 - grid[:, 0] ** 2},
    )


@pytest.fixture(scope="session")
def proposals() -> Callable[..., list[list[int]]]:
    """Runs a search until it has proposed so many candidates; returns their codes in order."""

    def run(search: Any, problem: TableProblem, n: int, error: float = 0.0) -> list[list[int]]:
        rows: list[list[int]] = []
        while len(rows) < n:
            codes = search.ask()
            rows += codes.tolist()
            search.tell(codes, problem.quality(codes), error)
        return rows

    return run
