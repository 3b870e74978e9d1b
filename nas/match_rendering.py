"""Families at equal cost, as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nas.matching import Match
from nas.terminal import legend, marks, print_table, say

__all__ = ["print_matches"]

NOBODY = "no two meet"
FAMILIES = 6
"""Families that are shown of each match."""


def print_matches(matches: Sequence[Match], quality: str) -> None:
    """Prints who wins at which equal cost, how that changes with it, and why a match is unfair."""
    if not matches:
        return
    told = (list(match.models[0].costs) for match in matches if match.models)
    short = marks(next(told, list(dict.fromkeys(n for match in matches for n in match.indicators))))
    legend(short)
    rows = []
    for match in matches:
        second = match.models[1] if len(match.models) > 1 else None
        first = match.models[0] if match.models else None
        tied = f" (ties with {', '.join(match.ties)})" if match.ties else ""
        rows.append(
            [
                ", ".join(short[name] for name in match.indicators),
                ", ".join(f"{level:.4g}" for level in match.levels.values()),
                NOBODY if match.winner is None else match.winner + tied,
                "" if second is None else f"{second.family} {second.score:.4g}",
                f"{len(match.models)} of {len(match.models) + len(match.absent)}",
                "" if first is None else f"{first.model} {first.score:.4g}",
            ]
        )
    slack = matches[0].slack
    headings = ["equal in", "at", "winner", "next", "families", "winner with"]
    title = f"Best {quality} of each family at equal cost (down to {slack:.0%} below)"
    print_table(headings, rows, title, keep=2)
    winners: dict[str, dict[str, int]] = {}
    for match in matches:
        if match.winner is not None:
            of = winners.setdefault(", ".join(match.indicators), {})
            of[match.winner] = of.get(match.winner, 0) + 1
    leads = {frozenset(of) for of in winners.values()}
    if len(winners) > 1:
        said = "; ".join(f"matched on {name} {', '.join(of)}" for name, of in winners.items())
        how = "does not change" if len(leads) == 1 else "changes"
        say(f"The winner {how} with what is equal: {said}.")
    sets: dict[tuple[str, ...], list[Match]] = {}
    for match in matches:
        sets.setdefault(match.indicators, []).append(match)
    for alike in sets.values():
        _print_members(alike[len(alike) // 2], quality, short)
    for warning in dict.fromkeys(warning for match in matches for warning in match.warnings):
        say(f"Unfair: {warning}")


def _print_members(match: Match, quality: str, short: Mapping[str, str]) -> None:
    if match.winner is None:
        return
    names = list(match.models[0].costs)
    rows = [
        [model.family, model.model, f"{model.score:.4g}"]
        + ["" if (cost := model.costs[name]) is None else f"{cost:.4g}" for name in names]
        for model in match.models[:FAMILIES]
    ]
    levels = ", ".join(f"{name} {level:.4g}" for name, level in match.levels.items())
    headings = ["family", "best", quality, *(short[name] for name in names)]
    print_table(headings, rows, f"At equal {levels}")
    if len(match.models) > FAMILIES:
        print(f"{len(match.models) - FAMILIES} worse families are not shown.")
