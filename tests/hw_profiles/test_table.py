"""Latency tables: what they hold, and files that are not what was saved."""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from hw_profiles import (
    Certificate,
    LatencyTable,
    Measured,
    MissingBlockError,
    Timing,
    space_digest,
)
from search_spaces import Block, CorruptFileError, ViTSpace, block_key

MakeTable = Callable[..., LatencyTable]
TIMES = {"value_s": 1.0, "p10_s": 1.0, "p50_s": 2.0, "p90_s": 3.0, "low_s": 0.9, "high_s": 1.1}


def parameters_of(block: Block) -> float:
    """A time that differs between blocks."""
    return 1e-6 * len(block_key(block)) + 1e-7 / 3


@pytest.fixture
def table(vit: ViTSpace, make_table: MakeTable) -> LatencyTable:
    """A table with a certificate."""
    table = make_table(vit, parameters_of)
    measured = (Measured("ab", "vit", 1.0, (1.1, 1.2)), Measured("cd", "vit", 2.0, (2.1, 1.9)))
    return replace(table, certificate=Certificate("2026-01-03", table.sha256, measured))


@pytest.fixture
def saved(table: LatencyTable, tmp_path: Path) -> Path:
    """Its file."""
    path = tmp_path / "table.json"
    table.save(path)
    return path


def rewrite(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Changes the JSON of a file."""
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


def test_table_is_read_back_whole(table: LatencyTable, saved: Path) -> None:
    read = LatencyTable.load(saved)
    assert read == table
    assert read.certificate == table.certificate
    assert read.sha256 == table.sha256
    again = saved.with_name("again.json")
    read.save(again)
    assert again.read_bytes() == saved.read_bytes()


def test_checksum_is_of_all_but_the_certificate(table: LatencyTable) -> None:
    assert replace(table, certificate=None).sha256 == table.sha256
    slower = replace(table.overhead, high_s=9.0)
    assert replace(table, overhead=slower).sha256 != table.sha256
    assert replace(table, conditions={}).sha256 != table.sha256


def test_entry_is_found_by_its_block(table: LatencyTable, vit: ViTSpace) -> None:
    for block in vit.blocks:
        assert block in table
        assert table[block].value_s == parameters_of(block)
    assert list(table.missing(vit.blocks)) == []
    assert "anything else" not in table


def test_missing_entry_is_named(table: LatencyTable, vit: ViTSpace) -> None:
    gone, *others = vit.blocks
    cut = replace(table, entries={k: v for k, v in table.entries.items() if k != block_key(gone)})
    assert list(cut.missing(vit.blocks)) == [gone]
    assert others[0] in cut
    with pytest.raises(MissingBlockError) as caught:
        cut[gone]
    assert block_key(gone) in str(caught.value)


def test_entry_deleted_from_the_file_is_a_wrong_checksum(saved: Path, vit: ViTSpace) -> None:
    rewrite(saved, lambda data: data["table"]["entries"].pop(block_key(vit.blocks[3])))
    with pytest.raises(CorruptFileError, match=r"table\.json has a wrong checksum"):
        LatencyTable.load(saved)


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data["table"]["overhead"].update(value_s=1e-9),
        lambda data: data["table"]["setting"].update(threads=8),
        lambda data: data["table"]["conditions"].update(reference_s=1.0),
        lambda data: data["certificate"]["measured"][0].update(predicted_s=1.15),
        lambda data: data.update(certificate=None),
        lambda data: data.update(sha256="0" * 64),
    ],
)
def test_changed_file_has_a_wrong_checksum(
    saved: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    rewrite(saved, change)
    with pytest.raises(CorruptFileError, match=r"table\.json has a wrong checksum"):
        LatencyTable.load(saved)


@pytest.mark.parametrize("value", [-1e-6, None, "1", []])
@pytest.mark.parametrize("field", ["value_s", "p90_s", "high_s"])
def test_what_is_no_time_names_file_and_entry(
    saved: Path, vit: ViTSpace, field: str, value: object
) -> None:
    key = block_key(vit.blocks[5])
    rewrite(saved, lambda data: data["table"]["entries"][key].update({field: value}))
    with pytest.raises(CorruptFileError) as caught:
        LatencyTable.load(saved)
    assert "table.json" in str(caught.value)
    assert key in str(caught.value)
    assert field in str(caught.value)


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1e999"])
def test_infinite_number_anywhere_names_the_file(saved: Path, value: str) -> None:
    text = saved.read_text()
    saved.write_text(text.replace('"reference_s": 0.002', f'"reference_s": {value}'))
    assert saved.read_text() != text
    with pytest.raises(CorruptFileError, match=r"table\.json"):
        LatencyTable.load(saved)


@pytest.mark.parametrize(
    "content",
    ["[]", "{}", "null", '"text"', '{"sha256": "", "table": 3}', '{"sha256": "", "table": {}}'],
)
def test_foreign_json_names_the_file(tmp_path: Path, content: str) -> None:
    path = tmp_path / "other.json"
    path.write_text(content)
    with pytest.raises(CorruptFileError, match=r"other\.json is not a latency table"):
        LatencyTable.load(path)


def test_other_format_is_named(saved: Path) -> None:
    rewrite(saved, lambda data: data["table"].update(format="hwnas latency table 9"))
    with pytest.raises(CorruptFileError, match=r"table\.json has format .*9"):
        LatencyTable.load(saved)


@pytest.mark.parametrize("name", TIMES)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1e-9, "1", None])
def test_timing_refuses_what_is_no_time(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=name):
        Timing(**(TIMES | {name: value}), n=1)


@pytest.mark.parametrize("n", [0, -1, 1.5, None])
def test_timing_refuses_what_is_no_number_of_runs(n: Any) -> None:
    with pytest.raises(ValueError, match="`n`"):
        Timing(**TIMES, n=n)


def test_timing_may_be_zero() -> None:
    assert set(asdict(Timing(0, 0, 0, 0, 0, 0, 1)).values()) == {0, 1}


def test_space_digest_follows_name_and_blocks(vit: ViTSpace) -> None:
    assert space_digest(vit) == space_digest(replace(vit))
    assert len(space_digest(vit)) == 12
    assert space_digest(vit) == space_digest(replace(vit, depth=(3, 2)))
    assert space_digest(vit) != space_digest(replace(vit, width=(32,)))
