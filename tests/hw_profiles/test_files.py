"""Files that are whole or absent, and JSON without NaN."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from hw_profiles.files import canonical_json, read_json, sha256_of, write_atomically, write_json
from search_spaces import CorruptFileError


def test_json_is_read_back(tmp_path: Path) -> None:
    path, data = tmp_path / "new" / "folder" / "data.json", {"b": [1, 2.5, None], "a": "é"}
    write_json(path, data)
    assert read_json(path) == data
    assert os.listdir(path.parent) == ["data.json"]
    assert path.stat().st_mode & 0o777 == 0o644


def test_failure_to_replace_leaves_the_old_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "data.json"
    write_atomically(path, b"old")

    def fail(*args: Any) -> None:
        raise OSError("no space")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="no space"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["data.json"]


@pytest.mark.parametrize("data", [float("nan"), [float("inf")], {"a": -float("inf")}, {1j: 0}])
def test_failure_to_serialise_leaves_the_old_content(tmp_path: Path, data: Any) -> None:
    path = tmp_path / "data.json"
    write_json(path, "old")
    with pytest.raises((ValueError, TypeError)):
        write_json(path, data)
    assert read_json(path) == "old"
    assert os.listdir(tmp_path) == ["data.json"]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_what_is_no_number_is_refused_on_read(tmp_path: Path, number: str) -> None:
    path = tmp_path / "data.json"
    path.write_text(f'{{"latency_s": {number}}}')
    with pytest.raises(CorruptFileError, match=r"data\.json"):
        read_json(path)


def test_place_of_what_is_no_number_is_named(tmp_path: Path) -> None:
    path = tmp_path / "data.json"
    path.write_text('{"a": [1.5, {"b": 2}], "c": {"d": [[], [0, -Infinity]]}, "e": NaN}')
    with pytest.raises(CorruptFileError, match=r"data\.json, c, d, 1, 1: -Infinity is not"):
        read_json(path)
    path.write_text("NaN")
    with pytest.raises(CorruptFileError, match=r"data\.json: NaN is not"):
        read_json(path)


def test_where_it_is_no_number_is_said(tmp_path: Path) -> None:
    path = tmp_path / "data.json"
    path.write_text('{"a": [1.5], "entries": {"Block(4)": [0.5, {"low": NaN}], "z": Infinity}}')
    with pytest.raises(CorruptFileError, match=r"data\.json, entries, Block\(4\), 1, low: NaN"):
        read_json(path)
    path.write_text("NaN")
    with pytest.raises(CorruptFileError, match=r"data\.json: NaN"):
        read_json(path)


@pytest.mark.parametrize("content", [b"", b"{", b'{"a": 1', b"{'a': 1}", b"\xff\xfe\x00", b"1 2"])
def test_what_is_not_json_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "data.json"
    path.write_bytes(content)
    with pytest.raises(CorruptFileError, match=r"data\.json is not JSON"):
        read_json(path)


def test_a_file_that_is_not_there_is_not_corrupt(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_json(tmp_path / "none.json")


def test_canonical_json_has_one_form() -> None:
    assert canonical_json({"b": 1, "a": [1.5, "x"]}) == b'{"a":[1.5,"x"],"b":1}'
    assert canonical_json({"a": 1, "b": 2}) == canonical_json(json.loads('{"b": 2, "a": 1}'))
    with pytest.raises(ValueError, match="JSON compliant"):
        canonical_json(float("nan"))


def test_sha256_is_that_of_the_standard() -> None:
    # FIPS 180-2, appendix B.1.
    assert sha256_of(b"abc").startswith("ba7816bf8f01cfea414140de5dae2223b00361a3")
