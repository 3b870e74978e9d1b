"""What the doctor finds, and that it raises nothing."""

from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hw_profiles import BlockTable, Device, Entry, Setting, local_device, make_runtime
from hw_profiles.errors import UnavailableError
from hw_profiles.meter import Unavailable
from hw_profiles.store import Store
from nas.doctor import Check, checks

ENTRY = Entry(1e-3, 1e-3, 1e-3, 1e-3, 1e-3, 1e-3, 9)


@pytest.fixture(autouse=True)
def _no_measuring(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nas.doctor._noise", lambda: Check("timing noise", True, "not looked at"))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store with a table of this machine."""
    return Store(tmp_path / "kept")


@pytest.fixture
def keep(store: Store) -> Callable[..., Path]:
    """Keeps an empty table of this machine, with some fields changed."""

    def write(**changes: Any) -> Path:
        runtime = make_runtime("onnxruntime")
        own = BlockTable(
            "latency_s", runtime.device, runtime.setting, "vit", "", ENTRY, {}, {"date": "2026"}
        )
        table = replace(own, **changes)
        path = store.local / f"{table.setting.name}.latency_s.abc.json"
        table.save(path)
        return path

    return write


def found(store: Store) -> dict[str, Check]:
    return {check.name: check for check in checks(store)}


def test_every_check_says_what_it_found(store: Store, keep: Callable[..., Path]) -> None:
    keep()
    results = found(store)
    assert set(results) == {
        "packages", "device", "gpu", "openvino", "energy counters", "load", "frequency", "home",
        "tables", "timing noise",
    }  # fmt: skip
    assert all(check.detail for check in results.values())
    assert results["packages"].ok
    assert "torch" in results["packages"].detail
    assert local_device().name in results["device"].detail
    assert results["tables"] == Check("tables", True, "1 kept")


def test_no_table_yet_is_no_fault(store: Store) -> None:
    assert found(store)["tables"] == Check("tables", True, "0 kept")


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"\xff", b'{"table": 3, "sha256": ""}'])
def test_a_corrupt_table_is_flagged(
    store: Store, keep: Callable[..., Path], content: bytes
) -> None:
    path = keep()
    path.write_bytes(content)
    check = found(store)["tables"]
    assert not check.ok
    assert path.name in check.detail


def test_a_cut_off_table_is_flagged(store: Store, keep: Callable[..., Path]) -> None:
    path = keep()
    path.write_bytes(path.read_bytes()[:-50])
    assert not found(store)["tables"].ok


def test_tables_that_are_of_no_use_here_are_flagged(
    store: Store, keep: Callable[..., Path]
) -> None:
    own = make_runtime("onnxruntime").setting
    keep(device=replace(local_device(), name="Other"))
    keep(setting=replace(own, version="0.1", batch=2))
    keep(setting=replace(own, batch=4))
    keep(setting=Setting("cudagraph", "1.0", "fp16", 1, 0))
    check = found(store)["tables"]
    assert not check.ok
    assert check.detail.startswith("4 kept; of no use here: ")
    assert f"name Other then, {local_device().name} now" in check.detail
    assert f"version 0.1 then, {own.version} now" in check.detail
    assert "-b4-" not in check.detail
    assert "cudagraph-fp16-b1" in check.detail


def test_a_gpu_is_named(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    device = Device("Moon 1", "sm_99", 132, 80 << 30, "def", "gpu")
    monkeypatch.setattr("nas.doctor.gpu_device", lambda: device)
    check = found(store)["gpu"]
    assert check.ok
    assert "Moon 1, sm_99, 132 multiprocessors, 80 GiB" in check.detail


def test_no_gpu_is_no_fault(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> Device:
        raise UnavailableError("No such thing.")

    monkeypatch.setattr("nas.doctor.gpu_device", none)
    assert found(store)["gpu"] == Check("gpu", True, "none; No such thing.")


def test_energy_counters_are_named_or_the_reason_that_there_is_none(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    meters = {"cpu": Unavailable("it is locked."), "gpu": SimpleNamespace(source="a counter")}
    monkeypatch.setattr("nas.doctor.find_meter", meters.get)
    check = found(store)["energy counters"]
    assert check == Check("energy counters", True, "CPU: none: it is locked. GPU: a counter")


@pytest.mark.parametrize("installed", [True, False])
def test_openvino_is_looked_for(
    store: Store, monkeypatch: pytest.MonkeyPatch, installed: bool
) -> None:
    def find(name: str) -> str:
        if name != "openvino":
            return version(name)
        if not installed:
            raise PackageNotFoundError(name)
        return "9.9"

    monkeypatch.setattr("nas.doctor.version", find)
    check = found(store)["openvino"]
    assert check.ok
    assert ("9.9" if installed else "hwnas[openvino]") in check.detail


def test_a_home_that_cannot_be_is_flagged(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    check = found(Store(tmp_path / "file" / "home"))["home"]
    assert not check.ok
    assert "HWNAS_HOME" in check.detail


def test_a_missing_package_is_flagged(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nas.doctor.PACKAGES", ("numpy", "hwnas-that-is-not-there"))
    check = found(store)["packages"]
    assert not check.ok
    assert "hwnas-that-is-not-there missing" in check.detail


@pytest.mark.parametrize(("load", "ok"), [(0.0, True), (1e6, False)])
def test_a_busy_machine_is_flagged(
    store: Store, monkeypatch: pytest.MonkeyPatch, load: float, ok: bool
) -> None:
    monkeypatch.setattr("os.getloadavg", lambda: (load, 0.0, 0.0))
    assert found(store)["load"].ok is ok


def test_a_disk_that_is_full_is_flagged(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    class Usage:
        free = 1000

    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage())
    assert not found(store)["home"].ok
