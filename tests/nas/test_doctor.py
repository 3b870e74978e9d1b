"""What the doctor finds, and that it raises nothing."""

from dataclasses import replace
from pathlib import Path

import pytest

from hw_profiles import LatencyTable, local_device
from hw_profiles.store import Store
from nas.doctor import Check, checks


@pytest.fixture(autouse=True)
def _no_measuring(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nas.doctor._noise", lambda: Check("timing noise", True, "not looked at"))


def found(store: Store) -> dict[str, Check]:
    return {check.name: check for check in checks(store)}


def test_every_check_says_what_it_found(home_copy: Path) -> None:
    results = found(Store(home_copy))
    names = {"packages", "device", "load", "frequency", "home", "latency tables", "timing noise"}
    assert set(results) == names
    assert all(check.detail for check in results.values())
    assert results["packages"].ok
    assert "torch" in results["packages"].detail
    assert local_device().name in results["device"].detail
    assert results["latency tables"] == Check("latency tables", True, "1 kept")


def test_no_table_yet_is_no_fault(tmp_path: Path) -> None:
    assert found(Store(tmp_path / "new"))["latency tables"] == Check(
        "latency tables", True, "0 kept"
    )


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"\xff", b'{"table": 3, "sha256": ""}'])
def test_a_corrupt_table_is_flagged(home_copy: Path, content: bytes) -> None:
    (path,) = Store(home_copy).local_tables()
    path.write_bytes(content)
    check = found(Store(home_copy))["latency tables"]
    assert not check.ok
    assert path.name in check.detail


def test_a_cut_off_table_is_flagged(home_copy: Path) -> None:
    (path,) = Store(home_copy).local_tables()
    path.write_bytes(path.read_bytes()[:-50])
    assert not found(Store(home_copy))["latency tables"].ok


def test_a_table_of_another_device_is_flagged(home_copy: Path) -> None:
    ((path, table),) = Store(home_copy).local_tables().items()
    other = replace(table, device=replace(table.device, name="Other"))
    other.save(path)
    assert LatencyTable.load(path).device.name == "Other"
    check = found(Store(home_copy))["latency tables"]
    assert not check.ok
    assert path.name in check.detail


def test_a_home_that_cannot_be_is_flagged(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    check = found(Store(tmp_path / "file" / "home"))["home"]
    assert not check.ok
    assert "HWNAS_HOME" in check.detail


def test_a_missing_package_is_flagged(home_copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nas.doctor.PACKAGES", ("numpy", "hwnas-that-is-not-there"))
    check = found(Store(home_copy))["packages"]
    assert not check.ok
    assert "hwnas-that-is-not-there missing" in check.detail


@pytest.mark.parametrize(("load", "ok"), [(0.0, True), (1e6, False)])
def test_a_busy_machine_is_flagged(
    home_copy: Path, monkeypatch: pytest.MonkeyPatch, load: float, ok: bool
) -> None:
    monkeypatch.setattr("os.getloadavg", lambda: (load, 0.0, 0.0))
    assert found(Store(home_copy))["load"].ok is ok


def test_a_disk_that_is_full_is_flagged(home_copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Usage:
        free = 1000

    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage())
    assert not found(Store(home_copy))["home"].ok
