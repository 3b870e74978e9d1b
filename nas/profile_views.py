"""What ``hwnas profile`` shows: items of its JSON, and tables for people."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from hw_profiles import BlockTable, Certificate
from hw_profiles.profile import HardwareProfile
from hw_profiles.quantity import quantity
from hw_profiles.validity import Finding
from nas.pricing import warn_of_table
from nas.progress import Reporter
from nas.rendering import print_certificate, print_rows, score_cells

__all__ = [
    "findings_item",
    "print_findings",
    "print_profile",
    "print_settings",
    "print_table",
    "profile_item",
    "setting_item",
]

READ_BY_PEOPLE = {"s": (1e-6, "us"), "J": (1e-3, "mJ")}
"""Scale and unit in which entries of a table are shown."""


def setting_item(profile: str, setting: str, tables: Sequence[BlockTable]) -> dict[str, Any]:
    """A row of ``hwnas profile list``: all tables of a setting together, families merged."""
    groups: dict[str, list[BlockTable]] = {}
    for table in tables:
        groups.setdefault(table.quantity, []).append(table)
    latency = groups.get("latency_s", [])
    return {
        "profile": profile,
        "setting": setting,
        "device": tables[-1].device.name,
        "measured": _newest(latency or tables),
        "energy": "energy_j" in groups,
        "certificate": _scores(latency),
        "quantities": {
            of: {
                "spaces": [table.space for table in group],
                "blocks": len({key for table in group for key in table.entries}),
                "measured": _newest(group),
                "noisy": any(table.conditions.get("noisy", False) for table in group),
                "certificate": _scores(group),
            }
            for of, group in sorted(groups.items())
        },
    }


def print_settings(items: Sequence[dict[str, Any]]) -> None:
    """Prints a row for each profile and setting."""
    rows = []
    for item in items:
        shares = [
            f"{family} {score['within_10']:.1%} ({score['within_5']:.1%}) of {score['n']}"
            for family, score in item["certificate"].items()
            if family != "all"
        ]
        row = [item["profile"], item["setting"], item["measured"], ", ".join(item["quantities"])]
        rows.append([*row, "; ".join(shares) or "none"])
    headings = ["profile", "setting", "measured", "tables of"]
    print_rows([*headings, "latency certified within 10 % (5 %)"], rows)


def _newest(tables: Sequence[BlockTable]) -> str:
    return max(str(table.conditions["date"]) for table in tables)


def _scores(tables: Sequence[BlockTable]) -> dict[str, Any]:
    """Figures of each family, and of ``"all"``, over the networks of all certificates."""
    certificates = [table.certificate for table in tables if table.certificate is not None]
    measured = tuple(network for each in certificates for network in each.measured)
    if not measured:
        return {}
    scores = Certificate("", "", measured).families
    return {family: asdict(score) for family, score in scores.items()}


def profile_item(
    profile: HardwareProfile, tables: Sequence[BlockTable], entries: bool
) -> dict[str, Any]:
    """What ``hwnas profile show --json`` prints."""
    device = profile.device or tables[-1].device
    groups: dict[str, list[BlockTable]] = {}
    for table in tables:
        groups.setdefault(table.setting.name, []).append(table)
    return {
        "profile": profile.name,
        "device": device.to_json(),
        "constants": {name: asdict(value) for name, value in profile.constants.items()},
        "notes": list(profile.notes),
        "settings": [setting_item(profile.name, *group) for group in groups.items()],
        "tables": [_table(table, entries) for table in tables],
    }


def _table(table: BlockTable, entries: bool) -> dict[str, Any]:
    shown = {
        "quantity": table.quantity,
        "unit": quantity(table.quantity).unit,
        "device": table.device.to_json(),
        "setting": table.setting.to_json(),
        "space": table.space,
        "blocks": len(table.entries),
        "measured": table.conditions["date"],
        "overhead": asdict(table.overhead),
        "cache": None if table.cache is None else table.cache.to_json(),
        "conditions": dict(table.conditions),
        "certificate": _scores([table]),
        "sha256": table.sha256,
    }
    if entries:
        shown["entries"] = {key: asdict(entry) for key, entry in table.entries.items()}
    return shown


def findings_item(profile: str, table: BlockTable, findings: Sequence[Finding]) -> dict[str, Any]:
    """An item of ``hwnas profile validate --json``."""
    return {
        "profile": profile,
        "setting": table.setting.name,
        "quantity": table.quantity,
        "space": table.space,
        "holds": all(finding.holds for finding in findings),
        "families": {
            finding.family: {
                "holds": finding.holds,
                "reasons": list(finding.reasons),
                "noisy": finding.noisy,
                "certified": asdict(finding.certified),
                "found": asdict(finding.found),
                "within_10_high": finding.within_10_high,
                "bias_move": finding.bias_move,
                "bias_move_half_width": finding.bias_half
                if math.isfinite(finding.bias_half)
                else None,
                "repeat_90": finding.repeat_90,
            }
            for finding in findings
        },
    }


def print_profile(profile: HardwareProfile, tables: Sequence[BlockTable]) -> None:
    device = profile.device or tables[-1].device
    cores = "multiprocessors" if device.kind == "gpu" else "cores"
    print(
        f"{profile.name}: {device.name}, {device.machine}, {device.cores} {cores}, "
        f"{device.memory_bytes / 2**30:.0f} GiB"
    )
    for name, constant in profile.constants.items():
        unit = "" if constant.unit == "1" else f" {constant.unit}"
        print(f"{name}: {constant.value:.6g}{unit} ({constant.source})")
    for note in profile.notes:
        print(f"Note: {note}")


def print_table(table: BlockTable, entries: bool) -> None:
    print()
    print_certificate(table)
    warn_of_table(table, Reporter())
    if entries:
        scale, unit = READ_BY_PEOPLE[quantity(table.quantity).unit]
        rows = []
        for key, e in {"(a run of nothing)": table.overhead, **table.entries}.items():
            figures = (e.value, e.low, e.high, e.p50, e.p90)
            rows.append([key, *(f"{figure / scale:.2f}" for figure in figures), str(e.n)])
        print_rows(["block", unit, "low", "high", "p50", "p90", "runs"], rows)


def print_findings(table: BlockTable, findings: Sequence[Finding]) -> None:
    """Certificate and repetition, one below the other, by family."""
    rows = []
    for finding in findings:
        least = f"at least {finding.certified.within_10_low:.1%}"
        most = f"at most {finding.within_10_high:.1%}"
        verdict = "holds" if finding.holds else "no longer holds"
        rows.append([finding.family, "certificate", *score_cells(finding.certified), least, ""])
        rows.append(["", "now", *score_cells(finding.found), most, verdict])
    headings = [
        "family", "", "networks", "bias", "MAPE", "within 5 %", "A/A", "within 10 %", "A/A", "tau",
        "A/A", "share within 10 %", "",
    ]  # fmt: skip
    print_rows(headings, rows, f"{table.name} on {table.device.name}")
