"""What of this machine would spoil a measurement or a search."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from hw_profiles import OnnxRuntimeCpu, local_device
from hw_profiles.store import Store
from nas.run_folder import PACKAGES
from search_spaces import CorruptFileError

__all__ = ["Check", "checks"]

MIN_FREE_BYTES = 2**30
MAX_NOISE = 0.05


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: What.
        ok: Whether it is as it should be.
        detail: What was found, and the way out if it is not.
    """

    name: str
    ok: bool
    detail: str


def checks(store: Store) -> list[Check]:
    """Looks at everything; takes a few seconds, most of it a repeated measurement."""
    return [_packages(), _device(), _load(), _frequency(), _home(store), _tables(store), _noise()]


def _packages() -> Check:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "missing"
    detail = ", ".join(f"{name} {number}" for name, number in found.items())
    return Check("packages", "missing" not in found.values(), detail)


def _device() -> Check:
    device = local_device()
    memory = device.memory_bytes / 2**30
    detail = f"{device.name}, {device.machine}, {device.cores} cores, {memory:.0f} GiB"
    return Check("device", True, detail)


def _load() -> Check:
    if not hasattr(os, "getloadavg"):
        return Check("load", True, "the system does not say")
    load, cores = os.getloadavg()[0], os.cpu_count() or 1
    busy = load > 0.5 * cores
    advice = "; stop other work before measuring" if busy else ""
    return Check("load", not busy, f"{load:.2f} on {cores} cores over the last minute{advice}")


def _frequency() -> Check:
    path = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    if not path.exists():
        return Check("frequency", True, "the system does not say (usual in a virtual machine)")
    governor = path.read_text().strip()
    fixed = governor == "performance"
    advice = "" if fixed else "; `performance` makes timings steadier"
    return Check("frequency", fixed, f"governor {governor}{advice}")


def _home(store: Store) -> Check:
    try:
        store.root.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(store.root).free
    except OSError as error:
        return Check("home", False, f"{store.root}: {error}; set HWNAS_HOME to another folder")
    writable = os.access(store.root, os.W_OK)
    detail = f"{store.root}, {free / 2**30:.1f} GiB free"
    return Check("home", writable and free > MIN_FREE_BYTES, detail)


def _tables(store: Store) -> Check:
    try:
        tables = store.local_tables()
    except CorruptFileError as error:
        return Check("latency tables", False, f"{error} Delete it to have it measured again.")
    device, runtime = local_device(), OnnxRuntimeCpu()
    stale = [
        path.name
        for path, table in tables.items()
        if table.differences(device, runtime.setting) and table.setting.threads == 1
    ]
    detail = f"{len(tables)} kept" + (f"; of another device or version: {stale}" if stale else "")
    return Check("latency tables", not stale, detail)


def _noise() -> Check:
    from hw_profiles.timing import prepare_reference, visit

    runtime = OnnxRuntimeCpu()
    reference = prepare_reference(runtime)
    again = (visit(prepare_reference(runtime), reference) for _ in range(16))
    spread = sorted(abs(v.p10 - 1) for v in again)
    worst = spread[int(0.9 * len(spread))]
    return Check(
        "timing noise",
        worst <= MAX_NOISE,
        f"the reference network against itself, 16 times: nine in ten within {worst:.1%}",
    )
