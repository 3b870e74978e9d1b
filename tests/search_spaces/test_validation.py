"""Conditions on fields, and the words of their errors."""

from types import SimpleNamespace
from typing import Any

import pytest

from search_spaces.validation import check_multiple, check_odd, check_one_of, check_positive


@pytest.mark.parametrize("value", [1, 0.5, (1, 2), [3]])
def test_positive_takes_numbers_above_zero_and_lists_of_them(value: Any) -> None:
    assert check_positive(SimpleNamespace(width=value), "width") is None


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (0, "`width` must be a number above 0; got 0"),
        (-1.5, "got -1.5"),
        (float("nan"), "got nan"),
        (True, "got True"),
        ("8", "got '8'"),
        (None, "got None"),
        ((1, 0), "got 0"),
        ((), "`width` is empty; give at least one choice"),
    ],
)
def test_positive_refuses_the_rest(value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_positive(SimpleNamespace(depth=1, width=value), "depth", "width")


def test_multiple() -> None:
    assert check_multiple(SimpleNamespace(width=12, heads=3), "width", "heads") is None
    with pytest.raises(ValueError, match="`width` must be divisible by `heads`; got 12 and 5"):
        check_multiple(SimpleNamespace(width=12, heads=5), "width", "heads")


@pytest.mark.parametrize(
    ("value", "message"),
    [(4, "`kernel` must be odd; got 4"), ((3, 6), "got 6"), (-3, "above 0; got -3")],
)
def test_odd(value: Any, message: str) -> None:
    assert check_odd(SimpleNamespace(kernel=(1, 3)), "kernel") is None
    with pytest.raises(ValueError, match=message):
        check_odd(SimpleNamespace(kernel=value), "kernel")


@pytest.mark.parametrize("value", ["max", ("cls", "max"), ["max"]])
def test_one_of(value: Any) -> None:
    assert check_one_of(SimpleNamespace(pool=("cls", "mean")), "pool", ["cls", "mean"]) is None
    with pytest.raises(ValueError, match=r"`pool` must be one of \('cls', 'mean'\); got 'max'"):
        check_one_of(SimpleNamespace(pool=value), "pool", ["cls", "mean"])
