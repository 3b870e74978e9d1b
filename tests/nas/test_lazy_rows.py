"""Rows that are worked out once, when they are first asked for."""

import numpy as np
import pytest

from nas.lazy_rows import LazyRows


class Squares:
    """Rows of a number and its square; remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.calls = 0

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        self.calls += 1
        self.asked += rows.tolist()
        return np.stack([rows, rows**2], axis=1).astype(np.float32)


def test_only_what_is_asked_for_is_worked_out_and_once() -> None:
    make = Squares()
    rows = LazyRows(1000, make)
    assert len(rows) == 1000
    assert make.asked == []
    assert rows[np.array([7, 3, 7])].tolist() == [[7, 49], [3, 9], [7, 49]]
    assert sorted(make.asked) == [3, 7]
    assert rows[[3, 5]].tolist() == [[3, 9], [5, 25]]
    assert sorted(make.asked) == [3, 5, 7]
    assert rows[[0]].dtype == np.float32


@pytest.mark.parametrize("key", [slice(None), slice(2, 5), np.arange(6) % 2 == 0, [-1, 0]])
def test_positions_are_picked_as_of_an_array(key: object) -> None:
    make = Squares()
    assert LazyRows(6, make)[key].tolist() == Squares()(np.arange(6))[key].tolist()
    assert len(make.asked) == len(set(make.asked))


def test_nothing_is_asked_for_nothing() -> None:
    make = Squares()
    rows = LazyRows(6, make)
    assert len(rows[np.empty(0, dtype=np.intp)]) == 0
    assert make.calls == 0
    assert rows[[2]].tolist() == rows[[2]].tolist() == [[2, 4]]
    assert make.calls == 1


def test_positions_outside_are_refused() -> None:
    with pytest.raises(IndexError):
        LazyRows(6, Squares())[[6]]
