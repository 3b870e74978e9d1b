"""What is kept between runs, and when it no longer holds."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType

import pytest
from torch import nn

from hw_profiles import BlockTable, Certificate, Device, Measured, Setting, space_digest
from hw_profiles.code import timing_code
from hw_profiles.profile import HardwareProfile
from hw_profiles.store import Store
from search_spaces import (
    Block,
    CorruptFileError,
    CountTable,
    Shape,
    UnknownNameError,
    ViTSpace,
)

MakeTable = Callable[..., BlockTable]
SETTING = Setting("fake", "1.0")


@dataclass(frozen=True, slots=True)
class Dense(Block):
    """A linear layer without bias."""

    width: int

    @property
    def input_shapes(self) -> tuple[Shape, ...]:
        return ((self.width,),)

    def build(self) -> nn.Module:
        return nn.Linear(self.width, self.width, bias=False)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


@pytest.fixture
def table(vit: ViTSpace, make_table: MakeTable) -> BlockTable:
    """A table with a certificate."""
    measured = (Measured("ab", "vit", 1.0, (1.0, 1.0), (1.0, 1.1, 1.2), 24),)
    return replace(make_table(vit), certificate=Certificate("2026-01-03", "seed", measured))


def test_kept_table_is_valid_where_it_was_made(
    store: Store, vit: ViTSpace, table: BlockTable, device: Device
) -> None:
    path = store.save_table(table, vit)
    assert path == store.table_path(SETTING, "latency_s", vit)
    found, reason = store.valid_table(device, SETTING, vit)
    assert found == table
    assert found.certificate == table.certificate
    assert reason == ""
    assert store.profile("local").tables() == (table,)


def test_reasons_for_no_table(
    store: Store, vit: ViTSpace, table: BlockTable, device: Device
) -> None:
    missing = "no table of latency_s in fake-fp32-b1-t1 over space vit is kept"
    assert store.valid_table(device, SETTING, vit) == (None, missing)
    store.save_table(table, vit)
    assert store.valid_table(replace(device, name="Fake 2"), SETTING, vit) == (
        None,
        "the kept table was made elsewhere (name: Fake 1 then, Fake 2 now)",
    )
    assert store.valid_table(device, replace(SETTING, version="2.0"), vit) == (
        None,
        "the kept table was made elsewhere (version: 1.0 then, 2.0 now)",
    )
    for other in (replace(SETTING, threads=2), replace(SETTING, batch=8)):
        assert store.valid_table(device, other, vit)[1].startswith("no table of")
    narrower = replace(vit, width=(32,))
    assert store.valid_table(device, SETTING, narrower) == (None, missing)
    energy = store.valid_table(device, SETTING, vit, "energy_j")
    assert energy == (None, missing.replace("latency_s", "energy_j"))


def test_table_of_other_code_is_not_valid(
    store: Store, vit: ViTSpace, table: BlockTable, device: Device
) -> None:
    changed = replace(table, conditions={**table.conditions, "code": "another"})
    store.save_table(changed, vit)
    assert store.valid_table(device, SETTING, vit) == (
        None,
        "the kept table was made by other code",
    )
    current = replace(table, conditions={**table.conditions, "code": timing_code(vit)})
    store.save_table(current, vit)
    assert store.valid_table(device, SETTING, vit) == (current, "")


def test_paths_of_a_table_and_its_journal(store: Store, vit: ViTSpace) -> None:
    digest = space_digest(vit)
    setting = Setting("cudagraph", "2.13", "fp16", 64, threads=0)
    folder = store.root / "profiles" / "local"
    assert store.local == folder
    table = folder / f"cudagraph-fp16-b64.energy_j.{digest}.json"
    assert store.table_path(setting, "energy_j", vit) == table
    journal = folder / f"cudagraph-fp16-b64.energy_j.{digest}.journal"
    assert store.journal_path(setting, "energy_j", vit) == journal


def test_tables_may_be_kept_in_another_profile(
    store: Store, vit: ViTSpace, table: BlockTable, device: Device, tmp_path: Path
) -> None:
    elsewhere = Store(store.root, local=tmp_path / "shipped" / "fake-1")
    assert elsewhere.save_table(table, vit).parent == tmp_path / "shipped" / "fake-1"
    assert elsewhere.valid_table(device, SETTING, vit) == (table, "")
    assert store.valid_table(device, SETTING, vit)[0] is None


def test_local_profile_is_there_before_any_table(store: Store) -> None:
    assert store.profile("local") == HardwareProfile("local", store.local)
    assert store.profile("local").tables() == ()


def test_local_profile_is_what_its_file_says(
    store: Store, vit: ViTSpace, table: BlockTable, device: Device
) -> None:
    profile = HardwareProfile("local", store.local, device, notes=("A note.",))
    profile.save()
    store.save_table(table, vit)
    assert store.profile("local") == profile
    assert store.profile("local").tables() == (table,)


def test_shipped_profiles_stand_after_the_local_one(
    store: Store, device: Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hw_profiles.profile.DATA", tmp_path / "data")
    assert store.profile_names == ("local",)
    for name in ("fake-b", "fake-a"):
        HardwareProfile(name, tmp_path / "data" / name, device).save()
    (tmp_path / "data" / "no-profile").mkdir()
    assert store.profile_names == ("local", "fake-a", "fake-b")
    assert store.profile("fake-a").name == "fake-a"
    with pytest.raises(UnknownNameError, match=r"fake-c.*local, fake-a, fake-b"):
        store.profile("fake-c")


def test_memory_may_vary(store: Store, vit: ViTSpace, table: BlockTable, device: Device) -> None:
    store.save_table(table, vit)
    assert store.valid_table(replace(device, memory_bytes=1), SETTING, vit) == (table, "")


def test_corrupt_table_is_named(
    store: Store, vit: ViTSpace, table: BlockTable, device: Device
) -> None:
    path = store.save_table(table, vit)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CorruptFileError, match=path.name):
        store.valid_table(device, SETTING, vit)
    with pytest.raises(CorruptFileError, match=path.name):
        store.profile("local").tables()


def test_counts_are_kept(store: Store) -> None:
    counts = store.counts()
    assert len(counts) == 0
    expected = counts[Dense(4)]
    store.save_counts(counts)
    assert counts.traced == 0
    again = store.counts()
    assert again[Dense(4)] == expected
    assert again.traced == 0


def test_counts_are_written_only_when_there_are_new_ones(store: Store) -> None:
    store.save_counts(CountTable())
    assert list(store.root.iterdir()) == []


def test_counts_end_with_the_code_that_made_them(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = CountTable()
    counts[Dense(4)]
    store.save_counts(counts)
    monkeypatch.setattr("hw_profiles.code.version", lambda name: "another")
    assert len(store.counts()) == 0


def test_counts_end_with_a_change_of_the_users_code(
    store: Store, vit: ViTSpace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "users_space.py"
    source.write_text("# before")

    class UsersSpace(ViTSpace):
        """A space of another file."""

    UsersSpace.__module__ = "users_space"
    fake = ModuleType("users_space")
    fake.__file__ = str(source)
    monkeypatch.setitem(sys.modules, "users_space", fake)
    space = UsersSpace(patch_size=(4,), depth=(2,), width=(32,))
    counts = CountTable()
    counts[Dense(4)]
    store.save_counts(counts, space)
    assert len(store.counts(space)) == 1
    assert len(store.counts()) == 0
    source.write_text("# after")
    assert len(store.counts(space)) == 0


@pytest.mark.parametrize(
    "content", ["", "{", "NaN", '{"Dense(width=4)": {}}', '{"Dense(width=4)": 3}', "[1]", "3"]
)
def test_corrupt_counts_are_counted_again(store: Store, content: str) -> None:
    counts = store.counts()
    counts[Dense(4)]
    store.save_counts(counts)
    (path,) = (store.root / "counts").iterdir()
    path.write_text(content)
    assert len(store.counts()) == 0
    assert not path.exists()


def test_home_is_where_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HWNAS_HOME", str(tmp_path / "home"))
    assert Store().root == tmp_path / "home"
    assert Store(tmp_path / "given").root == tmp_path / "given"


def test_home_is_the_users_data_folder_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HWNAS_HOME", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert Store().root.name == "hwnas"
