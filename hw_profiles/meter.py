"""Meters: counters of the energy that a device has drawn.

Where a device counts nothing, or not for this process, there is no meter and the reason is said. A
guess from rated power is never one.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, Protocol

from hw_profiles.errors import UnavailableError

__all__ = [
    "EnergyMeter",
    "MeterUnavailableError",
    "NvmlMeter",
    "RaplMeter",
    "Unavailable",
    "find_meter",
]

POWERCAP = Path("/sys/class/powercap")


class EnergyMeter(Protocol):
    """A counter of the energy that a device has drawn."""

    @property
    def name(self) -> str:
        """Short name (``"nvml"``)."""

    @property
    def source(self) -> str:
        """What is counted, and by what."""

    @property
    def resolution_j(self) -> float:
        """Step of the counter in joules."""

    def joules(self) -> float:
        """Joules since some moment in the past; never less than before, wraps undone.

        Raises:
            RuntimeError: The counter cannot be read any more, or was reset.
        """


class MeterUnavailableError(UnavailableError):
    """The device does not count its energy, or not for this process."""


@dataclass(frozen=True, slots=True)
class Unavailable:
    """No meter.

    Attributes:
        reason: Why, and what would help.
    """

    reason: str


class NvmlMeter:
    """Energy counter of an NVIDIA GPU's board, from Volta on.

    Args:
        device: Index in NVML's order, or the UUID, with or without ``GPU-``. NVML knows nothing of
            ``CUDA_VISIBLE_DEVICES``, so on a machine of several GPUs give the UUID of the CUDA
            device: ``torch.cuda.get_device_properties(0).uuid``.

    Raises:
        MeterUnavailableError: There is no driver, no such device or no counter of its own.
    """

    name = "nvml"
    resolution_j = 1e-3

    def __init__(self, device: int | str = 0) -> None:
        try:
            nvml: Any = import_module("pynvml")
        except ImportError as error:
            raise MeterUnavailableError(
                "`pynvml` is not installed, which reads a GPU's counter; pip install nvidia-ml-py."
            ) from error
        try:
            nvml.nvmlInit()
            if isinstance(device, int):
                handle = nvml.nvmlDeviceGetHandleByIndex(device)
            else:
                uuid = device if device.startswith("GPU-") else f"GPU-{device}"
                handle = nvml.nvmlDeviceGetHandleByUUID(uuid)
            self._last_mj: int = nvml.nvmlDeviceGetTotalEnergyConsumption(handle)
        except nvml.NVMLError as error:
            raise MeterUnavailableError(
                f"NVML counts no energy of GPU {device!r}: {error}. It takes NVIDIA's driver and a "
                "GPU from Volta on."
            ) from error
        if _partitioned(nvml, handle):
            raise MeterUnavailableError(
                f"GPU {device!r} is partitioned (MIG); its counter is of the whole board, so the "
                "energy of a part is not known."
            )
        self._nvml, self._handle = nvml, handle
        self.source = (
            "NVML total energy consumption of the board of "
            f"{nvml.nvmlDeviceGetName(handle)}, whoever uses it"
        )

    def joules(self) -> float:
        """Joules since the driver was loaded."""
        try:
            now: int = self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._handle)
        except self._nvml.NVMLError as error:
            raise RuntimeError(
                f"NVML's energy counter cannot be read any more: {error}."
            ) from error
        if now < self._last_mj:
            raise RuntimeError(
                f"NVML's energy counter must not fall; it went from {self._last_mj} to {now} mJ, "
                "so the driver was loaded anew. Measure again."
            )
        self._last_mj = now
        return now / 1e3


def _partitioned(nvml: Any, handle: Any) -> bool:
    try:
        current, _ = nvml.nvmlDeviceGetMigMode(handle)
    except nvml.NVMLError:  # The GPU knows no partitions.
        return False
    return bool(current == nvml.NVML_DEVICE_MIG_ENABLE)


class RaplMeter:
    """Energy counters of the CPU packages, through Linux powercap.

    Sums the zones of packages. Their subzones (cores, graphics) are part of them, as the packages
    are of ``psys``; the zones of ``intel-rapl-mmio`` are the same counters once more. Memory is
    outside of the package and not counted. AMD's processors have the same zones.

    A counter wraps after minutes (262 kJ on most), and must be read at least once in that time.

    Args:
        root: Folder of the zones.

    Raises:
        MeterUnavailableError: There is no zone of a package, or one that cannot be read.
    """

    name = "rapl"

    def __init__(self, root: Path = POWERCAP) -> None:
        zones = sorted(p for p in root.glob("intel-rapl:*") if p.name.count(":") == 1)
        try:
            packages = [z for z in zones if (z / "name").read_text().startswith("package")]
            if not packages:
                raise MeterUnavailableError(
                    f"{root} has no zone of a CPU package; it takes Linux with intel_rapl, on the "
                    "machine itself or in a container that is given the folder."
                )
            self._counters = [p / "energy_uj" for p in packages]
            self._ranges_uj = [int((p / "max_energy_range_uj").read_text()) for p in packages]
            self._last_uj = [int(counter.read_text()) for counter in self._counters]
        except (OSError, ValueError) as error:
            raise MeterUnavailableError(
                f"The energy of a CPU package cannot be read: {error}. Since Linux 5.10 only root "
                "may, until an administrator lets others (chmod a+r energy_uj)."
            ) from error
        self._total_uj = 0
        self.resolution_j = 2**-14 * len(packages)
        names = ", ".join((p / "name").read_text().strip() for p in packages)
        self.source = (
            f"RAPL through powercap: {names}, whichever process runs on them, without memory"
        )

    def joules(self) -> float:
        """Joules of all packages since this meter was made."""
        try:
            now_uj = [int(counter.read_text()) for counter in self._counters]
        except (OSError, ValueError) as error:
            raise RuntimeError(f"The energy of a CPU package cannot be read: {error}.") from error
        for now, last, wrap in zip(now_uj, self._last_uj, self._ranges_uj, strict=True):
            self._total_uj += now - last if now >= last else now - last + wrap
        self._last_uj = now_uj
        return self._total_uj / 1e6


def find_meter(
    kind: Literal["cpu", "gpu"], *, device: int | str = 0, root: Path = POWERCAP
) -> EnergyMeter | Unavailable:
    """The meter of a device, or why it has none.

    Args:
        kind: ``"gpu"`` for :class:`NvmlMeter`, ``"cpu"`` for :class:`RaplMeter`.
        device: Which GPU.
        root: Folder of the CPU's zones.
    """
    if kind not in ("cpu", "gpu"):
        raise ValueError(f"`kind` must be 'cpu' or 'gpu'; got {kind!r}.")
    try:
        return NvmlMeter(device) if kind == "gpu" else RaplMeter(root)
    except MeterUnavailableError as error:
        return Unavailable(str(error))
