"""Hardware profiles: a folder with a device, constants and tables."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hw_profiles import BlockTable, Device, Setting
from hw_profiles.profile import (
    CONSTANT_UNITS,
    DATA,
    Constant,
    HardwareProfile,
    shipped_profiles,
)
from hw_profiles.store import Store
from search_spaces import CorruptFileError, UnknownNameError, ViTSpace

MakeTable = Callable[..., BlockTable]
CONSTANTS = {
    "pue": Constant(1.09, "1", "Its operator, 2025"),
    "idle_power": Constant(70, "W", "Read before each loop"),
}
FP32 = Setting("fake", "1.0")
FP16 = replace(FP32, dtype="fp16", batch=64, threads=0)


@pytest.fixture
def profile(tmp_path: Path, device: Device) -> HardwareProfile:
    """A profile without tables, on disk."""
    order = ("fake-fp16-b64", "fake-fp32-b1-t1")
    made = HardwareProfile("fake-1", tmp_path / "fake-1", device, CONSTANTS, ("A limit.",), order)
    made.save()
    return made


def keep(profile: HardwareProfile, table: BlockTable) -> BlockTable:
    """Saves a table where a store does."""
    name = f"{table.setting.name}.{table.quantity}.{table.digest}.json"
    table.save(profile.folder / name)
    return table


def dated(table: BlockTable, date: str) -> BlockTable:
    return replace(table, conditions={**table.conditions, "date": date})


def rewrite(profile: HardwareProfile, change: Callable[[dict[str, Any]], object]) -> None:
    path = profile.folder / "profile.json"
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


def test_profile_is_read_back(profile: HardwareProfile) -> None:
    assert HardwareProfile.load(profile.folder) == profile


def test_profile_of_no_device_is_read_back(tmp_path: Path) -> None:
    empty = HardwareProfile("local", tmp_path)
    empty.save()
    assert HardwareProfile.load(tmp_path) == empty
    assert empty.files == empty.settings == empty.tables() == ()


def test_tables_are_found_by_setting_and_quantity_oldest_first(
    profile: HardwareProfile, vit: ViTSpace, make_table: MakeTable
) -> None:
    narrower = replace(vit, width=(32,))
    new = keep(profile, dated(make_table(vit, setting=FP16), "2026-03-01"))
    old = keep(profile, dated(make_table(narrower, setting=FP16), "2026-01-01"))
    energy = keep(profile, dated(make_table(vit, setting=FP16, quantity="energy_j"), "2026-02-01"))
    fp32 = keep(profile, dated(make_table(vit, setting=FP32), "2026-02-02"))
    assert profile.tables() == (old, energy, fp32, new)
    assert profile.tables("fake-fp16-b64") == (old, energy, new)
    assert profile.tables("fake-fp16-b64", "latency_s") == (old, new)
    assert profile.tables(quantity="energy_j") == (energy,)
    assert profile.tables("fake-fp32-b1-t1", "energy_j") == ()
    assert {(setting, quantity) for setting, quantity, _ in profile.files} == {
        ("fake-fp16-b64", "latency_s"),
        ("fake-fp16-b64", "energy_j"),
        ("fake-fp32-b1-t1", "latency_s"),
    }


def test_what_is_no_table_is_not_read(
    profile: HardwareProfile, vit: ViTSpace, make_table: MakeTable
) -> None:
    table = keep(profile, make_table(vit))
    for name in ("fake-fp32-b1-t1.latency_s.0123.journal", "README.md", "certificate.png"):
        (profile.folder / name).write_text("nothing")
    assert profile.tables() == (table,)


def test_table_with_the_fewest_missing_blocks_is_taken(
    profile: HardwareProfile, vit: ViTSpace, make_table: MakeTable
) -> None:
    narrow, whole = replace(vit, width=(32,)), vit
    few = keep(profile, dated(make_table(narrow), "2026-02-01"))
    many = keep(profile, dated(make_table(whole), "2026-01-01"))
    energy = keep(profile, make_table(whole, quantity="energy_j"))
    setting = FP32.name
    assert profile.table(setting, "latency_s", whole.blocks) == many
    # Of two that hold all, the newer.
    assert profile.table(setting, "latency_s", narrow.blocks) == few
    assert profile.table(setting, "energy_j", narrow.blocks) == energy
    # A block counts once, however often it is used.
    missing = next(b for b in whole.blocks if b not in narrow.blocks)
    blocks = [*narrow.blocks, *narrow.blocks, missing]
    assert profile.table(setting, "latency_s", blocks) == many
    assert profile.table(setting, "train_step_s", whole.blocks) is None
    assert profile.table(FP16.name, "latency_s", whole.blocks) is None


def test_setting_by_name_and_the_first_for_none(
    profile: HardwareProfile, vit: ViTSpace, make_table: MakeTable
) -> None:
    # One that no order names stands after those that it does.
    keep(profile, make_table(vit, setting=replace(FP32, batch=8)))
    assert profile.settings == ("fake-fp16-b64", "fake-fp32-b1-t1", "fake-fp32-b8-t1")
    assert profile.setting() == "fake-fp16-b64"
    assert profile.setting("fake-fp32-b8-t1") == "fake-fp32-b8-t1"
    with pytest.raises(UnknownNameError, match=r"setting of profile fake-1.*fake-fp32-b8-t1"):
        profile.setting("fake-fp32")


def test_setting_of_a_profile_without_tables_is_unknown(tmp_path: Path) -> None:
    empty = HardwareProfile("local", tmp_path)
    for name in ("", "fake-fp32-b1-t1"):
        with pytest.raises(UnknownNameError, match="setting of profile local"):
            empty.setting(name)


def test_corrupt_table_is_named(
    profile: HardwareProfile, vit: ViTSpace, make_table: MakeTable
) -> None:
    keep(profile, make_table(vit))
    ((_, _, path),) = profile.files
    path.write_text(path.read_text()[:-5])
    assert profile.settings  # Their names are known without reading them.
    with pytest.raises(CorruptFileError, match=path.name):
        profile.tables()


@pytest.mark.parametrize("value", [-1.0, None, "1", float("nan"), float("inf")])
def test_constant_refuses_what_is_no_number(value: Any) -> None:
    with pytest.raises(ValueError, match=r"`value` must be finite|at least 0"):
        Constant(value, "W", "a sheet")


def test_constant_has_a_source() -> None:
    with pytest.raises(ValueError, match="has a source"):
        Constant(1.0, "W", "")


def test_every_constant_may_be_given_in_its_unit(tmp_path: Path) -> None:
    constants = {name: Constant(2.5, unit, "a sheet") for name, unit in CONSTANT_UNITS.items()}
    profile = HardwareProfile("fake-1", tmp_path, constants=constants)
    profile.save()
    assert HardwareProfile.load(tmp_path).constants == constants


@pytest.mark.parametrize(
    ("constant", "said"),
    [
        ({"unit": "kW"}, "constant idle_power: its unit must be W; got 'kW'"),
        ({"value": -70}, "constant idle_power: .*at least 0"),
        ({"value": None}, "constant idle_power: .*finite; got None"),
        ({"source": ""}, "constant idle_power: .*has a source"),
        ({"extra": 1}, "constant idle_power: "),
    ],
)
def test_constant_that_cannot_be_is_named(
    profile: HardwareProfile, constant: dict[str, Any], said: str
) -> None:
    rewrite(profile, lambda data: data["constants"]["idle_power"].update(constant))
    with pytest.raises(CorruptFileError, match=rf"profile\.json, {said}"):
        HardwareProfile.load(profile.folder)


def test_constant_that_no_one_knows_is_named(profile: HardwareProfile) -> None:
    given = {"value": 1, "unit": "W", "source": "a sheet"}
    rewrite(profile, lambda data: data["constants"].update(peak_power=given))
    with pytest.raises(CorruptFileError, match="constant peak_power"):
        HardwareProfile.load(profile.folder)


def test_constant_that_is_not_a_number_is_named(profile: HardwareProfile) -> None:
    path = profile.folder / "profile.json"
    path.write_text(path.read_text().replace("1.09", "NaN"))
    with pytest.raises(CorruptFileError, match=r"profile\.json, constants, pue, value: NaN"):
        HardwareProfile.load(profile.folder)


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (lambda data: data["constants"]["pue"].update(value=1.08), "constant pue"),
        (lambda data: data["constants"]["pue"].update(source="no one"), "constant pue"),
        (lambda data: data["constants"].pop("idle_power"), "constant idle_power"),
        (lambda data: data["sha256"].pop("constant pue"), "constant pue"),
        (lambda data: data.update(name="fake-2"), "field name"),
        (lambda data: data["device"].update(cores=5), "field device"),
        (lambda data: data["notes"].append("Another."), "field notes"),
        (lambda data: data["settings"].reverse(), "field settings"),
        (lambda data: data.update(more=[]), "field more"),
    ],
)
def test_what_was_changed_is_named(
    profile: HardwareProfile, change: Callable[[dict[str, Any]], object], part: str
) -> None:
    rewrite(profile, change)
    with pytest.raises(CorruptFileError, match=rf"profile\.json, {part}: wrong checksum"):
        HardwareProfile.load(profile.folder)


def test_profile_without_checksums_is_not_read(profile: HardwareProfile) -> None:
    rewrite(profile, lambda data: data.pop("sha256"))
    with pytest.raises(CorruptFileError, match=r"profile\.json has no checksum"):
        HardwareProfile.load(profile.folder)
    HardwareProfile.load(profile.folder, edited=True).save()
    assert HardwareProfile.load(profile.folder) == profile


def test_constant_that_is_edited_on_purpose_is_sealed_as_the_error_says(
    profile: HardwareProfile,
) -> None:
    rewrite(profile, lambda data: data["constants"]["pue"].update(value=1.2))
    with pytest.raises(CorruptFileError) as caught:
        HardwareProfile.load(profile.folder)
    advice = str(caught.value).split("`")[1]
    eval(advice, {"HardwareProfile": HardwareProfile, "Path": Path})
    constants = {**CONSTANTS, "pue": Constant(1.2, "1", "Its operator, 2025")}
    assert HardwareProfile.load(profile.folder) == replace(profile, constants=constants)


def test_constants_are_stated_as_the_device_cards_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HWNAS_HOME", str(tmp_path))
    cards = (DATA.parent.parent / "docs" / "devices.md").read_text()
    (block,) = re.findall(r"```python\n(.*?)```", cards, re.DOTALL)
    exec(block, {})
    constants = Store().profile("local").constants
    assert constants == {"carbon_intensity": Constant(120, "g/kWh", "the supplier's label, 2025")}


def test_what_is_edited_must_still_be_in_its_unit(profile: HardwareProfile) -> None:
    rewrite(profile, lambda data: data["constants"]["idle_power"].update(unit="kW"))
    with pytest.raises(CorruptFileError, match="constant idle_power: its unit must be W"):
        HardwareProfile.load(profile.folder, edited=True)


@pytest.mark.parametrize("given", [[], 3, "0" * 64])
def test_checksums_that_are_something_else_are_refused(
    profile: HardwareProfile, given: object
) -> None:
    rewrite(profile, lambda data: data.update(sha256=given))
    with pytest.raises(CorruptFileError, match=r"profile\.json is not a profile"):
        HardwareProfile.load(profile.folder)


@pytest.mark.parametrize("content", ["[]", "{}", "3", '{"format": "hwnas profile 1"}', "{", ""])
def test_file_that_is_no_profile_is_named(profile: HardwareProfile, content: str) -> None:
    (profile.folder / "profile.json").write_text(content)
    with pytest.raises(CorruptFileError, match=r"profile\.json is not "):
        HardwareProfile.load(profile.folder)


def test_other_format_is_named(profile: HardwareProfile) -> None:
    rewrite(profile, lambda data: data.update(format="hwnas profile 9"))
    with pytest.raises(CorruptFileError, match=r"profile\.json has format 'hwnas profile 9'"):
        HardwareProfile.load(profile.folder)


def test_folder_without_a_profile_is_not_corrupt(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        HardwareProfile.load(tmp_path)


def test_shipped_profiles_can_be_read_and_are_called_as_their_folders() -> None:
    """Of each one every table is of its device, in the file that its name says, and certified."""
    assert DATA.parent.name == "hw_profiles"
    for name, folder in shipped_profiles().items():
        profile = HardwareProfile.load(folder)
        assert (profile.name, folder.name) == (name, name)
        assert set(profile.order) <= {setting for setting, _, _ in profile.files}
        assert profile.device is not None
        for setting, quantity, path in profile.files:
            table = BlockTable.load(path)
            assert path.name == f"{setting}.{quantity}.{table.digest}.json"
            assert (table.setting.name, table.quantity) == (setting, quantity)
            assert table.device.identity == profile.device.identity
            assert table.certificate is not None
            assert table.certificate.seed.startswith(table.sha256)
