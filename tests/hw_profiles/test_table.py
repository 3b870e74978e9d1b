"""Tables of blocks: what they hold, and files that are not what was saved."""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from hw_profiles import (
    QUANTITIES,
    BlockTable,
    Certificate,
    Device,
    Entry,
    Measured,
    MissingBlockError,
    space_digest,
)
from hw_profiles.cache import CacheModel
from hw_profiles.errors import ForeignTableError
from search_spaces import Block, CorruptFileError, ViTSpace, block_key
from search_spaces.space_fields import space_fields, space_of_fields

MakeTable = Callable[..., BlockTable]
FIGURES = {"value": 1.0, "p10": 1.0, "p50": 2.0, "p90": 3.0, "low": 0.9, "high": 1.1}
COLUMNS = [*FIGURES, "n"]
TAIL = (1.2, 1.3, 1.4)


def value_of(block: Block) -> float:
    """A time that differs between blocks."""
    return 1e-6 * len(block_key(block)) + 1e-7 / 3


@pytest.fixture
def table(vit: ViTSpace, make_table: MakeTable) -> BlockTable:
    """A table with all that it may have."""
    table = make_table(
        vit,
        value_of,
        cache=CacheModel(1e6, 2e6, 1e-6 / 3),
        spaces=tuple(space_fields(vit)),
        model={"format": "any", "weights": [1 / 3, 2.5e-17]},
    )
    measured = (
        Measured("ab", "vit", 1.0, (1.1, 1.2), TAIL, 24),
        Measured("cd", "vit", 2.0, (2.1, 1.9), TAIL, 30),
    )
    return replace(table, certificate=Certificate("2026-01-03", table.sha256, measured))


@pytest.fixture
def saved(table: BlockTable, tmp_path: Path) -> Path:
    """Its file."""
    path = tmp_path / "table.json"
    table.save(path)
    return path


def rewrite(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Changes the JSON of a file."""
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


def refusal(path: Path) -> str:
    """Why a table is not read."""
    with pytest.raises(CorruptFileError) as caught:
        BlockTable.load(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_table_is_read_back_whole(table: BlockTable, saved: Path, vit: ViTSpace) -> None:
    read = BlockTable.load(saved)
    assert read == table
    assert read.cache == table.cache
    assert read.spaces == table.spaces
    assert space_of_fields(read.spaces) == vit
    assert read.model == table.model
    assert read.certificate == table.certificate
    assert read.sha256 == table.sha256
    again = saved.with_name("again.json")
    read.save(again)
    assert again.read_bytes() == saved.read_bytes()


@pytest.mark.parametrize("quantity", list(QUANTITIES))
def test_table_without_cache_and_certificate_is_read_back(
    vit: ViTSpace, make_table: MakeTable, tmp_path: Path, quantity: str
) -> None:
    table = make_table(vit, quantity=quantity)
    table.save(tmp_path / "table.json")
    read = BlockTable.load(tmp_path / "table.json")
    assert read == table
    assert (read.cache, read.certificate) == (None, None)


def test_file_says_its_unit_and_columns(saved: Path) -> None:
    body = json.loads(saved.read_text())["table"]
    assert (body["quantity"], body["unit"], body["columns"]) == ("latency_s", "s", COLUMNS)


def test_checksum_is_of_all_but_the_certificate(table: BlockTable) -> None:
    assert replace(table, certificate=None).sha256 == table.sha256
    slower = replace(table.overhead, high=9.0)
    assert replace(table, overhead=slower).sha256 != table.sha256
    assert replace(table, conditions={}).sha256 != table.sha256
    assert replace(table, cache=None).sha256 != table.sha256
    assert replace(table, quantity="train_step_s").sha256 != table.sha256


def test_entry_is_found_by_its_block(table: BlockTable, vit: ViTSpace) -> None:
    for block in vit.blocks:
        assert block in table
        assert table[block].value == value_of(block)
    assert list(table.missing(vit.blocks)) == []
    assert "anything else" not in table


def test_missing_entry_is_named(table: BlockTable, vit: ViTSpace) -> None:
    gone, *others = vit.blocks
    cut = replace(table, entries={k: v for k, v in table.entries.items() if k != block_key(gone)})
    assert list(cut.missing(vit.blocks)) == [gone]
    assert others[0] in cut
    with pytest.raises(MissingBlockError) as caught:
        cut[gone]
    assert block_key(gone) in str(caught.value)
    assert "latency_s in fake-fp32-b1-t1 over space vit" in str(caught.value)


def test_table_of_another_machine_is_refused_with_the_fields_side_by_side(
    table: BlockTable, device: Device
) -> None:
    table.check_made_on(device, table.setting)
    table.check_made_on(replace(device, memory_bytes=1, cores=2), table.setting)
    other = replace(table.setting, version="2.0", batch=8)
    with pytest.raises(ForeignTableError) as caught:
        table.check_made_on(replace(device, name="Fake 2"), other, "Measure it anew.")
    assert caught.value.differences == {
        "name": ("Fake 1", "Fake 2"),
        "version": ("1.0", "2.0"),
        "batch": (1, 8),
    }
    first, *rows, last = str(caught.value).splitlines()
    assert "latency_s in fake-fp32-b1-t1 over space vit" in first
    assert [row.split() for row in rows] == [
        ["there", "here"],
        ["name", "Fake", "1", "Fake", "2"],
        ["version", "1.0", "2.0"],
        ["batch", "1", "8"],
    ]
    assert last == "Measure it anew."


def test_entry_deleted_from_the_file_is_a_wrong_checksum(saved: Path, vit: ViTSpace) -> None:
    rewrite(saved, lambda data: data["table"]["entries"].pop(block_key(vit.blocks[3])))
    assert "has a wrong checksum" in refusal(saved)


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data["table"]["overhead"].__setitem__(0, 1e-9),
        lambda data: data["table"]["setting"].update(threads=8),
        lambda data: data["table"]["conditions"].update(reference_s=1.0),
        lambda data: data["table"]["cache"].update(per_tensor=1.0),
        lambda data: data["table"].update(cache=None),
        lambda data: data["spaces"][0].update(depth=[9]),
        lambda data: data["model"]["weights"].append(1.0),
        lambda data: data["certificate"]["measured"][0].update(predicted=1.15),
        lambda data: data["certificate"]["families"]["vit"].update(bias=0.0),
        lambda data: data.update(certificate=None),
        lambda data: data.update(sha256="0" * 64),
    ],
)
def test_changed_file_has_a_wrong_checksum(
    saved: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    rewrite(saved, change)
    assert "has a wrong checksum" in refusal(saved)


@pytest.mark.parametrize("value", [-1e-6, None, "1", []])
@pytest.mark.parametrize("column", ["value", "p90", "high"])
def test_what_is_no_time_names_file_and_entry(
    saved: Path, vit: ViTSpace, column: str, value: object
) -> None:
    key, at = block_key(vit.blocks[5]), COLUMNS.index(column)
    rewrite(saved, lambda data: data["table"]["entries"][key].__setitem__(at, value))
    said = refusal(saved)
    assert f"entry {key}" in said
    assert f"`{column}`" in said


@pytest.mark.parametrize("value", [[1.0] * 6, [1.0] * 8, None, 3, {}, [*[1.0] * 6, 2.5]])
def test_row_that_is_no_entry_names_it(saved: Path, vit: ViTSpace, value: object) -> None:
    key = block_key(vit.blocks[5])
    rewrite(saved, lambda data: data["table"]["entries"].update({key: value}))
    assert f"entry {key}" in refusal(saved)


def test_overhead_that_is_no_time_is_named(saved: Path) -> None:
    rewrite(saved, lambda data: data["table"]["overhead"].__setitem__(0, -1.0))
    assert "entry overhead: `value`" in refusal(saved)


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_number_that_is_none_names_the_entry(saved: Path, vit: ViTSpace, value: str) -> None:
    key = block_key(vit.blocks[5])
    rewrite(saved, lambda data: data["table"]["entries"][key].__setitem__(2, "here"))
    saved.write_text(saved.read_text().replace('"here"', value))
    said = refusal(saved)
    assert key in said
    assert value in said


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1e999"])
def test_number_that_is_none_names_the_condition(saved: Path, value: str) -> None:
    rewrite(saved, lambda data: data["table"]["conditions"].update(reference_s="here"))
    saved.write_text(saved.read_text().replace('"here"', value))
    assert "reference_s" in refusal(saved)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"unit": "ms"}, "latency_s must be in s, .* it is in 'ms'"),
        ({"unit": "J"}, "latency_s must be in s, .* it is in 'J'"),
        ({"quantity": "energy_j"}, "energy_j must be in J, .* it is in 's'"),
        ({"quantity": "latency"}, "quantity 'latency'.*latency_s"),
        ({"columns": COLUMNS[::-1]}, "columns value, p10, p50, p90, low, high, n"),
        ({"columns": COLUMNS[:-1]}, "columns value, p10, p50, p90, low, high, n"),
        ({"format": "hwnas block table 9"}, "has format 'hwnas block table 9'"),
    ],
)
def test_what_is_not_known_is_said(saved: Path, change: dict[str, Any], said: str) -> None:
    rewrite(saved, lambda data: data["table"].update(change))
    with pytest.raises(CorruptFileError, match=said):
        BlockTable.load(saved)


@pytest.mark.parametrize(
    "content",
    ["[]", "{}", "null", '"text"', '{"sha256": "", "table": 3}', '{"sha256": "", "table": {}}'],
)
def test_foreign_json_names_the_file(tmp_path: Path, content: str) -> None:
    path = tmp_path / "other.json"
    path.write_text(content)
    with pytest.raises(CorruptFileError, match=r"other\.json is not a table of blocks"):
        BlockTable.load(path)


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1e-9, "1", None])
def test_entry_refuses_what_is_no_figure(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"`{name}`"):
        Entry(**(FIGURES | {name: value}), n=1)


@pytest.mark.parametrize("n", [-1, 1.5, None])
def test_entry_refuses_what_is_no_number_of_runs(n: Any) -> None:
    with pytest.raises(ValueError, match="`n`"):
        Entry(**FIGURES, n=n)


def test_entry_may_be_zero() -> None:
    assert set(asdict(Entry(0, 0, 0, 0, 0, 0, 1)).values()) == {0, 1}


def test_space_digest_follows_name_and_blocks(vit: ViTSpace) -> None:
    assert space_digest(vit) == space_digest(replace(vit))
    assert len(space_digest(vit)) == 12
    assert space_digest(vit) == space_digest(replace(vit, depth=(3, 2)))
    assert space_digest(vit) != space_digest(replace(vit, width=(32,)))
