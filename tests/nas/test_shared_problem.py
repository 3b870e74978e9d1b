"""What is remembered is what the problem says, of the codes that are asked for."""

import copy
from typing import Any

import numpy as np
import pytest

from nas.function_problem import FunctionProblem
from nas.shared_problem import LARGE, SharedProblem


class Counted(FunctionProblem):
    """Counts what it is asked for."""

    asked = 0

    def features(self, codes: Any) -> Any:
        self.asked += 1
        return super().features(codes)


@pytest.fixture
def inner() -> Counted:
    choices = list(range(1, 11))
    return Counted({f"p{i}": choices for i in range(4)}, lambda c: {"sum": sum(c.values())})


def test_large_requests_are_answered_once_and_others_each_time(inner: Counted) -> None:
    shared = SharedProblem(inner)
    codes = shared.random_codes(LARGE, np.random.default_rng(0))
    expected = FunctionProblem.features(inner, codes)
    for _ in range(3):
        assert np.array_equal(shared.features(codes.copy()), expected)
    assert inner.asked == 1
    # Of other codes, and of the same in another order, the answer is another.
    assert np.array_equal(shared.features(codes[::-1]), expected[::-1])
    assert inner.asked == 2
    shared.features(codes[:10])
    shared.features(codes[:10])
    assert inner.asked == 4


def test_each_answer_is_remembered_by_itself(inner: Counted) -> None:
    shared = SharedProblem(inner)
    codes = shared.random_codes(LARGE, np.random.default_rng(0))
    assert shared.exist(codes).all()
    for _ in range(2):
        assert np.array_equal(shared.cost_values(codes), inner.cost_values(codes))
        assert shared.keys(codes) == inner.keys(codes)
        assert shared.exist(codes).tolist() == inner.exist(codes).tolist()
    assert shared.costs == ("sum",)
    assert shared.parameters == inner.parameters
    assert np.array_equal(shared.members, np.indices((10,) * 4).reshape(4, -1).T)  # type: ignore[arg-type]


def test_a_copy_remembers_the_same_over_a_problem_of_its_own(inner: Counted) -> None:
    shared = SharedProblem(inner)
    codes = shared.random_codes(LARGE, np.random.default_rng(0))
    shared.features(codes)
    again = copy.copy(shared)
    again.features(codes)
    assert inner.asked == 1
    assert again._problem is not shared._problem
