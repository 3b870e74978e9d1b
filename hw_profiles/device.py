"""Which device this is, as far as it decides how fast a network runs."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hw_profiles.errors import UnavailableError
from hw_profiles.files import canonical_json, sha256_of

__all__ = ["Device", "gpu_device", "local_device"]


@dataclass(frozen=True, slots=True)
class Device:
    """Identity of a processor.

    Attributes:
        name: Model, as the maker calls it.
        machine: Instruction set (``"x86_64"``, ``"sm_90"``).
        cores: Logical cores that this process may use; of a GPU, its multiprocessors.
        memory_bytes: Main memory; of a GPU, its own.
        features: Digest of the instruction-set extensions, which choose a runtime's kernels; of a
            GPU, of what its driver tells of it.
        kind: ``"cpu"`` or ``"gpu"``.
    """

    name: str
    machine: str
    cores: int
    memory_bytes: int
    features: str
    kind: str = "cpu"

    @property
    def identity(self) -> dict[str, Any]:
        """The fields that a table is bound to; memory and free cores may vary without harm."""
        return {"name": self.name, "machine": self.machine, "features": self.features}

    def differences(self, other: Device) -> dict[str, tuple[Any, Any]]:
        """Fields of :attr:`identity` in which another device differs: (this one's, the other's)."""
        own, others = self.identity, other.identity
        return {key: (own[key], others[key]) for key in own if own[key] != others[key]}

    def to_json(self) -> dict[str, Any]:
        """Every field."""
        return asdict(self)


def local_device() -> Device:
    """The processor that this process runs on."""
    fields: dict[str, str] = {}
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().split("\n\n")[0].splitlines():
            key, _, value = line.partition(":")
            fields[key.strip()] = value.strip()
    features = fields.get("flags", fields.get("Features", ""))
    return Device(
        name=fields.get("model name") or platform.processor() or platform.machine(),
        machine=platform.machine(),
        cores=len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count() or 1,
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        features=sha256_of(canonical_json(sorted(features.split())))[:12],
    )


def gpu_device(index: int = 0) -> Device:
    """A CUDA device.

    Args:
        index: Which one.

    Raises:
        UnavailableError: There is none.
    """
    import torch

    if not torch.cuda.is_available():
        raise UnavailableError(
            "No CUDA device is here. Shipped profiles of GPUs can be priced with; tables of a GPU "
            "are measured on a machine that has it."
        )
    found = torch.cuda.get_device_properties(index)
    told = [found.name, found.major, found.minor, found.multi_processor_count, found.L2_cache_size]
    return Device(
        name=found.name,
        machine=f"sm_{found.major}{found.minor}",
        cores=found.multi_processor_count,
        memory_bytes=found.total_memory,
        features=sha256_of(canonical_json(told))[:12],
        kind="gpu",
    )
