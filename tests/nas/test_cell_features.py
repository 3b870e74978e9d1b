"""What live paths say of cells."""

import itertools

import numpy as np
import pytest

from nas.cell_features import Cell
from nas.errors import ExperimentError

DIAMOND = Cell({"a": (0, 1), "b": (1, 3), "c": (0, 2), "d": (2, 3)}, frozenset({"none"}))


def values(cell: Cell, *rows: str) -> dict[str, np.ndarray]:
    """Operations of each edge, from one row of words for each cell."""
    table = np.array([row.split() for row in rows])
    return dict(zip(cell.columns, table.T, strict=True))


def test_dead_edges_say_nothing() -> None:
    # The upper path is cut at either end: whatever its other edge holds, nothing comes through.
    cut = values(DIAMOND, "conv none pool pool", "pool none pool pool", "none conv pool pool")
    keys, features = DIAMOND.keys(cut), DIAMOND.features(cut)
    assert len(set(keys)) == 1
    assert (features == features[0]).all()
    # Of conv and pool: edges 0 and 2, along paths 0 and 2, paths of it alone 0 and 1; one path with
    # both of the live edges; and the pools stand on c and d.
    assert features[0, :9].tolist() == [0, 2, 0, 2, 0, 1, 1, 2, 2]
    assert features[0, 9:].reshape(4, 2).tolist() == [[0, 0], [0, 0], [0, 1], [0, 1]]


def test_mirrored_cells_are_one_and_others_are_not() -> None:
    first, mirrored, swapped = DIAMOND.keys(
        values(DIAMOND, "conv pool skip conv", "skip conv conv pool", "pool conv skip conv")
    )
    assert first == mirrored
    assert first != swapped


def test_keys_part_cells_that_share_a_node_from_those_that_do_not() -> None:
    edges = {"01": (0, 1), "02": (0, 2), "12": (1, 2), "03": (0, 3), "13": (1, 3), "23": (2, 3)}
    cell = Cell(edges, frozenset({"none"}))
    every = list(itertools.product(["none", "skip", "conv"], repeat=6))
    table = dict(zip(edges, np.array(every).T, strict=True))
    groups: dict[bytes, set[tuple[int, ...]]] = {}
    features = cell.features(table)[:, :9]  # The others say on which edges operations stand.
    for key, row in zip(cell.keys(table), features, strict=True):
        groups.setdefault(key, set()).add(tuple(row))
    assert all(len(rows) == 1 for rows in groups.values())
    # An edge counts as live only where it can be reached and leaves for the sink.
    alive = cell.connected(table)
    assert (features[:, -3] > 0).tolist() == alive.tolist()
    for row, live in zip(every, alive.tolist(), strict=True):
        a, b, c, d, e, f = (operation != "none" for operation in row)
        assert live == (d or (a and e) or (b and f) or (a and c and f))


def test_operations_may_be_numbers() -> None:
    cell = Cell({"a": (0, 1), "b": (0, 1)}, frozenset({0}))
    table = {"a": np.array([1, 2, 0]), "b": np.array([2, 1, 0])}
    first, second, cut = cell.keys(table)
    assert first == second != cut
    assert cell.connected(table).tolist() == [True, True, False]


@pytest.mark.parametrize("edges", [{}, {"a": (1, 1)}, {"a": (2, 1)}, {"a": (0, 1), "b": (2, 3)}])
def test_no_cell_is_refused(edges: dict[str, tuple[int, int]]) -> None:
    with pytest.raises(ExperimentError, match="edges"):
        Cell(edges)
