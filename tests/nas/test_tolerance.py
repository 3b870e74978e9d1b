"""Measurement errors within which two values are the same."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.errors import ExperimentError
from nas.tolerance import Tolerance

VALUES = st.floats(-100, 100).map(lambda value: round(value, 3))


def test_a_share_is_of_the_smaller() -> None:
    a, b = np.array([100.0, 100.0, -100.0, 0.0, 1.0]), np.array([105.0, 105.1, -105.0, 0.0, -1.0])
    assert Tolerance(0.05).same(a, b).tolist() == [True, False, True, True, False]
    assert Tolerance(0.05).same(b, a).tolist() == [True, False, True, True, False]


def test_a_size_is_in_the_unit_of_the_column() -> None:
    a, b = np.array([79.9, 79.9, -0.05]), np.array([80.0, 80.1, 0.05])
    assert Tolerance(0.1, relative=False).same(a, b).tolist() == [True, False, True]


def test_nothing_is_the_same_as_what_is_missing() -> None:
    gap = np.array([np.nan])
    assert not Tolerance(0.5).same(gap, gap).any()


@given(a=VALUES, b=VALUES, share=st.floats(0, 0.9), relative=st.booleans())
def test_below_and_same_agree(a: float, b: float, share: float, relative: bool) -> None:
    tolerance, x, y = Tolerance(share, relative), np.array([a]), np.array([b])
    less, more = bool((x < tolerance.below(y))[0]), bool((y < tolerance.below(x))[0])
    assert less + more + bool(tolerance.same(x, y)[0]) == 1
    if less:
        assert a < b


def test_without_an_error_only_equal_values_are_the_same() -> None:
    a = np.array([1.0, 1.0])
    assert Tolerance().same(a, np.array([1.0, np.nextafter(1, 2)])).tolist() == [True, False]


@pytest.mark.parametrize("text", ["", "%", "five", "-1", "-5%", "100%", "nan", "inf"])
def test_what_is_no_error_is_refused(text: str) -> None:
    with pytest.raises(ExperimentError, match="A measurement error is a share below"):
        Tolerance.parse(text)


def test_errors_are_shown_as_they_are_written() -> None:
    assert str(Tolerance.parse("5%")) == "5 %"
    assert str(Tolerance.parse("0.25")) == "0.25"
