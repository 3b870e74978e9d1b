"""How indicators disagree, as text: what each recommends, ranks, fronts, flips and families."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping

from nas.cheapest import Recommendation
from nas.disagreement import Correlations, Disagreement
from nas.model_table import ALL
from nas.telling_pairs import TellingPair
from nas.terminal import legend, marks, print_table, say

__all__ = ["print_disagreement", "print_families", "print_recommendations"]

ROWS = 15
"""Pairs of indicators that are shown."""
FAMILIES = 8
"""Families that are shown."""
NAMED = 6
"""Models that are named in a line."""
HEADLINE = 1
"""Which of the recommendations opens the text: the one at the middle quality."""


def print_disagreement(found: Disagreement) -> None:
    """Prints what single indicators would have led to, how they contradict, and by how much."""
    if found.recommendations:
        middle = found.recommendations[min(HEADLINE, len(found.recommendations) - 1)]
        print_recommendations(middle, found.quality, found.maximized)
    _print_gaps(found)
    _print_pairs(found)
    _print_fronts(found)
    if found.telling:
        say(f"Pairs that say most, within {found.comparable:.3g} of each other in {found.quality}:")
        for pair in found.telling:
            say(_said(pair, found.maximized), 2)
    if found.redundant:
        say(f"Redundant here: {'; '.join(map(str, found.redundant))}.")
    else:
        print("No two indicators are redundant here (tau at least 0.9).")


def print_recommendations(found: Recommendation, quality: str, maximized: Collection[str]) -> None:
    """Prints which model each single indicator recommends, and what that misses by the others."""
    names = list(found.cheapest)
    chosen = set(found.cheapest.values())
    of = f"{quality} {found.quality:.4g} or better (the best {found.models} models)"
    if len(names) > 1 and len(chosen) == 1:
        say(f"At {of} every indicator alone recommends {next(iter(chosen))}.")
    elif len(names) > 1:
        say(f"At {of} {len(names)} single indicators recommend {len(chosen)} different models:")
        worst = found.worst
        for name in sorted(worst, key=lambda n: -worst[n][1]):
            other, times = worst[name]
            known = sum(value is not None for value in found.times[name].values())
            what = "cheapest by all" if known == len(names) else "cheapest by all that is known"
            if times > 1:
                what = f"which {_costs(other, times, found.cheapest[other], maximized)}"
            say(f"by {name} alone it is {found.cheapest[name]}, {what}.", 2)
    short = marks(names)
    legend(short)
    rows = [
        [short[name], found.cheapest[name]]
        + ["" if t is None else f"{t:.3g}" for t in found.times[name].values()]
        for name in names
    ]
    headings = ["cheapest by", "model", *short.values()]
    print_table(headings, rows, "Times the cost of the cheapest by each indicator", keep=2)


def _said(pair: TellingPair, maximized: Collection[str]) -> str:
    """A sentence on two models."""
    (a, b), (r, s) = pair.indicators, pair.ratios
    scores = "" if math.isnan(pair.scores[0]) else f" ({pair.scores[0]:.4g}, {pair.scores[1]:.4g})"
    return f"{pair.second} {_costs(a, r, pair.first, maximized)}, which in turn " + (
        f"{_costs(b, s, 'it', maximized)}{scores}"
    )


def _costs(name: str, times: float, other: str, maximized: Collection[str]) -> str:
    """That something costs so many times as much as another."""
    if name in maximized:
        return f"has {times:.3g} times less {name} than {other}"
    return f"takes {times:.3g} times the {name} of {other}"


def _print_gaps(found: Disagreement) -> None:
    gaps = {name: n for name, n in found.missing.items() if n}
    say(f"{found.models} models; {found.complete} have {found.quality} and every cost.")
    if gaps:
        say(
            "Missing, and left out where they are needed: "
            f"{', '.join(f'{name} {n}' for name, n in gaps.items())}."
        )


def _print_pairs(found: Disagreement) -> None:
    ranked = sorted(found.flips, key=lambda flips: -flips.share)
    short = marks(found.indicators)
    rows = []
    for flips in ranked[:ROWS]:
        a, b = flips.indicators
        known = found.kendall[a][b]
        front = found.front_kendall.get(a, {}).get(b)
        on_front = "" if front is None or math.isnan(front.tau) else f"{front.tau:.2f}"
        pair = f"{short[a]}, {short[b]}"
        rows.append([pair, *_cells(known), str(known.n), f"{flips.share:.1%}", on_front])
    headings = ["two indicators", "tau", "95 % interval", "models", "flips", "tau on the front"]
    print_table(headings, rows, "How alike two indicators rank models, and how often they flip")
    if len(ranked) > ROWS:
        print(f"The {ROWS} that disagree most, of {len(ranked)} (all with --json).")
    say(
        "Flips are shares of the pairs that both tell apart; what is more is better is turned "
        "round; the front is that of all indicators."
    )
    _print_quality(found.quality, found.kendall)


def _print_quality(quality: str, kendall: Correlations) -> None:
    if quality in kendall:
        said = ", ".join(f"{name} {item}" for name, item in kendall[quality].items())
        say(f"With {quality}, below 0 where better models cost more: {said}.")


def _cells(item: object) -> list[str]:
    tau, _, interval = str(item).partition(" ")
    return [tau, interval.strip("()")]


def _print_fronts(found: Disagreement) -> None:
    fronts = found.fronts
    if not fronts.sizes.get(ALL):
        return
    short = marks(found.indicators) | {ALL: ALL}
    rows = []
    for name, size in fronts.sizes.items():
        shares = {b: s for b, s in fronts.stays[name].items() if s is not None and b != ALL}
        least = min(shares, key=lambda other: shares[other], default="")
        only = str(len(fronts.only[name])) if name in fronts.only else ""
        stays = f"{shares[least]:.0%} on that of {short[least]}" if least else ""
        rows.append([short[name], str(fronts.models[name]), str(size), only, stays])
    headings = ["against", "models", "on the front", "on no other", "stays least"]
    print_table(headings, rows, f"Fronts of {found.quality} against each indicator")
    always = fronts.always
    more = ", ..." if len(always) > NAMED else ""
    named = f": {', '.join(always[:NAMED])}{more}" if always else ""
    say(f"On the front of every single indicator: {len(always)}{named}.")
    if fronts.families:
        print_families(fronts.families)


def print_families(families: Mapping[str, Mapping[str, float]]) -> None:
    """Prints the share of each front that belongs to each family, beside that of all models."""
    fronts = [name for name in families if name]
    every = list(dict.fromkeys(family for shares in families.values() for family in shares))
    most = {f: max(families[name].get(f, 0.0) for name in fronts) for f in every}
    shown = sorted(every, key=lambda family: -most[family])[:FAMILIES]
    short = marks([name for name in fronts if name != ALL]) | {ALL: ALL}
    headings = ["family", "all models", *[short[name] for name in fronts]]
    rows = [[family, *[f"{families[name].get(family, 0.0):.0%}" for name in ("", *fronts)]]
            for family in shown]  # fmt: skip
    print_table(headings, rows, "Share of the front against each indicator, by family")
    leads = {name: next(iter(families[name]), "") for name in fronts}
    say(f"Most members: {', '.join(f'{name} {family}' for name, family in leads.items())}.")
    if len(every) > len(shown):
        print(f"{len(every) - len(shown)} families with smaller shares are not shown.")
