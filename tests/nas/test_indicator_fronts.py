"""Fronts of quality against each single cost, and against all."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nas.indicator_fronts import front_of, indicator_fronts
from nas.model_table import ModelTable

NAN = float("nan")


def table(rows: list[list[float]], families: str = "") -> ModelTable:
    data = np.array(rows, dtype=float)
    names = tuple("abcdefghijklmnopqrst"[: len(data)])
    return ModelTable(
        names, "error", data[:, 0], ("params", "rate"), data[:, 1:], frozenset({"rate"}),
        tuple(families),
    )  # fmt: skip


# Error, params, rate: a is small, b fast, c good and dear, d beaten by a and by b.
ROWS = [[3, 1, 10], [3, 5, 90], [1, 9, 9], [4, 6, 8]]


def test_fronts_by_hand() -> None:
    found = indicator_fronts(table(ROWS))
    assert found.members == {"params": ("c", "a"), "rate": ("c", "b"), "all": ("c", "a", "b")}
    assert found.sizes == {"params": 2, "rate": 2, "all": 3}
    assert found.models == {"params": 4, "rate": 4, "all": 4}
    assert found.always == ("c",)
    assert found.only == {"params": ("a",), "rate": ("b",)}
    assert found.stays["params"] == {"rate": 0.5, "all": 1.0}
    assert found.stays["all"] == {"params": 2 / 3, "rate": 2 / 3}
    assert found.families == {}


def test_shares_of_families_by_hand() -> None:
    found = indicator_fronts(table(ROWS, "xyyy")).families
    assert found[""] == {"y": 0.75, "x": 0.25}
    assert found["params"] == {"x": 0.5, "y": 0.5}
    assert found["rate"] == {"y": 1.0}
    assert found["all"] == {"y": 2 / 3, "x": 1 / 3}


def test_gaps_leave_a_model_out_where_they_are_needed() -> None:
    # Without its rate c is on the front of params only, and a and b remain for the other.
    found = indicator_fronts(table([[3, 1, 10], [3, 5, 90], [1, 9, NAN], [NAN, 0, 99]]))
    assert found.members == {"params": ("c", "a"), "rate": ("b",), "all": ("a", "b")}
    assert found.models == {"params": 3, "rate": 2, "all": 2}
    # Among the models that have both only a is on the front of params, and it is not on the other.
    assert found.stays["params"]["rate"] == 0.0
    assert found.only == {"params": ("a",), "rate": ("b",)}


def test_without_a_model_that_has_both_nothing_is_said_of_two() -> None:
    found = indicator_fronts(table([[1, 2, NAN], [2, NAN, 1]]))
    assert found.sizes == {"params": 1, "rate": 1, "all": 0}
    assert found.stays["params"]["rate"] is None
    assert found.always == ()


@given(
    st.lists(st.lists(st.integers(0, 4), min_size=3, max_size=3), min_size=1, max_size=15),
    st.randoms(use_true_random=False),
)
def test_single_fronts_are_found_one_by_one_in_any_order(rows, random) -> None:  # type: ignore[no-untyped-def]
    found = table(rows)
    expected = {
        found.names[i]
        for i, (error, params, _) in enumerate(rows)
        if not any(
            other[0] <= error and other[1] <= params and other[:2] != [error, params]
            for other in rows
        )
    }
    assert {found.names[i] for i in front_of(found, ["params"])} == expected
    order = list(range(len(rows)))
    random.shuffle(order)
    shuffled = found.take(np.array(order))
    assert {shuffled.names[i] for i in front_of(shuffled, ["params"])} == expected
