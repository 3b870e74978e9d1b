"""Tables that others published, in each kind of file, good and bad."""

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from predictors.published_table import FeatureCode, PublishedTable
from search_spaces import CorruptFileError, UnknownNameError

ROWS: list[dict[str, Any]] = [
    {"width": 64, "heads": "2,4", "operator": "conv", "bias": True, "device": "a", "ms": 1.5},
    {"width": 128, "heads": "4", "operator": "pool", "bias": False, "device": "b", "ms": 20.0},
    {"width": 96, "heads": "2,2,4", "operator": "conv", "bias": True, "device": "b", "ms": 0.25},
]
NAMES = list(ROWS[0])
ENDINGS = ("csv", "csv.gz", "npz", "rows.json", "columns.json")


def csv_text(rows: list[dict[str, Any]]) -> str:
    cells = [[f'"{cell}"' if "," in str(cell) else str(cell) for cell in r.values()] for r in rows]
    return "".join(",".join(line) + "\n" for line in [list(rows[0]), *cells])


def write(folder: Path, ending: str, rows: list[dict[str, Any]] = ROWS) -> Path:
    """Writes rows to a file of some ending."""
    path, columns = folder / f"table.{ending}", {n: [row[n] for row in rows] for n in rows[0]}
    if ending == "csv":
        path.write_text(csv_text(rows))
    elif ending == "csv.gz":
        path.write_bytes(gzip.compress(csv_text(rows).encode()))
    elif ending == "npz":
        np.savez(path, **{name: np.array(column) for name, column in columns.items()})
    else:
        path.write_text(json.dumps(rows if ending.startswith("rows") else columns))
    return path


def changed(position: int, name: str, cell: Any) -> list[dict[str, Any]]:
    """The rows with another cell."""
    rows = [dict(row) for row in ROWS]
    rows[position][name] = cell
    return rows


@pytest.mark.parametrize("ending", ENDINGS)
def test_every_kind_of_file_says_the_same(tmp_path: Path, ending: str) -> None:
    table = PublishedTable.read(write(tmp_path, ending))
    assert len(table) == 3
    assert list(table.columns) == NAMES
    assert table.seconds("ms", "ms").tolist() == pytest.approx([1.5e-3, 0.02, 2.5e-4])
    codes = table.code(["width", "heads", "operator", "bias"])
    assert [code.kind for code in codes] == ["number", "list", "name", "number"]
    encoded = [
        [code.encode(cell) for code, cell in zip(codes, row, strict=True)]
        for row in zip(*(table.column(code.name) for code in codes), strict=True)
    ]
    # Length, sum, and how often there is a 2 and a 4; then conv and pool.
    assert encoded == [
        [[64.0], [2.0, 6.0, 1.0, 1.0], [1.0, 0.0], [1.0]],
        [[128.0], [1.0, 4.0, 0.0, 1.0], [0.0, 1.0], [0.0]],
        [[96.0], [3.0, 8.0, 2.0, 1.0], [1.0, 0.0], [1.0]],
    ]


@pytest.mark.parametrize(("unit", "factor"), [("s", 1), ("ms", 1e-3), ("us", 1e-6), ("ns", 1e-9)])
def test_units(tmp_path: Path, unit: str, factor: float) -> None:
    seconds = PublishedTable.read(write(tmp_path, "csv")).seconds("ms", unit)
    np.testing.assert_allclose(seconds, np.array([1.5, 20, 0.25]) * factor, rtol=1e-15)


def test_unknown_unit_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"unit of column ms 'min'.*s, ms, us, ns"):
        PublishedTable.read(write(tmp_path, "csv")).seconds("ms", "min")


def test_rows_that_are_chosen_keep_their_numbers(tmp_path: Path) -> None:
    chosen = PublishedTable.read(write(tmp_path, "csv")).where("device", "b")
    assert chosen.rows == (2, 3)
    assert chosen.column("width") == ["128", "96"]
    with pytest.raises(UnknownNameError, match=r"value of column device 'c'.*b\."):
        chosen.where("device", "c")
    with pytest.raises(UnknownNameError, match=r"column of table\.csv 'chip'"):
        chosen.where("chip", "a")


@pytest.mark.parametrize("cell", ["nan", "-1.5", "0", "", "fast", "inf", "1e999"])
def test_latency_that_is_none_is_named_with_its_row(tmp_path: Path, cell: str) -> None:
    table = PublishedTable.read(write(tmp_path, "csv", changed(1, "ms", cell)))
    with pytest.raises(CorruptFileError, match=r"table.csv, row 2, column 'ms' .* got '") as found:
        table.seconds("ms", "ms")
    assert f"got {cell!r}" in str(found.value)
    later = table.where("device", "b")
    with pytest.raises(CorruptFileError, match="row 2,"):
        later.seconds("ms", "ms")


def test_all_wrong_cells_are_counted(tmp_path: Path) -> None:
    rows = changed(0, "ms", float("nan"))
    rows[2]["ms"] = -1.0
    with pytest.raises(CorruptFileError, match=r"row 1, .*got nan, and 1 more like it"):
        PublishedTable.read(write(tmp_path, "npz", rows)).seconds("ms", "ms")


@pytest.mark.parametrize("cell", ["", "n/a", "nan"])
def test_feature_that_is_missing_is_named(tmp_path: Path, cell: str) -> None:
    table = PublishedTable.read(write(tmp_path, "csv", changed(2, "operator", cell)))
    with pytest.raises(CorruptFileError, match=r"row 3, column 'operator' must hold a value"):
        table.code(["operator"])


def test_slip_in_a_column_of_numbers_does_not_make_it_one_of_names(tmp_path: Path) -> None:
    table = PublishedTable.read(write(tmp_path, "csv", changed(1, "width", "12B")))
    with pytest.raises(CorruptFileError, match=r"row 2, column 'width' must hold a number"):
        table.code(["width"])
    (code,) = table.code(["width:name"])
    assert code.levels == ("12B", "64", "96")


def test_numbers_can_be_taken_for_names(tmp_path: Path) -> None:
    (code,) = PublishedTable.read(write(tmp_path, "npz")).code(["width:name"])
    assert code.levels == ("128", "64", "96")
    assert code.encode(96) == code.encode("96") == [0.0, 0.0, 1.0]


def test_unknown_columns_and_kinds(tmp_path: Path) -> None:
    table = PublishedTable.read(write(tmp_path, "csv"))
    with pytest.raises(UnknownNameError, match=r"'widht'\. Did you mean 'width'"):
        table.code(["widht"])
    with pytest.raises(UnknownNameError, match="kind of column 'set'"):
        FeatureCode("width", "set")
    with pytest.raises(CorruptFileError, match="must hold a list"):
        table.code(["operator:list"])


@pytest.mark.parametrize(
    ("name", "cell", "message"),
    [
        ("width", 256, "within what was measured, 64 to 128; got 256"),
        ("width", "wide", "must be a finite number; got 'wide'"),
        ("width", float("nan"), "must be a finite number"),
        ("heads", "2,4,2,4", "the length of `heads` .* 1 to 3; got 4"),
        ("heads", "4,8", "the sum of `heads` .* 4 to 8; got 12"),
        ("heads", "3,3", r"numbers of \(2.0, 4.0\); got '3,3'"),
        ("heads", "two", "numbers with commas"),
        ("operator", "sum", "Unknown value of operator 'sum'.*conv, pool"),
    ],
)
def test_what_was_not_measured_is_not_encoded(
    tmp_path: Path, name: str, cell: Any, message: str
) -> None:
    (code,) = PublishedTable.read(write(tmp_path, "csv")).code([name])
    with pytest.raises(ValueError, match=message):
        code.encode(cell)


def test_code_is_kept_as_json(tmp_path: Path) -> None:
    for code in PublishedTable.read(write(tmp_path, "csv")).code(["width", "heads", "operator"]):
        assert FeatureCode.from_json(json.loads(json.dumps(code.to_json()))) == code


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", b"", "not a CSV file with a header"),
        ("t.csv", b"a,b\n", "a header and no rows"),
        ("t.csv", b"a,b\n1,2\n3\n", "row 2 has 1 cells where the header has 2"),
        ("t.csv", b"a,a\n1,2\n", "header has 'a' more than once"),
        ("t.csv", b"a\n\xff\xfe\n", "not a CSV file"),
        ("t.csv.gz", b"a,b\n1,2\n", "not a CSV file"),
        ("t.csv.gz", gzip.compress(b"a,b\n1,2\n", mtime=0)[:-6], "not a CSV file"),
        ("t.npz", b"PK but no zip", "not an npz file"),
        ("t.json", b"{", "not JSON"),
        ("t.json", b"[]", "an object for each row"),
        ("t.json", b'{"a": 1}', "an object for each row"),
        ("t.json", b'[{"a": 1}, {"b": 1}]', r"row 2 .* differs in \['a', 'b'\]"),
        ("t.json", b'{"a": [1], "b": [1, 2]}', "all columns must have the same rows"),
        ("t.json", b'{"a": [1, NaN]}', "NaN is not a number"),
    ],
)
def test_file_that_is_no_table_is_corrupt(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CorruptFileError, match=message):
        PublishedTable.read(tmp_path / name)


def test_pickles_are_not_opened(tmp_path: Path) -> None:
    np.savez(tmp_path / "t.npz", a=np.array([{"b": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(CorruptFileError, match="plain columns"):
        PublishedTable.read(tmp_path / "t.npz")


def test_files_that_are_not_there_or_of_another_kind(tmp_path: Path) -> None:
    for ending in ("csv", "csv.gz", "npz", "json"):
        with pytest.raises(FileNotFoundError):
            PublishedTable.read(tmp_path / f"gone.{ending}")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(CorruptFileError, match="not a CSV file"):
        PublishedTable.read(tmp_path / "folder.csv")
    with pytest.raises(ValueError, match=r"must end in .npz, .csv, .csv.gz or .json; got 't.xls'"):
        PublishedTable.read(tmp_path / "t.xls")
