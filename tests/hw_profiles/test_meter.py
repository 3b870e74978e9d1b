"""Meters on counters of their own."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from hw_profiles.meter import (
    EnergyMeter,
    MeterUnavailableError,
    NvmlMeter,
    RaplMeter,
    Unavailable,
    find_meter,
)

Zone = dict[str, str | int]


def zone(name: str, energy_uj: int = 0, wrap_uj: int = 262_143_328_850) -> Zone:
    return {"name": name, "energy_uj": energy_uj, "max_energy_range_uj": wrap_uj}


@pytest.fixture
def powercap(tmp_path: Path) -> Callable[..., Path]:
    """Writes zones as Linux lays them out, flat as links in ``/sys/class/powercap`` are."""

    def write(**zones: Zone) -> Path:
        (tmp_path / "intel-rapl").mkdir(exist_ok=True)
        for folder, files in zones.items():
            path = tmp_path / folder.replace("__", ":").replace("_", "-")
            path.mkdir(exist_ok=True)
            for name, value in files.items():
                (path / name).write_text(f"{value}\n")
        return tmp_path

    return write


class MeterContract:
    """What holds for every meter; ``draw`` makes its device draw some joules."""

    @pytest.fixture
    def meter(self) -> EnergyMeter:
        raise NotImplementedError

    @pytest.fixture
    def draw(self) -> Callable[[float], None]:
        raise NotImplementedError

    def test_counts_what_is_drawn(self, meter: EnergyMeter, draw: Callable[[float], None]) -> None:
        start = meter.joules()
        seen = []
        for joules in (0.0, 1.0, 2.5, 40.0, 0.0, 59.0):
            draw(joules)
            seen.append(meter.joules() - start)
        # To the counter's step, as a device draws far more than that between two readings.
        assert seen == pytest.approx([0.0, 1.0, 3.5, 43.5, 43.5, 102.5], abs=meter.resolution_j)

    def test_says_what_it_is(self, meter: EnergyMeter) -> None:
        assert meter.name
        assert len(meter.source) > len(meter.name)
        assert 0 < meter.resolution_j <= 0.01


class TestRapl(MeterContract):
    @pytest.fixture
    def meter(self, powercap: Callable[..., Path]) -> EnergyMeter:
        return RaplMeter(powercap(intel_rapl__0=zone("package-0", 35_000_000, wrap_uj=60_000_000)))

    @pytest.fixture
    def draw(self, powercap: Callable[..., Path], tmp_path: Path) -> Callable[[float], None]:
        def write(joules: float) -> None:
            now = int((tmp_path / "intel-rapl:0" / "energy_uj").read_text()) + joules * 1e6
            powercap(intel_rapl__0=zone("package-0", int(now % 60e6), wrap_uj=60_000_000))

        return write

    def test_packages_are_summed_and_nothing_is_counted_twice(
        self, powercap: Callable[..., Path]
    ) -> None:
        zones = {
            "intel_rapl__0": zone("package-0", 5_000_000),
            "intel_rapl__0__0": zone("core", 4_000_000),
            "intel_rapl__0__1": zone("dram", 1_000_000),
            "intel_rapl__1": zone("package-1", 70_000_000),
            "intel_rapl__2": zone("psys", 80_000_000),
            "intel_rapl_mmio__0": zone("package-0", 5_000_000),
        }
        meter = RaplMeter(powercap(**zones))
        assert meter.joules() == 0
        for files in zones.values():
            files["energy_uj"] = int(files["energy_uj"]) + 1_500_000
        powercap(**zones)
        assert meter.joules() == 3.0
        assert "package-0, package-1" in meter.source

    def test_wraps_are_undone_for_each_package_by_its_own_range(
        self, powercap: Callable[..., Path]
    ) -> None:
        def at(first: int, second: int) -> Path:
            return powercap(
                intel_rapl__0=zone("package-0", first, wrap_uj=10_000_000),
                intel_rapl__1=zone("package-1", second, wrap_uj=30_000_000),
            )

        meter = RaplMeter(at(9_000_000, 29_000_000))
        at(500_000, 29_500_000)
        assert meter.joules() == pytest.approx(1.5 + 0.5)
        at(600_000, 1_000_000)
        assert meter.joules() == pytest.approx(2.0 + 0.1 + 1.5)
        at(400_000, 1_000_000)
        assert meter.joules() == pytest.approx(3.6 + 9.8)

    def test_no_package_is_unavailable(self, powercap: Callable[..., Path]) -> None:
        root = powercap(intel_rapl__0=zone("psys"))
        for folder in (root, root / "none"):
            found = find_meter("cpu", root=folder)
            assert isinstance(found, Unavailable)
            assert f"{folder} has no zone of a CPU package" in found.reason

    @pytest.mark.parametrize("broken", ["energy_uj", "max_energy_range_uj"])
    def test_half_a_machine_is_unavailable(
        self, powercap: Callable[..., Path], broken: str
    ) -> None:
        root = powercap(intel_rapl__0=zone("package-0"), intel_rapl__1=zone("package-1"))
        (root / "intel-rapl:1" / broken).unlink()
        # A folder in its place fails to be read for root too, whom no file mode keeps out.
        (root / "intel-rapl:1" / broken).mkdir()
        found = find_meter("cpu", root=root)
        assert isinstance(found, Unavailable)
        assert broken in found.reason
        assert "root" in found.reason

    def test_a_counter_that_holds_no_number_is_unavailable(
        self, powercap: Callable[..., Path]
    ) -> None:
        root = powercap(intel_rapl__0=zone("package-0") | {"energy_uj": "denied"})
        with pytest.raises(MeterUnavailableError, match="denied"):
            RaplMeter(root)

    def test_a_counter_that_goes_away_later_raises(self, powercap: Callable[..., Path]) -> None:
        root = powercap(intel_rapl__0=zone("package-0"))
        meter = RaplMeter(root)
        (root / "intel-rapl:0" / "energy_uj").unlink()
        with pytest.raises(RuntimeError, match="cannot be read"):
            meter.joules()


class NvmlError(Exception):
    """What the library raises."""


class FakeNvml(ModuleType):
    """The part of ``pynvml`` that is used, for two boards."""

    NVML_DEVICE_MIG_ENABLE = 1
    NVMLError = NvmlError

    def __init__(self) -> None:
        super().__init__("pynvml")
        self.energy_mj = [10_000, 20_000]
        self.mig = [0, 0]
        self.driver = True
        self.counts = True

    def nvmlInit(self) -> None:
        if not self.driver:
            raise NvmlError("Driver Not Loaded")

    def nvmlDeviceGetHandleByIndex(self, index: int) -> SimpleNamespace:
        if index not in (0, 1):
            raise NvmlError("Invalid Argument")
        return SimpleNamespace(index=index)

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> SimpleNamespace:
        if uuid != "GPU-b0b":
            raise NvmlError("Not Found")
        return SimpleNamespace(index=1)

    def nvmlDeviceGetName(self, handle: SimpleNamespace) -> str:
        return f"Board {handle.index}"

    def nvmlDeviceGetMigMode(self, handle: SimpleNamespace) -> list[int]:
        if self.mig[handle.index] < 0:
            raise NvmlError("Not Supported")
        return [self.mig[handle.index], 0]

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: SimpleNamespace) -> int:
        if not self.counts:
            raise NvmlError("Not Supported")
        return self.energy_mj[handle.index]


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> FakeNvml:
    fake = FakeNvml()
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    return fake


class TestNvml(MeterContract):
    @pytest.fixture
    def meter(self, nvml: FakeNvml) -> EnergyMeter:
        return NvmlMeter()

    @pytest.fixture
    def draw(self, nvml: FakeNvml) -> Callable[[float], None]:
        def count(joules: float) -> None:
            nvml.energy_mj[0] += round(joules * 1e3)

        return count

    @pytest.mark.parametrize(
        ("device", "board"), [(0, 0), (1, 1), ("GPU-b0b", 1), ("b0b", 1)], ids=str
    )
    def test_millijoules_of_the_board_that_was_asked_for(
        self, nvml: FakeNvml, device: int | str, board: int
    ) -> None:
        meter = find_meter("gpu", device=device)
        assert isinstance(meter, NvmlMeter)
        before = meter.joules()
        nvml.energy_mj[board] += 2_500
        assert meter.joules() - before == 2.5
        assert f"Board {board}" in meter.source

    @pytest.mark.parametrize(
        ("device", "broken", "reason"),
        [
            (2, {}, "Invalid Argument"),
            ("GPU-eve", {}, "Not Found"),
            (0, {"driver": False}, "Driver Not Loaded"),
            (0, {"counts": False}, "Not Supported"),
            (0, {"mig": [1, 0]}, "partitioned"),
        ],
    )
    def test_what_cannot_be_counted_is_unavailable(
        self, nvml: FakeNvml, device: int | str, broken: dict[str, object], reason: str
    ) -> None:
        for name, value in broken.items():
            setattr(nvml, name, value)
        found = find_meter("gpu", device=device)
        assert isinstance(found, Unavailable)
        assert reason in found.reason

    def test_boards_that_cannot_be_partitioned_are_whole(self, nvml: FakeNvml) -> None:
        nvml.mig = [-1, -1]
        assert isinstance(find_meter("gpu"), NvmlMeter)

    def test_without_the_library_it_is_unavailable(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "pynvml", None)
        found = find_meter("gpu")
        assert isinstance(found, Unavailable)
        assert "nvidia-ml-py" in found.reason

    def test_a_counter_that_falls_was_reset(self, nvml: FakeNvml) -> None:
        meter = NvmlMeter()
        nvml.energy_mj[0] = 3
        with pytest.raises(RuntimeError, match="from 10000 to 3 mJ"):
            meter.joules()

    def test_a_counter_that_fails_later_raises(self, nvml: FakeNvml) -> None:
        meter = NvmlMeter()
        nvml.counts = False
        with pytest.raises(RuntimeError, match="any more: Not Supported"):
            meter.joules()


def test_other_devices_have_no_meter() -> None:
    with pytest.raises(ValueError, match="`kind` must be 'cpu' or 'gpu'; got 'tpu'"):
        find_meter("tpu")  # type: ignore[arg-type]
