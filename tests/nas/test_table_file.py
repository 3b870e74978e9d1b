"""Files of configurations: what is read, what is left out, and what is refused."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas.errors import ExperimentError, exit_status
from nas.table_file import TableFile
from search_spaces import UnknownNameError

TEXT = """op,heads,depth,ok,ms
a,"4,8",2,True,1.5
b,4,1,False,2
c,"[8, 8]",2,true,nan
"""


@pytest.fixture
def table(tmp_path: Path) -> TableFile:
    path = tmp_path / "table.csv"
    path.write_text(TEXT)
    return TableFile.read(path)


def test_a_file_is_the_same_gzipped_and_as_arrays(tmp_path: Path, table: TableFile) -> None:
    zipped = tmp_path / "table.csv.gz"
    zipped.write_bytes(gzip.compress(TEXT.encode()))
    assert TableFile.read(zipped).columns == table.columns
    arrays = tmp_path / "table.npz"
    np.savez(
        arrays,
        op=np.array(["a", "b", "c"]),
        heads=np.array(["4,8", "4", "8,8"]),
        depth=np.array([2, 1, 2]),
        ok=np.array([True, False, True]),
        ms=np.array([1.5, 2, np.nan], dtype=np.float32),
        images=np.zeros((3, 2)),
    )
    read = TableFile.read(arrays)
    assert set(read.columns) == set(table.columns)  # What has two dimensions is no column.
    for name in ("op", "depth"):
        assert np.array_equal(read.choices(name), table.choices(name))
    depths = table.numbers("depth")
    assert np.array_equal(read.lists("heads", depths), table.lists("heads", depths))
    # Truth values are words in text, and themselves in an array.
    assert read.choices("ok").tolist() == [True, False, True]
    assert table.choices("ok").tolist() == ["True", "False", "true"]
    assert (read.rows[0], table.rows[0]) == (0, 2)


@pytest.mark.parametrize(
    ("conditions", "left"),
    [
        ({}, "abc"),
        ({"depth": 2}, "ac"),
        ({"ok": True}, "ac"),
        ({"ok": False, "depth": 1}, "b"),
        ({"op": ["a", "b"]}, "ab"),
        ({"op": ("a", "b"), "depth": "2"}, "a"),
    ],
)
def test_rows_by_what_they_hold(table: TableFile, conditions: Any, left: str) -> None:
    kept = table.where(conditions)
    assert "".join(kept.column("op")) == left
    assert list(kept.rows) == ["abc".index(letter) + 2 for letter in left]


def test_a_condition_that_no_row_meets_says_what_there_is(table: TableFile) -> None:
    with pytest.raises(ExperimentError, match=r"no row has 'd' in column `op`.*a, b, c; cor"):
        table.where({"op": "d"})
    with pytest.raises(UnknownNameError, match="Known: op, heads, depth, ok, ms"):
        table.where({"opp": "a"})


def test_rows_without_a_value_can_be_left_out(table: TableFile) -> None:
    assert table.complete(["op"]).rows == [2, 3, 4]
    assert table.complete([], ["ms"]).rows == [2, 3]
    with pytest.raises(ExperimentError, match="row 4, column `ms`: 'nan' is no finite number"):
        table.numbers("ms")
    # A word where a number must be is a mistake that stays one.
    with pytest.raises(ExperimentError, match="row 2, column `op`: 'a' is no number"):
        table.complete([], ["op"]).numbers("op")
    with pytest.raises(ExperimentError, match="no row with a value in each of `ms`"):
        table.where({"op": "c"}).complete([], ["ms"])


def test_lists_are_filled_up_to_the_longest(table: TableFile) -> None:
    lists = table.lists("heads", table.numbers("depth"), "depth")
    assert lists.dtype.kind == "i"
    assert lists[[0, 2]].tolist() == [[4, 8], [8, 8]]
    assert lists[1, 0] == 4


@pytest.mark.parametrize(
    ("depths", "said"),
    [
        (None, "row 3, column `heads`: there is a list of 1, where row 2 has 2. Name"),
        ([2, 1, 3], "row 4, column `heads`: there is a list of 2, where `depth` is 3"),
    ],
)
def test_lists_of_another_length(table: TableFile, depths: Any, said: str) -> None:
    wanted = None if depths is None else np.array(depths)
    with pytest.raises(ExperimentError, match=said):
        table.lists("heads", wanted, "depth")


def test_an_element_that_is_empty(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text('a,b\n1,"4,,4"\n')
    with pytest.raises(ExperimentError, match="row 2, column `a`: there is a list of 1"):
        TableFile.read(path).lists("a", np.array([2]), "n")
    with pytest.raises(ExperimentError, match="row 2, column `b`: there is an element that is emp"):
        TableFile.read(path).lists("b", np.array([3]), "n")


def test_the_kind_of_a_column_is_after_its_name(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("a,b:list,c:d\n1,2,3\n")
    kinds = [TableFile.read(path).kind(name) for name in ("a", "a:text", "a:list", "b:list", "c:d")]
    assert kinds == [("a", ""), ("a", "text"), ("a", "list"), ("b:list", ""), ("c:d", "")]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("x.npz", b"nothing", "cannot be read as NPZ"),
        ("x.csv.gz", b"nothing", "cannot be read as CSV"),
        ("x.csv", b"a,b\n\xff,1\n", "cannot be read as CSV in UTF-8"),
        ("x.csv", b"a,b\n", "no rows"),
        ("x.csv", b"a,a\n1,2\n", "2 columns called `a`"),
        ("x.csv", b"a,b\n1\n", "row 2 has 1 cells"),
    ],
)
def test_what_is_no_table(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ExperimentError, match=said) as caught:
        TableFile.read(path)
    assert exit_status(caught.value) == 2


def test_arrays_of_several_lengths_are_no_table(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, a=np.zeros(2), b=np.zeros(3))
    with pytest.raises(ExperimentError, match=r"one length.*'a': 2, 'b': 3"):
        TableFile.read(path)
    np.savez(path, a=np.zeros((2, 2)))
    with pytest.raises(ExperimentError, match="one length"):
        TableFile.read(path)


def test_a_table_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="There is no table") as caught:
        TableFile.read(tmp_path / "nothing.csv")
    assert exit_status(caught.value) == 3
