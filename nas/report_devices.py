"""Devices of a report: where claims were measured, and the tables that they come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from hw_profiles import BlockTable, Device, Setting
from hw_profiles.profile import HardwareProfile
from nas.indicators import LOCAL, split_name, split_place
from nas.pricing import describe_table, doubt_of
from nas.report_document import Facts
from predictors.profile_pricer import QUANTITY_OF

__all__ = ["THROUGHPUT", "device_facts", "processor", "quantity_of", "tables_of"]

THROUGHPUT = "throughput_per_s"


def device_facts(
    profiles: Mapping[str, HardwareProfile],
    names: Sequence[str],
    own: str,
    front: Mapping[str, float] | None = None,
) -> list[Facts]:
    """A box for each place that some indicators are of, with the tables that they come from.

    Args:
        profiles: By name.
        names: Of the indicators.
        own: Setting of this machine where a name has none.
        front: What the set, run whole on this machine, says of its table.
    """
    boxes = []
    for place in dict.fromkeys(filter(None, (split_name(name)[1] for name in names))):
        used = _used(profiles, place, names, own)
        boxes.extend(_device(place, used, front if place == LOCAL else None))
    return boxes


def tables_of(
    profiles: Mapping[str, HardwareProfile], place: str, own: str
) -> tuple[BlockTable, ...]:
    """The tables of a place in its setting, which is ``own`` of this machine without one."""
    name, setting = split_place(place)
    profile = profiles.get(name)
    if profile is None:
        return ()
    setting = setting or (own if name == LOCAL else profile.setting())
    return tuple(table for table in profile.tables() if table.setting.name == setting)


def quantity_of(name: str) -> str:
    """The quantity whose table an indicator follows from, or that its device is known by."""
    return QUANTITY_OF.get(split_name(name)[0], "latency_s")


def _used(
    profiles: Mapping[str, HardwareProfile], place: str, names: Sequence[str], own: str
) -> list[BlockTable]:
    """The tables that the indicators of a place come from, those in its own setting first."""
    tables = tables_of(profiles, place, own)
    asked = [name for name in names if split_name(name)[1] == place]
    quantities = {quantity_of(name) for name in asked}
    used = [table for table in tables if table.quantity in quantities] or list(tables)
    if tables and any(split_name(name)[0] == THROUGHPUT for name in asked):
        # It is that of the best batch, so it comes from the tables of other batches too.
        first = tables[0].setting
        used.extend(
            table
            for table in profiles[split_place(place)[0]].tables(quantity=quantity_of(THROUGHPUT))
            if table.setting.name != first.name
            and replace(table.setting, batch=first.batch).name == first.name
        )
    return used


def _device(
    place: str, tables: Sequence[BlockTable], front: Mapping[str, float] | None
) -> list[Facts]:
    if not tables:
        return []
    setting, device = tables[0].setting, tables[0].device
    lines = [
        f"{table.quantity} ({_of(table, setting)}), {str(table.conditions.get('date', ''))[:10]}: "
        f"{describe_table(table)}"
        for table in tables
    ]
    doubts = [f"{t.quantity} is noisy: {doubt}" for t in tables if (doubt := doubt_of(t))]
    statistics = [str(t.conditions["statistic"]) for t in tables if "statistic" in t.conditions]
    items: dict[str, str | list[str]] = {
        "device": processor(device),
        "runtime": f"{setting.runtime} {setting.version}",
        "setting": f"{setting.dtype}, batch {setting.batch}"
        + (f", threads {setting.threads}" if setting.threads else ""),
        "statistic": list(dict.fromkeys(statistics)) or "not stated",
        "tables": lines,
    }
    if doubts:
        items["warning"] = doubts
    if front:
        items["the set, measured"] = (
            f"{front['n']:.0f} members run whole: latency {front['within_10']:.0%} within ±10 % of "
            f"the table, bias {front['bias']:+.1%}"
        )
    return [Facts(f"Device: {place}", items)]


def _of(table: BlockTable, setting: Setting) -> str:
    """Space of a table, and its batch where that is another than the setting's."""
    other = table.setting.batch != setting.batch
    return f"{table.space}{f', batch {table.setting.batch}' * other}"


def processor(device: Device) -> str:
    """A device with what it has, in a clause."""
    memory = f"{device.memory_bytes / 2**30:.0f} GiB"
    return f"{device.name}, {device.machine}, {device.cores} cores, {memory}"
