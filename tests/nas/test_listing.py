"""All candidates of a problem."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from nas.experiment import Experiment
from nas.function_problem import FunctionProblem
from nas.listing import LISTED, every_code, grid
from nas.pricer import Pricer
from nas.problem import Problem
from nas.space_problem import SpaceProblem
from nas.splits import Dataset
from nas.table_problem import TableProblem
from nas.unseen import Unseen
from search_spaces import UnionSpace


def macs(config: Any) -> dict[str, float]:
    return {"macs": float(config["depth"] * config["width"])}


def tables() -> TableProblem:
    return TableProblem(
        {"a": [1, 2, 3], "b": ["x", "y", "x"]}, [1.0, 2.0, 3.0], {"macs": [3.0, 2.0, 1.0]}
    )


def test_a_grid_has_every_combination_once() -> None:
    codes = grid([3, 1, 4])
    assert codes.dtype == np.int64
    assert sorted(map(tuple, codes.tolist())) == [(i, 0, k) for i in range(3) for k in range(4)]


def test_budgets_leave_out_what_is_over_them() -> None:
    problem = FunctionProblem({"depth": [1, 2], "width": [8, 16]}, macs, {"macs": 16})
    codes = every_code(problem)
    assert codes is not None
    assert codes.tolist() == [[0, 0], [0, 1], [1, 0]]


def test_of_a_table_the_rows_are_listed() -> None:
    codes = every_code(tables())
    assert codes is not None
    assert sorted(map(tuple, codes.tolist())) == [(0, 0), (1, 1), (2, 0)]


def test_too_many_are_not_listed() -> None:
    sizes = {"depth": range(1, LISTED // 2 + 1), "width": [8, 16]}
    fits = FunctionProblem({k: list(v) for k, v in sizes.items()}, macs)
    assert fits.size == LISTED
    more = FunctionProblem({k: [*v, 999_999] for k, v in sizes.items()}, macs)
    codes = every_code(fits)
    assert codes is not None
    assert len(codes) == LISTED
    assert every_code(more) is None


def test_of_a_union_every_network_is_listed_and_not_each_pair(
    tiny_space: UnionSpace, tiny_pricer: Pricer
) -> None:
    problem = SpaceProblem(tiny_space, tiny_pricer, ["macs"])
    codes = every_code(problem)
    assert codes is not None
    sizes = [
        int(np.prod([len(choices) for choices in member.parameters.values()]))
        for member in tiny_space.members.values()
    ]
    assert len(codes) == sum(sizes)
    assert len({tiny_space.decode(code).id for code in codes}) == tiny_space.size == 64


def test_of_one_family_every_network_is_listed(tiny_space: UnionSpace, tiny_pricer: Pricer) -> None:
    (member, _) = tiny_space.members.values()
    codes = every_code(SpaceProblem(member, tiny_pricer, ["macs"]))
    assert codes is not None
    assert len({member.decode(code).id for code in codes}) == member.size == 48


def test_a_large_space_is_not_listed(
    tiny: Callable[..., Experiment], digits: Dataset, tiny_pricer: Pricer
) -> None:
    space = tiny(
        spaces={"mbconv": {"depth": [1, 2, 3, 4], "expansion": [1, 2, 3, 4, 5, 6, 7, 8]}}
    ).space(digits)
    assert every_code(SpaceProblem(space, tiny_pricer, ["macs"])) is None


@pytest.mark.parametrize("problem", [tables(), FunctionProblem({"depth": [1, 2, 3]}, lambda c: c)])
def test_what_is_left_is_drawn_until_nothing_is(problem: Problem) -> None:
    unseen, rows = Unseen(problem, np.random.default_rng(0)), []
    while unseen.any_left():
        row = unseen.random()
        assert row is not None
        assert unseen.are_new(row[None, :])[0]
        unseen.leave_out(row[None, :])
        rows.append(tuple(row.tolist()))
    assert len(rows) == len(set(rows)) == 3
    assert unseen.random() is None
    assert unseen.near(np.array(rows[0])) is None


def test_near_is_what_differs_least() -> None:
    problem = FunctionProblem(
        {"depth": [1, 2, 3, 4, 5], "kind": ["a", "b"]}, lambda c: {"macs": float(c["depth"])}
    )
    unseen = Unseen(problem, np.random.default_rng(0))
    row = np.array([1, 0])
    assert unseen.near(row) is row
    unseen.leave_out(row[None, :])
    # A step of four in depth is less than another kind, and there is one on either side.
    found = unseen.near(row)
    assert found is not None
    assert found.tolist() in ([0, 0], [2, 0])
    unseen.leave_out(np.array([[0, 0], [2, 0], [3, 0]]))
    found = unseen.near(row)
    assert found is not None
    assert found.tolist() == [4, 0]  # Three of four steps, before the other kind.
