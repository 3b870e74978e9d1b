"""Short names of indicators for sentences: what tells them apart, and the full names beside.

``latency_s@nvidia-h200:cudagraph-fp16-b1`` is "latency on nvidia-h200 fp16 b1" where no other
runtime of that device is spoken of.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from nas.indicators import INDICATORS, split_name, split_place

__all__ = ["in_full", "joined", "short_names"]

UNITS = ("_per_s", "_bytes", "_usd", "_s", "_j", "_g")
ON = " on "


def short_names(names: Iterable[str]) -> dict[str, str]:
    """A short name for each; the name itself where that would not tell it from another.

    Args:
        names: Of indicators, of columns of a table, or of arms; only the first are shortened.

    >>> short_names(["macs", "latency_s@local", "energy_j@gpu:cudagraph-fp16-b1", "lat_ms"])
    ... # doctest: +NORMALIZE_WHITESPACE
    {'macs': 'macs', 'latency_s@local': 'latency on local',
     'energy_j@gpu:cudagraph-fp16-b1': 'energy on gpu fp16 b1', 'lat_ms': 'lat_ms'}
    """
    asked = list(dict.fromkeys(names))
    runtimes: dict[str, set[str]] = {}
    for name in asked:
        profile, setting = split_place(split_name(name)[1])
        runtimes.setdefault(profile, set()).add(setting.partition("-")[0])
    short = {name: _short(name, runtimes) for name in asked}
    found = list(short.values())
    return {name: text if found.count(text) == 1 else name for name, text in short.items()}


def joined(names: Sequence[str], short: Mapping[str, str], word: str = "or") -> str:
    """Short names as a list; what several are of is said once.

    >>> known = {"a": "latency on x", "b": "latency on y"}
    >>> joined(["a", "b"], known), joined(["a", "b", "macs", "params"], known)
    ('latency on x or y', 'macs, params, or latency on x or y')
    """
    placed: dict[str, list[str]] = {}
    items = []
    for name in names:
        base, on, place = short.get(name, name).partition(ON)
        if on:
            placed.setdefault(base, []).append(place)
        else:
            items.append(base)
    items += [f"{base}{ON}{_listed(places, word)}" for base, places in placed.items()]
    several = any(len(places) > 1 for places in placed.values())
    return _listed(items, f", {word}" if several else word)


def in_full(short: Mapping[str, str], lines: Iterable[str]) -> list[str]:
    """The full names of those that lines use in short, as a line; none where there are none."""
    text = "\n".join(lines)
    told = [
        f"{brief} is {name}"
        for name, brief in short.items()
        if brief != name and all(part in text for part in brief.split(ON))
    ]
    return [f"In full: {'; '.join(told)}."] if told else []


def _listed(items: Sequence[str], word: str) -> str:
    *others, last = items
    gap = "" if word.startswith(",") else " "
    return f"{', '.join(others)}{gap}{word} {last}" if others else last


def _short(name: str, runtimes: Mapping[str, set[str]]) -> str:
    base, place = split_name(name)
    if base not in INDICATORS or not place:
        return name
    profile, setting = split_place(place)
    if len(runtimes[profile]) == 1:
        setting = setting.partition("-")[2]
    unit = next((unit for unit in UNITS if base.endswith(unit)), "")
    words = base.removesuffix(unit).replace("_", " ")
    return f"{words}{ON}{' '.join([profile, *filter(None, setting.split('-'))])}"
