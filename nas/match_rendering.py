"""Families at equal cost, as text."""

from __future__ import annotations

from collections.abc import Sequence

from nas.disagreement_rendering import initials
from nas.matching import Match
from nas.rendering import print_rows

__all__ = ["print_matches"]

NOBODY = "no two meet"
FAMILIES = 6
"""Families that are shown of each match."""


def print_matches(matches: Sequence[Match], quality: str) -> None:
    """Prints who wins at which equal cost, how that changes with it, and why a match is unfair."""
    if not matches:
        return
    rows = []
    for match in matches:
        second = match.models[1] if len(match.models) > 1 else None
        first = match.models[0] if match.models else None
        tied = f" (ties with {', '.join(match.ties)})" if match.ties else ""
        rows.append(
            [
                ", ".join(match.indicators),
                ", ".join(f"{level:.4g}" for level in match.levels.values()),
                NOBODY if match.winner is None else match.winner + tied,
                "" if first is None else f"{first.model} {first.score:.4g}",
                "" if second is None else f"{second.family} {second.score:.4g}",
                f"{len(match.models)} of {len(match.models) + len(match.absent)}",
            ]
        )
    slack = matches[0].slack
    headings = ["equal in", "at", "winner", "with", "next", "families"]
    print_rows(
        headings, rows, f"Best {quality} of each family at equal cost (down to {slack:.0%} below)"
    )
    winners: dict[str, dict[str, int]] = {}
    for match in matches:
        if match.winner is not None:
            of = winners.setdefault(", ".join(match.indicators), {})
            of[match.winner] = of.get(match.winner, 0) + 1
    leads = {frozenset(of) for of in winners.values()}
    if len(winners) > 1:
        said = "; ".join(f"matched on {name} {', '.join(of)}" for name, of in winners.items())
        how = "does not change" if len(leads) == 1 else "changes"
        print(f"The winner {how} with what is equal: {said}.")
    sets: dict[tuple[str, ...], list[Match]] = {}
    for match in matches:
        sets.setdefault(match.indicators, []).append(match)
    for alike in sets.values():
        _print_members(alike[len(alike) // 2], quality)
    for warning in dict.fromkeys(warning for match in matches for warning in match.warnings):
        print(f"Unfair: {warning}")


def _print_members(match: Match, quality: str) -> None:
    if match.winner is None:
        return
    names = list(match.models[0].costs)
    marks = initials(names)
    rows = [
        [model.family, model.model, f"{model.score:.4g}"]
        + ["" if (cost := model.costs[name]) is None else f"{cost:.4g}" for name in names]
        for model in match.models[:FAMILIES]
    ]
    levels = ", ".join(f"{name} {level:.4g}" for name, level in match.levels.items())
    print_rows(["family", "best", quality, *marks.values()], rows, f"At equal {levels}")
    if any(mark != name for name, mark in marks.items()):
        print(f"{', '.join(f'{mark} {name}' for name, mark in marks.items())}.")
    if len(match.models) > FAMILIES:
        print(f"{len(match.models) - FAMILIES} worse families are not shown.")
