"""Columns that are made of others."""

from pathlib import Path

import pytest

from nas.derived_columns import DerivedColumn
from nas.errors import ExperimentError
from nas.table_file import TableFile
from search_spaces import UnknownNameError

TABLE = TableFile(Path("t.csv"), {"model": ["a_large", "b_small", "7"], "n": [1, 2, 3]}, [2, 3, 4])


@pytest.mark.parametrize(
    ("pattern", "labels"),
    [
        ("large|small", ["large", "small", "other"]),
        ("^([a-z])_", ["a", "b", "other"]),
        ("^(?P<first>a)|^([a-z])", ["first", "b", "other"]),
        ("(?P<big>large)|(?P<little>small)", ["big", "little", "other"]),
        ("x*", ["other", "other", "other"]),
        ("_(x)?", ["other", "other", "other"]),
    ],
)
def test_labels(pattern: str, labels: list[str]) -> None:
    joined = DerivedColumn.parse(f"kind=model~{pattern}").join(TABLE)
    assert joined.column("kind") == labels
    assert list(joined.columns) == ["model", "n", "kind"]
    assert list(TABLE.columns) == ["model", "n"]


def test_numbers_are_read_as_text() -> None:
    assert DerivedColumn.parse("k=n~[12]").join(TABLE).column("k") == ["1", "2", "other"]


@pytest.mark.parametrize(
    "text", ["", "kind", "kind=model", "kind~a", "=model~a", "kind=~a", "k=m~"]
)
def test_what_is_no_derived_column_is_refused(text: str) -> None:
    with pytest.raises(ExperimentError, match="NAME=COLUMN~PATTERN"):
        DerivedColumn.parse(text)


def test_what_is_no_pattern_is_refused() -> None:
    with pytest.raises(ExperimentError, match="no regular expression: missing"):
        DerivedColumn.parse("kind=model~(a")


def test_a_column_that_is_not_there_or_there_already() -> None:
    with pytest.raises(UnknownNameError, match="Unknown column"):
        DerivedColumn.parse("kind=modle~a").join(TABLE)
    with pytest.raises(ExperimentError, match="a column `n` already"):
        DerivedColumn.parse("n=model~a").join(TABLE)
