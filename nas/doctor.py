"""What of this machine would spoil a measurement or a search."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from hw_profiles import BlockTable, Runtime, gpu_device, local_device, make_runtime
from hw_profiles.errors import UnavailableError
from hw_profiles.meter import Unavailable, find_meter
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
    return [
        _packages(),
        _device(),
        _gpu(),
        _openvino(),
        _energy(),
        _load(),
        _frequency(),
        _home(store),
        _tables(store),
        _noise(),
    ]


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


def _gpu() -> Check:
    try:
        device = gpu_device()
    except UnavailableError as error:
        return Check("gpu", True, f"none; {error}")
    memory = device.memory_bytes / 2**30
    detail = f"{device.name}, {device.machine}, {device.cores} multiprocessors, {memory:.0f} GiB"
    return Check(
        "gpu", True, f"{detail}; measure it with `hwnas profile measure --runtime cudagraph`"
    )


def _openvino() -> Check:
    try:
        return Check("openvino", True, version("openvino"))
    except PackageNotFoundError:
        return Check("openvino", True, "not installed; pip install 'hwnas[openvino]'")


def _energy() -> Check:
    kinds: list[Literal["cpu", "gpu"]] = ["cpu", "gpu"]
    found = []
    for kind in kinds:
        meter = find_meter(kind)
        said = f"none: {meter.reason}" if isinstance(meter, Unavailable) else meter.source
        found.append(f"{kind.upper()}: {said}")
    return Check("energy counters", True, " ".join(found))


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
        tables = store.profile("local").tables()
    except CorruptFileError as error:
        return Check("tables", False, f"{error} Delete it to have it measured again.")
    stale = [f"{table.name} ({why})" for table in tables if (why := _stale(table))]
    detail = f"{len(tables)} kept" + (f"; of no use here: {', '.join(stale)}" if stale else "")
    return Check("tables", not stale, detail)


def _stale(table: BlockTable) -> str:
    """Why a table of this machine's profile is not this machine's any more."""
    setting = table.setting
    try:
        runtime: Runtime = make_runtime(
            setting.runtime, dtype=setting.dtype, batch=setting.batch, threads=setting.threads
        )
    except (UnavailableError, ValueError) as error:
        return str(error)
    differing = table.differences(runtime.device, runtime.setting)
    return ", ".join(f"{key} {there} then, {here} now" for key, (there, here) in differing.items())


def _noise() -> Check:
    from hw_profiles.timing import prepare_reference, visit

    runtime = make_runtime("onnxruntime")
    with runtime.pinned():
        reference = prepare_reference(runtime)
        visits = [visit(prepare_reference(runtime), reference, runtime) for _ in range(16)]
    spread = sorted(abs(v.ratio(0.1) - 1) for v in visits)
    worst = spread[int(0.9 * len(spread))]
    return Check(
        "timing noise",
        worst <= MAX_NOISE,
        f"the reference networks against themselves, 16 times: nine in ten within {worst:.1%}",
    )
