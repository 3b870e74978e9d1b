"""Which machine this is, as far as it decides how fast a network runs."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hw_profiles.files import canonical_json, sha256_of

__all__ = ["Device", "local_device"]


@dataclass(frozen=True, slots=True)
class Device:
    """Identity of a processor.

    Attributes:
        name: Model, as the maker calls it.
        machine: Instruction set (``"x86_64"``).
        cores: Logical cores that this process may use.
        memory_bytes: Main memory.
        features: Digest of the instruction-set extensions, which choose a runtime's kernels.
    """

    name: str
    machine: str
    cores: int
    memory_bytes: int
    features: str

    @property
    def identity(self) -> dict[str, Any]:
        """The fields that a latency table is bound to; memory may vary without harm."""
        return {"name": self.name, "machine": self.machine, "features": self.features}

    def to_json(self) -> dict[str, Any]:
        """Every field."""
        return asdict(self)


def local_device() -> Device:
    """The machine this process runs on."""
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
